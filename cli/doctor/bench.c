#include "doctor/bench.h"

#include "clock.h"

#include <errno.h>
#include <sched.h>
#include <sys/resource.h>

#define NS 1000000000u
#define CPUS_MAX 4096

static uint64_t timeval_ns(const struct timeval *time)
{
	return (uint64_t)time->tv_sec * NS + (uint64_t)time->tv_usec * 1000;
}

static uint64_t cpu_ns(const struct stopwatch *watch)
{
	uint64_t sum = gb__clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	struct rusage usage;

	if (watch->has_helper)
		sum += gb__clock_ns(watch->helper);
	if (watch->with_children && getrusage(RUSAGE_CHILDREN, &usage) == 0)
		sum += timeval_ns(&usage.ru_utime) + timeval_ns(&usage.ru_stime);
	return sum;
}

/* The wall clock is read innermost: reading the others is not part of it. */
void gb__stopwatch_resume(struct stopwatch *watch)
{
	watch->cpu_begin_ns = cpu_ns(watch);
	watch->wall_begin_ns = gb__clock_ns(CLOCK_MONOTONIC);
}

void gb__stopwatch_pause(struct stopwatch *watch)
{
	watch->wall_ns += gb__clock_ns(CLOCK_MONOTONIC) - watch->wall_begin_ns;
	watch->cpu_ns += cpu_ns(watch) - watch->cpu_begin_ns;
}

int gb__bench_pin(const struct bench *bench, unsigned which)
{
	cpu_set_t *set = CPU_ALLOC(CPUS_MAX);
	int code = 0;

	if (!set)
		return -ENOMEM;
	CPU_ZERO_S(CPU_ALLOC_SIZE(CPUS_MAX), set);
	CPU_SET_S(bench->cpus[which], CPU_ALLOC_SIZE(CPUS_MAX), set);
	if (sched_setaffinity(0, CPU_ALLOC_SIZE(CPUS_MAX), set) < 0)
		code = -errno;
	CPU_FREE(set);
	return code;
}
