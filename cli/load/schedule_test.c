#include "load/schedule.h"

#include "harness.h"

static struct schedule bounded_by(uint64_t left, uint64_t share, uint64_t lasting_ns)
{
	struct schedule schedule = { .depth = 4, .share = share, .left = left };

	gb__schedule_begin(&schedule, 1000);
	gb__schedule_last(&schedule, 1000, lasting_ns);
	return schedule;
}

TEST(a_closed_loop_keeps_depth_requests_unanswered)
{
	struct schedule schedule = bounded_by(SCHEDULE_NO_BOUND, SCHEDULE_NO_BOUND, SCHEDULE_NO_BOUND);
	uint64_t share = schedule.share;
	struct schedule_batch batch = gb__schedule_take(&schedule, &share, 4, 1000);

	CHECK_INT(batch.count, 4);
	CHECK_INT(batch.due_ns, 1000);
	CHECK_INT(gb__schedule_take(&schedule, &share, 0, 1000).count, 0);
	batch = gb__schedule_take(&schedule, &share, 3, 2000);
	CHECK_INT(batch.count, 3);
	CHECK_INT(batch.due_ns, 2000);
	CHECK_INT(gb__schedule_take(&schedule, &share, 4, UINT64_MAX - 1).count, 4);
	CHECK(!gb__schedule_ended(&schedule, UINT64_MAX - 1));
	CHECK(share == SCHEDULE_NO_BOUND && schedule.left == SCHEDULE_NO_BOUND);
}

TEST(messages_in_all_are_handed_out_once)
{
	struct schedule schedule = bounded_by(6, SCHEDULE_NO_BOUND, SCHEDULE_NO_BOUND);
	uint64_t first = schedule.share, second = schedule.share;

	CHECK_INT(gb__schedule_take(&schedule, &first, 4, 1000).count, 4);
	CHECK_INT(gb__schedule_take(&schedule, &second, 4, 1000).count, 2);
	CHECK_INT(gb__schedule_take(&schedule, &first, 1, 1000).count, 0);
	CHECK(gb__schedule_ended(&schedule, 1000));
}

TEST(each_connection_has_its_share)
{
	struct schedule schedule = bounded_by(SCHEDULE_NO_BOUND, 5, SCHEDULE_NO_BOUND);
	uint64_t first = schedule.share, second = schedule.share;

	CHECK_INT(gb__schedule_take(&schedule, &first, 4, 1000).count, 4);
	CHECK_INT(gb__schedule_take(&schedule, &first, 4, 1000).count, 1);
	CHECK_INT(gb__schedule_take(&schedule, &first, 4, 1000).count, 0);
	CHECK(!gb__schedule_ended(&schedule, 1000));
	CHECK_INT(gb__schedule_take(&schedule, &second, 4, 1000).count, 4);
}

TEST(nothing_is_due_when_the_time_is_over_or_the_end_was_called)
{
	struct schedule schedule = bounded_by(SCHEDULE_NO_BOUND, SCHEDULE_NO_BOUND, 500);
	uint64_t share = schedule.share;

	CHECK_INT(gb__schedule_take(&schedule, &share, 4, 1499).count, 4);
	CHECK_INT(gb__schedule_take(&schedule, &share, 4, 1500).count, 0);
	CHECK(gb__schedule_ended(&schedule, 1500));
	schedule = bounded_by(SCHEDULE_NO_BOUND, SCHEDULE_NO_BOUND, SCHEDULE_NO_BOUND);
	gb__schedule_end(&schedule);
	CHECK_INT(gb__schedule_take(&schedule, &share, 4, 1000).count, 0);
	CHECK(gb__schedule_ended(&schedule, 1000));
}

/* A thousand a second, from 1 ms on. */
static struct schedule open_loop(uint64_t lasting_ns)
{
	struct schedule schedule = { .depth = 4,
		.share = SCHEDULE_NO_BOUND,
		.left = SCHEDULE_NO_BOUND,
		.open = true,
		.arrivals = { .from = 1000, .to = 1000, .parts = 1, .seed = 1 } };

	gb__schedule_begin(&schedule, 1000000);
	gb__schedule_last(&schedule, 1000000, lasting_ns);
	return schedule;
}

TEST(an_open_loop_hands_out_what_is_due_one_by_one_however_late)
{
	struct schedule schedule = open_loop(SCHEDULE_NO_BOUND);
	uint64_t share = schedule.share;
	struct schedule_batch batch = gb__schedule_take(&schedule, &share, 4, 1000000);

	CHECK_INT(batch.count, 1);
	CHECK_INT(batch.due_ns, 1000000);
	CHECK_INT(gb__schedule_take(&schedule, &share, 4, 1999000).count, 0);
	CHECK_INT(schedule.next_ns, 2000000);
	CHECK_INT(gb__schedule_take(&schedule, &share, 0, 9000000).count, 0);
	for (uint64_t due = 2000000; due <= 9000000; due += 1000000) {
		batch = gb__schedule_take(&schedule, &share, 1, 9000000);
		CHECK_INT(batch.count, 1);
		CHECK(batch.due_ns >= due - 64 && batch.due_ns <= due + 64);
	}
	CHECK_INT(gb__schedule_take(&schedule, &share, 1, 9000000).count, 0);
}

TEST(what_was_due_before_the_end_is_handed_out_after_it_or_given_up)
{
	struct schedule schedule = open_loop(3500000);
	uint64_t share = schedule.share, due;

	CHECK_INT(gb__schedule_take(&schedule, &share, 4, 1000000).count, 1);
	CHECK(!gb__schedule_ended(&schedule, 90000000));
	CHECK_INT(gb__schedule_take(&schedule, &share, 4, 90000000).count, 1);
	CHECK(gb__schedule_skip(&schedule, 90000000, &due));
	CHECK(due >= 2999900 && due <= 3000100);
	CHECK(!gb__schedule_skip(&schedule, 3500000, &due));
	CHECK(gb__schedule_skip(&schedule, 90000000, &due));
	CHECK(!gb__schedule_skip(&schedule, 90000000, &due));
	CHECK(gb__schedule_ended(&schedule, 90000000));
	CHECK_INT(gb__schedule_take(&schedule, &share, 4, 90000000).count, 0);
}

TEST(an_open_loop_of_so_many_messages_ends_with_them)
{
	struct schedule schedule = open_loop(SCHEDULE_NO_BOUND);
	uint64_t share = 1;

	schedule.left = 2;
	CHECK_INT(gb__schedule_take(&schedule, &share, 4, 9000000).count, 1);
	CHECK_INT(gb__schedule_take(&schedule, &share, 4, 9000000).count, 0); /* its share is used up */
	share = 1;
	CHECK_INT(gb__schedule_take(&schedule, &share, 4, 9000000).count, 1);
	CHECK(gb__schedule_ended(&schedule, 9000000));
}
