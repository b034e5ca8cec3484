#include "load/circumstances.h"

#include "harness.h"

#define SECOND 1000000000

/* What is found of what stood so before. Clocks may be set by others meanwhile, by less than these tests do. */
static struct facts_of_run since(const struct circumstances *before)
{
	struct facts_of_run facts = { 0 };

	gb__circumstances_compare(before, &facts);
	return facts;
}

TEST(clocks_that_go_as_they_do_are_no_circumstance)
{
	struct circumstances before;
	struct facts_of_run facts;

	gb__circumstances_note(&before);
	facts = since(&before);
	CHECK(facts.stepped_ns < SECOND && facts.slewed_ns < SECOND && facts.suspended_ns < SECOND);
}

TEST(each_clock_that_moved_is_found_whichever_way)
{
	struct circumstances before;

	for (int way = -1; way <= 1; way += 2) {
		gb__circumstances_note(&before);
		before.of_day_ns += way * INT64_C(3600) * SECOND;
		CHECK(since(&before).stepped_ns > INT64_C(3599) * SECOND);
		CHECK(since(&before).suspended_ns < SECOND);
		gb__circumstances_note(&before);
		before.raw_ns += way * INT64_C(60) * SECOND;
		CHECK(since(&before).slewed_ns > INT64_C(59) * SECOND);
		CHECK(since(&before).stepped_ns < SECOND);
		gb__circumstances_note(&before);
		before.awake_ns += way * INT64_C(60) * SECOND;
		CHECK(since(&before).suspended_ns > INT64_C(59) * SECOND);
		CHECK(since(&before).slewed_ns < SECOND);
	}
}

TEST(a_quota_that_nothing_is_known_of_has_stopped_nobody)
{
	struct circumstances before;

	gb__circumstances_note(&before);
	before.throttled_ns = -1;
	CHECK_INT(since(&before).throttled_ns, 0);
	before.throttled_ns = INT64_MAX; /* of another group: it was moved meanwhile */
	CHECK_INT(since(&before).throttled_ns, 0);
}
