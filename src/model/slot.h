/**
 * Memory shared by all workers, be they threads or processes: a slot of counters each, and the few
 * numbers that concern all. A slot is written by its worker alone; when that has ended, its counters are
 * added to the retired ones.
 */
#ifndef MODEL_SLOT_H
#define MODEL_SLOT_H

#include "net/net.h"

#include <stdatomic.h>

struct gb__slot {
	struct gb__counters counters;
} __attribute__((aligned(64)));

struct gb__shared {
	_Atomic unsigned stop;        /* how often gb_server_stop was called, in any process */
	_Atomic unsigned command;     /* enum gb__command: what worker processes are told */
	_Atomic uint64_t connections; /* open in all workers */
	size_t slots_count;
	struct gb__counters retired;
	struct gb__slot slots[];
};

/** Zeroed, with `slots` slots, in memory shared with later children. NULL without memory. */
struct gb__shared *gb__shared_create(size_t slots);
void gb__shared_destroy(struct gb__shared *shared);
/** A worker has ended, perhaps by a crash: its counters retire, its connections are gone. */
void gb__slot_retire(struct gb__shared *shared, struct gb__slot *slot);
/** Sum over all. Thread: any. */
void gb__shared_sum(const struct gb__shared *shared, struct gb_stats *ret);

#endif
