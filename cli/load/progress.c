#include "load/progress.h"

#include "command.h"

#include <stdio.h>
#include <unistd.h>

#define LINE_MAX_BYTES 128

static uint64_t shown_ns; /* one command, one line */
static bool on_terminal;

void gb__progress_show(const struct generator *generator, uint64_t now_ns)
{
	const struct totals *totals = &generator->totals;
	char line[LINE_MAX_BYTES];
	double seconds;

	if (shown_ns == 0)
		on_terminal = isatty(STDERR_FILENO);
	else if (now_ns - shown_ns < (on_terminal ? 200000000u : 990000000u))
		return;
	shown_ns = now_ns;
	if (!generator->sending) {
		snprintf(line, sizeof(line), "%llu of %llu connections", (unsigned long long)totals->opened,
			(unsigned long long)generator->options->connections);
	} else {
		seconds = (double)(now_ns - totals->begin_ns) / 1e9;
		snprintf(line, sizeof(line), "%.1f s, %llu messages, %.0f/s", seconds,
			(unsigned long long)totals->messages,
			seconds > 0 ? (double)totals->messages / seconds : 0);
	}
	fprintf(stderr, on_terminal ? "\r\033[K%s: load: %s" : "%s: load: %s\n", gb__program.name, line);
	fflush(stderr);
}

void gb__progress_clear(void)
{
	if (shown_ns && on_terminal)
		fputs("\r\033[K", stderr);
}
