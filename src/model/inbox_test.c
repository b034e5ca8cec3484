/* An inbox between the acceptor's thread and a worker's loop. */
#include "model/inbox.h"

#include "base/alloc.h"
#include "harness.h"

#include <errno.h>

#define COUNT 100

static struct gb__loop loop;
static struct gb__inbox inbox;
static int taken[4 * COUNT];
static unsigned taken_count;
static int put_from_take = -1; /* what arrives while the ones before are worked off */

static void take(struct gb__inbox *from, struct gb__handed handed)
{
	CHECK(from == &inbox);
	CHECK_INT(handed.binding, handed.fd + 1000);
	taken[taken_count++] = handed.fd;
	if (put_from_take >= 0) {
		struct gb__handed next = { put_from_take, (uint32_t)put_from_take + 1000 };

		put_from_take = -1;
		CHECK_INT(gb__inbox_put(&inbox, &loop, next), 0);
	}
}

static void loop_make(void)
{
	struct gb__engine *engine;
	struct gb_error error;

	if (gb__engine_create("epoll", (struct gb__engine_options){ .os = &gb__os_linux }, &engine, &error) <
		0)
		test_fail(__FILE__, __LINE__, "%s", error.text);
	gb__loop_init(&loop, engine);
}

static void begin(void)
{
	loop_make();
	CHECK_INT(gb__inbox_init(&inbox, take), 0);
}

static int put(int fd)
{
	return gb__inbox_put(&inbox, &loop, (struct gb__handed){ fd, (uint32_t)fd + 1000 });
}

static void check_taken(unsigned count)
{
	CHECK_INT(taken_count, count);
	for (unsigned i = 0; i < count; i++)
		CHECK_INT(taken[i], i);
}

TEST(one_turn_takes_all_in_the_order_they_were_put)
{
	begin();
	CHECK(gb__inbox_empty(&inbox));
	for (int fd = 0; fd < COUNT; fd++) {
		CHECK_INT(put(fd), 0);
		CHECK(!gb__inbox_empty(&inbox));
	}
	CHECK_INT(taken_count, 0);
	CHECK(gb__loop_turn(&loop, -1) >= 0);
	check_taken(COUNT);
	CHECK(gb__inbox_empty(&inbox));
	for (int fd = COUNT; fd < 2 * COUNT; fd++)
		CHECK_INT(put(fd), 0);
	CHECK(gb__loop_turn(&loop, -1) >= 0);
	check_taken(2 * COUNT);
	gb__loop_finish(&loop);
	gb__inbox_finish(&inbox);
}

TEST(what_is_put_while_the_ones_before_are_worked_off_wakes_again)
{
	begin();
	CHECK_INT(put(0), 0);
	CHECK_INT(put(1), 0);
	put_from_take = 2;
	CHECK(gb__loop_turn(&loop, -1) >= 0);
	CHECK(gb__loop_turn(&loop, -1) >= 0); /* without a post it would sleep for ever */
	check_taken(3);
	gb__loop_finish(&loop);
	gb__inbox_finish(&inbox);
}

static void *put_many(void *arg)
{
	for (int fd = 0; fd < 4 * COUNT; fd++)
		CHECK_INT(put(fd), 0);
	return NULL;
}

TEST(a_worker_asleep_is_woken_however_full_it_was)
{
	pthread_t thread;

	begin();
	CHECK_INT(pthread_create(&thread, NULL, put_many, NULL), 0);
	while (taken_count < 4 * COUNT)
		CHECK(gb__loop_turn(&loop, -1) >= 0);
	CHECK_INT(pthread_join(thread, NULL), 0);
	check_taken(4 * COUNT);
	gb__loop_finish(&loop);
	gb__inbox_finish(&inbox);
}

TEST(one_that_found_no_memory_stays_the_callers_and_the_next_arrive)
{
	begin();
	gb__alloc_fail_at(1);
	CHECK_INT(put(0), -ENOMEM);
	gb__alloc_fail_at(0);
	CHECK(gb__inbox_empty(&inbox));
	for (int fd = 0; fd < 16; fd++)
		CHECK_INT(put(fd), 0);
	gb__alloc_fail_at(1);
	CHECK_INT(put(16), -ENOMEM); /* it was full */
	gb__alloc_fail_at(0);
	CHECK_INT(put(16), 0);
	CHECK(gb__loop_turn(&loop, -1) >= 0);
	check_taken(17);
	gb__loop_finish(&loop);
	gb__inbox_finish(&inbox);
}

TEST(a_warm_inbox_allocates_nothing)
{
	uint64_t before = 0;

	begin();
	for (int round = 0; round < 4; round++) {
		if (round == 2) /* both its halves are as large as they need be */
			before = gb__alloc_count();
		for (int fd = 0; fd < COUNT; fd++)
			CHECK_INT(put(fd), 0);
		CHECK(gb__loop_turn(&loop, -1) >= 0);
	}
	CHECK_INT(gb__alloc_count() - before, 0);
	CHECK_INT(taken_count, 4 * COUNT);
	gb__loop_finish(&loop);
	gb__inbox_finish(&inbox);
}

TEST(what_is_left_when_the_loop_ends_is_handed_back_and_later_ones_are_refused)
{
	struct gb__handed handed;
	unsigned seen = 0;

	begin();
	for (int fd = 0; fd < 3; fd++)
		CHECK_INT(put(fd), 0);
	gb__loop_finish(&loop);
	CHECK_INT(taken_count, 0);
	CHECK_INT(put(7), -ESHUTDOWN);
	CHECK_INT(put(8), -ESHUTDOWN);
	while (gb__inbox_left(&inbox, &handed)) {
		CHECK(handed.fd >= 0 && handed.fd < 3);
		CHECK_INT(handed.binding, handed.fd + 1000);
		CHECK(!(seen & 1u << handed.fd));
		seen |= 1u << handed.fd;
	}
	CHECK_INT(seen, 7);
	CHECK(gb__inbox_empty(&inbox));
	gb__inbox_finish(&inbox);
}

TEST(one_that_was_not_empty_when_its_loop_ended_wakes_the_next_loop)
{
	begin();
	CHECK_INT(put(0), 0);
	CHECK_INT(put(1), 0);
	gb__loop_finish(&loop);
	loop_make();
	CHECK_INT(put(2), 0);
	CHECK(gb__loop_turn(&loop, -1) >= 0);
	check_taken(3);
	gb__loop_finish(&loop);
	gb__inbox_finish(&inbox);
}
