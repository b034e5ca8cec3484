#include "base/log.h"

#include "base/assert.h"
#include "base/escape.h"
#include "base/macros.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024
#define LIMIT_MS 1000

static _Atomic int level_max = GB__LOG_WARNING;

void gb__log_set_level(enum gb__log_level level)
{
	atomic_store_explicit(&level_max, level, memory_order_relaxed);
}

/* One write per line: lines of threads and processes that share the descriptor do not mix. */
static void write_line(const char *line, size_t size)
{
	while (size > 0) {
		ssize_t done = write(STDERR_FILENO, line, size);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return; /* there is nobody left to tell */
		line += done;
		size -= (size_t)done;
	}
}

void gb__log(enum gb__log_level level, const char *format, ...)
{
	static const char *const words[] = { "error", "warning", "info", "debug" };
	char raw[LINE_MAX_BYTES], line[LINE_MAX_BYTES];
	int saved_errno = errno; /* callers log between a failed call and its handling */
	va_list arguments;
	int used;

	gb__assert((size_t)level < gb__countof(words));
	if ((int)level > atomic_load_explicit(&level_max, memory_order_relaxed))
		return;
	va_start(arguments, format);
	if (vsnprintf(raw, sizeof(raw), format, arguments) < 0)
		raw[0] = '\0';
	va_end(arguments);
	used = snprintf(line, sizeof(line), "gearbox: %s: ", words[level]);
	used += (int)gb__escape(raw, line + used, sizeof(line) - (size_t)used - 1);
	line[used++] = '\n';
	write_line(line, (size_t)used);
	errno = saved_errno;
}

bool gb__log_allowed(struct gb__log_limit *limit, uint64_t now_ms, uint64_t *ret_held)
{
	uint64_t last_ms = atomic_load_explicit(&limit->last_ms, memory_order_relaxed);

	/* 0 is "none yet". Of several who come at the same time one reports. */
	if ((last_ms && now_ms < last_ms + LIMIT_MS) ||
		!atomic_compare_exchange_strong(&limit->last_ms, &last_ms, now_ms ? now_ms : 1)) {
		atomic_fetch_add_explicit(&limit->held, 1, memory_order_relaxed);
		return false;
	}
	*ret_held = atomic_exchange_explicit(&limit->held, 0, memory_order_relaxed);
	return true;
}
