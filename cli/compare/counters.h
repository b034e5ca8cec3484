/** What the kernel counts of a server from its first process on: instructions, context switches, system calls. */
#ifndef COMPARE_COUNTERS_H
#define COMPARE_COUNTERS_H

#include <sys/types.h>

enum compare_counter { COUNTER_INSTRUCTIONS, COUNTER_SWITCHES, COUNTER_SYSTEM_CALLS, COUNTERS };

struct compare_counters {
	int fds[COUNTERS]; /* -1: not counted here */
};

/** Count for a process and all that it will start. What the machine does not count, or not for us, stays uncounted. */
void gb__counters_open(pid_t pid, struct compare_counters *ret);
/** The counts by now; NAN where nothing is counted. */
void gb__counters_read(const struct compare_counters *counters, double ret[COUNTERS]);
void gb__counters_close(struct compare_counters *counters);

#endif
