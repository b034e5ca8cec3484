/**
 * Coroutines of a worker: who runs, who is ready, what ends a wait.
 *
 * Happy path: somebody starts one, its first line runs when the turn comes to it; it waits in gb__coro_wait, and
 * whoever has what it waits for wakes it (gb__coro_wake), which puts it in line for the end of this turn. It looks at
 * what it waits for again, so a wake-up too many does no harm. Input alone resumes its reader at once (read.c).
 *
 * Under the blocking engine the handler of the one client runs on the worker's own stack: its waits turn the loop.
 */
#ifndef STREAM_COROUTINE_H
#define STREAM_COROUTINE_H

#include "base/list.h"
#include "coro/coro.h"
#include "net/net.h"

#include <gearbox/coro.h>
#include <gearbox/worker.h>

struct gb_coro {
	struct gb__streams *streams;
	struct gb__coro *stack; /* NULL: the worker's own */
	struct gb_coro *line_next;
	struct gb_stream *stream;     /* that it serves, or NULL */
	bool waiting;                 /* suspended */
	bool ready;                   /* in line */
	bool woken;                   /* on the worker's own stack: the turns may end */
	int cancelled;                /* what each wait returns from now on, or 0 */
	int notice;                   /* what the next wait returns, or 0 */
	struct gb_deadline *deadline; /* the innermost */
	struct gb_timer alarm;        /* for it; may be earlier */
	struct gb_scope *scope;       /* that it was started in, or NULL */
	struct gb_scope *scopes;      /* its own that are open, innermost first */
	struct gb__list sibling;      /* in its scope */
	struct gb__list link;         /* among all of the worker */
	struct gb__list queued;       /* among those who wait for the same, if it is */
	unsigned opened;              /* streams that it has opened and not closed */
	unsigned failed;              /* calls, without a wait in between */
	bool told;                    /* of a drain */
	enum gb_priority priority;    /* of what it offloads: of the route that it serves */
	gb_coro_run *run;
	void *arg;
	const char *name;
};

/** Coroutines in line to be run, first in, first out. */
struct gb__coro_line {
	struct gb_coro *first, *last;
};

struct gb__streams {
	struct gb__net *net;
	struct gb__loop *loop;
	struct gb_coro *running; /* NULL: the loop */
	struct gb__coros coros;
	struct gb__endpoint_ops ops;       /* of connections that streams read */
	struct gb__coro_line ready, later; /* for this turn if there is room in it, for the next one */
	struct gb__list all;               /* coroutines */
	size_t stack_size;
	bool made;   /* coros */
	bool drains; /* who has no connection was told, and whoever is started now is as well */
	bool ends;   /* all are cancelled, and whoever is started now as well */
	/** A turn of the worker for a handler on its own stack; NULL: there is none such. */
	void (*turn)(void *arg);
	/** A handler waits to be run on the worker's own stack, or the last coroutine has ended. */
	void (*on_change)(void *arg);
	void *arg;
	struct gb_coro *native; /* that is to run, or runs, there */
};

/** Straight-line handlers of this net from here on. `stack_size` 0: a default. No memory is taken yet. */
void gb__streams_init(struct gb__streams *streams, struct gb__net *net, size_t stack_size);
/** No coroutine is left. */
void gb__streams_finish(struct gb__streams *streams);
/** They are a worker's, on whose own stack handlers run where its engine has one stream. */
void gb__streams_belong(
	struct gb__streams *streams, void (*turn)(void *arg), void (*on_change)(void *arg), void *arg);
/** Run the handler that waits for that. Returns when it has. */
void gb__streams_serve(struct gb__streams *streams);

/** Make a coroutine, with `extra` zeroed bytes behind it, on a stack of its own. `entry` gets it and ends with gb__coro_over.
 *  Returns 0 or a negative errno. */
int gb__coro_make(struct gb__streams *streams, size_t extra, void (*entry)(struct gb_coro *coro),
	const char *name, struct gb_coro **ret);
/** It is one of the worker's from here on; for who makes one without a stack. */
void gb__coro_join(struct gb__streams *streams, struct gb_coro *coro, const char *name);
/** The last that it does: nobody knows it any more. */
void gb__coro_over(struct gb_coro *coro);
/** Run it now. From the loop; it has a stack and waits. */
static inline void gb__coro_enter(struct gb__streams *streams, struct gb_coro *coro)
{
	gb__assert(!streams->running);
	coro->waiting = false;
	streams->running = coro;
	gb__coro_resume_in(&streams->coros, coro->stack);
}
/** Go back to the loop, which runs it again. It runs, on a stack of its own. */
static inline void gb__coro_leave(struct gb__streams *streams, struct gb_coro *coro)
{
	coro->waiting = true;
	streams->running = NULL;
	gb__coro_suspend_out(&streams->coros, coro->stack);
}
/** gb_coro_start, with the streams of a worker. */
int gb__coro_start(
	struct gb__streams *streams, const char *name, gb_coro_run *run, void *arg, struct gb_scope *scope);

/** Have it run at the end of this turn, or of the next one if many are, if it waits. Thread: the worker's. */
void gb__coro_wake(struct gb_coro *coro);
/** Whether it may wait in `function`: only the one that runs can. */
bool gb__coro_runs(const struct gb_coro *coro, const char *function);
/** Whether a function of its may wait now: 0, -GB_ENOCORO, or what interrupts it. */
int gb__coro_may_wait(struct gb_coro *coro, const char *function);
/** A call that could have waited failed without that, with `result`, which is returned: now and then others have their
 *  turn first, so that who does not look at results keeps nobody from anything. */
int gb__coro_failed(struct gb_coro *coro, int result);
/** Why its waits end, or 0. A notice is taken. */
int gb__coro_interruption(struct gb_coro *coro);
/** What it waited for came as well, and `interruption` is not told: a notice is for the next wait. */
void gb__coro_untold(struct gb_coro *coro, int interruption);
/** Sleep until woken. Returns 0, or what ends the wait; also when it ended before it began. */
int gb__coro_wait(struct gb_coro *coro);
/** The same, and nothing but a wake-up ends it. */
void gb__coro_wait_hard(struct gb_coro *coro);
/** Let the others have their turn, and events. */
void gb__coro_wait_turn(struct gb_coro *coro);
/** Cancel it, once. */
void gb__coro_cancel(struct gb_coro *coro);

/** Wait among coroutines that wait for the same, first in, first out, until taken out. Returns 0, or what ended the wait (it is not in it any more). */
int gb__coro_queue_wait(struct gb__list *queue, struct gb_coro *coro);
/** Take out the first, if any, and wake it. */
void gb__coro_queue_wake(struct gb__list *queue);
void gb__coro_queue_wake_all(struct gb__list *queue);

#endif
