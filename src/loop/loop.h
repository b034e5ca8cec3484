/**
 * One event loop: an engine, timers, deadlines and tasks posted by other threads, on one thread.
 *
 * One turn: the engine's wait, posted tasks, timers, deadlines. So whoever drives the turns sees the effect
 * of everything before the next sleep. The clock is read after the wait only, never per event.
 */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include "engine/engine.h"
#include "loop/timer.h"
#include "loop/wheel.h"

#include <stdatomic.h>

/** A task for a loop; the memory is the poster's until it runs. */
struct gb__post {
	struct gb__post *next;
	/** `alive` is false when the loop ends without running it: only free then. */
	void (*run)(struct gb__post *post, bool alive);
};

struct gb__loop {
	struct gb__engine *engine; /* owned */
	struct gb__os *os;
	struct gb__timers timers;
	void (*on_deadline)(struct gb__wheel_node *node, void *arg); /* a wheel node expired */
	void (*on_tick)(void *arg);                                  /* the clock has moved on; or NULL */
	void *arg;
	_Atomic(struct gb__post *) posted; /* newest first; CLOSED once the loop has ended */
	_Atomic unsigned posters;          /* inside gb__loop_post: the engine they wake must stay */
	_Atomic bool sleeping;             /* in the engine's wait, or about to be: posters must wake it */
	uint64_t busy_poll_ns;             /* look for more so long before sleeping; 0: not at all */
	uint64_t busy_until_ns;
	bool happened;          /* something, since that was set */
	uint64_t seen_ms;       /* the engine's clock, as it was when wheel_ns was counted, */
	uint64_t seen_next;     /* and wheel.next, which is never 0 then */
	uint64_t wheel_ns;      /* from then to that tick */
	const void *thread;     /* gb__loop_self of the one that operates it; NULL before the first turn */
	struct gb__wheel wheel; /* last: most of it is never touched */
};

/**
 * Takes `engine`. The memory is zeroed, or that of a loop that has finished: whoever still posts to that one
 * is refused until this one is ready.
 */
void gb__loop_init(struct gb__loop *loop, struct gb__engine *engine);
/** Runs what is posted with alive=false, refuses further posts, destroys the engine. */
void gb__loop_finish(struct gb__loop *loop);
/** As gb__loop_finish, in a forked child on its parent's loop: nothing runs, descriptors are let go. */
void gb__loop_abandon(struct gb__loop *loop);
/** Thread: any. Returns 0 or -ESHUTDOWN (it will not run). */
int gb__loop_post(struct gb__loop *loop, struct gb__post *post);
/** Milliseconds of the coarse monotonic clock, as of the last wait: what callbacks and stamps go by. */
static inline uint64_t gb__loop_now_ms(const struct gb__loop *loop)
{
	return loop->engine->now_ms;
}

/** What tells the calling thread from all others that live: one instruction, where pthread_self is a call. */
static inline const void *gb__loop_self(void)
{
	return __builtin_thread_pointer();
}

/** Whether the calling thread is the loop's. */
static inline bool gb__loop_here(const struct gb__loop *loop)
{
	/* Others ask as well, of a loop that runs. */
	const void *thread = __atomic_load_n(&loop->thread, __ATOMIC_RELAXED);

	return thread == gb__loop_self() || !thread;
}

/** One turn, waiting at most until the next deadline and `timeout_ns` (-1: no bound of its own). Returns
 *  as the engine's wait does. */
int gb__loop_turn(struct gb__loop *loop, int64_t timeout_ns);

/** How long a turn that begins now might sleep, at most `bound_ns` (-1: no bound of its own), on account of all but the
 *  engine; the clock is read. -1: for ever. */
int64_t gb__loop_sleep_ns(struct gb__loop *loop, int64_t bound_ns);
/** Whoever turns the loop with a timeout of 0 sleeps elsewhere, by the engine's descriptor: posters wake it always. */
static inline void gb__loop_sleeps_elsewhere(struct gb__loop *loop)
{
	loop->busy_poll_ns = 0;
	atomic_store(&loop->sleeping, true);
}

/* The parts of a turn, for who has them in line (net/turn.h). */
/** Count wheel_ns. */
void gb__loop_look(struct gb__loop *loop);
/** Whether that is due. So it is before the first turn. */
static inline bool gb__loop_looks(const struct gb__loop *loop)
{
	return loop->wheel.next != loop->seen_next;
}
/** After the wait: what was posted, timers, deadlines. */
void gb__loop_rest(struct gb__loop *loop);
/** Not 0: there is some of it. The clock tells of deadlines. */
static inline uint64_t gb__loop_has_rest(const struct gb__loop *loop)
{
	return (uintptr_t)atomic_load_explicit(&loop->posted, memory_order_relaxed) | loop->timers.count |
		(loop->engine->now_ms ^ loop->seen_ms);
}

/** `sleep_ns` is not 0. */
static inline __attribute__((always_inline)) int gb__loop_sleep(struct gb__loop *loop, uint64_t sleep_ns)
{
	struct gb__engine *engine = loop->engine;
	int result;

	/*
	 * A Dekker handshake with gb__loop_post: here `sleeping` is stored, then `posted` loaded; there `posted` is
	 * stored, then `sleeping` loaded; all four with sequential consistency. In their one order either this load
	 * comes behind that store, and the wait does not sleep, or that load comes behind this store, and the poster
	 * wakes. Anything weaker allows both to miss the other.
	 */
	engine->awake = false;
	atomic_store(&loop->sleeping, true);
	if (gb__likely(!atomic_load(&loop->posted)))
		result = engine->ops->wait(engine, (int64_t)sleep_ns);
	else
		result = engine->ops->wait(engine, 0);
	atomic_store_explicit(&loop->sleeping, false, memory_order_relaxed);
	return result;
}

#endif
