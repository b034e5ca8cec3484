#include "loop/loop.h"

#include "base/assert.h"
#include "base/macros.h"

#include <errno.h>
#include <sched.h>

/* Marks a loop that takes no more posts. */
#define CLOSED ((struct gb__post *)1)

void gb__loop_init(struct gb__loop *loop, struct gb__engine *engine)
{
	loop->engine = engine;
	loop->os = engine->os;
	loop->on_deadline = NULL;
	loop->arg = NULL;
	loop->thread = NULL;
	loop->busy_poll_ns = 0;
	loop->happened = true;
	gb__timers_init(&loop->timers);
	gb__wheel_init(&loop->wheel, gb__loop_now_ms(loop));
	atomic_store(&loop->posted, NULL); /* last: from here on posts arrive */
}

/* Run what was posted, oldest first. */
static __attribute__((noinline)) unsigned posts_run(
	struct gb__loop *loop, struct gb__post *replacement, bool alive)
{
	struct gb__post *newest, *oldest = NULL;
	unsigned ran = 0;

	newest = atomic_exchange_explicit(&loop->posted, replacement, memory_order_acquire);
	while (newest && newest != CLOSED) {
		struct gb__post *next = newest->next;

		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	while (oldest) {
		struct gb__post *post = oldest;

		oldest = post->next;
		post->run(post, alive);
		ran++;
	}
	return ran;
}

void gb__loop_finish(struct gb__loop *loop)
{
	posts_run(loop, CLOSED, false);
	while (atomic_load(&loop->posters))
		sched_yield();
	gb__timers_finish(&loop->timers);
	loop->engine->ops->destroy(loop->engine);
	loop->engine = NULL;
}

void gb__loop_abandon(struct gb__loop *loop)
{
	loop->engine->ops->destroy(loop->engine);
}

int gb__loop_post(struct gb__loop *loop, struct gb__post *post)
{
	struct gb__post *newest;

	atomic_fetch_add(&loop->posters, 1);
	newest = atomic_load_explicit(&loop->posted, memory_order_relaxed);
	do {
		if (newest == CLOSED) {
			atomic_fetch_sub(&loop->posters, 1);
			return -ESHUTDOWN;
		}
		post->next = newest;
	} while (!atomic_compare_exchange_weak_explicit(
		&loop->posted, &newest, post, memory_order_seq_cst, memory_order_relaxed));
	/* Whoever made the stack non-empty wakes; later posters ride along. The other side of the handshake in
	 * gb__loop_turn: the exchange above and this load are sequentially consistent, as are both over there. */
	if (!newest && atomic_load(&loop->sleeping))
		loop->engine->ops->wake(loop->engine);
	atomic_fetch_sub(&loop->posters, 1);
	return 0;
}

/* Until the first timer, which is precise. */
static __attribute__((noinline)) uint64_t timer_ns(const struct gb__loop *loop)
{
	uint64_t due_ns = gb__timers_next_ns(&loop->timers);
	uint64_t now_ns = loop->os->ops->now_ns(loop->os);

	return due_ns > now_ns ? due_ns - now_ns : 0;
}

static int64_t sleep_ns(struct gb__loop *loop, int64_t timeout_ns)
{
	uint64_t sleep = (uint64_t)timeout_ns; /* -1: longer than any other */

	if (gb__unlikely(loop->timers.count)) {
		uint64_t timer = timer_ns(loop);

		sleep = gb__min(sleep, timer);
	}
	/* Deadlines on the wheel may be late by a tick: the coarse clock is good enough. */
	if (loop->wheel.count) {
		uint64_t due_ms = gb__wheel_next_ms(&loop->wheel), now_ms = gb__loop_now_ms(loop);

		sleep = gb__min(sleep, due_ms > now_ms ? (due_ms - now_ms) * 1000000u : 0);
	}
	return sleep > INT64_MAX ? -1 : (int64_t)sleep;
}

/* Whether to look again at once instead of sleeping: for a while after something happened. */
static __attribute__((noinline)) bool polls_on(struct gb__loop *loop)
{
	uint64_t now_ns = loop->os->ops->now_ns(loop->os);

	if (loop->happened)
		loop->busy_until_ns = now_ns + loop->busy_poll_ns;
	loop->happened = false;
	return now_ns < loop->busy_until_ns;
}

static __attribute__((noinline)) void begin(struct gb__loop *loop)
{
	gb__assert(!loop->thread); /* else it belongs to another thread */
	loop->thread = gb__loop_self();
}

static __attribute__((noinline)) void timers_run(struct gb__loop *loop)
{
	gb__timers_run(&loop->timers, loop->os->ops->now_ns(loop->os));
}

static __attribute__((noinline)) void wheel_run(struct gb__loop *loop)
{
	gb__wheel_run(&loop->wheel, gb__loop_now_ms(loop), loop->on_deadline, loop->arg);
}

/* What most turns have none of is called from here and not inlined, so that those turns do not pay for it. */
int gb__loop_turn(struct gb__loop *loop, int64_t timeout_ns)
{
	int result;

	if (gb__unlikely(loop->thread != gb__loop_self()))
		begin(loop);
	if (gb__unlikely(loop->busy_poll_ns) && timeout_ns && polls_on(loop))
		timeout_ns = 0;
	/*
	 * A Dekker handshake with gb__loop_post: here `sleeping` is stored, then `posted` loaded; there `posted` is
	 * stored, then `sleeping` loaded; all four with sequential consistency. In their one order either this load
	 * comes behind that store, and the wait does not sleep, or that load comes behind this store, and the poster
	 * wakes. Anything weaker allows both to miss the other.
	 */
	if (gb__likely(timeout_ns)) {
		atomic_store(&loop->sleeping, true);
		timeout_ns = gb__unlikely(atomic_load(&loop->posted)) ? 0 : sleep_ns(loop, timeout_ns);
	}
	result = loop->engine->ops->wait(loop->engine, timeout_ns);
	atomic_store_explicit(&loop->sleeping, false, memory_order_relaxed);
	if (gb__unlikely(loop->busy_poll_ns))
		loop->happened |= result > 0 || atomic_load(&loop->posted);
	if (gb__unlikely(atomic_load_explicit(&loop->posted, memory_order_relaxed)))
		posts_run(loop, NULL, true);
	if (gb__unlikely(loop->timers.count))
		timers_run(loop);
	if (gb__unlikely(gb__wheel_ticks(&loop->wheel, gb__loop_now_ms(loop))))
		wheel_run(loop);
	return result;
}
