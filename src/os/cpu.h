/** How much of the machine's processors this process may use. */
#ifndef OS_CPU_H
#define OS_CPU_H

/** CPUs by affinity (sched_getaffinity(2)) and cgroup quota (version 1 or 2), rounded up; at least 1. */
unsigned gb__cpus_allotted(void);

#endif
