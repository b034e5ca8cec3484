/**
 * What the connections of one worker share: its loop, limits, counters and the list of those with work
 * left for this turn.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include "loop/loop.h"
#include "net/burst.h"
#include "net/front.h"
#include "net/job.h"
#include "net/ledger.h"
#include "net/reply.h"
#include "net/slab.h"
#include "net/terms.h"
#include "net/trim.h"

#include <gearbox/codec.h>
#include <gearbox/server.h>

#include <assert.h>
#include <stddef.h>

struct gb__router;
struct gb__files;
struct gb__sequential;
struct gb__streams;
struct gb__task;
struct gb__names;
struct gb__noted;

/** A connection that waits for room in the pool; it may be gone by then. */
struct gb__parked {
	uint32_t slot, generation;
};

/** What a drain still waits for; each connection counts as one of these at most. */
struct gb__census {
	uint64_t connections, output, pooled, message, held;
};

/** Counters of one worker, in memory that others may read; written by its thread alone. */
struct gb__counters {
	struct gb_stats stats;    /* messages and bytes: as of the last turn */
	uint64_t waits, events;   /* the engine's, as of the last tick of its clock */
	struct gb__census census; /* while it drains, of a moment ago */
	struct gb__sampled sampled;
	struct gb_tls_stats tls;
	struct gb_coro_stats coroutines;
};

/** Of what the other fields of gb__counters are sums, these at their end are the greatest. */
enum { GB__COUNTERS_MAXIMA = 2 };
static_assert(offsetof(struct gb__counters, coroutines.alive_max) + GB__COUNTERS_MAXIMA * sizeof(uint64_t) ==
		sizeof(struct gb__counters),
	"they come last");

/** What every message changes is counted here, in all, and is copied to the counters once a turn. */
struct gb__tally {
	uint64_t messages, bytes_in, bytes_out;
};

/** Add to a counter that other threads read: one writer, so no read-modify-write is needed. */
#define gb__count(counter, amount) \
	__atomic_store_n(&(counter), (counter) + (uint64_t)(amount), __ATOMIC_RELAXED)

/** Such a counter, for others. */
#define gb__seen_count(counter) __atomic_load_n(&(counter), __ATOMIC_RELAXED)

struct gb__net {
	struct gb__loop *loop;
	struct gb__engine *engine;
	const struct gb__limits *limits; /* of the server; a connection's own are in its terms */
	struct gb__terms *terms;         /* that are kept */
	struct gb__terms *packet_terms;  /* the same of those on sockets of packets */
	struct gb__counters *counters;
	struct gb__tally tally;
	bool plain;         /* handlers run inline, and it does not drain: as nearly always */
	bool sends_at_once; /* the engine's GB__ENGINE_SENDS_AT_ONCE */
	bool direct;        /* plain, and any input may be sent back as it came */
	_Atomic uint64_t *connections_total; /* accepted, over all workers, for connections_max */
	struct gb_worker *worker;            /* what handlers see */
	struct gb__slabs slabs;
	struct gb__trim trim;
	struct {
		struct gb__wheel_node node;
		uint64_t (*run)(void *arg); /* NULL: nothing is kept up */
		void *arg;
	} upkeep;
	union {
		struct {
			uint32_t
				turn_first; /* connections with work left for the next turn: slot + 1, or 0 */
			uint16_t
				drain_turns; /* turns until idle connections are told; 0: not draining or told */
			bool draining;
			bool ready; /* coroutines wait for the end of this turn */
		};
		uint64_t turn_more; /* not 0: one of these, so that a turn is more than its events */
	};
	uint32_t turn_last;
	struct {
		uint32_t scanned, since_ms;
		struct gb_frame frame; /* of the last one that was whole */
		struct gb_part part;   /* where a service takes parts: what that was, but for its bytes */
	} message; /* the one being decoded: as in gb__chunk.input, where it is kept between calls */
	const struct gb_conn
		*delivering; /* whose messages are, not in the shortest way: the burst has that one */
	const char *problem; /* of a codec that has just refused its input, while that is told; or NULL */
	struct gb__fronts fronts;
	size_t connections;    /* not finished yet */
	size_t outgoing;       /* of them, made by gb_connect */
	uint64_t grace_end_ms; /* of GB__DRAIN_GRACE_MS */
	struct gb__census census;
	uint64_t census_ms; /* when it was taken */
	/** Straight-line handlers, where there are any: NULL until gb__streams_init. */
	const struct gb__sequential *sequential;
	struct gb__streams *streams; /* theirs */
	struct gb__files *files;     /* of the same loop */
	struct gb__names *names;     /* likewise, once somebody has asked for one */
	/** Makes them; returns 0 or why not. NULL: nothing is connected to by name. */
	int (*names_begin)(struct gb__net *net);
	const struct gb_conn *native; /* its handler runs on the worker's own stack, between turns; or NULL */
	size_t coroutines;            /* that live: the worker does not end before them */
	size_t offloads;              /* functions in the pool: likewise */
	/** compute=threads, compute=processes: hands a job to the pool; NULL: handlers run inline. */
	void (*submit)(void *arg, struct gb__job *job);
	void *submit_arg;
	/** compute=processes: tells the process that has the task that its connection has ended; else NULL. */
	void (*apart)(void *arg, struct gb__task *task);
	/** By which number the processes know a service and `user`; -1: they do not, as both may be younger than they. */
	int (*apart_number)(const void *arg, const struct gb_service *service, const void *user);
	struct gb__task *under_way; /* submitted and not back */
	unsigned tasks, tasks_max;  /* how many, and how many at most */
	size_t task_sent;           /* bytes, by the one that came back last */
	struct gb__parked *parked;  /* a ring of connections that wait for a task to come back */
	size_t parked_first, parked_count, parked_size;
	struct gb__jobs waiting; /* tasks of routes, for which there is no room either */
	bool waiting_first;      /* the next room is theirs, as the last was not */
	/** Routes of the server's services, shared by its workers, and this worker's counters of them. */
	const struct gb__router *routers;
	uint64_t *route_counts;
	struct gb__router *routers_own; /* of others */
	struct gb__burst burst;
	struct gb__tracing tracing;
	struct gb__places *places;     /* of the process; NULL: no reply can be deferred */
	struct gb__place *places_free; /* that it has taken from there */
	/** A connection is gone; `connections` has been lowered. May be NULL. */
	void (*on_gone)(struct gb__net *net, void *arg);
	/** The output of an open connection has fallen, before on_writable. May be NULL. */
	void (*on_room)(struct gb_conn *conn, void *arg);
	void *arg;
	struct gb__noted *noted; /* why a connect has failed (secure.h); NULL: none has, or without memory */
};

