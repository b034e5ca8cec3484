/**
 * A hierarchical timing wheel for deadlines that nearly never expire: idle, read and write timeouts.
 *
 * Source of the idea: Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (SOSP 1987). Adding
 * and removing are O(1). A node may expire up to one tick late, never early. Who uses it moves a
 * deadline lazily: a node that expires too early for its owner is simply added again.
 */
#ifndef LOOP_WHEEL_H
#define LOOP_WHEEL_H

#include "base/list.h"
#include "base/macros.h"

#include <stdint.h>

#define GB__WHEEL_TICK_MS 16u
#define GB__WHEEL_LEVELS 3u
#define GB__WHEEL_SLOTS \
	64u /* 16 ms, 1 s, 65 s a slot; 70 minutes in all, which a worker of one connection pays for */

struct gb__wheel_node {
	struct gb__list link; /* an empty list: not on the wheel */
	uint32_t due;         /* tick, cut to 32 bits */
};

struct gb__wheel {
	uint64_t now;                    /* ticks that have passed */
	size_t count;                    /* nodes */
	uint64_t full[GB__WHEEL_LEVELS]; /* a bit per slot that may hold nodes; others are not initialized */
	uint64_t next; /* the tick at which a slot comes up, UINT64_MAX: none; 0: to be looked for */
	struct gb__list slots[GB__WHEEL_LEVELS][GB__WHEEL_SLOTS];
};

void gb__wheel_init(struct gb__wheel *wheel, uint64_t now_ms);
/** Expire at `due_ms` or up to a tick later; beyond the horizon means at the horizon. Not on the wheel yet. */
void gb__wheel_add(struct gb__wheel *wheel, struct gb__wheel_node *node, uint64_t due_ms);
/** A node that is not on the wheel is fine. */
void gb__wheel_remove(struct gb__wheel *wheel, struct gb__wheel_node *node);
/** Hand each node that is due to `expire`, off the wheel; it may add and remove any node. */
void gb__wheel_run(struct gb__wheel *wheel, uint64_t now_ms,
	void (*expire)(struct gb__wheel_node *node, void *arg), void *arg);
/** Look for wheel->next, which is not known; UINT64_MAX without nodes. */
void gb__wheel_look(struct gb__wheel *wheel);
/** When gb__wheel_run next has something to do (an expiry or an inner step), or UINT64_MAX. */
static inline uint64_t gb__wheel_next_ms(struct gb__wheel *wheel)
{
	if (!wheel->next)
		gb__wheel_look(wheel);
	return wheel->next == UINT64_MAX ? UINT64_MAX : wheel->next * GB__WHEEL_TICK_MS;
}
static inline void gb__wheel_node_init(struct gb__wheel_node *node)
{
	gb__list_init(&node->link);
}

static inline bool gb__wheel_pending(const struct gb__wheel_node *node)
{
	return !gb__list_empty(&node->link);
}

#endif
