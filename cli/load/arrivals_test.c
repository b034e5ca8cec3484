#include "load/arrivals.h"

#include "harness.h"

#include <math.h>

#define SECOND UINT64_C(1000000000)

static bool near(double a, double b, double by)
{
	return fabs(a - b) <= by;
}

TEST(constant_arrivals_have_equal_distances)
{
	struct arrivals arrivals = { .from = 1000, .to = 1000, .parts = 1, .seed = 1 };

	gb__arrivals_begin(&arrivals, 5 * SECOND);
	for (uint64_t i = 0; i < 100000; i++)
		CHECK(near((double)gb__arrivals_next(&arrivals), (double)(5 * SECOND + i * 1000000), 64));
	CHECK(near(gb__arrivals_mean(&arrivals, SECOND), 1000, 0));
}

TEST(generators_share_constant_arrivals_in_turn)
{
	struct arrivals parts[3];

	for (unsigned i = 0; i < 3; i++) {
		parts[i] = (struct arrivals){ .from = 3000, .to = 3000, .part = i, .parts = 3, .seed = 1 };
		gb__arrivals_begin(&parts[i], 0);
	}
	for (uint64_t i = 0; i < 3000; i++)
		CHECK(near((double)gb__arrivals_next(&parts[i % 3]), (double)i * 1e9 / 3000, 64));
}

TEST(poisson_arrivals_keep_the_rate_and_have_exponential_distances)
{
	struct arrivals arrivals = { .from = 1000, .to = 1000, .poisson = true, .parts = 1, .seed = 12345 };
	uint64_t last = 0, beyond_mean = 0, beyond_three = 0, count = 200000;

	gb__arrivals_begin(&arrivals, 0);
	for (uint64_t i = 0; i < count; i++) {
		uint64_t next = gb__arrivals_next(&arrivals);

		CHECK(next >= last);
		beyond_mean += next - last > 1000000;
		beyond_three += next - last > 3000000;
		last = next;
	}
	CHECK(near((double)last / 1e9, 200, 2));
	CHECK(near((double)beyond_mean / (double)count, exp(-1), 0.01));
	CHECK(near((double)beyond_three / (double)count, exp(-3), 0.005));
}

TEST(a_ramp_has_the_integral_of_its_rate)
{
	for (unsigned falling = 0; falling < 2; falling++) {
		struct arrivals arrivals = { .from = falling ? 5000 : 1000,
			.to = falling ? 1000 : 5000,
			.ramp_ns = 10 * SECOND,
			.parts = 1,
			.seed = 1 };
		uint64_t within[12] = { 0 };

		gb__arrivals_begin(&arrivals, 0);
		for (uint64_t next; (next = gb__arrivals_next(&arrivals)) < 12 * SECOND;)
			within[next / SECOND]++;
		for (unsigned i = 0; i < 10; i++) /* the rate in the middle of each second */
			CHECK(near((double)within[i], falling ? 4800 - 400.0 * i : 1200 + 400.0 * i, 1));
		CHECK(near((double)within[11], arrivals.to, 1));
		CHECK(near(gb__arrivals_mean(&arrivals, 10 * SECOND), 3000, 0.001));
		CHECK(near(gb__arrivals_mean(&arrivals, 20 * SECOND), (3000 + arrivals.to) / 2, 0.001));
	}
}

/*
 * What coordinated omission hides: of 1000 requests a second, over 100 seconds, those of one second find the server
 * standing still until its end. So one in a hundred waits, evenly from nothing to a second.
 */
TEST(a_server_that_stalls_has_the_percentiles_that_arithmetic_gives)
{
	struct arrivals arrivals = { .from = 1000, .to = 1000, .parts = 1, .seed = 1 };
	uint64_t waited[1001] = { 0 }, longest = 0;

	gb__arrivals_begin(&arrivals, 0);
	for (uint64_t i = 0; i < 100000; i++) {
		uint64_t due = gb__arrivals_next(&arrivals);
		bool stalled = due >= 50 * SECOND && due < 51 * SECOND;
		uint64_t wait = stalled ? 51 * SECOND - due : 0;

		waited[wait / 1000000]++;
		longest = wait > longest ? wait : longest;
	}
	CHECK(near((double)waited[0], 99000, 2));
	CHECK(near((double)longest, 1e9, 1000));
	for (unsigned i = 1; i < 1000; i++)
		CHECK(waited[i] <= 2);
}
