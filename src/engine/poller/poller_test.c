/* What every poller must do, without an engine above it. */
#include "engine/poller/poller.h"

#include "base/macros.h"
#include "harness.h"
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <gearbox/error.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PAIRS 12u
#define TOKEN(i) (((uint64_t)(i) << 32) + 7)

static const struct gb__poller_ops *ops;
static struct gb__poller *poller;
static int mine[PAIRS], theirs[PAIRS];
static unsigned yields;

/* In place of the kernel's. */
int sched_yield(void)
{
	yields++;
	return 0;
}

static void begin(void)
{
	CHECK_INT(ops->create(&gb__os_linux, &poller), 0);
	for (unsigned i = 0; i < PAIRS; i++) {
		int pair[2];

		CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
		mine[i] = pair[0];
		theirs[i] = pair[1];
	}
}

static void make_readable(unsigned i)
{
	CHECK_INT(send(theirs[i], "x", 1, 0), 1);
}

/* The bits that each pair was told of by one look. */
static unsigned look(unsigned max, unsigned ret_ready[PAIRS])
{
	struct gb__poll_event events[PAIRS + 4];
	int count = ops->wait(poller, events, max, 0);

	CHECK(count >= 0 && (unsigned)count <= max);
	memset(ret_ready, 0, PAIRS * sizeof(*ret_ready));
	for (int i = 0; i < count; i++) {
		uint64_t at = events[i].token >> 32;

		CHECK(at < PAIRS && events[i].token == TOKEN(at));
		CHECK(events[i].ready != 0);
		CHECK_INT(ret_ready[at], 0); /* once */
		ret_ready[at] = events[i].ready & (GB__READY_IN | GB__READY_OUT);
	}
	return (unsigned)count;
}

static void each_is_told_once_of_all_that_is_ready(void)
{
	unsigned ready[PAIRS], count = 0;

	begin();
	for (unsigned i = 0; i < PAIRS; i++) {
		CHECK_INT(ops->add(poller, mine[i], i % 2 ? GB__READY_IN | GB__READY_OUT : GB__READY_IN,
				  TOKEN(i)),
			0);
		if (i % 3 == 0)
			make_readable(i);
	}
	for (unsigned i = 0; i < PAIRS; i++)
		count += i % 2 || i % 3 == 0;
	CHECK_INT(look(PAIRS + 4, ready), count);
	for (unsigned i = 0; i < PAIRS; i++)
		CHECK_INT(ready[i], (i % 3 ? 0 : GB__READY_IN) | (i % 2 ? GB__READY_OUT : 0));
	CHECK_INT(look(PAIRS + 4, ready), count); /* and again while it is */
	ops->destroy(poller);
}

static void everybody_has_a_turn_though_few_are_told_at_once(void)
{
	unsigned ready[PAIRS], seen = 0;

	begin();
	for (unsigned i = 0; i < PAIRS; i++) {
		CHECK_INT(ops->add(poller, mine[i], GB__READY_IN, TOKEN(i)), 0);
		make_readable(i);
	}
	for (unsigned turn = 0; turn < PAIRS / 3; turn++) {
		CHECK_INT(look(3, ready), 3);
		for (unsigned i = 0; i < PAIRS; i++)
			seen |= ready[i] ? 1u << i : 0;
	}
	CHECK_INT(seen, (1u << PAIRS) - 1);
	ops->destroy(poller);
}

static void what_is_modified_is_told_by_its_new_interest(void)
{
	unsigned ready[PAIRS];

	begin();
	for (unsigned i = 0; i < 3; i++) {
		CHECK_INT(ops->add(poller, mine[i], GB__READY_IN, TOKEN(PAIRS - 1)), 0);
		make_readable(i);
	}
	for (unsigned i = 0; i < 3; i++)
		CHECK_INT(ops->modify(poller, mine[i], i == 1 ? GB__READY_OUT : GB__READY_IN, TOKEN(i)), 0);
	CHECK_INT(look(PAIRS, ready), 3);
	CHECK_INT(ready[0], GB__READY_IN);
	CHECK_INT(ready[1], GB__READY_OUT);
	CHECK_INT(ready[2], GB__READY_IN);
	ops->destroy(poller);
}

