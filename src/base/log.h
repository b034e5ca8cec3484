/**
 * One line per event on standard error, or wherever the program sends it.
 *
 * Control characters in the text are escaped: one record stays one line.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum gb__log_level { GB__LOG_ERROR, GB__LOG_WARNING, GB__LOG_INFO, GB__LOG_DEBUG };

void gb__log(enum gb__log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** Lines above this level are dropped; GB__LOG_WARNING at first. Thread: any. */
void gb__log_set_level(enum gb__log_level level);

/** Lets one line through per second and tells how many were held back meanwhile. One per kind of message. Thread: any. */
struct gb__log_limit {
	_Atomic uint64_t last_ms; /* of the last line that went through; 0: none yet */
	_Atomic uint64_t held;    /* since then */
};
/** Whether to log now; `*ret_held` is how many were held back since the last time. `now_ms` is monotonic. */
bool gb__log_allowed(struct gb__log_limit *limit, uint64_t now_ms, uint64_t *ret_held);

#endif
