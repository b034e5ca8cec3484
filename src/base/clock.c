#include <gearbox/clock.h>

#include <time.h>

#define NS_PER_S 1000000000

static struct gb_clock used;

int64_t gb_clock_wall_ns(void)
{
	struct timespec now;

	if (used.wall_ns)
		return used.wall_ns(used.arg);
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

uint64_t gb_clock_monotonic_ns(void)
{
	struct timespec now;

	if (used.monotonic_ns)
		return used.monotonic_ns(used.arg);
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

void gb_clock_set(const struct gb_clock *clock)
{
	used = clock ? *clock : (struct gb_clock){ 0 };
}
