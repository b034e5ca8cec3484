#include "base/assert.h"

#include <execinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FRAMES_MAX 64

static _Noreturn void end_with_backtrace(void)
{
	void *frames[FRAMES_MAX];
	int count = backtrace(frames, FRAMES_MAX);

	if (count > 2)
		backtrace_symbols_fd(frames + 2, count - 2, STDERR_FILENO); /* without the functions here */
	abort();
}

_Noreturn void gb__rule_broken(unsigned rule, const char *text, const char *function)
{
	dprintf(STDERR_FILENO, "gearbox: %s: %s (rule %u of docs/lifetimes.md)\n", function, text, rule);
	end_with_backtrace();
}

_Noreturn void gb__assert_failed(const char *expression, const char *file, int line, const char *function)
{
	/* Straight to the descriptor: stdio's locks or the heap may be what is broken. */
	dprintf(STDERR_FILENO, "gearbox: %s:%d: %s: assertion failed: %s\n", file, line, function,
		expression);
	end_with_backtrace();
}
