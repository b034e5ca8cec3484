/** Workers: timers, tasks from other threads, outgoing connections. */
#ifndef GEARBOX_WORKER_H
#define GEARBOX_WORKER_H

#include <gearbox/error.h>
#include <gearbox/operation.h>
#include <gearbox/service.h>
#include <gearbox/types.h>

GB_BEGIN

/** The worker's number, from 0, unique within its server. */
GB_API unsigned gb_worker_id(const struct gb_worker *worker);

/**
 * Whether it stands for a process of the compute pool (compute=processes): on_start and on_stop run there as well, for
 * what on_message needs. It has no loop: timers, posting and coroutines give -EOPNOTSUPP, as does gb_connect; operations
 * are a bug. Its numbers follow those of the others.
 */
GB_API bool gb_worker_computes(const struct gb_worker *worker);

/** The server this worker belongs to (under process models: this process's copy). */
GB_API struct gb_server *gb_worker_server(const struct gb_worker *worker);

/** The engine this worker runs on, e.g. "epoll". */
GB_API const char *gb_worker_engine(const struct gb_worker *worker);

/** Milliseconds of the monotonic clock, as of the worker's last wait. Thread: the worker's. */
GB_API uint64_t gb_worker_now_ms(const struct gb_worker *worker);

/** Nanoseconds of the monotonic clock, read now. Thread: the worker's. */
GB_API uint64_t gb_worker_clock_ns(const struct gb_worker *worker);

/** Connections of this worker that have not closed, accepted ones and those of gb_connect. Thread: the worker's. */
GB_API size_t gb_worker_connections(const struct gb_worker *worker);
/** Of these the accepted ones: alone they count for max-connections, and for who serves one client at a time. A worker
 *  that lives for one client (workers=per-connection) drains what else it has when that one has gone. */
GB_API size_t gb_worker_clients(const struct gb_worker *worker);

/**
 * A pointer per worker and key for a service's own use: set in on_start, freed in on_stop. The key is any
 * address of the service's, its struct or its `user`. Returns 0 or -ENOMEM. Thread: the worker's.
 */
GB_API int gb_worker_set_data(struct gb_worker *worker, const void *key, void *data);
/** The pointer set last under the key, or NULL. Thread: the worker's. */
GB_API void *gb_worker_data(const struct gb_worker *worker, const void *key);

/** A precise one-shot timer; the memory is the caller's and stays put while it runs. */
struct gb_timer {
	void (*on_expire)(struct gb_timer *timer, void *arg); /* set by gb_timer_start */
	void *arg;
	uint64_t deadline_ns; /* monotonic */
	size_t heap_index;    /* 0: not running; else gearbox's own */
	struct gb_worker *worker;
	struct gb_operation operation; /* of gb_timer_begin */
};

/** Start or restart `timer`. Zero-initialized memory is a stopped timer. Thread: the worker's. Returns 0 or -ENOMEM. */
GB_API int gb_timer_start(struct gb_worker *worker, struct gb_timer *timer, uint64_t delay_ms,
	void (*on_expire)(struct gb_timer *timer, void *arg), void *arg);
/** As gb_timer_start, at an absolute time of gb_worker_clock_ns. */
GB_API int gb_timer_start_at(struct gb_worker *worker, struct gb_timer *timer, uint64_t deadline_ns,
	void (*on_expire)(struct gb_timer *timer, void *arg), void *arg);
/** Begin it as an operation, which completes with 0, or -ENOMEM. Stop it by gb_operation_cancel. Returns that. */
GB_API struct gb_operation *gb_timer_begin(struct gb_worker *worker, struct gb_timer *timer,
	uint64_t delay_ms, gb_operation_done *on_done, void *user);
/** Stop it; a stopped timer is fine. */
GB_API void gb_timer_stop(struct gb_timer *timer);

/**
 * Run `task` once on the worker's thread. Thread: any of the worker's process.
 *
 * When the worker ends first, `task` runs with `worker` NULL, so that `arg` can be freed.
 * Returns 0, -ENOMEM, -ESHUTDOWN (the worker has ended; `task` never runs).
 */
GB_API int gb_worker_post(struct gb_worker *worker, void (*task)(struct gb_worker *, void *arg), void *arg);

/** Names a connection from any thread and outlives it; a stale one is harmless until gb_server_run has returned. */
struct gb_handle {
	struct gb_worker *worker;
	uint32_t slot, generation;
};

/** The handle of a connection. Thread: the connection's worker. */
GB_API struct gb_handle gb_conn_handle(const struct gb_conn *conn);

/** The connection behind a handle, or NULL when it is gone. Thread: the connection's worker. */
GB_API struct gb_conn *gb_handle_conn(struct gb_handle handle);

