/* The size of a pool as a function of what was measured, at times that the test makes up. */
#include "pool/sizing.h"

#include "harness.h"
#include "os/cpu.h"

#include <gearbox/model.h>

#include <math.h>

#define MS 1000000u

TEST(the_rule_is_cpus_by_compute_share_and_fixed_below_a_fifth)
{
	CHECK_INT(gb_pool_size_for(4, 1.0), 4);
	CHECK_INT(gb_pool_size_for(4, 0.5), 8);
	CHECK_INT(gb_pool_size_for(4, 0.8), 5);
	CHECK_INT(gb_pool_size_for(3, 0.7), 4); /* 4.3 */
	CHECK_INT(gb_pool_size_for(4, 0.2), 20);
	CHECK_INT(gb_pool_size_for(4, 0.19), 20);
	CHECK_INT(gb_pool_size_for(4, 0.001), 20);
	CHECK_INT(gb_pool_size_for(4, 0.0), 20);
	CHECK_INT(gb_pool_size_for(1, -1.0), 5);
	CHECK_INT(gb_pool_size_for(1, 7.0), 1);
	CHECK_INT(gb_pool_size_for(1, (double)NAN), 5);
	CHECK_INT(gb_pool_size_for(4000, 0.1), GB__SIZING_MAX);
	CHECK_INT(gb_pool_size_for(0, 1.0), gb__cpus_allotted());
}

TEST(nothing_is_done_before_anything_is_measured)
{
	struct gb__sizing sizing;

	gb__sizing_init(&sizing, 4, 0, 4);
	for (uint64_t now_ms = 1000; now_ms < 100000; now_ms += 100)
		CHECK_INT(gb__sizing_step(&sizing, now_ms, 1000, 0), 0);
	CHECK_INT(gb__sizing_target(&sizing), 4);
}

/* Steps with so many jobs that wait; returns the threads in the end. */
static unsigned steps(struct gb__sizing *sizing, uint64_t *now_ms, unsigned count, double share,
	unsigned waiting, unsigned idle)
{
	while (count-- > 0) {
		int change;

		if (share >= 0)
			gb__sizing_add(sizing, (uint64_t)(share * 50 * MS), 50 * MS);
		change = gb__sizing_step(sizing, *now_ms += GB__SIZING_STEP_MS, waiting, idle);
		CHECK(change >= -(int)sizing->threads + 1);
		sizing->threads = (unsigned)((int)sizing->threads + change);
	}
	return sizing->threads;
}

TEST(it_grows_to_half_more_than_the_rule_while_jobs_wait)
{
	struct gb__sizing sizing;
	uint64_t now_ms = 1000;

	gb__sizing_init(&sizing, 4, 0, 4);
	CHECK_INT(steps(&sizing, &now_ms, 1, 0.5, 10, 0), 5);
	CHECK_INT(steps(&sizing, &now_ms, 1, 0.5, 0, 0), 5);  /* nobody waits */
	CHECK_INT(steps(&sizing, &now_ms, 1, 0.5, 10, 1), 5); /* somebody is free */
	CHECK_INT(steps(&sizing, &now_ms, 100, 0.5, 10, 0), 12);
	CHECK_INT(steps(&sizing, &now_ms, 100, 0.01, 10, 0), 30);
	gb__sizing_init(&sizing, 4, 64, 64); /* a service that may block has more */
	CHECK_INT(steps(&sizing, &now_ms, 100, 0.01, 10, 0), 96);
}

TEST(it_shrinks_once_threads_were_idle_without_a_break_for_long)
{
	const unsigned long_enough = GB__SIZING_SURPLUS_MS / GB__SIZING_STEP_MS;
	struct gb__sizing sizing;
	uint64_t now_ms = 1000;

	gb__sizing_init(&sizing, 4, 0, 30);
	CHECK_INT(steps(&sizing, &now_ms, long_enough, 0.1, 0, 3), 30);
	CHECK_INT(steps(&sizing, &now_ms, 1, 0.1, 0, 0), 30); /* a break */
	CHECK_INT(steps(&sizing, &now_ms, long_enough, 0.1, 0, 3), 30);
	CHECK_INT(steps(&sizing, &now_ms, 1, 0.1, 0, 3), 27);
	CHECK_INT(steps(&sizing, &now_ms, 20 * long_enough, -1, 0, 3), 10); /* half of the rule's 20 */
	CHECK_INT(steps(&sizing, &now_ms, 20 * long_enough, -1, 0, 10), 10);
}

TEST(it_shrinks_to_half_more_than_the_rule_when_handlers_turn_out_to_compute)
{
	const unsigned long_enough = GB__SIZING_SURPLUS_MS / GB__SIZING_STEP_MS;
	struct gb__sizing sizing;
	uint64_t now_ms = 1000;

	gb__sizing_init(&sizing, 4, 0, 30);
	CHECK_INT(steps(&sizing, &now_ms, 10, 1.0, 10, 0), 30); /* not at once */
	CHECK_INT(steps(&sizing, &now_ms, 3 * long_enough, 1.0, 10, 0), 6);
	CHECK_INT(steps(&sizing, &now_ms, 3 * long_enough, 1.0, 10, 0), 6);
}

TEST(a_load_at_the_edge_does_not_make_it_swing)
{
	struct gb__sizing sizing;
	uint64_t now_ms = 1000;
	unsigned before;

	gb__sizing_init(&sizing, 4, 0, 4);
	before = steps(&sizing, &now_ms, 200, 0.5, 10, 0);
	for (unsigned i = 0; i < 500; i++) {
		CHECK_INT(steps(&sizing, &now_ms, 1, 0.5, 10, 0), before);
		CHECK_INT(steps(&sizing, &now_ms, 1, 0.5, 0, 2), before);
	}
}
