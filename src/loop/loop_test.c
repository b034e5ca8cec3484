/* A turn of the loop on an engine and a clock of the test's own: how long it sleeps, what runs in which order. */
#include "loop/loop.h"

#include "base/macros.h"
#include "harness.h"

#include <errno.h>
#include <gearbox/worker.h>
#include <pthread.h>

#define MS 1000000u

static uint64_t clock_ns = 1000 * MS;
static struct gb__loop loop;
static struct gb__engine engine;
static int64_t asked_ns; /* of the last wait */
static unsigned waits, wakes, destroyed;
static int wait_result;
static void (*during_wait)(void);
static char order[64];

static void note(const char *what)
{
	strcat(order, what);
}

static uint64_t fake_now_ns(struct gb__os *os)
{
	return clock_ns;
}

static const struct gb__os_ops fake_os_ops = { .name = "fake", .now_ns = fake_now_ns };
static struct gb__os fake_os = { .ops = &fake_os_ops, .simulated = true };

static int fake_wait(struct gb__engine *of, int64_t timeout_ns)
{
	asked_ns = timeout_ns;
	waits++;
	note("w");
	if (during_wait)
		during_wait();
	of->now_ms = clock_ns / MS;
	return wait_result;
}

static void fake_wake(struct gb__engine *of)
{
	wakes++;
}

static void fake_destroy(struct gb__engine *of)
{
	destroyed++;
}

static const struct gb__engine_ops fake_ops = {
	.wait = fake_wait, .wake = fake_wake, .destroy = fake_destroy
};

static void on_deadline(struct gb__wheel_node *node, void *arg)
{
	CHECK(arg == &loop);
	note("d");
}

static void begin(void)
{
	engine = (struct gb__engine){ .ops = &fake_ops, .os = &fake_os, .now_ms = clock_ns / MS };
	gb__loop_init(&loop, &engine);
	loop.on_deadline = on_deadline;
	loop.arg = &loop;
}

static void end(void)
{
	gb__loop_finish(&loop);
	CHECK_INT(destroyed, 1);
}

static void check_sleep(int64_t timeout_ns, int64_t expected_ns)
{
	CHECK_INT(gb__loop_turn(&loop, timeout_ns), wait_result);
	CHECK_INT(asked_ns, expected_ns);
}

static void on_expire(struct gb_timer *timer, void *arg)
{
	note("t");
}

static void timer_at(struct gb_timer *timer, uint64_t deadline_ns)
{
	timer->deadline_ns = deadline_ns;
	timer->on_expire = on_expire;
	CHECK_INT(gb__timers_start(&loop.timers, timer), 0);
}

TEST(a_turn_sleeps_as_long_as_it_is_told_and_says_what_the_engine_says)
{
	begin();
	check_sleep(-1, -1);
	check_sleep(5, 5);
	check_sleep(0, 0);
	wait_result = 3;
	check_sleep(7, 7);
	wait_result = -ENOMEM;
	check_sleep(7, 7);
	end();
}

TEST(it_sleeps_until_the_first_timer_and_no_longer)
{
	struct gb_timer timer = { 0 };

	begin();
	timer_at(&timer, clock_ns + 5 * MS);
	check_sleep(-1, 5 * MS);
	check_sleep(3 * MS, 3 * MS);
	check_sleep(9 * MS, 5 * MS);
	check_sleep(0, 0);
	CHECK_STR(order, "wwww");
	clock_ns += 5 * MS - 1;
	check_sleep(-1, 1);
	CHECK_STR(order, "wwwww");
	clock_ns += 1;
	check_sleep(-1, 0);
	CHECK_STR(order, "wwwwwwt");
	check_sleep(-1, -1);
	timer_at(&timer, clock_ns - 1); /* of the past */
	check_sleep(-1, 0);
	end();
}

/* The loop is not to know that somebody has looked. */
static uint64_t wheel_next_ns(void)
{
	struct gb__wheel copy = loop.wheel;

	return gb__wheel_next_ms(&copy) * MS;
}

static void sleep_it_all(void)
{
	clock_ns += (uint64_t)asked_ns;
}

TEST(it_sleeps_until_the_next_step_of_the_wheel_and_no_longer)
{
	struct gb__wheel_node node;
	const uint64_t began_ms = clock_ns / MS;

	begin();
	gb__wheel_node_init(&node);
	gb__wheel_add(&loop.wheel, &node, began_ms + 100);
	while (!strchr(order, 'd')) {
		uint64_t next_ns = wheel_next_ns();

		CHECK(clock_ns / MS < began_ms + 100 + 2 * GB__WHEEL_TICK_MS);
		check_sleep(-1, (int64_t)(next_ns - clock_ns));
		CHECK(!strchr(order, 'd'));
		check_sleep(MS / 2, MS / 2);
		during_wait = sleep_it_all;
		check_sleep(-1, (int64_t)(next_ns - clock_ns));
		during_wait = NULL;
	}
	CHECK(clock_ns / MS >= began_ms + 100);
	check_sleep(-1, -1);
	end();
}

