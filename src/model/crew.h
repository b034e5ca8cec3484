/**
 * The workers beside the main thread's: started, commanded and seen to their end, be they threads or
 * processes, as many as the model says or one per connection.
 *
 * Everything here runs on the chief's thread, but for what a worker does on its own.
 */
#ifndef MODEL_CREW_H
#define MODEL_CREW_H

#include "model/channel.h"
#include "model/handover.h"
#include "model/pull.h"
#include "model/worker.h"

#include <semaphore.h>

struct gb__unit_ops;

/** A place for one worker. Its number is the worker's id and its record in shared memory. */
struct gb__seat {
	struct gb__crew *crew;
	unsigned id;
	bool taken;               /* a worker lives here, or is to be started again */
	struct gb_worker *memory; /* threads: of the present or the last worker */
	struct gb_worker *worker; /* threads: while it can be commanded, guarded by `lock` */
	pthread_mutex_t lock;
	pthread_t thread;
	struct gb__post ended;    /* a thread's last words to the chief */
	struct gb__seat *left;    /* threads for one connection: who left before (gb__crew) */
	struct gb__handed handed; /* likewise: that connection; without a descriptor it ends */
	bool rests;               /* likewise: it has served one and waits, or is about to, for another */
	sem_t call;               /* likewise: wakes it then */
	int result;               /* threads: why it could not begin; 0: it could */
	pid_t pid;                /* processes */
	uint32_t next;            /* free seats; or processes of the same hash */
	struct gb_timer restart;  /* after a crash */
	unsigned crashes;         /* in a row */
	uint64_t given;           /* connections, since its worker started */
	uint64_t started_ms;
};

struct gb__crew {
	struct gb_server *server;
	struct gb_worker *chief;
	const struct gb__unit_ops *unit;
	struct gb__seat
		*seats; /* worker processes do not have them, nor by_pid: each has a copy of its own seat */
	unsigned seats_count;
	unsigned alive;   /* workers that have not ended, or that nobody has seen to since */
	uint32_t free;    /* first other free seat of a per-connection model */
	uint32_t *by_pid; /* processes: first seat of a hash, or UINT32_MAX */
	uint32_t by_pid_mask;
	unsigned next;                           /* of the placing: where to go on */
	uint64_t random;                         /* of the placing: its state */
	enum gb__command commanded;              /* as in shared memory, where workers look */
	const struct gb__handover_ops *handover; /* NULL: workers accept for themselves */
	struct gb__pull pull;                    /* of the handover of that name */
	struct gb__channels channels;            /* likewise */
	struct gb_error failure;                 /* why the server cannot go on; code 0: it can */
	bool adopts;                             /* processes: orphans come to this one */
	unsigned worker_roles;                   /* GB__WORKER_… of each */
	bool courteous;                          /* the chief's thread is: gb__crew_courtesy */
	/** Threads for one connection whose worker has ended, newest first. The chief sees to them when the next connection
	 *  comes, at its next look at those that rest, or when there are many: it is not woken for each. */
	_Atomic(struct gb__seat *) left;
	_Atomic unsigned left_count;
	_Atomic unsigned
		staying; /* threads for one connection that rest, or will once the chief has seen to them */
	_Atomic bool rest_looks; /* `rest` runs */
	struct gb_timer rest;
	uint32_t resting;       /* first free seat with a thread that rests */
	unsigned resting_count; /* of them */
	unsigned resting_least; /* the fewest since the last look */
};

/** Start the workers that the model begins with. On an error those started are ended again. */
int gb__crew_create(
	struct gb_server *server, struct gb_worker *chief, struct gb__crew **ret, struct gb_error *error);
/** All workers have ended. NULL is fine. */
void gb__crew_destroy(struct gb__crew *crew);
/** Give a connection to a worker, by the model's way. Takes the descriptor. */
void gb__crew_give(struct gb__crew *crew, struct gb__handed handed);
/** Once the chief's turn is over: what was given in it is on its way, or waits for room. */
void gb__crew_flush(struct gb__crew *crew);
/**
 * Whether the chief lets workers go on when connections arrive, where it gives to event loops: a loop that is at
 * work would not look at a new connection before its next turn, and several then come with one change of threads.
 */
void gb__crew_courtesy(struct gb__crew *crew, bool courteous);
/** Command all workers, those that start from now on included. */
void gb__crew_command(struct gb__crew *crew, enum gb__command command);
/** Have all look at signals that services watch. */
void gb__crew_ring(struct gb__crew *crew);
/** Whether all have ended as they were told. */
bool gb__crew_gone(const struct gb__crew *crew);
/** Whether a pool drains and nobody is left of it, nor will come: whom it is given now is refused. */
bool gb__crew_deserted(const struct gb__crew *crew);
/** Nothing is given any more: those that drain need not wait for it. Repeatable. */
void gb__crew_given(struct gb__crew *crew);
/** Kill what has not ended after GB__COMMAND_STOP; threads cannot be. */
void gb__crew_kill(struct gb__crew *crew);
/** See to children that have ended. */
void gb__crew_reap(struct gb__crew *crew);

/* For the units (thread.c, process.c). */

/** How a worker comes to life and is reached. */
struct gb__unit_ops {
	/** `handed.fd` >= 0: the one connection to serve; it is the unit's from here on, even on an error.
	 *  Returns at once, or with `await` once the worker has begun, or could not. */
	int (*start)(struct gb__seat *seat, struct gb__handed handed, bool await, struct gb_error *error);
	void (*command)(struct gb__seat *seat, enum gb__command command);
	void (*ring)(struct gb__seat *seat);
	void (*kill)(struct gb__seat *seat);
	/** See to those that have ended, of all seats. */
	void (*reap)(struct gb__crew *crew);
	/** All workers have ended: let go of what is kept for others. May be NULL. */
	void (*finish)(struct gb__crew *crew);
};
extern const struct gb__unit_ops gb__unit_thread, gb__unit_process;

/** Per-connection models: whether there is one that nobody has. */
bool gb__crew_has_seat(const struct gb__crew *crew);
/** Take it, one with a thread that rests first. NULL: there is none. */
struct gb__seat *gb__crew_seat_take(struct gb__crew *crew);
/** A worker has ended; `crash` says how when it was not told to, else NULL. */
void gb__seat_ended(struct gb__seat *seat, const char *crash);
/** Begin a worker, on its own thread or in its own process. */
int gb__seat_init_worker(struct gb__seat *seat, struct gb_worker *worker, struct gb_error *error);
/** A connection whose worker could not be had: close and count it. While nobody else counts in this seat. */
void gb__seat_refuse(struct gb__seat *seat, struct gb__handed handed, int reason);
/** The close reason when a worker could not begin for its connection. */
int gb__seat_reason(int error);

#endif
