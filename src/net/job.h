/**
 * What a thread of the compute pool runs: a message's task (task.h), or a function (gb_offload_begin).
 *
 * Jobs wait in levels, one a priority, each first in, first out. The highest that has any is next, unless a lower one was
 * passed over as often as its patience says: counted in jobs taken, so that the order depends on nothing but the order of
 * calls, and none waits for ever.
 */
#ifndef NET_JOB_H
#define NET_JOB_H

#include <gearbox/operation.h>

#include <stdint.h>

enum { GB__LEVELS = 3 }; /* high, normal, low */

struct gb__job {
	struct gb__job *next; /* in a queue */
	void (*run)(struct gb__job *job);
	uint64_t since_ns; /* the pool's: when it began to wait for a thread */
	uint8_t level;     /* gb__level_of a priority; 0 is the highest */
};

/** Jobs that wait. Zeroed it is empty. */
struct gb__jobs {
	struct {
		struct gb__job *first, *last;
		unsigned count;
		unsigned passed; /* jobs taken of higher levels while some waited in this one */
	} levels[GB__LEVELS];
	unsigned count; /* of all */
};

static inline uint8_t gb__level_of(enum gb_priority priority)
{
	return (uint8_t)(GB_PRIORITY_HIGH - priority);
}

/** Whether it is one. */
static inline bool gb__priority_known(enum gb_priority priority)
{
	return (int)priority >= GB_PRIORITY_LOW && (int)priority <= GB_PRIORITY_HIGH;
}

/** Behind those of its level. */
void gb__jobs_put(struct gb__jobs *jobs, struct gb__job *job);
/** Before those of its level: it was taken, and comes back. */
void gb__jobs_put_back(struct gb__jobs *jobs, struct gb__job *job);
/** The next one, taken out; NULL: none waits. */
struct gb__job *gb__jobs_take(struct gb__jobs *jobs);

#endif
