#include "load/schedule.h"

#include "harness.h"

static struct schedule bounded_by(uint64_t left, uint64_t share, uint64_t lasting_ns)
{
	struct schedule schedule = { .depth = 4, .share = share, .left = left, .lasting_ns = lasting_ns };

	gb__schedule_begin(&schedule, 1000);
	return schedule;
}

TEST(a_closed_loop_keeps_depth_requests_unanswered)
{
	struct schedule schedule = bounded_by(SCHEDULE_NO_BOUND, SCHEDULE_NO_BOUND, SCHEDULE_NO_BOUND);
	uint64_t share = schedule.share;
	struct schedule_batch batch = gb__schedule_take(&schedule, &share, 0, 1000);

	CHECK_INT(batch.count, 4);
	CHECK_INT(batch.due_ns, 1000);
	CHECK_INT(gb__schedule_take(&schedule, &share, 4, 1000).count, 0);
	batch = gb__schedule_take(&schedule, &share, 1, 2000);
	CHECK_INT(batch.count, 3);
	CHECK_INT(batch.due_ns, 2000);
	CHECK_INT(gb__schedule_take(&schedule, &share, 0, UINT64_MAX - 1).count, 4);
	CHECK(!gb__schedule_ended(&schedule, UINT64_MAX - 1));
	CHECK(share == SCHEDULE_NO_BOUND && schedule.left == SCHEDULE_NO_BOUND);
}

TEST(messages_in_all_are_handed_out_once)
{
	struct schedule schedule = bounded_by(6, SCHEDULE_NO_BOUND, SCHEDULE_NO_BOUND);
	uint64_t first = schedule.share, second = schedule.share;

	CHECK_INT(gb__schedule_take(&schedule, &first, 0, 1000).count, 4);
	CHECK_INT(gb__schedule_take(&schedule, &second, 0, 1000).count, 2);
	CHECK_INT(gb__schedule_take(&schedule, &first, 3, 1000).count, 0);
	CHECK(gb__schedule_ended(&schedule, 1000));
}

TEST(each_connection_has_its_share)
{
	struct schedule schedule = bounded_by(SCHEDULE_NO_BOUND, 5, SCHEDULE_NO_BOUND);
	uint64_t first = schedule.share, second = schedule.share;

	CHECK_INT(gb__schedule_take(&schedule, &first, 0, 1000).count, 4);
	CHECK_INT(gb__schedule_take(&schedule, &first, 0, 1000).count, 1);
	CHECK_INT(gb__schedule_take(&schedule, &first, 0, 1000).count, 0);
	CHECK(!gb__schedule_ended(&schedule, 1000));
	CHECK_INT(gb__schedule_take(&schedule, &second, 0, 1000).count, 4);
}

TEST(nothing_is_due_when_the_time_is_over_or_the_end_was_called)
{
	struct schedule schedule = bounded_by(SCHEDULE_NO_BOUND, SCHEDULE_NO_BOUND, 500);
	uint64_t share = schedule.share;

	CHECK_INT(gb__schedule_take(&schedule, &share, 0, 1499).count, 4);
	CHECK_INT(gb__schedule_take(&schedule, &share, 0, 1500).count, 0);
	CHECK(gb__schedule_ended(&schedule, 1500));
	schedule = bounded_by(SCHEDULE_NO_BOUND, SCHEDULE_NO_BOUND, SCHEDULE_NO_BOUND);
	gb__schedule_end(&schedule);
	CHECK_INT(gb__schedule_take(&schedule, &share, 0, 1000).count, 0);
	CHECK(gb__schedule_ended(&schedule, 1000));
}
