#include "compare/progress.h"

#include "clock.h"
#include "command.h"

#include <stdio.h>
#include <unistd.h>

#define LINES_EVERY_S 5 /* where each is a line */

void gb__compare_progress_begin(struct compare_progress *progress, size_t total, bool quiet)
{
	*progress = (struct compare_progress){ .quiet = quiet,
		.on_terminal = isatty(STDERR_FILENO) != 0,
		.total = total,
		.began_s = (double)gb__clock_ns(CLOCK_MONOTONIC) / 1e9 };
}

void gb__compare_progress_show(
	struct compare_progress *progress, const char *what, size_t round, size_t rounds)
{
	double now_s = (double)gb__clock_ns(CLOCK_MONOTONIC) / 1e9, left_s = 0;
	char left[64] = "";

	if (progress->done > 0)
		left_s = (now_s - progress->began_s) / (double)progress->done *
			(double)(progress->total - progress->done);
	if (progress->done > 2)
		snprintf(left, sizeof(left), left_s < 90 ? ", %.0f s left" : ", %.0f min left",
			left_s < 90 ? left_s : left_s / 60);
	progress->done++;
	if (progress->quiet)
		return;
	if (!progress->on_terminal && progress->shown_s != 0 && now_s - progress->shown_s < LINES_EVERY_S)
		return;
	progress->shown_s = now_s;
	fprintf(stderr,
		progress->on_terminal ? "\r\033[K%s: compare: %zu of %zu: round %zu of %zu, %s%s"
				      : "%s: compare: %zu of %zu: round %zu of %zu, %s%s\n",
		gb__program.name, progress->done, progress->total, round, rounds, what, left);
	fflush(stderr);
}

void gb__compare_progress_clear(struct compare_progress *progress)
{
	if (!progress->quiet && progress->on_terminal)
		fputs("\r\033[K", stderr);
}
