#include "base/log.h"

#include "base/assert.h"
#include "base/escape.h"
#include "base/macros.h"
#include "base/stderr.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TEXT_MAX_BYTES 960u  /* of a record, escaped */
#define LINE_MAX_BYTES 3072u /* each byte of it may need an escape again, as JSON */
#define NAME_MAX_BYTES 64u
#define LIMIT_MS 1000

static_assert(LINE_MAX_BYTES <= PIPE_BUF, "lines of several processes must not mix");

static _Atomic int level_max = GB__LOG_NOTICE;
static _Atomic int line_format = GB__LOG_TEXT;
static char program[NAME_MAX_BYTES] = "gearbox";
static _Atomic uint64_t lost; /* lines that found no room and were not told of yet */
static void (*hook)(enum gb_log_level level, const char *text, void *arg);
static void *hook_arg;

static const char *const words[] = { "error", "warning", "notice", "info", "debug" };

/* A text that grows until its end is reached; what does not fit is left out. */
struct line {
	char text[LINE_MAX_BYTES];
	size_t used;
};

static __attribute__((format(printf, 2, 3))) void add(struct line *line, const char *format, ...)
{
	size_t room = sizeof(line->text) - line->used;
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(line->text + line->used, room, format, arguments);
	va_end(arguments);
	line->used += gb__min((size_t)gb__max(length, 0), room - 1);
}

/* Escaped text as a JSON string: of what needs care there, quotes and backslashes are left. */
static void add_quoted(struct line *line, const char *text)
{
	add(line, "\"");
	for (; *text; text++)
		add(line, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
	add(line, "\"");
}

static void format_json(struct line *line, enum gb__log_level level, const struct gb__log_field *fields,
	size_t count, const char *text)
{
	char value[128], stamp[32];
	struct timespec now;
	struct tm time;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &time);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &time);
	add(line, "{\"time\": \"%s.%03dZ\", \"level\": \"%s\", \"program\": ", stamp,
		(int)(now.tv_nsec / 1000000), words[level]);
	add_quoted(line, program);
	add(line, ", \"pid\": %ld", (long)getpid());
	for (size_t i = 0; i < count; i++) {
		gb__escape(fields[i].value, value, sizeof(value));
		add(line, ", \"%s\": ", fields[i].key);
		add_quoted(line, value);
	}
	add(line, ", \"message\": ");
	add_quoted(line, text);
	add(line, "}\n");
}

static void format_line(struct line *line, enum gb__log_level level, const struct gb__log_field *fields,
	size_t count, const char *text)
{
	static const int priorities[] = { 3, 4, 5, 6, 7 }; /* syslog(3) */

	line->used = 0;
	switch (atomic_load_explicit(&line_format, memory_order_relaxed)) {
	case GB__LOG_JSON:
		format_json(line, level, fields, count, text);
		break;
	case GB__LOG_JOURNAL:
		add(line, "<%d>%s: %s\n", priorities[level], program, text);
		break;
	default:
		add(line, "%s: %s: %s\n", program, words[level], text);
	}
}

void gb__log_settle(void)
{
	uint64_t count = atomic_exchange_explicit(&lost, 0, memory_order_relaxed);
	struct line line;
	char text[64];

	if (count == 0)
		return;
	snprintf(text, sizeof(text), "%" PRIu64 " lines lost: nobody read them", count);
	format_line(&line, GB__LOG_WARNING, NULL, 0, text);
	if (gb__stderr_write(line.text, line.used) < 0)
		atomic_fetch_add_explicit(&lost, count, memory_order_relaxed);
}

void gb__log_line(const char *line, size_t size)
{
	gb__log_settle();
	if (atomic_load_explicit(&lost, memory_order_relaxed) || gb__stderr_write(line, size) < 0)
		atomic_fetch_add_explicit(&lost, 1, memory_order_relaxed);
}

void gb__log_say(enum gb__log_level level, const char *text)
{
	char *whole = NULL;
	struct line line;
	int size;

	if (gb__log_format() == GB__LOG_TEXT) {
		size = asprintf(&whole, "%s: %s\n", program, text);
		if (size >= 0)
			gb__log_line(whole, (size_t)size);
		free(whole);
		return;
	}
	format_line(&line, level, NULL, 0, text);
	gb__log_line(line.text, line.used);
}

static void emit(enum gb__log_level level, const struct gb__log_field *fields, size_t count,
	const char *format, va_list arguments)
{
	char raw[TEXT_MAX_BYTES], text[TEXT_MAX_BYTES];
	int saved_errno = errno; /* callers log between a failed call and its handling */
	struct line line;

	gb__assert((size_t)level < gb__countof(words));
	if (vsnprintf(raw, sizeof(raw), format, arguments) < 0)
		raw[0] = '\0';
	gb__escape(raw, text, sizeof(text));
	if (hook) {
		hook((enum gb_log_level)level, text, hook_arg);
	} else {
		format_line(&line, level, fields, count, text);
		gb__log_line(line.text, line.used);
	}
	errno = saved_errno;
}

void gb__log(enum gb__log_level level, const char *format, ...)
{
	va_list arguments;

	if (!gb__log_wanted(level))
		return;
	va_start(arguments, format);
	emit(level, NULL, 0, format, arguments);
	va_end(arguments);
}

void gb_log(enum gb_log_level level, const char *format, ...)
{
	va_list arguments;

	if (!gb__log_wanted((enum gb__log_level)level))
		return;
	va_start(arguments, format);
	emit((enum gb__log_level)level, NULL, 0, format, arguments);
	va_end(arguments);
}

void gb__log_with(
	enum gb__log_level level, const struct gb__log_field *fields, size_t count, const char *format, ...)
{
	va_list arguments;

	if (!gb__log_wanted(level))
		return;
	va_start(arguments, format);
	emit(level, fields, count, format, arguments);
	va_end(arguments);
}

bool gb__log_wanted(enum gb__log_level level)
{
	return (int)level <= atomic_load_explicit(&level_max, memory_order_relaxed);
}

void gb__log_set_level(enum gb__log_level level)
{
	atomic_store_explicit(&level_max, level, memory_order_relaxed);
}

void gb__log_set_format(enum gb__log_format format)
{
	atomic_store_explicit(&line_format, format, memory_order_relaxed);
}

enum gb__log_format gb__log_format(void)
{
	return (enum gb__log_format)atomic_load_explicit(&line_format, memory_order_relaxed);
}

void gb__log_set_name(const char *name)
{
	gb__escape(name, program, sizeof(program));
}

const char *gb__log_name(void)
{
	return program;
}

void gb_log_set(void (*write)(enum gb_log_level level, const char *text, void *arg), void *arg)
{
	hook_arg = arg;
	hook = write;
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
