/**
 * One line per event on standard error, to a daemon of the system, or wherever the program sends it (gb_log_set).
 *
 * Control characters in the text are escaped: one record stays one line. Nobody waits for who reads them: a line that
 * finds no room is lost, and the next one that finds some is preceded by how many were.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <gearbox/log.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum gb__log_level {
	GB__LOG_ERROR = GB_LOG_ERROR,
	GB__LOG_WARNING = GB_LOG_WARNING,
	GB__LOG_NOTICE = GB_LOG_NOTICE,
	GB__LOG_INFO = GB_LOG_INFO,
	GB__LOG_DEBUG = GB_LOG_DEBUG,
};
#define GB__LOG_LEVELS "error|warning|notice|info|debug"

/** How lines look: on standard error for people, or as JSON; or to syslog's or the journal's daemon, and where that is
 *  not, on standard error with the priority that journald takes off again (sd-daemon(3)). */
enum gb__log_format { GB__LOG_TEXT, GB__LOG_JSON, GB__LOG_SYSLOG, GB__LOG_JOURNAL };
#define GB__LOG_FORMATS "text|json|syslog|journal"
#define GB__LOG_SYSLOG_PATH "/dev/log"
#define GB__LOG_JOURNAL_PATH "/run/systemd/journal/socket"

void gb__log(enum gb__log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** The same with fields that a machine may look at: GB__LOG_JSON and GB__LOG_JOURNAL show them beside the text, which says it all. */
struct gb__log_field {
	const char *key, *value;
};
void gb__log_with(enum gb__log_level level, const struct gb__log_field *fields, size_t count,
	const char *format, ...) __attribute__((format(printf, 4, 5)));
/** Lines above this level are dropped; GB__LOG_NOTICE at first. Thread: any. */
void gb__log_set_level(enum gb__log_level level);
/** Whether a line of this level would be seen. Thread: any. */
bool gb__log_wanted(enum gb__log_level level);
/** GB__LOG_TEXT at first. `path` is of the daemon's socket, NULL: where it is as a rule. Before there are other threads.
 *  Returns 0 or a negative errno (-ENAMETOOLONG): nothing has changed. */
int gb__log_set_format(enum gb__log_format format, const char *path);
enum gb__log_format gb__log_format(void);
/** What begins a line, "gearbox" at first: the program's name. Copies. Before there are other threads. */
void gb__log_set_name(const char *name);
const char *gb__log_name(void);
/** What the program itself has to say, whatever the level; as text behind its name alone. One line without newline. */
void gb__log_say(enum gb__log_level level, const char *text);
/** A whole line that is no record, newline included, and never waited for. Thread: any. */
void gb__log_line(const char *line, size_t size);
/** Tell how many lines were lost, if any and if that can be told now. Thread: any. */
void gb__log_tell_lost(void);

/** Lets one line through per second and tells how many were held back meanwhile. One per kind of message. Thread: any. */
struct gb__log_limit {
	_Atomic uint64_t last_ms; /* of the last line that went through; 0: none yet */
	_Atomic uint64_t held;    /* since then */
};
/** Whether to log now; `*ret_held` is how many were held back since the last time. `now_ms` is monotonic. */
bool gb__log_allowed(struct gb__log_limit *limit, uint64_t now_ms, uint64_t *ret_held);

#endif
