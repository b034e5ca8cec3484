/**
 * What is counted of the jobs of a pool, by level: how many, how many wait, and how long they do. All with the pool's lock,
 * by one process; any thread, and others, may read.
 */
#ifndef POOL_LEVEL_H
#define POOL_LEVEL_H

#include "net/job.h"
#include "os/os.h"

struct gb__level_counters {
	uint64_t taken;       /* jobs that left the queue */
	uint64_t waiting;     /* in it now */
	uint64_t waiting_max; /* at once */
	uint64_t wait_ns;     /* of those taken, in all */
	uint64_t wait_max_ns; /* of one */
};

static inline void gb__level_set(uint64_t *counter, uint64_t value)
{
	__atomic_store_n(counter, value, __ATOMIC_RELAXED);
}

/** A pool begins with these, GB__LEVELS of them. Whoever had them before may have been killed amid its work. */
static inline void gb__levels_begin(struct gb__level_counters *counters)
{
	for (unsigned level = 0; level < GB__LEVELS; level++)
		gb__level_set(&counters[level].waiting, 0);
}

/** It begins to wait. Without the lock. */
static inline void gb__level_begin(struct gb__job *job)
{
	job->since_ns = gb__os_linux.ops->now_ns(&gb__os_linux);
}

/** It was put in. */
static inline void gb__level_put(
	struct gb__level_counters *counters, const struct gb__jobs *jobs, const struct gb__job *job)
{
	struct gb__level_counters *mine = &counters[job->level];
	const unsigned waiting = jobs->levels[job->level].count;

	gb__level_set(&mine->waiting, waiting);
	if (waiting > mine->waiting_max)
		gb__level_set(&mine->waiting_max, waiting);
}

/** It was taken out. */
static inline void gb__level_taken(
	struct gb__level_counters *counters, const struct gb__jobs *jobs, const struct gb__job *job)
{
	struct gb__level_counters *mine = &counters[job->level];
	const uint64_t now_ns = gb__os_linux.ops->now_ns(&gb__os_linux);
	const uint64_t wait_ns = now_ns > job->since_ns ? now_ns - job->since_ns : 0;

	gb__level_set(&mine->waiting, jobs->levels[job->level].count);
	gb__level_set(&mine->taken, mine->taken + 1);
	gb__level_set(&mine->wait_ns, mine->wait_ns + wait_ns);
	if (wait_ns > mine->wait_max_ns)
		gb__level_set(&mine->wait_max_ns, wait_ns);
}

#endif
