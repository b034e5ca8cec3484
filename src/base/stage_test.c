#include "harness.h"

#include <gearbox/observe.h>

TEST(stages_have_names)
{
	for (int stage = 0; stage < GB_STAGE_COUNT; stage++)
		CHECK(strlen(gb_stage_name((enum gb_stage)stage)) > 0);
	CHECK_STR(gb_stage_name(GB_STAGE_RUN), "run");
	CHECK(!gb_stage_name(GB_STAGE_COUNT));
	CHECK(!gb_stage_name((enum gb_stage) - 1));
}

TEST(bucket_holds_what_its_bound_says)
{
	uint64_t state = test_seed();

	for (unsigned i = 0; i < 100000; i++) {
		uint64_t ns = test_random(&state) >> (test_random(&state) % 64);
		unsigned bucket = gb_stage_bucket(ns);

		CHECK(bucket < GB_STAGE_BUCKETS);
		CHECK(bucket == GB_STAGE_BUCKETS - 1 || ns <= gb_stage_bound_ns(bucket));
		CHECK(bucket == 0 || ns > gb_stage_bound_ns(bucket - 1));
		/* A sixteenth of it at most is not known. */
		if (bucket < GB_STAGE_BUCKETS - 1)
			CHECK(gb_stage_bound_ns(bucket) - ns <= ns / 16);
	}
}

TEST(buckets_follow_one_another)
{
	for (unsigned i = 0; i + 1 < GB_STAGE_BUCKETS; i++) {
		CHECK_INT(gb_stage_bucket(gb_stage_bound_ns(i)), i);
		CHECK_INT(gb_stage_bucket(gb_stage_bound_ns(i) + 1), i + 1);
	}
}

TEST(quantile_is_the_least_that_so_many_do_not_exceed)
{
	static struct gb_stage_times times, before;

	CHECK_INT(gb_stage_quantile_ns(&times, 0.5), 0);
	for (unsigned ns = 1; ns <= 10; ns++)
		times.buckets[gb_stage_bucket(ns)]++;
	times.count = 10;
	CHECK_INT(gb_stage_quantile_ns(&times, 0), 1);
	CHECK_INT(gb_stage_quantile_ns(&times, 0.1), 1);
	CHECK_INT(gb_stage_quantile_ns(&times, 0.5), 5);
	CHECK_INT(gb_stage_quantile_ns(&times, 0.51), 6);
	CHECK_INT(gb_stage_quantile_ns(&times, 1), 10);
	before = times;
	times.buckets[gb_stage_bucket(12)]++;
	times.count++;
	gb_stage_since(&times, &before);
	CHECK_INT(times.count, 1);
	CHECK_INT(gb_stage_quantile_ns(&times, 0.5), 12);
}
