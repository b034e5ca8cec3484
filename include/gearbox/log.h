/** What the library has to say besides errors that it returns: one line per event. */
#ifndef GEARBOX_LOG_H
#define GEARBOX_LOG_H

#include <gearbox/types.h>

GB_BEGIN

/** The option `log-level`, of the server that was created last, says up to which of them lines appear; notice at first. */
enum gb_log_level {
	GB_LOG_ERROR,   /* something does not work */
	GB_LOG_WARNING, /* it works, but not as it should; a limit is reached */
	GB_LOG_NOTICE, /* a connection was refused or dropped for a reason of its own; a drain begins, and what it waits for */
	GB_LOG_INFO, /* connections that end as they may */
	GB_LOG_DEBUG,
};

/**
 * Write a line of one's own where the library's go, in the form of the option `log-format`: control characters are
 * escaped, and nobody waits for who reads it. Thread: any.
 */
GB_API void gb_log(enum gb_log_level level, const char *format, ...) GB_PRINTF(2, 3);

/**
 * Have `write` called for each line instead of writing it where the option `log-format` says.
 *
 * `text` has no prefix and no newline; what came from a peer is escaped in it. It holds for all servers of the
 * process and for worker processes that start later. `write` NULL: as before, where nobody waits for who
 * reads it: what finds no room is dropped, and counted in a later line. Call it while no server runs.
 *
 * Thread: any for `write`, which is called by whichever has something to say, and may be so by several at a time.
 */
GB_API void gb_log_set(void (*write)(enum gb_log_level level, const char *text, void *arg), void *arg);

GB_END

#endif
