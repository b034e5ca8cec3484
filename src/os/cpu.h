/** How much of the machine's processors this process may use, and where its threads run. */
#ifndef OS_CPU_H
#define OS_CPU_H

#include <gearbox/error.h>

#include <stdbool.h>
#include <stdint.h>

#define GB__CPUS_MAX 4096u
#define GB__CPUS_WORD (8u * sizeof(unsigned long)) /* CPUs in a word of a set */

/** CPUs by affinity (sched_getaffinity(2)) and cgroup quota (version 1 or 2), rounded up; at least 1. */
unsigned gb__cpus_allotted(void);
/** `cpus`, or the cgroup's quota if that is less, rounded up. `root` as for gb__cgroup_visit. */
unsigned gb__cpus_within_quota(const char *root, unsigned cpus);

/** A set of CPUs by their numbers, as sched_setaffinity(2) takes it. */
struct gb__cpus {
	unsigned long words[GB__CPUS_MAX / GB__CPUS_WORD];
};

/**
 * Where workers are to run: "none" (an empty set: where the kernel likes), "auto" (all that the calling thread may
 * use) or a list of some of these, as "0-3,6". Returns 0, or -GB_EUSAGE with what is wrong and what would be right.
 */
int gb__cpus_parse(const char *text, struct gb__cpus *ret, struct gb_error *error);
/** Those that the calling thread may use. */
void gb__cpus_get(struct gb__cpus *ret);
/** Have the calling thread use these. Returns 0 or a negative errno. */
int gb__cpus_use(const struct gb__cpus *cpus);
/** How many are in it. */
unsigned gb__cpus_count(const struct gb__cpus *cpus);
/** Have it use one of them, the n-th, counted round and round; nothing changes if there is none. Returns as above. */
int gb__cpus_use_one(const struct gb__cpus *cpus, unsigned n);

#endif