/**
 * Run `task` with the connection on its worker. Thread: any of the worker's process.
 *
 * When the connection is gone by then, `task` runs with `conn` NULL and `status` -ESTALE, so that `arg`
 * can be freed. Returns 0, -ENOMEM, -ESHUTDOWN (`task` never runs).
 */
GB_API int gb_handle_post(
	struct gb_handle handle, void (*task)(struct gb_conn *conn, int status, void *arg), void *arg);

/**
 * Begin an outgoing connection, to be operated by `worker`.
 *
 * `address` is HOST:PORT, a service as _service._proto.NAME or srv:NAME, or unix:PATH, or with
 * packets unix-seqpacket:PATH (gb_codec_packet, or no codec). Names are resolved in the loop
 * (gearbox/name.h), within the connect timeout, and their addresses tried as gb_connect_any_begin does. `on_open` follows
 * when it is established, or `on_close` with GB_CLOSE_CONNECT_FAILED (without on_open). The connection exists from here on:
 * its state may be set. By a name it has a descriptor once it is established.
 *
 * Thread: the worker's. Returns 0 with `*ret_conn` set, or an error (nothing follows).
 */
GB_API int gb_connect(struct gb_worker *worker, const char *address, const struct gb_service *service,
	void *user, struct gb_conn **ret_conn, struct gb_error *error);

/**
 * Serve a connected stream socket that somebody else made: an inherited one, one half of a pair, one that a library
 * accepted. From here on it is a client like any other: counted and limited, with the server's options for sockets, served by
 * `service` in its style; `on_open` follows in this turn or the next. Its reads and writes must be nobody else's, and
 * O_NONBLOCK is cleared.
 *
 * Thread: the worker's. Takes `fd` when it returns 0, borrows `service` and `user` until gb_server_destroy. Else the
 * descriptor is the caller's still: -EBADF, -ENOTSOCK, -EPROTOTYPE (no stream), -ENOTCONN, -EAFNOSUPPORT (neither IP nor
 * Unix), -EINVAL, -GB_ELIMIT (max-connections, or the worker's share), -EBUSY (it serves one client at a time, and has one),
 * -ENOTSUP (it serves the one client that it is given: blocking workers behind an acceptor), -ENOMEM, -ESHUTDOWN (it drains
 * or ends).
 */
GB_API int gb_worker_adopt(struct gb_worker *worker, int fd, const struct gb_service *service, void *user,
	struct gb_error *error);

/** gb_connect as an operation. */
struct gb_connecting {
	struct gb_operation operation;
	struct gb_conn *conn; /* from gb_connect_begin on, if that succeeded */
};

/**
 * gb_connect, and complete with 0 when the connection is established, before `on_open`; else with -ECONNREFUSED,
 * -ETIMEDOUT, -GB_ENONAME or what else gb_resolve_begin completes with, …, before `on_close`. Cancelling it aborts the connection.
 *
 * Thread: the worker's. Returns 0, or an error as gb_connect (nothing follows).
 */
GB_API int gb_connect_begin(struct gb_worker *worker, struct gb_connecting *connecting, const char *address,
	const struct gb_service *service, void *user, gb_operation_done *on_done, void *on_done_user,
	struct gb_error *error);

/** A connection to whichever of several addresses is the first to be established. */
struct gb_connecting_any {
	struct gb_operation operation;
	struct gb_conn *conn; /* once it is complete with 0 */
	void *race;
};

/**
 * Connect to one of `count` addresses of the same peer, by Happy Eyeballs (RFC 8305).
 *
 * They are tried in the order given, but that families take turns: the next one 250 ms after the one before, at once when
 * none is left that has not failed. The first to be established is the connection, and the others are cancelled; no
 * callback of `service` is called for them. The connect timeout is one for all of it. Completes with 0 and `conn` set,
 * before `on_open`; else, when none is left, with the code of the one that failed last, or -ETIMEDOUT, and nothing
 * follows. Cancelling it ends all attempts.
 *
 * Each address as for gb_connect; names are resolved first, all at once, and what does not resolve is passed over. A
 * service's records are tried in their order, those of a lower priority when all before them have failed, or said nothing for
 * their share of the connect timeout (RFC 2782). Copies them. Thread: the worker's. Returns 0, -EINVAL (none, or more than
 * GB_CONNECT_ANY_MAX), or an error as gb_connect (nothing follows).
 */
GB_API int gb_connect_any_begin(struct gb_worker *worker, struct gb_connecting_any *connecting,
	const char *const *addresses, size_t count, const struct gb_service *service, void *user,
	gb_operation_done *on_done, void *on_done_user, struct gb_error *error);
/** Addresses at most. */
#define GB_CONNECT_ANY_MAX 64u

GB_END

#endif