static void what_is_removed_is_told_no_more_and_may_come_back(void)
{
	unsigned ready[PAIRS];

	begin();
	for (unsigned i = 0; i < PAIRS; i++) {
		CHECK_INT(ops->add(poller, mine[i], GB__READY_IN, TOKEN(i)), 0);
		make_readable(i);
	}
	CHECK_INT(ops->remove(poller, mine[0]), 0);
	CHECK_INT(ops->remove(poller, mine[5]), 0);
	CHECK_INT(ops->remove(poller, mine[PAIRS - 2]), 0);
	CHECK_INT(ops->remove(poller, mine[PAIRS - 1]), 0);
	CHECK_INT(look(PAIRS, ready), PAIRS - 4);
	for (unsigned i = 0; i < PAIRS; i++)
		CHECK_INT(ready[i] == 0, i == 0 || i == 5 || i >= PAIRS - 2);
	CHECK_INT(ops->add(poller, mine[5], GB__READY_IN, TOKEN(5)), 0);
	CHECK_INT(ops->add(poller, mine[PAIRS - 1], GB__READY_IN, TOKEN(PAIRS - 1)), 0);
	CHECK_INT(look(PAIRS, ready), PAIRS - 2);
	CHECK(ready[5] && ready[PAIRS - 1]);
	for (unsigned i = 1; i < PAIRS; i++)
		if (i != PAIRS - 2)
			CHECK_INT(ops->remove(poller, mine[i]), 0);
	CHECK_INT(look(PAIRS, ready), 0);
	ops->destroy(poller);
}

