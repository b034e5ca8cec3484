/**
 * A worker: one loop on one thread or in one process. By its roles it accepts (has listeners), serves
 * (adopts connections), or both; models differ in who has which, and in nothing else here.
 */
#ifndef MODEL_WORKER_H
#define MODEL_WORKER_H

#include "file/file.h"
#include "loop/watch.h"
#include "model/accept_lock.h"
#include "model/acceptance.h"
#include "model/apart.h"
#include "model/channel.h"
#include "model/child.h"
#include "model/hub.h"
#include "model/inbox.h"
#include "model/server.h"
#include "model/signal_watch.h"
#include "name/names.h"
#include "net/race.h"
#include "stream/coroutine.h"

enum gb__command {
	GB__COMMAND_RUN,
	GB__COMMAND_DRAIN, /* finish what is in flight */
	GB__COMMAND_STOP,  /* now */
};

enum {
	GB__WORKER_ACCEPTS = 1u << 0, /* watches the listening sockets */
	GB__WORKER_SERVES = 1u << 1,  /* runs handlers: on_start, connections, on_stop */
	GB__WORKER_ONCE = 1u << 2,    /* ends with its last client (per-connection models) */
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
	struct gb__streams streams;
	struct gb__files files;
	struct gb__watches watches; /* descriptors of handlers */
	struct gb__signal_watches signals;
	struct gb__children children;
	unsigned adopting; /* clients that it has taken over and are not open yet (adopt.c) */
	struct gb__acceptance acceptance;
	bool watching;              /* has not let go of the listening sockets */
	struct gb__inbox inbox;     /* of connections handed over to it */
	struct gb__channel channel; /* the same, from another process */
	bool apart;                 /* it stands for one of these: no loop is turned */
	struct gb__accept_lock accept_lock;
	_Atomic unsigned command; /* enum gb__command; only ever rises */
	unsigned obeyed;          /* the command that was acted upon */
	bool look;                /* between turns there may be something to do besides a command */
	bool attentive;           /* always so */
	size_t started;           /* bindings whose on_start was called */
	struct gb__worker_data *data;
	size_t data_count;
	struct gb__hub *hub; /* of what is published; NULL: nothing of it was subscribed to */
	bool hub_left;       /* none is made any more */
	struct gb__record *record;
	/** Called before a turn when `look` is set or a command has come, by the owner of the thread; may be NULL.
	 *  Returns whether to go on. */
	bool (*on_turn)(struct gb_worker *worker);
	/** Its last client has gone, so it could serve another. May be NULL. */
	void (*on_idle)(struct gb_worker *worker);
	struct gb__log_limit wait_failures;
	struct gb_timer last_orders; /* GB__WORKER_ONCE: its client has gone, what else it has is to end */
	bool offered;                /* waits to be given a connection, or that is on its way (pull.c) */
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
/** In a loop of somebody else's, in place of gb__worker_run: some turns that do not sleep. Returns whether to go on. */
bool gb__worker_step(struct gb_worker *worker);
/** How long it may be until the next one, or -1, unless the engine's descriptor tells. */
int64_t gb__worker_sleep_ns(struct gb_worker *worker);
/** Whether it is, for who has an on_turn of its own. */
bool gb__worker_done(struct gb_worker *worker);
/** End what is left, call on_stop of the services, let go of everything but the memory. */
void gb__worker_end(struct gb_worker *worker);
/** Call on_start, respectively on_stop, of the services: in a process of the pool of those that it handles. */
int gb__worker_services_start(struct gb_worker *worker, struct gb_error *error);
void gb__worker_services_stop(struct gb_worker *worker);
/** Raise the command and wake it. Thread: any; async-signal-safe. */
void gb__worker_command(struct gb_worker *worker, enum gb__command command);
/** file_api.c: its loop has an engine. */
void gb__worker_files_init(struct gb_worker *worker);
/** name_api.c: likewise, and its watches. */
void gb__worker_names_init(struct gb_worker *worker);
/** Nobody is resolved any more; and nobody asks. */
void gb__worker_names_end(struct gb_worker *worker);
void gb__worker_names_finish(struct gb_worker *worker);
/** gb_connect, for whom. */
int gb__worker_connect(struct gb_worker *worker, const char *address, const struct gb_service *service,
	void *user, enum gb__for who, struct gb_conn **ret_conn, struct gb_error *error);
/** gb_connect_any_begin, by terms without options. */
int gb__worker_connect_any(struct gb_worker *worker, struct gb_connecting_any *connecting,
	const char *const *addresses, size_t count, const struct gb__race_terms *terms,
	gb_operation_done *on_done, void *on_done_user, struct gb_error *error);
/** Serve a connection; one that was told to end at once refuses it. Thread: the worker's. */
void gb__worker_adopt(struct gb_worker *worker, struct gb__handed handed);
/** Whether it has all that it may serve at once. */
bool gb__worker_full(const struct gb_worker *worker);
/** It has fewer connections, or was found to serve one less than it took: GB__BAR_FULL may be over. */
void gb__worker_fewer(struct gb_worker *worker);
/** Close a connection that nobody serves, unless its descriptor is lost (< 0), and count why. Thread: the worker's. */
void gb__worker_refuse(struct gb_worker *worker, struct gb__handed handed, int reason);
/** Whether it was told to end at once: from then on there are only ends. */
static inline bool gb__worker_stops(const struct gb_worker *worker)
{
	return worker->obeyed == GB__COMMAND_STOP;
}
/** gb_timer_start for the library's own timers, which memory was set aside for (gb__timers_reserve). */
void gb__worker_timer(struct gb_worker *worker, struct gb_timer *timer, uint64_t delay_ms,
	void (*on_expire)(struct gb_timer *timer, void *arg), void *arg);
/** Whether nothing is to be begun any more: so, or the client that it lived for has gone. */
static inline bool gb__worker_ends(const struct gb_worker *worker)
{
	return gb__worker_stops(worker) ||
		((worker->roles & GB__WORKER_ONCE) && worker->net.draining &&
			gb__net_clients(&worker->net) == 0);
}

#endif
