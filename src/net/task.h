/**
 * A message on its way through a compute pool.
 *
 * The handler gets a facade: a gb_conn in state GB__CONN_TASK that belongs to the task. What it sends is
 * collected there; closing and pausing are noted. The real connection waits meanwhile, delivers nothing
 * else, calls nothing else, and is not freed. When the pool is done with the task it is posted back, and
 * the loop carries out what was collected. So ordered replies need no sequence numbers.
 */
#ifndef NET_TASK_H
#define NET_TASK_H

#include "net/conn.h"
#include "net/job.h"
#include "net/route.h"

struct gb__task {
	struct gb_conn facade;      /* first: what the handler sees */
	struct gb__job job;         /* of the pool */
	struct gb__task *under_way; /* of the net: those submitted and not back */
	struct gb_conn *conn;       /* the loop's thread alone */
	struct gb__post done;
	struct gb__chunk *message;
	struct gb_frame frame; /* of the message */
	struct gb_part part;   /* what the message is, where the service takes parts */
	bool part_told;        /* the handler has had it */
	uint64_t number;       /* it rises from message to message */
	void (*on_message)(struct gb_conn *conn, struct gb_bytes message);
	const struct gb_route *route; /* of the message; or NULL */
	struct gb__post *deferred,
		**deferred_end;                  /* for the connection, meanwhile: they run when it is back */
	struct gb__pool chunks;                  /* for what the handler sends */
	_Atomic bool cancelled;                  /* the connection is closing or gone */
	const _Atomic uint32_t *cancelled_there; /* the same, in a process of the pool; else NULL */
	unsigned source, service;                /* of a pool of processes: of which loop, of which binding */
	bool aborted;                            /* by the handler */
	struct gb__replies replies;              /* deferred by the handler, */
	uint64_t replies_max;                    /* so many at most */
	int holds;                               /* gb_conn_hold and gb_conn_release by the handler */
	int failed;                              /* by gb_conn_close or gb_conn_fail: the reason; -1: not */
	bool sampled;                            /* to be timed (ledger.h) */
	uint64_t ended_ns;                       /* when its handler was done, then */
	_Atomic signed char paused;              /* 1: by the handler; -1: resumed; 0: neither */
};

static inline bool gb__conn_is_task(const struct gb_conn *conn)
{
	return conn->state == GB__CONN_TASK;
}

/** Whether its handler has ended the connection. */
static inline bool gb__task_ended(const struct gb__task *task)
{
	return task->aborted || task->failed >= 0;
}

static inline struct gb__task *gb__task_of(struct gb_conn *facade)
{
	return (struct gb__task *)facade;
}

/** Hand a message to the pool of the net. Ends the connection when there is no memory. */
void gb__task_submit(struct gb_conn *conn, struct gb_bytes message);
/** The same for its route. Without room in the pool it waits, and the connection for it. */
void gb__task_submit_routed(struct gb_conn *conn, struct gb_bytes message, const struct gb_route *route);
/** The `job.run` of tasks, on a pool thread: run the handler, unless cancelled, and post the task back. */
void gb__task_run(struct gb__job *job);
/** The connection has ended: the handler need not run, or can learn that its work is in vain. */
void gb__task_cancel(struct gb_conn *conn);
/** The loop's thread pauses or resumes the connection: what the handler noted of that so far is overtaken. */
void gb__task_forget_pause(struct gb_conn *conn);
/** A post for the connection waits until its handler has returned, if that runs. Returns whether it does. */
bool gb__task_defer(struct gb_conn *conn, struct gb__post *post);
/** The net has as many tasks as it may: this connection waits for its turn. */
void gb__task_park(struct gb_conn *conn);

#endif
