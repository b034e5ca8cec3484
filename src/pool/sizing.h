/**
 * How many threads a pool has: the rule, and when to follow it. Functions of what they are told: no clock, no threads.
 *
 * T = C / P for C CPUs and the share P of their time for which jobs compute, the rest being waits; for P below 0.2, where
 * that grows without bound, a fixed number. Measured numbers being what they are, T is good to 50 %: within that the pool
 * has what the load asks for. Goetz et al., Java Concurrency in Practice (2006), 8.2: threads = CPUs * utilization *
 * (1 + wait / compute), which is C / P; POSA volume 2 (Schmidt, Stal, Rohnert, Buschmann; 2000) on pools of threads.
 */
#ifndef POOL_SIZING_H
#define POOL_SIZING_H

#include <stdbool.h>
#include <stdint.h>

#define GB__SIZING_STEP_MS 100u     /* between two looks */
#define GB__SIZING_SURPLUS_MS 5000u /* so long threads were too many before any ends */
#define GB__SIZING_MAX 4096u

struct gb__sizing {
	unsigned cpus;
	unsigned blocking;      /* threads for a share below 0.2; 0: five for each CPU */
	unsigned threads;       /* that there are */
	double cpu_ns, wall_ns; /* of jobs, the older the less they count */
	uint64_t stepped_ms;    /* when it was looked at last */
	uint64_t surplus_ms;    /* too many since then; 0: they are not */
};

/** Begin with so many threads, whatever the rule says: P is not known yet. */
void gb__sizing_init(struct gb__sizing *sizing, unsigned cpus, unsigned blocking, unsigned threads);
/** A job took so much CPU time and time. */
void gb__sizing_add(struct gb__sizing *sizing, uint64_t cpu_ns, uint64_t wall_ns);
/** T, and its bounds: half and half again. */
unsigned gb__sizing_target(const struct gb__sizing *sizing);
unsigned gb__sizing_least(const struct gb__sizing *sizing);
unsigned gb__sizing_most(const struct gb__sizing *sizing);
/** Whether it is time to look. */
static inline bool gb__sizing_due(const struct gb__sizing *sizing, uint64_t now_ms)
{
	return now_ms - sizing->stepped_ms >= GB__SIZING_STEP_MS;
}
/**
 * Look: `waiting` jobs have no thread, and since the last look at least `idle` threads had no job. Returns how many
 * threads to start, or, negative, to end; `threads` is the caller's to change as that succeeds.
 */
int gb__sizing_step(struct gb__sizing *sizing, uint64_t now_ms, unsigned waiting, unsigned idle);

#endif
