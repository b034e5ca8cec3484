#include <gearbox/clock.h>

#include "harness.h"

#include <time.h>

static int64_t wall(void *arg)
{
	return *(int64_t *)arg;
}

static uint64_t monotonic(void *arg)
{
	return (uint64_t) * (int64_t *)arg + 1;
}

TEST(clock_is_the_kernels_at_first)
{
	const int64_t before = time(NULL);
	const uint64_t then = gb_clock_monotonic_ns();

	CHECK(gb_clock_wall_ns() / 1000000000 >= before);
	CHECK(then > 0 && gb_clock_monotonic_ns() >= then);
}

TEST(clock_of_the_program_is_told_until_it_is_taken_back)
{
	int64_t now = 42;

	gb_clock_set(&(struct gb_clock){ wall, monotonic, &now });
	CHECK_INT(gb_clock_wall_ns(), 42);
	CHECK_INT(gb_clock_monotonic_ns(), 43);
	now = 50;
	CHECK_INT(gb_clock_wall_ns(), 50);
	gb_clock_set(&(struct gb_clock){ .monotonic_ns = monotonic, .arg = &now });
	CHECK(gb_clock_wall_ns() > 1000000000);
	CHECK_INT(gb_clock_monotonic_ns(), 51);
	gb_clock_set(NULL);
	CHECK(gb_clock_monotonic_ns() != 51);
}
