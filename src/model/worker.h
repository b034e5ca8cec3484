/**
 * A worker: one loop on one thread or in one process. By its roles it accepts (has listeners), serves
 * (adopts connections), or both; models differ in who has which, and in nothing else here.
 */
#ifndef MODEL_WORKER_H
#define MODEL_WORKER_H

#include "model/accept_lock.h"
#include "model/channel.h"
#include "model/inbox.h"
#include "model/server.h"
#include "net/listener.h"

enum gb__command {
	GB__COMMAND_RUN,
	GB__COMMAND_DRAIN, /* finish what is in flight */
	GB__COMMAND_STOP,  /* now */
};

enum {
	GB__WORKER_ACCEPTS = 1u << 0, /* watches the listening sockets */
	GB__WORKER_SERVES = 1u << 1,  /* runs handlers: on_start, connections, on_stop */
	GB__WORKER_ONCE = 1u << 2,    /* ends with its last connection (per-connection models) */
};

/** What a worker keeps under a key (gb_worker_set_data). */
struct gb__worker_data {
	const void *key;
	void *data;
};

struct gb_worker {
	struct gb_server *server;
	unsigned id;
	unsigned roles; /* GB__WORKER_… */
	struct gb__net net;
	struct gb__listener *listeners; /* one per address while it accepts */
	size_t listeners_count;
	bool watching;              /* has not let go of the listening sockets */
	bool full;                  /* accepting rests until a connection has gone */
	unsigned intake;            /* while draining: clients of the backlog that it still takes, at most */
	struct gb__inbox inbox;     /* of connections handed over to it */
	struct gb__channel channel; /* the same, from another process */
	struct gb__accept_lock accept_lock;
	_Atomic unsigned command; /* enum gb__command; only ever rises */
	unsigned obeyed;          /* the command that was acted upon */
	bool look;                /* between turns there may be something to do besides a command */
	bool attentive;           /* always so */
	size_t started;           /* bindings whose on_start was called */
	struct gb__worker_data *data;
	size_t data_count;
	struct gb__record *record;
	/** Called before a turn when `look` is set or a command has come, by the owner of the thread; may be NULL.
	 *  Returns whether to go on. */
	bool (*on_turn)(struct gb_worker *worker);
	/** Its last connection has gone, so it could serve another. May be NULL. */
	void (*on_idle)(struct gb_worker *worker);
	struct gb__log_limit wait_failures;
	bool offered; /* waits to be given a connection, or that is on its way (pull.c) */
	/** Serve what waits to be taken, if anything does, before it ends. May be NULL. Returns whether it did. */
	bool (*take)(struct gb_worker *worker);
	/** A descriptor it accepted; NULL: it serves it itself. */
	void (*on_accepted)(struct gb_worker *worker, struct gb__handed handed);
	struct gb__loop loop; /* last: what is before it is cleared when the memory is used again */
};

/**
 * Give the calling thread the CPU that worker `id` is to have, before it takes memory: that is then near it. A CPU
 * that was taken away meanwhile is no reason to end: it runs where the kernel likes, and the log says so.
 */
void gb__worker_bind(struct gb_server *server, unsigned id);
/** On the thread that will run it. On an error nothing is left to finish. */
int gb__worker_init(struct gb_worker *worker, struct gb_server *server, unsigned id, unsigned roles,
	struct gb__record *record, struct gb_error *error);
/** Turns until it is drained or stopped. */
void gb__worker_run(struct gb_worker *worker);
/** A turn (gb__net_turn). Failures that last are told, and do not spin. */
void gb__worker_turn(struct gb_worker *worker, int64_t timeout_ns);
/** Whether it is, for who has an on_turn of its own. */
bool gb__worker_done(struct gb_worker *worker);
/** End what is left, call on_stop of the services, let go of everything but the memory. */
void gb__worker_end(struct gb_worker *worker);
/** Raise the command and wake it. Thread: any; async-signal-safe. */
void gb__worker_command(struct gb_worker *worker, enum gb__command command);
/** Serve a connection; one that was told to end at once refuses it. Thread: the worker's. */
void gb__worker_adopt(struct gb_worker *worker, struct gb__handed handed);
/** Close a connection that nobody serves, unless its descriptor is lost (< 0), and count why. Thread: the worker's. */
void gb__worker_refuse(struct gb_worker *worker, struct gb__handed handed, int reason);
/** Whether it has listening sockets and room for what comes. */
bool gb__worker_could_accept(const struct gb_worker *worker);
/** Begin, respectively rest, accepting; under wake=lock only the holder begins. What cannot be begun for want
 *  of memory is tried again. */
void gb__worker_accept_start(struct gb_worker *worker);
void gb__worker_accept_stop(struct gb_worker *worker);
/** Whether accepting rests because descriptors or memory ran out. */
bool gb__worker_exhausted(const struct gb_worker *worker);
/** Whether it was told to end at once: from then on there are only ends. */
static inline bool gb__worker_stops(const struct gb_worker *worker)
{
	return worker->obeyed == GB__COMMAND_STOP;
}
/** gb_timer_start for the library's own timers, which memory was set aside for (gb__timers_reserve). */
void gb__worker_timer(struct gb_worker *worker, struct gb_timer *timer, uint64_t delay_ms,
	void (*on_expire)(struct gb_timer *timer, void *arg), void *arg);
/** Let go of the listening sockets, and of the right to accept. */
void gb__worker_accept_finish(struct gb_worker *worker);

#endif
