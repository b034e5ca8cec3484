#include "loop/timer.h"

#include "base/alloc.h"
#include "base/macros.h"

#include "harness.h"

#define TIMERS 500

static struct gb__timers timers;
static uint64_t last_deadline;
static unsigned expired;

static void expire(struct gb_timer *timer, void *arg)
{
	CHECK(timer->deadline_ns >= last_deadline);
	CHECK(timer->heap_index == 0);
	last_deadline = timer->deadline_ns;
	expired++;
}

TEST(timers_expire_in_order_whatever_was_stopped_or_restarted)
{
	static struct gb_timer all[TIMERS];
	uint64_t random = test_seed();
	unsigned running = 0;

	gb__timers_init(&timers);
	for (unsigned i = 0; i < TIMERS; i++) {
		all[i] = (struct gb_timer){ .on_expire = expire, .deadline_ns = test_random(&random) % 1000 };
		CHECK_INT(gb__timers_start(&timers, &all[i]), 0);
	}
	for (unsigned i = 0; i < TIMERS; i++) {
		switch (test_random(&random) % 3) {
		case 0:
			gb__timers_stop(&timers, &all[i]);
			gb__timers_stop(&timers, &all[i]);
			break;
		case 1:
			all[i].deadline_ns = test_random(&random) % 1000;
			CHECK_INT(gb__timers_start(&timers, &all[i]), 0);
		}
	}
	for (unsigned i = 0; i < TIMERS; i++)
		running += all[i].heap_index != 0;
	CHECK_INT(timers.count, running);
	for (uint64_t now = 0; now < 1000; now += 7) {
		gb__timers_run(&timers, now);
		CHECK(gb__timers_next_ns(&timers) > now);
	}
	gb__timers_run(&timers, 1000);
	CHECK_INT(expired, running);
	gb__timers_finish(&timers);
}

static char order[8];

static void note(struct gb_timer *timer, void *arg)
{
	strncat(order, arg, 1);
}

TEST(ties_expire_first_in_first_out)
{
	struct gb_timer a = { .on_expire = note, .arg = (char[]){ "a" }, .deadline_ns = 5 };
	struct gb_timer b = { .on_expire = note, .arg = (char[]){ "b" }, .deadline_ns = 5 };
	struct gb_timer c = { .on_expire = note, .arg = (char[]){ "c" }, .deadline_ns = 5 };

	gb__timers_init(&timers);
	CHECK_INT(gb__timers_start(&timers, &b), 0);
	CHECK_INT(gb__timers_start(&timers, &a), 0);
	CHECK_INT(gb__timers_start(&timers, &c), 0);
	gb__timers_run(&timers, 5);
	CHECK_STR(order, "bac");
	gb__timers_finish(&timers);
}

static void restart(struct gb_timer *timer, void *arg)
{
	expired++;
	CHECK_INT(gb__timers_start(&timers, timer), 0);
}

TEST(a_timer_that_restarts_itself_at_once_does_not_hold_the_loop)
{
	struct gb_timer timer = { .on_expire = restart, .deadline_ns = 1 };

	gb__timers_init(&timers);
	CHECK_INT(gb__timers_start(&timers, &timer), 0);
	CHECK_INT(gb__timers_run(&timers, 10), 1);
	CHECK_INT(gb__timers_run(&timers, 10), 1);
	CHECK_INT(expired, 2);
	gb__timers_finish(&timers);
}

static void count(struct gb_timer *timer, void *arg)
{
	expired++;
}

/* Whoever reserved a place gets it, whatever others started meanwhile and however little memory there is. */
TEST(a_reserved_timer_starts_without_memory)
{
	static struct gb_timer users[100];
	struct gb_timer own[3] = { { .on_expire = count }, { .on_expire = count }, { .on_expire = count } };
	unsigned started = 0;

	gb__timers_init(&timers);
	CHECK_INT(gb__timers_reserve(&timers, 3), 0);
	gb__timers_start_reserved(&timers, &own[0]);
	while (started < 100) {
		gb__alloc_fail_at(1);
		users[started].on_expire = count;
		if (gb__timers_start(&timers, &users[started]) < 0)
			break;
		started++;
	}
	CHECK(started > 0 && started < 100);
	gb__alloc_fail_at(1);
	gb__timers_start_reserved(&timers, &own[1]);
	gb__timers_start_reserved(&timers, &own[2]);
	gb__timers_start_reserved(&timers, &own[2]); /* again */
	gb__alloc_fail_at(0);
	gb__timers_run(&timers, 1);
	CHECK_INT(expired, started + 3);
	gb__timers_finish(&timers);
}

TEST(a_time_beyond_all_times_is_the_last_one)
{
	CHECK(gb__add_capped(UINT64_MAX - 1, 2) == UINT64_MAX);
	CHECK(gb__add_capped(1, 2) == 3);
	CHECK(gb__multiply_capped(UINT64_MAX, 1000000) == UINT64_MAX);
	CHECK(gb__multiply_capped(7, 6) == 42);
}
