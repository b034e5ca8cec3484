#include "clock.h"

#define NS_PER_S 1000000000u

uint64_t gb__clock_ns(clockid_t clock)
{
	struct timespec now = { 0 };

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t gb__clock_ms(void)
{
	return gb__clock_ns(CLOCK_MONOTONIC) / 1000000;
}

void gb__clock_pause(uint64_t ns)
{
	const struct timespec time = { (time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S) };

	nanosleep(&time, NULL);
}
