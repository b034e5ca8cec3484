#include "base/log.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/escape.h"
#include "base/log_socket.h"
#include "base/macros.h"
#include "base/stderr.h"

#include <gearbox/clock.h>

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
#define NS_PER_S 1000000000
#define FACILITY 3 /* of daemons (RFC 5424, 6.2.1) */

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
	const int64_t now_ns = gb_clock_wall_ns();
	const time_t now = (time_t)(now_ns / NS_PER_S);
	struct tm time = { 0 };

	gmtime_r(&now, &time);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &time);
	add(line, "{\"time\": \"%s.%03dZ\", \"level\": \"%s\", \"program\": ", stamp,
		(int)(now_ns % NS_PER_S / 1000000), words[level]);
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

static int priority(enum gb__log_level level)
{
	static const int severities[] = { 3, 4, 5, 6, 7 }; /* syslog(3) */

	return severities[level];
}

/* On standard error; those whose daemon is not there put the priority in front, which journald takes off again. */
static void format_line(struct line *line, enum gb__log_level level, const struct gb__log_field *fields,
	size_t count, const char *text)
{
	line->used = 0;
	switch (gb__log_format()) {
	case GB__LOG_JSON:
		format_json(line, level, fields, count, text);
		break;
	case GB__LOG_TEXT:
		add(line, "%s: %s: %s\n", program, words[level], text);
		break;
	default:
		add(line, "<%d>%s: %s\n", priority(level), program, text);
	}
}

/* As syslog(3) of the C library writes it: RFC 3164 without a host's name. */
static void format_syslog(struct line *line, enum gb__log_level level, const char *text)
{
	static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep",
		"Oct", "Nov", "Dec" };
	const time_t now = (time_t)(gb_clock_wall_ns() / NS_PER_S);
	struct tm time = { 0 };

	localtime_r(&now, &time);
	add(line, "<%d>%s %2d %02d:%02d:%02d %s[%ld]: %s", FACILITY * 8 + priority(level),
		months[time.tm_mon], time.tm_mday, time.tm_hour, time.tm_min, time.tm_sec, program,
		(long)getpid(), text);
}

/* systemd's native protocol: a field a line, since nothing here has a line feed. */
static void format_journal(struct line *line, enum gb__log_level level, const struct gb__log_field *fields,
	size_t count, const char *text)
{
	char value[128];

	add(line, "PRIORITY=%d\nSYSLOG_FACILITY=%d\nSYSLOG_IDENTIFIER=%s\nSYSLOG_PID=%ld\n", priority(level),
		FACILITY, program, (long)getpid());
	for (size_t i = 0; i < count; i++) {
		gb__escape(fields[i].value, value, sizeof(value));
		add(line, "GEARBOX_");
		for (const char *key = fields[i].key; *key; key++)
			add(line, "%c", *key >= 'a' && *key <= 'z' ? *key - 'a' + 'A' : *key);
		add(line, "=%s\n", value);
	}
	add(line, "MESSAGE=%s\n", text);
}

/* One record to where they go. Returns 0, or a negative errno: it is lost. */
static int give(enum gb__log_level level, const struct gb__log_field *fields, size_t count, const char *text)
{
	const enum gb__log_format format = gb__log_format();
	struct line line;

	line.used = 0;
	if (format == GB__LOG_SYSLOG || format == GB__LOG_JOURNAL) {
		int result;

		if (format == GB__LOG_SYSLOG)
			format_syslog(&line, level, text);
		else
			format_journal(&line, level, fields, count, text);
		result = gb__log_socket_send(line.text, line.used);
		if (result == 0 || result == -EAGAIN)
			return result;
	}
	format_line(&line, level, fields, count, text);
	return gb__stderr_write(line.text, line.used);
}

void gb__log_tell_lost(void)
{
	uint64_t missed = atomic_exchange_explicit(&lost, 0, memory_order_relaxed);
	char text[64];

	if (missed == 0)
		return;
	snprintf(text, sizeof(text), "%" PRIu64 " lines lost: nobody read them", missed);
	if (give(GB__LOG_WARNING, NULL, 0, text) < 0)
		atomic_fetch_add_explicit(&lost, missed, memory_order_relaxed);
}

static void record(
	enum gb__log_level level, const struct gb__log_field *fields, size_t count, const char *text)
{
	gb__log_tell_lost();
	if (atomic_load_explicit(&lost, memory_order_relaxed) || give(level, fields, count, text) < 0)
		atomic_fetch_add_explicit(&lost, 1, memory_order_relaxed);
}

void gb__log_line(const char *line, size_t size)
{
	gb__log_tell_lost();
	if (atomic_load_explicit(&lost, memory_order_relaxed) || gb__stderr_write(line, size) < 0)
		atomic_fetch_add_explicit(&lost, 1, memory_order_relaxed);
}

void gb__log_say(enum gb__log_level level, const char *text)
{
	const size_t size = strlen(program) + strlen(text) + sizeof(": \n");
	char *whole;

	if (gb__log_format() != GB__LOG_TEXT) {
		record(level, NULL, 0, text);
		return;
	}
	whole = gb__alloc(size);
	if (whole)
		gb__log_line(whole, (size_t)snprintf(whole, size, "%s: %s\n", program, text));
	gb__free(whole);
}

static void emit(enum gb__log_level level, const struct gb__log_field *fields, size_t count,
	const char *format, va_list arguments)
{
	char raw[TEXT_MAX_BYTES], text[TEXT_MAX_BYTES];
	int saved_errno = errno; /* callers log between a failed call and its handling */

	gb__assert((size_t)level < gb__countof(words));
	if (vsnprintf(raw, sizeof(raw), format, arguments) < 0)
		raw[0] = '\0';
	gb__escape(raw, text, sizeof(text));
	if (hook)
		hook((enum gb_log_level)level, text, hook_arg);
	else
		record(level, fields, count, text);
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

int gb__log_set_format(enum gb__log_format format, const char *path)
{
	int result = 0;

	if (format == GB__LOG_SYSLOG)
		result = gb__log_socket_open(path ? path : GB__LOG_SYSLOG_PATH);
	else if (format == GB__LOG_JOURNAL)
		result = gb__log_socket_open(path ? path : GB__LOG_JOURNAL_PATH);
	if (result == 0)
		atomic_store_explicit(&line_format, format, memory_order_relaxed);
	return result;
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
