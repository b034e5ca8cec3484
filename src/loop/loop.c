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
	loop->on_tick = NULL;
	loop->arg = NULL;
	loop->thread = NULL;
	loop->busy_poll_ns = 0;
	loop->happened = true;
	loop->seen_next = UINT64_MAX;
	gb__timers_init(&loop->timers);
	gb__wheel_init(&loop->wheel, gb__loop_now_ms(loop));
	atomic_store(&loop->posted, NULL); /* last: from here on posts arrive */
}

/* Run what was posted, oldest first. */
static unsigned posts_run(struct gb__loop *loop, struct gb__post *replacement, bool alive)
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
	 * gb__loop_sleep: the exchange above and this load are sequentially consistent, as are both over there. */
	if (!newest && atomic_load(&loop->sleeping))
		loop->engine->ops->wake(loop->engine);
	atomic_fetch_sub(&loop->posters, 1);
	return 0;
}

/* Whether to look again at once instead of sleeping: for a while after something happened. */
static bool polls_on(struct gb__loop *loop)
{
	uint64_t now_ns = loop->os->ops->now_ns(loop->os);

	if (loop->happened)
		loop->busy_until_ns = now_ns + loop->busy_poll_ns;
	loop->happened = false;
	return now_ns < loop->busy_until_ns;
}

/* The first timer, which is precise; and busy polling. */
static uint64_t bound(struct gb__loop *loop, uint64_t sleep_ns)
{
	if (loop->busy_poll_ns && sleep_ns && polls_on(loop))
		return 0;
	if (loop->timers.count) {
		uint64_t due_ns = gb__timers_next_ns(&loop->timers);
		uint64_t now_ns = loop->os->ops->now_ns(loop->os);
		uint64_t timer_ns = due_ns > now_ns ? due_ns - now_ns : 0;

		sleep_ns = gb__min(sleep_ns, timer_ns);
	}
	return sleep_ns > INT64_MAX ? UINT64_MAX : sleep_ns;
}

/* Deadlines on the wheel may be late by a tick: the coarse clock is good enough. Before the first turn, and with each
 * tick of the clock, it is also seen who turns it. */
void gb__loop_look(struct gb__loop *loop)
{
	uint64_t due_ms = gb__wheel_next_ms(&loop->wheel), now_ms = gb__loop_now_ms(loop);

	gb__assert(gb__loop_here(loop)); /* else it belongs to another thread */
	__atomic_store_n(&loop->thread, gb__loop_self(), __ATOMIC_RELAXED);
	loop->seen_ms = now_ms;
	loop->seen_next = loop->wheel.next;
	loop->wheel_ns = due_ms == UINT64_MAX ? UINT64_MAX
		: due_ms > now_ms             ? (due_ms - now_ms) * 1000000u
					      : 0;
}

void gb__loop_rest(struct gb__loop *loop)
{
	if (atomic_load_explicit(&loop->posted, memory_order_relaxed))
		posts_run(loop, NULL, true);
	if (loop->timers.count)
		gb__timers_run(&loop->timers, loop->os->ops->now_ns(loop->os));
	if (loop->seen_ms != gb__loop_now_ms(loop)) {
		gb__wheel_run(&loop->wheel, gb__loop_now_ms(loop), loop->on_deadline, loop->arg);
		gb__loop_look(loop);
		if (loop->on_tick)
			loop->on_tick(loop->arg);
	}
}

int64_t gb__loop_sleep_ns(struct gb__loop *loop, int64_t bound_ns)
{
	uint64_t due_ms = gb__wheel_next_ms(&loop->wheel), now_ms = gb__os_now_ms(loop->os);
	uint64_t sleep_ns = (uint64_t)bound_ns;

	if (atomic_load(&loop->posted))
		return 0;
	if (due_ms != UINT64_MAX)
		sleep_ns = gb__min(sleep_ns, due_ms > now_ms ? (due_ms - now_ms) * 1000000u : 0);
	if (loop->timers.count) {
		uint64_t due_ns = gb__timers_next_ns(&loop->timers);
		uint64_t now_ns = loop->os->ops->now_ns(loop->os);

		sleep_ns = gb__min(sleep_ns, due_ns > now_ns ? due_ns - now_ns : 0);
	}
	return sleep_ns > INT64_MAX ? -1 : (int64_t)sleep_ns;
}

int gb__loop_turn(struct gb__loop *loop, int64_t timeout_ns)
{
	uint64_t sleep_ns = (uint64_t)timeout_ns; /* -1: longer than any other */
	int result;

	if (gb__loop_looks(loop))
		gb__loop_look(loop);
	sleep_ns = bound(loop, gb__min(sleep_ns, loop->wheel_ns));
	result = sleep_ns ? gb__loop_sleep(loop, sleep_ns) : loop->engine->ops->wait(loop->engine, 0);
	if (loop->busy_poll_ns)
		loop->happened |= result > 0 || atomic_load(&loop->posted);
	if (gb__loop_has_rest(loop))
		gb__loop_rest(loop);
	return result;
}
