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
#include <gearbox/operation.h>
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
 * worker's thread -GB_ELIMIT as well (more waits than output-max: the connection is closing). With packets -EINVAL and
 * -EMSGSIZE, as gb_conn_send; one of another thread that is too large ends the connection.
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

/**
 * A reply in parts: made as there is room for it, so that one of gigabytes needs no memory. `produce` is called whenever
 * the reply's turn has come and no more output waits than the low watermark; it puts up to `size` bytes into `room`, at
 * least one of which is offered, and returns how many. 0: that was all, the reply is finished. -EAGAIN: nothing is there at
 * the moment; gb_producer_resume says when there is. Another negative code breaks it off, and ends the connection: by a
 * reset when a part of it has left, so that it never looks whole. It may use the connection as on_writable may.
 */
typedef int64_t gb_produce(void *user, void *room, size_t size);

/** Zeroed, or any that is complete. Not in the connection's state, which goes with the connection. */
struct gb_producer {
	struct gb_operation operation;
	uint64_t produced; /* bytes so far */
	gb_produce *produce;
	void *user;
	struct gb_reply reply; /* the rest is gearbox's own */
	struct gb_conn *conn;
	struct gb_producer *next;
	bool waits;
};

/**
 * Produce the reply to the message that is being handled, in its place in the order of replies (gb_conn_defer).
 *
 * Operation: its result is 0 once the last of it was made; -EPIPE: the connection ended before, or somebody
 * else has finished the reply; -ECANCELED; what `produce`
 * returned; or it was not begun: as gb_conn_defer, or -EOPNOTSUPP with GB_TRAIT_UNORDERED, where a reply leaves as a whole.
 * `user` is given to both. Thread: the worker's; a handler on a pool thread defers, posts, and has gb_reply_produce called.
 */
GB_API struct gb_operation *gb_conn_produce_begin(struct gb_conn *conn, struct gb_producer *producer,
	gb_produce *produce, gb_operation_done *on_done, void *user);

/** The same for a reply that was deferred; nobody else sends to it or finishes it from here on. Thread: the worker's of its
 *  connection. Returns 0: it is begun; -ESTALE, -EOPNOTSUPP, -EBUSY (it is produced already), -EWOULDBLOCK (another thread), -ENOMEM:
 *  it is not, and on_done does not follow. */
GB_API int gb_reply_produce(struct gb_reply reply, struct gb_producer *producer, gb_produce *produce,
	gb_operation_done *on_done, void *user);

/** After -EAGAIN: ask it again. Does nothing when it is complete, or did not say so. Thread: the worker's. */
GB_API void gb_producer_resume(struct gb_producer *producer);

/** Whether it is open: for those who compute for long. Thread: any of the worker's process. */
GB_API bool gb_reply_open(struct gb_reply reply);

GB_END

#endif
