#include "load/progress.h"

#include "command.h"

#include <stdio.h>
#include <unistd.h>

#define LINE_MAX_BYTES 128

static uint64_t shown_ns; /* one command, one line */
static bool on_terminal;

void gb__progress_show(const struct fleet *fleet, uint64_t now_ns)
{
	const struct generator *first = &fleet->generators[0];
	char line[LINE_MAX_BYTES];
	uint64_t messages = gb__fleet_messages(fleet);
	double seconds;

	if (shown_ns == 0)
		on_terminal = isatty(STDERR_FILENO);
	else if (now_ns - shown_ns < (on_terminal ? 200000000u : 990000000u))
		return;
	shown_ns = now_ns;
	if (!first->sending || now_ns < first->measured_ns) {
		snprintf(line, sizeof(line), "%llu of %llu connections%s",
			(unsigned long long)gb__fleet_opened(fleet),
			(unsigned long long)fleet->options->connections,
			first->sending ? ", warming up" : "");
	} else {
		seconds = (double)(now_ns - first->measured_ns) / 1e9;
		snprintf(line, sizeof(line), "%.1f s, %llu messages, %.0f/s", seconds,
			(unsigned long long)messages, seconds > 0 ? (double)messages / seconds : 0);
	}
	fprintf(stderr, on_terminal ? "\r\033[K%s: load: %s" : "%s: load: %s\n", gb__program.name, line);
	fflush(stderr);
}

void gb__progress_clear(void)
{
	if (shown_ns && on_terminal)
		fputs("\r\033[K", stderr);
}
