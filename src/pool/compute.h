/**
 * A pool of threads that run jobs, in the order of net/job.h: by priority, none for ever behind others, among equals first
 * in, first out. One per process, shared by its loops.
 *
 * The queue is bounded by its users: each loop has at most `tasks_max` tasks of messages under way (net/net.h); functions lie
 * in their callers' memory.
 */
#ifndef POOL_COMPUTE_H
#define POOL_COMPUTE_H

#include <gearbox/error.h>

#include <stddef.h>
#include <stdint.h>

struct gb__compute;
struct gb__job;

struct gb__level_counters;

/** Start `threads` threads with `stack` bytes each (0: the system's default). */
int gb__compute_create(unsigned threads, size_t stack, struct gb__compute **ret, struct gb_error *error);
/** Count its jobs here, by level: GB__LEVELS of them. Before the first job. */
void gb__compute_count(struct gb__compute *compute, struct gb__level_counters *counters);
/** What a pool measures by. */
struct gb__compute_clock {
	uint64_t (*now_ms)(void);
	uint64_t (*wall_ns)(void);
	uint64_t (*cpu_ns)(void); /* of the calling thread */
};
extern const struct gb__compute_clock gb__compute_clock;

/** Have it grow and shrink from now on as sizing.h says, to `most` threads. Before the first job. Returns 0 or -ENOMEM. */
int gb__compute_adapt(struct gb__compute *compute, unsigned cpus, unsigned blocking, unsigned most,
	const struct gb__compute_clock *clock);
/** Threads that it has now. Thread: any. */
unsigned gb__compute_threads(struct gb__compute *compute);
/** No task is left. Waits for the threads. NULL is fine. */
void gb__compute_destroy(struct gb__compute *compute);
/** Have a thread run it. Thread: any. */
void gb__compute_submit(struct gb__compute *compute, struct gb__job *job);

#endif
