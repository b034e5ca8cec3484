#include "base/assert.h"

#include "base/libc.h"
#include "base/log.h"
#include "base/stderr.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FRAMES_MAX 64
#define LINE_MAX_BYTES 1024

/* Straight to the descriptor: stdio's locks or the heap may be what is broken. */
static _Noreturn __attribute__((format(printf, 1, 2))) void end_with_backtrace(const char *format, ...)
{
	void *frames[FRAMES_MAX];
	int count = backtrace(frames, FRAMES_MAX);
	char line[LINE_MAX_BYTES];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	/* Who reads no line reads no frames, and is not waited for. */
	if (gb__stderr_write(line, strlen(line)) == 0 && count > 2)
		backtrace_symbols_fd(frames + 2, count - 2, STDERR_FILENO); /* without the functions here */
	abort();
}

_Noreturn void gb__rule_broken(unsigned rule, const char *text, const char *function)
{
	end_with_backtrace(
		"%s: %s: %s (rule %u of docs/lifetimes.md)\n", gb__log_name(), function, text, rule);
}

_Noreturn void gb__assert_failed(const char *expression, const char *file, int line, const char *function)
{
	end_with_backtrace(
		"%s: %s:%d: %s: assertion failed: %s\n", gb__log_name(), file, line, function, expression);
}
