/* perf_event_open(2): counts are inherited by threads and processes that begin later, and kept when those end. */
#include "compare/counters.h"

#include <fcntl.h>
#include <linux/perf_event.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

static int open_event(pid_t pid, uint32_t type, uint64_t config, int user_only)
{
	struct perf_event_attr attributes = { .size = sizeof(attributes),
		.type = type,
		.config = config,
		.inherit = 1,
		.exclude_kernel = user_only != 0,
		.exclude_hv = user_only != 0,
		.read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING };

	return (int)syscall(SYS_perf_event_open, &attributes, pid, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

/* The number of raw_syscalls:sys_enter, or -1. */
static long system_call_event(void)
{
	static const char *const paths[] = { "/sys/kernel/tracing/events/raw_syscalls/sys_enter/id",
		"/sys/kernel/debug/tracing/events/raw_syscalls/sys_enter/id" };
	long number = -1;

	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths) && number < 0; i++) {
		FILE *file = fopen(paths[i], "re");

		if (!file)
			continue;
		if (fscanf(file, "%ld", &number) != 1)
			number = -1;
		fclose(file);
	}
	return number;
}

void gb__counters_open(pid_t pid, struct compare_counters *ret)
{
	long calls = system_call_event();

	ret->fds[COUNTER_INSTRUCTIONS] = open_event(pid, PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS, 0);
	if (ret->fds[COUNTER_INSTRUCTIONS] < 0) /* those in user space are anybody's */
		ret->fds[COUNTER_INSTRUCTIONS] =
			open_event(pid, PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS, 1);
	ret->fds[COUNTER_SWITCHES] = open_event(pid, PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CONTEXT_SWITCHES, 0);
	ret->fds[COUNTER_SYSTEM_CALLS] =
		calls >= 0 ? open_event(pid, PERF_TYPE_TRACEPOINT, (uint64_t)calls, 0) : -1;
}

void gb__counters_read(const struct compare_counters *counters, double ret[COUNTERS])
{
	for (int i = 0; i < COUNTERS; i++) {
		struct {
			uint64_t value, enabled_ns, running_ns;
		} count;

		ret[i] = NAN;
		if (counters->fds[i] < 0 || read(counters->fds[i], &count, sizeof(count)) != sizeof(count))
			continue;
		if (count.running_ns == 0 && count.value == 0 && count.enabled_ns > 0)
			continue; /* others have the counter */
		ret[i] = (double)count.value;
		if (count.running_ns > 0 && count.running_ns < count.enabled_ns)
			ret[i] *= (double)count.enabled_ns / (double)count.running_ns;
	}
}

void gb__counters_close(struct compare_counters *counters)
{
	for (int i = 0; i < COUNTERS; i++) {
		if (counters->fds[i] >= 0)
			close(counters->fds[i]);
		counters->fds[i] = -1;
	}
}
