/** A server: services on addresses, under a model. */
#ifndef GEARBOX_SERVER_H
#define GEARBOX_SERVER_H

#include <gearbox/conn.h>
#include <gearbox/error.h>
#include <gearbox/service.h>
#include <gearbox/types.h>

GB_BEGIN

/**
 * Options: string keys, the same that `gearbox serve` takes as flags.
 *
 * `gb_options_set(o, "idle-timeout", "30s", &error)`; gb_option_settings lists them all.
 */
GB_API int gb_options_create(struct gb_options **ret);
GB_API void gb_options_destroy(struct gb_options *options);

/** Set one option. Copies. Returns 0, -GB_EUSAGE or -GB_EILLEGAL with the reason, -ENOMEM; on error nothing changed. */
GB_API int gb_options_set(
	struct gb_options *options, const char *key, const char *value, struct gb_error *error);

/** Read "key value" or "key = value" lines; '#' begins a comment. Returns 0 or a code; the text names file and line. */
GB_API int gb_options_load(struct gb_options *options, const char *path, struct gb_error *error);

/** Every option, for help texts; ends with a NULL key. The offsets are private. */
GB_API extern const struct gb_setting gb_option_settings[];

/**
 * Make a server. Copies `options` (NULL: all defaults).
 *
 * Returns 0; -GB_EILLEGAL, -ENOTSUP (the model's engine does not work here), -ENOMEM.
 */
GB_API int gb_server_create(const struct gb_options *options, struct gb_server **ret, struct gb_error *error);

/** Free a server that does not run. NULL is fine. Listening sockets are closed. */
GB_API void gb_server_destroy(struct gb_server *server);

/**
 * Bind and listen on HOST:PORT (port 0 takes a free one) or unix:PATH; `service` answers there.
 *
 * "*:PORT" is every address of IPv4 and IPv6, "0.0.0.0:PORT" of the one, "[::]:PORT" of the other; a link-local address
 * names its interface: "[fe80::1%eth0]:PORT". "unix:@NAME" is Linux's abstract kind, which has no file, and
 * "unix-seqpacket:" in place of "unix:" a socket of packets (gb_codec_packet). A name is all of its
 * addresses, on one port: gb_server_address tells them one by one.
 *
 * "fd:N" takes over a descriptor that somebody else made listen, "fd:NAME" one that was passed by that name (LISTEN_FDNAMES),
 * "systemd" all that were passed and are not served yet; docs/listening.md says more.
 *
 * Behind it ",KEY=VALUE" gives the address an option of its own, in place of the server's, of those that are marked so
 * (per_address of gb_option_settings): "*:7000,backlog=64,nodelay=no". Other commas belong to path or value; where a
 * path has ",key=" in it the comma is doubled.
 *
 * Borrows `service` and `user` until gb_server_destroy. May resolve a name, so may block.
 * Returns 0 or a code with the reason (in use, not permitted, does not resolve, illegal with this model); -EBUSY while
 * the server runs, in any of its processes.
 */
GB_API int gb_server_listen(struct gb_server *server, const char *address, const struct gb_service *service,
	void *user, struct gb_error *error);

/** Run `service` without listening: its on_start makes outgoing connections, on every worker. Alone or beside services
 *  that listen. Borrows and returns as gb_server_listen does. */
GB_API int gb_server_attach(
	struct gb_server *server, const struct gb_service *service, void *user, struct gb_error *error);

/** The n-th real address in the order of gb_server_listen, port 0 replaced. Returns NULL beyond the last. */
GB_API const char *gb_server_address(const struct gb_server *server, size_t n);

/** The model as a full spec, `engine=auto` and `workers=N` replaced by what was chosen. */
GB_API const char *gb_server_model(const struct gb_server *server);

/** Have `on_ready` called by gb_server_run, on its thread, once every worker that the model begins with runs. Returns 0,
 *  or -EBUSY while the server runs. */
GB_API int gb_server_on_ready(
	struct gb_server *server, void (*on_ready)(struct gb_server *server, void *arg), void *arg);

/**
 * Serve until stopped, on the calling thread (and those, or the processes, that the model asks for). A service manager is told
 * of it by programs that say so before: gb_server_notify (gearbox/notify.h).
 *
 * Process models fork here, and are refused where the process has other threads. Listening sockets are closed
 * when a drain begins, so that later clients are refused at once. Under the option `affinity` each worker's thread is
 * bound to its CPU from before on_start, which threads that are started there inherit; the calling thread, where it
 * serves, has its CPUs back at the end.
 * The other threads have the calling one's signal mask: handlers of the program's signals may run on them. Process
 * models catch SIGCHLD meanwhile, and SIGTERM in worker processes, where what else the program catches has no effect.
 * Blocking models catch SIGURG, unless the program handles, ignores or blocks it when it calls this: then their workers
 * poll before each receive. Where handlers are watched (the option `stall-limit`) SIGWINCH is caught in the same way; without
 * it reports have no backtraces. Under thread models a thread of its own watches.
 * Returns 0 after a drain, or a negative code with the reason in `error`: -EBUSY when it runs already, where worker
 * processes would be forked from a process with threads, or where one of two
 * servers of this process has worker processes: such a one runs alone.
 */
GB_API int gb_server_run(struct gb_server *server, struct gb_error *error);