/** Whether an observer wants messages timed. */
static inline void gb__ledger_look(struct gb__net *net)
{
	const uint32_t every = atomic_load_explicit(&net->tracing.ledger->every, memory_order_relaxed);

	if (gb__unlikely(every | net->tracing.on))
		gb__ledger_switch(net, every);
}

/** Takes over on_deadline of the loop. */
void gb__net_init(struct gb__net *net, struct gb__loop *loop, const struct gb__limits *limits,
	struct gb__counters *counters, _Atomic uint64_t *connections_total);
/** No connection is left. */
void gb__net_finish(struct gb__net *net);
/** A turn of the loop (gb__loop_turn), then what its connections have left to do. The wait does not sleep while
 *  there is something left for this turn. Where turns follow each other, net/turn.h is quicker. */
int gb__net_turn(struct gb__net *net, int64_t timeout_ns);

/** How long a turn that begins now may sleep for all that the engine does not tell of: for who turns it with a
 *  timeout of 0, and sleeps elsewhere. -1: for ever. */
int64_t gb__net_sleep_ns(struct gb__net *net);

/** There is something to trim later: a connection begins, or has gone. */
static inline void gb__trim_later(struct gb__net *net)
{
	if (gb__unlikely(!gb__wheel_pending(&net->trim.node)))
		gb__trim_begin(net);
}

/** Call `run` now, and whenever it is due, as it returns (ms, by the loop's clock; UINT64_MAX: never), or somewhat earlier: a
 *  node on the wheel, which costs nothing meanwhile. Once for a net. */
void gb__net_keep_up(struct gb__net *net, uint64_t (*run)(void *arg), void *arg);

/** Connections that were accepted, rather than made by gb_connect. */
static inline size_t gb__net_clients(const struct gb__net *net)
{
	return net->connections - net->outgoing;
}

/** Own a connected descriptor: makes a connection of it, or closes it and counts why. `front`: NULL, or what comes first. */
void gb__net_adopt(struct gb__net *net, int fd, const struct gb_service *service, void *user,
	const struct gb__front *front);
/** Close what is idle after taking in what has arrived, the rest once it is idle: see drain.h. */
void gb__net_drain(struct gb__net *net);
/** Hand messages to a pool instead of calling handlers inline. */
void gb__net_submit_to(
	struct gb__net *net, void (*submit)(void *arg, struct gb__job *job), void *arg, unsigned tasks_max);
/** Every connection of it. */
void gb__net_each(struct gb__net *net, void (*visit)(struct gb_conn *conn, int argument), int argument);
/** End every connection at once: with a reset, unless all was sent and our FIN is out. */
void gb__net_abort_all(struct gb__net *net, int reason);

#endif
