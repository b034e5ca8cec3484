#include "base/assert.h"

#include <execinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FRAMES_MAX 64

_Noreturn void gb__assert_failed(const char *expression, const char *file, int line, const char *function)
{
	void *frames[FRAMES_MAX];
	int count;

	/* Straight to the descriptor: stdio's locks or the heap may be what is broken. */
	dprintf(STDERR_FILENO, "gearbox: %s:%d: %s: assertion failed: %s\n", file, line, function,
		expression);
	count = backtrace(frames, FRAMES_MAX);
	if (count > 1)
		backtrace_symbols_fd(frames + 1, count - 1, STDERR_FILENO); /* without this function */
	abort();
}
