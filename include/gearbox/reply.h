/**
 * Replies later: an answer that is not there yet when its message has been handled.
 *
 * A reply is a place in the order of a connection's output, taken by gb_conn_defer and finished from any thread. What is
 * sent on the connection afterwards, and the replies that were deferred behind it, wait until it is finished: pipelined
 * requests are answered in their order, whichever answer is ready first. A service with GB_TRAIT_UNORDERED has ids in its
 * replies: there each leaves, in one piece, as soon as it is finished.
 *
 * An open reply is a hold (gb_conn_hold): neither the idle timeout nor a drain ends its connection, within the drain
 * timeout. A connection that closes in order, or whose peer has finished, ends when all are finished. No more than
 * `max-replies` of a connection are open at once: until some are finished no further messages are delivered.
 */
#ifndef GEARBOX_REPLY_H
#define GEARBOX_REPLY_H

#include <gearbox/conn.h>
#include <gearbox/types.h>

GB_BEGIN

struct gb__place;

/** A plain value, to be copied and kept; one whose connection has ended, or that is finished, is stale. Zeroed it is
 *  stale as well. Harmless until gb_server_run has returned. */
struct gb_reply {
	struct gb__place *place;
	uint64_t serial;
};

/**
 * Keep the reply to the message that is being handled open; outside of on_message, a place behind all that was sent.
 *
 * Thread: the connection's worker; in on_message on a pool thread as well. Returns 0, -EPIPE (closing, or its output has
 * ended), -EBUSY (relayed), -GB_ELIMIT (as many are open as may be), -ENOMEM, -EOPNOTSUPP (in a process of a pool).
 */
GB_API int gb_conn_defer(struct gb_conn *conn, struct gb_reply *ret);

/**
 * Add bytes to a reply. They are copied, and leave when all that comes before the reply has left.
 *
 * Thread: any of the worker's process; what one thread sends stays in its order. Returns 0, -ESTALE, -ENOMEM; on the
 * worker's thread -GB_ELIMIT as well (more waits than output-max: the connection is closing).
 */
GB_API int gb_reply_send(struct gb_reply reply, const void *data, size_t size);

/** gb_reply_send of formatted text. Returns as that does, or -EINVAL (printf refuses the format). */
GB_API int gb_reply_printf(struct gb_reply reply, const char *format, ...) GB_PRINTF(2, 3);

/**
 * Add bytes, if any, and finish the reply: it is stale from here on. A reply without a byte is fine.
 *
 * Thread: any of the worker's process. Returns 0; -ESTALE: it was finished before, or its connection has ended and the
 * answer is of no use; -ENOMEM: nothing was done, it is open still.
 */
GB_API int gb_reply_finish(struct gb_reply reply, const void *data, size_t size);

/**
 * There is no answer: when all that comes before it has left, the connection is closed with `reason`. What was deferred
 * or sent behind it is dropped. When a part of it has left already, the end is a reset. Thread and results: as for
 * gb_reply_finish.
 */
GB_API int gb_reply_fail(struct gb_reply reply, int reason);

/** Whether it is open: for those who compute for long. Thread: any of the worker's process. */
GB_API bool gb_reply_open(struct gb_reply reply);

GB_END

#endif
