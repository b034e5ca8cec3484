#include "model/slot.h"

#include "os/process.h"

#include <string.h>

static size_t shared_size(size_t slots)
{
	return sizeof(struct gb__shared) + slots * sizeof(struct gb__slot);
}

struct gb__shared *gb__shared_create(size_t slots)
{
	struct gb__shared *shared = gb__shared_map(shared_size(slots));

	if (shared)
		shared->slots_count = slots;
	return shared;
}

void gb__shared_destroy(struct gb__shared *shared)
{
	if (shared)
		gb__shared_unmap(shared, shared_size(shared->slots_count));
}

static uint64_t read_counter(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* All of gb_stats are counters; `connections` of a worker that has ended is no sum but a leftover. */
static void add(struct gb_stats *sum, const struct gb_stats *stats)
{
	const uint64_t *from = (const uint64_t *)stats;
	uint64_t *to = (uint64_t *)sum;

	static_assert(sizeof(*stats) % sizeof(uint64_t) == 0, "counters only");
	for (size_t i = 0; i < sizeof(*stats) / sizeof(uint64_t); i++)
		gb__count(to[i], read_counter(&from[i]));
}

void gb__slot_retire(struct gb__shared *shared, struct gb__slot *slot)
{
	uint64_t lost = read_counter(&slot->counters.stats.connections);

	atomic_fetch_sub_explicit(&shared->connections, lost, memory_order_relaxed);
	__atomic_store_n(&slot->counters.stats.connections, 0, __ATOMIC_RELAXED);
	add(&shared->retired.stats, &slot->counters.stats);
	gb__count(shared->retired.waits, read_counter(&slot->counters.waits));
	gb__count(shared->retired.events, read_counter(&slot->counters.events));
	memset(&slot->counters, 0, sizeof(slot->counters));
}

void gb__shared_sum(const struct gb__shared *shared, struct gb_stats *ret)
{
	*ret = (struct gb_stats){ 0 };
	add(ret, &shared->retired.stats);
	for (size_t i = 0; i < shared->slots_count; i++)
		add(ret, &shared->slots[i].counters.stats);
}