static void run_post(struct gb__post *post, bool alive)
{
	note(alive ? "p" : "x");
}

static struct gb__post first = { .run = run_post }, second = { .run = run_post };

TEST(what_was_posted_before_the_wait_is_not_slept_over_and_wakes_nobody)
{
	begin();
	CHECK_INT(gb__loop_post(&loop, &first), 0);
	CHECK_INT(gb__loop_post(&loop, &second), 0);
	CHECK_INT(wakes, 0);
	check_sleep(-1, 0);
	CHECK_STR(order, "wpp");
	check_sleep(-1, -1);
	end();
}

static void post_both(void)
{
	during_wait = NULL;
	CHECK_INT(gb__loop_post(&loop, &first), 0);
	CHECK_INT(wakes, 1);
	CHECK_INT(gb__loop_post(&loop, &second), 0);
	CHECK_INT(wakes, 1); /* it rides along */
}

TEST(what_is_posted_during_the_wait_wakes_once)
{
	begin();
	during_wait = post_both;
	check_sleep(-1, -1);
	CHECK_STR(order, "wpp");
	CHECK_INT(gb__loop_post(&loop, &first), 0); /* it does not sleep now */
	CHECK_INT(wakes, 1);
	check_sleep(-1, 0);
	end();
}

TEST(a_wait_that_does_not_sleep_is_not_woken)
{
	begin();
	during_wait = NULL;
	CHECK_INT(gb__loop_turn(&loop, 0), 0);
	CHECK_INT(gb__loop_post(&loop, &first), 0);
	CHECK_INT(wakes, 0);
	end();
}

static struct gb__post posting;

static void post_again(struct gb__post *post, bool alive)
{
	note("a");
	CHECK_INT(gb__loop_post(&loop, &first), 0);
}

TEST(what_a_post_posts_comes_in_the_next_turn)
{
	begin();
	posting.run = post_again;
	CHECK_INT(gb__loop_post(&loop, &posting), 0);
	check_sleep(-1, 0);
	CHECK_STR(order, "wa");
	check_sleep(-1, 0);
	CHECK_STR(order, "wawp");
	end();
}

static void time_passes(void)
{
	during_wait = NULL;
	clock_ns += 1000 * MS;
	CHECK_INT(gb__loop_post(&loop, &first), 0);
}

TEST(a_turn_waits_then_runs_posts_then_timers_then_deadlines)
{
	struct gb_timer timer = { 0 };
	struct gb__wheel_node node;

	begin();
	timer_at(&timer, clock_ns + 5 * MS);
	gb__wheel_node_init(&node);
	gb__wheel_add(&loop.wheel, &node, clock_ns / MS + 100);
	during_wait = time_passes;
	CHECK_INT(gb__loop_turn(&loop, -1), 0);
	CHECK_STR(order, "wptd");
	end();
}

TEST(what_is_left_when_it_ends_is_told_and_later_posts_are_refused)
{
	begin();
	CHECK_INT(gb__loop_post(&loop, &first), 0);
	end();
	CHECK_STR(order, "x");
	CHECK_INT(gb__loop_post(&loop, &second), -ESHUTDOWN);
	CHECK_STR(order, "x");
}

TEST(polling_goes_on_for_its_time_after_something_happened)
{
	begin();
	loop.busy_poll_ns = 10 * MS;
	check_sleep(-1, 0); /* it has just begun */
	clock_ns += 10 * MS - 1;
	check_sleep(-1, 0);
	clock_ns += 1;
	wait_result = 1;
	check_sleep(-1, -1); /* nothing came in that time */
	wait_result = 0;
	check_sleep(-1, 0); /* but now something has */
	clock_ns += 9 * MS;
	check_sleep(-1, 0);
	clock_ns += MS;
	check_sleep(-1, -1);
	during_wait = post_both;
	check_sleep(-1, -1);
	check_sleep(-1, 0); /* a post is something, too */
	clock_ns += 10 * MS;
	check_sleep(5, 5);
	end();
}

static void *turn(void *arg)
{
	CHECK(!gb__loop_here(&loop));
	return NULL;
}

TEST(a_loop_is_the_threads_that_turned_it_first)
{
	pthread_t thread;

	begin();
	CHECK(gb__loop_here(&loop)); /* nobody's yet */
	check_sleep(0, 0);
	CHECK(gb__loop_here(&loop));
	CHECK_INT(pthread_create(&thread, NULL, turn, NULL), 0);
	CHECK_INT(pthread_join(thread, NULL), 0);
	end();
}

/* What it holds stays as it is: a copy of the parent's, whose end frees nothing. */
TEST(an_abandoned_loop_runs_nothing)
{
	struct gb_timer timer = { 0 };

	begin();
	timer_at(&timer, clock_ns + MS);
	CHECK_INT(gb__loop_post(&loop, &first), 0);
	gb__loop_abandon(&loop);
	CHECK_INT(destroyed, 1);
	CHECK_STR(order, "");
	gb__timers_finish(&loop.timers);
	CHECK_INT(timer.heap_index, 0);
}
