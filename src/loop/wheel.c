#include "loop/wheel.h"

#include "base/assert.h"
#include "base/macros.h"

#include <string.h>

#define BITS 6u
#define MASK (GB__WHEEL_SLOTS - 1)
#define HORIZON ((1ull << (BITS * GB__WHEEL_LEVELS)) - 1)

static_assert(1u << BITS == GB__WHEEL_SLOTS, "a level is BITS of the tick");

void gb__wheel_init(struct gb__wheel *wheel, uint64_t now_ms)
{
	wheel->now = now_ms / GB__WHEEL_TICK_MS;
	wheel->count = 0;
	wheel->next = 0;
	memset(wheel->full, 0, sizeof(wheel->full)); /* a slot is not touched before something is put there */
}

/* When the slot of a node comes up: its tick without the digits of inner levels. */
static inline uint64_t slot_tick(uint64_t due, unsigned level)
{
	return due >> (BITS * level) << (BITS * level);
}

/* The level is the one in which the tick first differs from now; the slot is the tick's digit there. */
static void place(struct gb__wheel *wheel, struct gb__wheel_node *node, uint64_t due)
{
	uint64_t differs = due ^ wheel->now;
	struct gb__list *list;
	unsigned level = 0, slot;

	while (level + 1 < GB__WHEEL_LEVELS && differs >> (BITS * (level + 1)))
		level++;
	slot = (unsigned)(due >> (BITS * level)) & MASK;
	list = &wheel->slots[level][slot];
	if (!(wheel->full[level] & 1ull << slot))
		gb__list_init(list);
	gb__list_append(list, &node->link);
	wheel->full[level] |= 1ull << slot;
	if (slot_tick(due, level) < wheel->next)
		wheel->next = slot_tick(due, level);
}

/* The node keeps 32 bits of its tick; all nodes lie within the horizon, so the rest follows from now. */
static uint64_t node_due(const struct gb__wheel *wheel, const struct gb__wheel_node *node)
{
	return wheel->now + (int32_t)(node->due - (uint32_t)wheel->now);
}

void gb__wheel_add(struct gb__wheel *wheel, struct gb__wheel_node *node, uint64_t due_ms)
{
	uint64_t due = due_ms / GB__WHEEL_TICK_MS + (due_ms % GB__WHEEL_TICK_MS != 0);

	gb__assert(!gb__wheel_pending(node));
	due = gb__max(due, wheel->now + 1);
	due = gb__min(due, wheel->now + HORIZON / 2);
	node->due = (uint32_t)due;
	wheel->count++;
	place(wheel, node, due);
}

void gb__wheel_remove(struct gb__wheel *wheel, struct gb__wheel_node *node)
{
	struct gb__list *first = &wheel->slots[0][0], *neighbour = node->link.next;
	const bool last = neighbour == node->link.prev;

	if (!gb__wheel_pending(node))
		return;
	gb__list_remove(&node->link);
	wheel->count--;
	/* The slot of the last one is empty: nobody needs to wake up for it. A slot that is being run is not here. */
	if (last && neighbour >= first && neighbour < first + GB__WHEEL_LEVELS * GB__WHEEL_SLOTS) {
		size_t at = (size_t)(neighbour - first);

		wheel->full[at / GB__WHEEL_SLOTS] &= ~(1ull << at % GB__WHEEL_SLOTS);
		if (slot_tick(node_due(wheel, node), (unsigned)(at / GB__WHEEL_SLOTS)) == wheel->next)
			wheel->next = 0;
	}
}

/* The next tick at which a slot comes up, at most `limit`. */
static uint64_t next_tick(const struct gb__wheel *wheel, uint64_t limit)
{
	uint64_t next = limit;

	for (unsigned level = 0; level < GB__WHEEL_LEVELS; level++) {
		unsigned here = (unsigned)(wheel->now >> (BITS * level)) & MASK;
		uint64_t base = wheel->now >> (BITS * level) << (BITS * level);
		uint64_t full = wheel->full[level];
		unsigned ahead;

		if (!full)
			continue;
		/* Rotate so that bit 0 is the slot after this one; a slot at or before it belongs to the next round. */
		full = full >> ((here + 1) & MASK) |
			(here == MASK ? 0 : full << (GB__WHEEL_SLOTS - here - 1));
		ahead = (unsigned)__builtin_ctzll(full) + 1;
		next = gb__min(next, base + ((uint64_t)ahead << (BITS * level)));
	}
	return next;
}

static void slot_take(struct gb__wheel *wheel, unsigned level, struct gb__list *ret)
{
	unsigned slot = (unsigned)(wheel->now >> (BITS * level)) & MASK;
	struct gb__list *list = &wheel->slots[level][slot];

	gb__list_init(ret);
	if (!(wheel->full[level] & 1ull << slot))
		return;
	wheel->full[level] &= ~(1ull << slot);
	if (gb__list_empty(list))
		return;
	*ret = *list;
	ret->next->prev = ret->prev->next = ret;
	gb__list_init(list);
}

static struct gb__wheel_node *list_pop(struct gb__list *list)
{
	struct gb__wheel_node *node;

	if (gb__list_empty(list))
		return NULL;
	node = gb__container_of(list->next, struct gb__wheel_node, link);
	gb__list_remove(&node->link);
	return node;
}

void gb__wheel_run(struct gb__wheel *wheel, uint64_t now_ms,
	void (*expire)(struct gb__wheel_node *node, void *arg), void *arg)
{
	uint64_t until = now_ms / GB__WHEEL_TICK_MS;

	if (until <= wheel->now)
		return;
	if (until < wheel->next) { /* nothing comes up before it */
		wheel->now = until;
		return;
	}
	wheel->next = 0;
	while (wheel->now < until) {
		struct gb__wheel_node *node;
		struct gb__list due;

		wheel->now = next_tick(wheel, until);
		/* Outer levels first: what they hold for this tick falls into the inner ones. */
		for (unsigned level = GB__WHEEL_LEVELS - 1; level > 0; level--) {
			if (wheel->now & ((1ull << (BITS * level)) - 1))
				continue;
			slot_take(wheel, level, &due);
			while ((node = list_pop(&due)))
				place(wheel, node, node_due(wheel, node));
		}
		slot_take(wheel, 0, &due);
		while ((node = list_pop(&due))) {
			wheel->count--;
			expire(node, arg);
		}
	}
}

void gb__wheel_look(struct gb__wheel *wheel)
{
	wheel->next = wheel->count ? next_tick(wheel, UINT64_MAX) : UINT64_MAX;
}