static void a_hang_up_is_told_to_who_asked_for_output_alone(void)
{
	struct gb__poll_event event;
	char bytes[4096] = "";

	begin();
	while (send(mine[0], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	CHECK_INT(ops->add(poller, mine[0], GB__READY_OUT, TOKEN(0)), 0);
	CHECK_INT(ops->wait(poller, &event, 1, 0), 0);
	close(theirs[0]);
	CHECK_INT(ops->wait(poller, &event, 1, 0), 1);
	CHECK(event.token == TOKEN(0) && event.ready);
	ops->destroy(poller);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void a_wait_is_not_shorter_than_was_said_and_ends_with_the_first_event(void)
{
	static const int64_t times[] = { 1, 1000000, 1000001, 25000000, 1001000000 };
	struct gb__poll_event event;

	begin();
	CHECK_INT(ops->add(poller, mine[0], GB__READY_IN, TOKEN(0)), 0);
	for (unsigned i = 0; i < gb__countof(times); i++) {
		uint64_t before = now_ns();

		CHECK_INT(ops->wait(poller, &event, 1, times[i]), 0);
		CHECK(now_ns() - before >= (uint64_t)times[i]);
	}
	make_readable(0);
	CHECK_INT(ops->wait(poller, &event, 1, -1), 1);
	CHECK_INT(ops->wait(poller, &event, 1, 3600000000000), 1);
	CHECK_INT(event.ready, GB__READY_IN);
	ops->destroy(poller);
}

#define POLLER_TEST_ON(test_name, kind) \
	TEST(test_name##_by_##kind) \
	{ \
		ops = &gb__poller_##kind; \
		test_name(); \
	}
#define POLLER_TEST(test_name) \
	POLLER_TEST_ON(test_name, select) \
	POLLER_TEST_ON(test_name, poll) POLLER_TEST_ON(test_name, epoll) POLLER_TEST_ON(test_name, busy)

POLLER_TEST(each_is_told_once_of_all_that_is_ready)
POLLER_TEST(everybody_has_a_turn_though_few_are_told_at_once)
POLLER_TEST(what_is_modified_is_told_by_its_new_interest)
POLLER_TEST(what_is_removed_is_told_no_more_and_may_come_back)
POLLER_TEST(a_hang_up_is_told_to_who_asked_for_output_alone)
POLLER_TEST_ON(a_wait_is_not_shorter_than_was_said_and_ends_with_the_first_event, select)
POLLER_TEST_ON(a_wait_is_not_shorter_than_was_said_and_ends_with_the_first_event, poll)
POLLER_TEST_ON(a_wait_is_not_shorter_than_was_said_and_ends_with_the_first_event, epoll)

TEST(nanoseconds_are_rounded_up_to_milliseconds)
{
	CHECK_INT(gb__poller_timeout_ms(-1), -1);
	CHECK_INT(gb__poller_timeout_ms(0), 0);
	CHECK_INT(gb__poller_timeout_ms(1), 1);
	CHECK_INT(gb__poller_timeout_ms(1000000), 1);
	CHECK_INT(gb__poller_timeout_ms(1000001), 2);
	CHECK_INT(gb__poller_timeout_ms((int64_t)INT32_MAX * 1000000), INT32_MAX);
	CHECK_INT(gb__poller_timeout_ms((int64_t)INT32_MAX * 1000000 + 1), INT32_MAX);
	CHECK_INT(gb__poller_timeout_ms(INT64_MAX), INT32_MAX);
}

TEST(select_refuses_a_descriptor_that_is_too_high)
{
	struct rlimit limit = { 2048, 2048 };
	int high;

	ops = &gb__poller_select;
	begin();
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	high = fcntl(mine[0], F_DUPFD, FD_SETSIZE);
	CHECK(high >= FD_SETSIZE);
	CHECK_INT(ops->add(poller, high, GB__READY_IN, TOKEN(0)), -GB_ELIMIT);
	CHECK_INT(dup2(mine[0], FD_SETSIZE - 1), FD_SETSIZE - 1);
	CHECK_INT(ops->add(poller, FD_SETSIZE - 1, GB__READY_IN, TOKEN(0)), 0);
	make_readable(0);
	CHECK_INT(ops->wait(poller, &(struct gb__poll_event){ 0 }, 1, -1), 1);
	ops->destroy(poller);
}

TEST(an_edge_is_told_once)
{
	struct gb__poll_event event;

	ops = &gb__poller_epoll;
	begin();
	CHECK(ops->caps & GB__POLLER_EDGE);
	CHECK_INT(ops->add(poller, mine[0], GB__READY_IN | GB__READY_EDGE, TOKEN(0)), 0);
	make_readable(0);
	CHECK_INT(ops->wait(poller, &event, 1, 0), 1);
	CHECK_INT(ops->wait(poller, &event, 1, 0), 0);
	make_readable(0);
	CHECK_INT(ops->wait(poller, &event, 1, 0), 1);
	ops->destroy(poller);
}

TEST(busy_polling_yields_when_nothing_comes_for_a_while)
{
	struct gb__poll_event event;

	ops = &gb__poller_busy;
	begin();
	CHECK_INT(ops->add(poller, mine[0], GB__READY_IN, TOKEN(0)), 0);
	for (unsigned i = 0; i < 1000; i++)
		CHECK_INT(ops->wait(poller, &event, 1, 0), 0); /* who has something to do does not wait */
	CHECK_INT(yields, 0);
	for (unsigned i = 0; i < 1000; i++)
		CHECK_INT(ops->wait(poller, &event, 1, -1), 0);
	CHECK(yields > 0 && yields < 100);
	yields = 0;
	make_readable(0);
	for (unsigned i = 0; i < 1000; i++)
		CHECK_INT(ops->wait(poller, &event, 1, -1), 1);
	CHECK_INT(yields, 0);
	ops->destroy(poller);
}
