/**
 * Upstreams: a pool of connections to one peer, which handlers take, use and give back.
 *
 * Each belongs to its worker, as do its connections: made in on_start, say, kept by gb_worker_set_data, destroyed in
 * on_stop. A connection is made when somebody takes one and none is idle, by gb_connect_any_begin; an idle one that has
 * become readable, or was closed, is dropped, and the kernel is asked so before one is lent that was idle for a while.
 * After a connect that failed, or several uses in a row, no further one is tried for a time, which doubles with each
 * failure and has jitter.
 *
 * In callback style connections have the callbacks of `service` while they are lent, and gb_conn_user is what the taker
 * gave; `on_open` comes once for each connection, when it is lent for the first time, and its state lasts as long as it.
 * In straight-line style what is taken is a stream. A pool is of one style.
 */
#ifndef GEARBOX_UPSTREAM_H
#define GEARBOX_UPSTREAM_H

#include <gearbox/stream.h>
#include <gearbox/worker.h>

GB_BEGIN

struct gb_upstream;

/** Zeroed: as said for each. */
struct gb_upstream_options {
	const struct gb_service
		*service; /* of its connections: limits, codec, callbacks; NULL: bytes, for streams */
	bool streams;     /* they are taken by gb_upstream_take, else by gb_upstream_take_begin */
	bool fails_fast; /* a failed connect is the result of all who wait, and of who comes until the next try */
	unsigned open_max;    /* connections at once, idle and connecting ones included; 0: 16 */
	unsigned idle_max;    /* of them idle; what is given back above is closed; 0: all */
	unsigned waiting_max; /* who may wait for one at once; 0: 1000 */
	unsigned
		failures_max; /* uses in a row that fail before no further connection is made for a time; 0: 3 */
	uint64_t wait_ms;     /* for a connection, before -ETIMEDOUT; 0: 10 s */
	uint64_t back_off_ms;     /* after a failure; 0: 100 ms */
	uint64_t back_off_max_ms; /* after many; 0: 10 s */
};

/**
 * Make a pool of connections to one of `count` addresses of a peer (gb_connect_any_begin). They may be names: these are
 * resolved as it connects, a service's by priority and weight each time, and again when the time of what was found is over:
 * connections to addresses that are no more among them end, lent ones when they are given back. Copies both; borrows the
 * service until the last of its connections has gone. Nothing is connected to yet. An idle one ends by the idle timeout
 * of its service. Thread: the worker's, as for all here.
 *
 * Returns 0, -EINVAL, -GB_EUSAGE (not an address), -ENOMEM, with the reason in `error`.
 */
GB_API int gb_upstream_create(struct gb_worker *worker, const char *const *addresses, size_t count,
	const struct gb_upstream_options *options, struct gb_upstream **ret, struct gb_error *error);

/** The end of a pool: who waits gets -ECANCELED, idle connections are closed, lent ones are from here on like any other.
 *  NULL is fine. */
GB_API void gb_upstream_destroy(struct gb_upstream *upstream);

/** To take a connection. */
struct gb_taking {
	struct gb_operation operation;
	struct gb_conn *conn; /* once it is complete with 0 */
	struct gb_upstream *upstream;
	void *link[2];
	void *user, *taker;
	uint64_t deadline_ns;
};

/**
 * Begin to take a connection; `conn_user` is what gb_conn_user of it returns until it is given back.
 *
 * Those who wait are served in order. Completes with 0 and `conn` set; -ETIMEDOUT; when connecting fails, with its code
 * instead; -EAGAIN (too many wait; with fails_fast, uses in a row have failed), -ESHUTDOWN (the worker ends), -ECANCELED. Returns
 * the operation.
 */
GB_API struct gb_operation *gb_upstream_take_begin(struct gb_upstream *upstream, struct gb_taking *taking,
	void *conn_user, gb_operation_done *on_done, void *user);

/** An idle one, at once. Returns 0, or -EAGAIN: there is none. */
GB_API int gb_upstream_try_take(struct gb_upstream *upstream, void *conn_user, struct gb_conn **ret);

/**
 * Give a connection back; no callback for it follows. `good`: it was of use, and is at the beginning of an exchange. One
 * that is not, or with input left, held, or that closes, is ended; output that is left goes out first. One that has ended, in `on_close`, goes by
 * itself. Not on a pool thread. Returns 0, -EINVAL (it is not lent), -EWOULDBLOCK.
 */
GB_API int gb_upstream_give(struct gb_conn *conn, bool good);

/** Take a connection as a stream, which is the coroutine's until it gives it back, or ends it by gb_stream_close. Waits.
 *  Returns as gb_upstream_take_begin completes, or what ends the wait, or -EINVAL (a pool of the other style), with the reason in
 *  `error`: why connecting failed, be it its name or TLS, that all are lent, that uses of one have failed, or that too many wait. */
GB_API int gb_upstream_take(
	struct gb_coro *coro, struct gb_upstream *upstream, struct gb_stream **ret, struct gb_error *error);

/** Why the connect that failed last did, in words that begin with whom it was to; NULL: one has succeeded since, or none was
 *  made. For `on_done` of a taking that connecting has failed. Until the next one fails. */
GB_API const char *gb_upstream_problem(const struct gb_upstream *upstream);

/** gb_upstream_give for a stream; the pointer is nobody's afterwards. Returns 0, -EINVAL (no upstream's), -EBUSY (another
 *  coroutine waits for it). */
GB_API int gb_upstream_give_stream(struct gb_stream *stream, bool good);

/** What a pool has, and what has come of it. */
struct gb_upstream_stats {
	size_t open, idle, connecting, waiting; /* now; idle ones are open as well */
	uint64_t taken, reused;                 /* so often, of these idle ones */
	uint64_t connected, connects_failed;
	uint64_t uses_failed; /* given back as no good, or ended while lent, but not in order */
	uint64_t dropped;     /* idle ones that were closed, or readable */
	int error;            /* of the connect that failed last, until one succeeds; or 0 */
};

/** Take them. */
GB_API void gb_upstream_stats(const struct gb_upstream *upstream, struct gb_upstream_stats *ret);

GB_END

#endif