/*
 * A server in a loop of somebody else's: begin it, have the descriptor polled for input (level-triggered) for at most as
 * long as gb_server_timeout_ms says, step it each time that the descriptor was ready or the time is over, and end it. It
 * never sleeps in between. All on one thread, the one that begins it; a gb_server_stop from anywhere readies the
 * descriptor. For models with one loop, on epoll or io_uring: reactor, proactor, with a compute pool or without; another
 * has several, or a loop that has no descriptor, and is refused. docs/descriptors.md has such loops.
 */

/** Begin. Returns 0; an error as gb_server_run, -ENOTSUP (the model cannot; the text names the nearest that can). */
GB_API int gb_server_begin(struct gb_server *server, struct gb_error *error);
/** To be polled for input. It stays the same, and the server's, until gb_server_end. */
GB_API int gb_server_descriptor(const struct gb_server *server);
/** From now until the next step, at most, or -1: until the descriptor is ready. Ask before each wait. */
GB_API int gb_server_timeout_ms(struct gb_server *server);
/** Do what is due, without sleeping. Returns 1, or 0 once it has drained: end it. */
GB_API int gb_server_step(struct gb_server *server);
/** End it; what is still open is cut off. Not from inside a step. */
GB_API void gb_server_end(struct gb_server *server);

/**
 * Stop accepting, finish what is in flight within the drain timeout, return from gb_server_run.
 * A second call ends at once. Thread: any; async-signal-safe; also before gb_server_run.
 */
GB_API void gb_server_stop(struct gb_server *server);

/** Counters, summed over all workers and processes, those that ended included. */
struct gb_stats {
	uint64_t accepted;                      /* connections taken from listening sockets */
	uint64_t connections;                   /* of these open now, which max-connections limits */
	uint64_t connected;                     /* connections begun by gb_connect */
	uint64_t outgoing;                      /* of these open now; no limit but the descriptors' */
	uint64_t messages;                      /* delivered to on_message, as of each worker's last turn */
	uint64_t bytes_in, bytes_out;           /* through sockets, the same */
	uint64_t closed[GB_CLOSE_REASON_COUNT]; /* of both, by reason */
};

/** Take the counters. Thread: any of the process that runs the server. */
GB_API void gb_server_stats(const struct gb_server *server, struct gb_stats *ret);

/** Counters of one worker's place, all workers that held it summed up. */
struct gb_worker_stats {
	struct gb_stats stats;
	uint64_t waits;  /* returns from its wait for events; these two as of some milliseconds ago */
	uint64_t events; /* events or completions it handled */
	uint64_t stalls; /* how often a handler held it: gb_stall_stats */
};

/** Handshakes of TLS, of connections that were accepted and of outgoing ones. */
struct gb_tls_stats {
	uint64_t handshakes; /* that are complete */
	uint64_t resumed;    /* of these, by what an earlier one had agreed on */
	uint64_t failed;     /* or that the peer left, or that took too long */
	uint64_t under_way;  /* now */
};

/** Take them, of all workers together. Thread: as gb_server_stats. */
GB_API void gb_server_tls_stats(const struct gb_server *server, struct gb_tls_stats *ret);

/** How often handlers held their loop beyond the option `stall-limit` (docs/watching.md). */
struct gb_stall_stats {
	uint64_t stalls; /* that were reported, those of now included */
	uint64_t now;    /* workers that are held by one */
	uint64_t ns;     /* how long those took that are over, in all */
	uint64_t longest_ns;
};

/** Take them, of all workers together. Thread: as gb_server_stats. */
GB_API void gb_server_stall_stats(const struct gb_server *server, struct gb_stall_stats *ret);

/** Coroutines of straight-line handlers and of gb_coro_start, of all workers together. */
struct gb_coro_stats {
	uint64_t alive;
	uint64_t ended;
	uint64_t alive_max; /* at once, in one worker */
	uint64_t
		stack_used_max; /* bytes of the fullest stack that was looked at: one in 64 that are given back, the first of
				    a worker's, and each at its end; 0 where handlers run on the worker's own stack */
};

/** Take them. Thread: as gb_server_stats. */
GB_API void gb_server_coro_stats(const struct gb_server *server, struct gb_coro_stats *ret);

/** Places of workers; the last is the main thread's, which accepts or supervises unless it serves alone. */
GB_API size_t gb_server_workers(const struct gb_server *server);
/** Take one's counters; beyond the last place they are 0. Thread: as gb_server_stats. */
GB_API void gb_server_worker_stats(const struct gb_server *server, size_t n, struct gb_worker_stats *ret);

/** Counters of a route, of all workers together. */
struct gb_route_stats {
	const char *service, *route; /* their names */
	uint64_t messages;           /* that it took */
};

/** Take the counters of the n-th route, in the order of services and of their tables. Returns 0, or -ENOENT: there are no
 *  more. Thread: as gb_server_stats. */
GB_API int gb_server_route_stats(const struct gb_server *server, size_t n, struct gb_route_stats *ret);

/** Counters of a priority in the compute pool; where each worker process has one, of all together. */
struct gb_pool_stats {
	uint64_t jobs;        /* messages and functions that a thread has taken */
	uint64_t waiting;     /* for a thread now */
	uint64_t waiting_max; /* at once, in one pool */
	uint64_t wait_ns;     /* how long those taken had waited, in all */
	uint64_t wait_max_ns; /* the longest wait */
};

/** Take them; without a pool all are 0. Returns 0, or -EINVAL: it is no priority. Thread: as gb_server_stats. */
GB_API int gb_server_pool_stats(
	const struct gb_server *server, enum gb_priority priority, struct gb_pool_stats *ret);

GB_END

#endif
