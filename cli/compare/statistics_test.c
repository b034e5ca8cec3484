#include "compare/statistics.h"

#include "harness.h"

#include <math.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

TEST(a_median_is_the_middle_of_what_is_known)
{
	const double odd[] = { 5, NAN, 1, 3 }, even[] = { 4, 1, 2, 3 };

	CHECK(gb__compare_spread(odd, COUNT(odd)).median == 3);
	CHECK(gb__compare_spread(even, COUNT(even)).median == 2.5);
	CHECK(isnan(gb__compare_spread(odd + 1, 1).median));
	CHECK(isnan(gb__compare_spread(NULL, 0).low));
}

TEST(few_values_bound_the_median_by_the_least_and_the_greatest)
{
	const double values[] = { 3, 1, 5, 2, 4 };
	struct compare_spread spread = gb__compare_spread(values, COUNT(values));

	CHECK(spread.low == 1 && spread.high == 5);
}

TEST(of_many_values_the_outermost_bound_nothing)
{
	double values[20];

	for (int i = 0; i < 20; i++)
		values[i] = i + 1;
	/* The table of the sign test: of 20 values 5 on each side lie outside of 95 %. */
	CHECK(gb__compare_spread(values, 20).low == 6);
	CHECK(gb__compare_spread(values, 20).high == 15);
	CHECK(gb__compare_spread(values, 8).low == 1);
	CHECK(gb__compare_spread(values, 9).low == 2);
}

TEST(noise_is_what_one_thing_shows_against_itself)
{
	const double first[] = { 100, 100, 100 }, again[] = { 110, 110, 110 }, same[] = { 100, 100, 100 };

	CHECK(fabs(gb__compare_noise(first, again, 3, 3) - 1.1) < 1e-9);
	CHECK(gb__compare_noise(first, same, 3, 3) == 1.01);
	CHECK(isnan(gb__compare_noise(NULL, NULL, 0, 3)));
}

TEST(noise_grows_with_scatter_and_shrinks_with_rounds)
{
	const double calm[] = { 99, 100, 101, 100, 100, 100 }, wild[] = { 60, 100, 150, 100, 80, 130 };
	double many[24];

	for (int i = 0; i < 24; i++)
		many[i] = wild[i % 6];
	CHECK(gb__compare_noise(wild, wild, 6, 6) > gb__compare_noise(calm, calm, 6, 6));
	CHECK(gb__compare_noise(many, many, 24, 24) < gb__compare_noise(wild, wild, 6, 6));
	CHECK(gb__compare_noise(calm, calm, 6, 6) < 1.05);
}

TEST(points_of_a_sweep_have_each_their_own_median)
{
	const double first[] = { 10, 10, 1000, 1000 }, again[] = { 10, 10, 1200, 1200 };

	CHECK(fabs(gb__compare_noise(first, again, 4, 2) - 1.2) < 1e-9);
}

TEST(a_difference_is_beyond_noise_and_bounds)
{
	const struct compare_spread slow = { 100, 98, 102 }, fast = { 120, 117, 122 },
				    wide = { 120, 90, 150 };

	CHECK(gb__compare_differ(&slow, &fast, 1.1, 0));
	CHECK(gb__compare_differ(&fast, &slow, 1.1, 0));
	CHECK(!gb__compare_differ(&slow, &fast, 1.25, 0));
	CHECK(!gb__compare_differ(&slow, &wide, 1.1, 0));
	CHECK(!gb__compare_differ(&slow, &fast, 1.1, 20));
	CHECK(gb__compare_differ(&slow, &fast, NAN, 0));
}

TEST(what_is_not_known_differs_from_nothing)
{
	const struct compare_spread unknown = { NAN, NAN, NAN }, fast = { 120, 117, 122 };

	CHECK(!gb__compare_differ(&unknown, &fast, 1.1, 0));
	CHECK(!gb__compare_differ(&fast, &unknown, 1.1, 0));
}

TEST(the_knee_is_the_last_rate_at_the_usual_latency)
{
	const double offered[] = { 1000, 2000, 4000, 8000 };
	const double answered[] = { 1000, 2000, 3990, 7990 };
	const double late[] = { 100, 110, 300, 5000 }, flat[] = { 100, 100, 100, 100 };
	const double disturbed[] = { 100, 900, 120, 9000 };

	CHECK_INT(gb__compare_knee(offered, answered, late, 4), 2);
	CHECK_INT(gb__compare_knee(offered, answered, flat, 4), 3);
	CHECK_INT(gb__compare_knee(offered, answered, disturbed, 4), 2);
}

TEST(a_rate_that_is_missed_is_beyond_the_knee)
{
	const double offered[] = { 1000, 2000, 4000 }, flat[] = { 100, 100, 100 };
	const double short_of[] = { 1000, 2000, 3000 }, never[] = { 500, 500, 500 },
		     unknown[] = { NAN, NAN, NAN };

	CHECK_INT(gb__compare_knee(offered, short_of, flat, 3), 1);
	CHECK_INT(gb__compare_knee(offered, never, flat, 3), 3);
	CHECK_INT(gb__compare_knee(offered, unknown, flat, 3), 3);
}
