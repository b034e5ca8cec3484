#include "os/cpu.h"

#include "base/assert.h"
#include "os/cgroup.h"

#include <sched.h>
#include <stdio.h>

#define CPUS_MAX 4096

static int read_numbers(const char *folder, const char *name, long long *ret_first, long long *ret_second)
{
	char path[2048];
	FILE *file;
	int count;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "re");
	if (!file)
		return 0;
	count = fscanf(file, "%lld %lld", ret_first, ret_second);
	fclose(file);
	return count;
}

/* Lowers the number to the quota of one group, in CPUs rounded up. */
static void tighten(const char *folder, void *arg)
{
	unsigned *least = arg;
	long long quota = -1, period = 0, none;

	/* Version 2 has both in one file, or the word "max"; version 1 says -1 for no quota. */
	if (read_numbers(folder, "cpu.max", &quota, &period) != 2 &&
		(read_numbers(folder, "cpu.cfs_quota_us", &quota, &none) < 1 ||
			read_numbers(folder, "cpu.cfs_period_us", &period, &none) < 1))
		return;
	if (quota > 0 && period > 0 && (quota + period - 1) / period < *least)
		*least = (unsigned)((quota + period - 1) / period);
}

unsigned gb__cpus_allotted(void)
{
	cpu_set_t *set = CPU_ALLOC(CPUS_MAX);
	unsigned cpus = 1;

	if (set && sched_getaffinity(0, CPU_ALLOC_SIZE(CPUS_MAX), set) == 0)
		cpus = (unsigned)CPU_COUNT_S(CPU_ALLOC_SIZE(CPUS_MAX), set);
	CPU_FREE(set);
	cpus = gb__max(cpus, 1u);
	gb__cgroup_visit("", "cpu", tighten, &cpus);
	return cpus;
}
