#include "os/cpu.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#define CPUS_MAX 4096

/* The quota of this process' own cgroup and of those above it, in CPUs rounded up; `least` if none is lower. */
static unsigned cgroup_quota(unsigned least)
{
	char group[512] = "", path[640], *end;
	FILE *file = fopen("/proc/self/cgroup", "re");

	if (!file)
		return least;
	while (fgets(group, sizeof(group), file) && strncmp(group, "0::", 3) != 0)
		group[0] = '\0';
	fclose(file);
	group[strcspn(group, "\n")] = '\0';
	if (strncmp(group, "0::/", 4) != 0)
		return least;
	for (;;) {
		unsigned long quota, period;

		snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cpu.max", group + 3);
		file = fopen(path, "re");
		if (file) {
			if (fscanf(file, "%lu %lu", &quota, &period) == 2 && period > 0) {
				unsigned cpus = (unsigned)((quota + period - 1) / period);

				if (cpus > 0 && cpus < least)
					least = cpus;
			}
			fclose(file);
		}
		end = strrchr(group + 3, '/');
		if (!end || end == group + 3)
			return least;
		*end = '\0';
	}
}

unsigned gb__cpus_allotted(void)
{
	cpu_set_t *set = CPU_ALLOC(CPUS_MAX);
	unsigned cpus = 1;

	if (set && sched_getaffinity(0, CPU_ALLOC_SIZE(CPUS_MAX), set) == 0)
		cpus = (unsigned)CPU_COUNT_S(CPU_ALLOC_SIZE(CPUS_MAX), set);
	CPU_FREE(set);
	return cgroup_quota(cpus > 0 ? cpus : 1);
}
