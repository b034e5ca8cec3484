/**
 * Topics: sending to connections of all workers, be they threads or processes, and running a function on each worker.
 *
 * Whoever publishes names a topic, and every subscription to it gets the same buffer: on its own worker's thread, those
 * of the publisher's worker included, in a later step of a loop and never inside gb_publish. What one thread publishes
 * arrives in its order.
 *
 * Everything is bounded, and nobody waits for who is slow. A subscription has a bound of what may wait for it, a worker
 * one of what may wait for its thread (GB_PUBLISH_WAITING_MAX messages of GB_PUBLISH_WAITING_BYTES_MAX bytes), and the way
 * between worker processes one of GB_PUBLISH_WAITING_BYTES_MAX bytes. What is beyond is lost to that subscription, or
 * closes it, as it has chosen, and either way it is told. Worker processes reach each other through their supervisor,
 * so that one that is stuck or dies in the middle holds up nobody.
 */
#ifndef GEARBOX_TOPIC_H
#define GEARBOX_TOPIC_H

#include <gearbox/conn.h>
#include <gearbox/coro.h>
#include <gearbox/operation.h>
#include <gearbox/types.h>

GB_BEGIN

#define GB_TOPIC_MAX 63u                        /* bytes of a name */
#define GB_PUBLISH_MAX 65536u                   /* bytes of a message */
#define GB_PUBLISH_WAITING_MAX 4096u            /* messages that wait for a worker, */
#define GB_PUBLISH_WAITING_BYTES_MAX (4u << 20) /* and bytes of them */

struct gb_subscription;

/** How one subscribes; all zero is fine. Copied. */
struct gb_subscription_options {
	/** What may wait for it, messages and bytes; 0: 256, respectively 256 KiB. One message is taken whatever its size. */
	size_t messages_max, bytes_max;
	/** Beyond that: false, the new message is lost and the count of lost ones grows; true, the subscription ends, and of
	 *  a connection the connection, with GB_CLOSE_OUTPUT_LIMIT and a reset. */
	bool drop;
	/** A message has come. NULL: it waits until it is taken (gb_subscription_receive). Not for a connection's. */
	void (*on_message)(struct gb_subscription *subscription, struct gb_bytes message, void *user);
	/** So many were lost, at least one, before the message that comes next; of those that were lost on the way between
	 *  processes some may have been of other topics. May be NULL. */
	void (*on_lost)(struct gb_subscription *subscription, uint64_t lost, void *user);
	/** It was ended, with `drop`, or has lost its worker. Nothing follows, and the memory is the callee's. May be NULL. */
	void (*on_dropped)(struct gb_subscription *subscription, void *user);
	void *user;
};

struct gb__hub;
struct gb__topic;
struct gb__waiting;

/** A subscription, in memory of the caller's that stays where it is until it ends. Zeroed memory is none. */
struct gb_subscription {
	struct gb_subscription_options how;
	uint64_t id, lost, lost_untold; /* gearbox's, as all below */
	struct gb__hub *hub;            /* NULL: it has ended */
	struct gb__topic *topic;
	struct gb_subscription *next, **link; /* of the topic */
	struct gb_conn *conn;                 /* whose it is, or NULL */
	struct gb_subscription *conn_next;    /* of that one */
	struct gb__waiting *waiting;          /* a ring */
	size_t first, count, size, bytes;
	struct gb_operation operation; /* waits for a message */
	bool dropped;
};

/**
 * Subscribe on this worker. `how` may be NULL.
 *
 * Thread: the worker's. Returns 0, -EINVAL (a name of 1 to GB_TOPIC_MAX bytes is wanted), -EBUSY (it is one already),
 * -ENOMEM, -EAGAIN (no thread, which a worker process needs for its first), -ESHUTDOWN (the worker ends), -EOPNOTSUPP
 * (gb_worker_computes).
 */
GB_API int gb_subscribe(struct gb_worker *worker, struct gb_subscription *subscription, const char *topic,
	const struct gb_subscription_options *how);

/**
 * Subscribe a connection, also one that a straight-line handler serves: each message is sent on it as it is, between what
 * its handler sends. While its output is above the low watermark messages wait here, within the bounds.
 *
 * It is ended by gb_unsubscribe in `on_close` at the latest; a straight-line handler does it before it returns.
 * Thread: the connection's worker, not a pool thread. Returns as gb_subscribe, or -EPIPE (closing).
 */
GB_API int gb_conn_subscribe(struct gb_conn *conn, struct gb_subscription *subscription, const char *topic,
	const struct gb_subscription_options *how);

/** End it; what waits is dropped. Inside its own callbacks as well. One that has ended is fine. Thread: the worker's. */
GB_API void gb_unsubscribe(struct gb_subscription *subscription);

/** Messages that it has lost since it began. Thread: the worker's. */
GB_API uint64_t gb_subscription_lost(const struct gb_subscription *subscription);

/** A message that was taken. */
struct gb_published {
	struct gb_buffer *buffer; /* the taker's reference: gb_buffer_unref */
	struct gb_bytes bytes;    /* what it holds */
	uint64_t lost;            /* so many were lost before it */
};

/** Take the oldest that waits. Returns 1, 0 (none does), -GB_ELIMIT (dropped), -ESHUTDOWN (unsubscribed). */
GB_API int gb_subscription_take(struct gb_subscription *subscription, struct gb_published *ret);

/** Wait for a message, in a straight-line handler or task. Waits. Returns 1, or a code of gb_subscription_take or gb_await. */
GB_API int gb_subscription_receive(
	struct gb_coro *coro, struct gb_subscription *subscription, struct gb_published *ret);

/**
 * Begin to wait for a message, beside other operations: complete with 1 when there is one to take, or with what
 * gb_subscription_take says. One at a time. Returns the operation, or NULL: it waits already.
 */
GB_API struct gb_operation *gb_subscription_begin(
	struct gb_subscription *subscription, gb_operation_done *on_done, void *user);

/**
 * Publish a buffer to all subscriptions of a topic, in all workers; shares it. `but` (may be NULL) does not get it.
 *
 * Thread: any, of the server's process or of a worker's. Returns 0; -EINVAL (the name), -EMSGSIZE (above
 * GB_PUBLISH_MAX), -ENOMEM, -EAGAIN (between processes: the supervisor is behind), -ESHUTDOWN (the server does not run).
 * Another thread than the server's own calls it while gb_server_run has not returned.
 */
GB_API int gb_publish(struct gb_server *server, const char *topic, struct gb_buffer *buffer,
	const struct gb_subscription *but);

/**
 * Offer a function for gb_each_worker, in on_start: what it is called with are bytes, since a pointer means nothing in
 * another process. Where gb_worker_computes it is not called: that is no worker. Thread: the worker's. Returns as
 * gb_subscribe; -EEXIST: the name is taken.
 */
GB_API int gb_worker_offer(struct gb_worker *worker, const char *name,
	void (*run)(struct gb_worker *worker, struct gb_bytes argument, void *user), void *user);

/**
 * Run what each worker that lives has offered under this name, once on each, on its thread, with a copy of the argument.
 * One that is started later does not run it. A worker that has GB_PUBLISH_WAITING_MAX of these before it, or a process
 * that stood still while GB_PUBLISH_WAITING_BYTES_MAX bytes were published, misses it, which the log says.
 *
 * Thread: any, as gb_publish. Returns as that does.
 */
GB_API int gb_each_worker(struct gb_server *server, const char *name, const void *argument, size_t size);

GB_END

#endif
