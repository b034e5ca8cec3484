/**
 * Memory shared by all workers, be they threads or processes: a record of counters each, and the few
 * numbers that concern all. A record's counters are written by its worker alone; when that has ended, they
 * are added to the record's past.
 */
#ifndef MODEL_RECORD_H
#define MODEL_RECORD_H

#include "base/log.h"
#include "model/spec.h"
#include "model/stall.h"
#include "name/counters.h"
#include "net/net.h"
#include "os/receive.h"

#include <pthread.h>
#include <stdatomic.h>

/** Where the worker of a record is, for who watches it (stall.h). */
struct gb__watched {
	_Atomic pid_t thread; /* 0: nobody is there; written last */
	_Atomic pid_t process;
	_Atomic uintptr_t worker, engine; /* in the memory of that process */
	_Atomic unsigned begun; /* workers so far: a thread may be that of several, one after the other */
};

/** How often a handler held the loop, written by who watches. */
struct gb__stall_counters {
	uint64_t count, ns, longest_ns;
};

struct gb__record {
	struct gb__counters counters; /* of the present worker */
	_Atomic bool away; /* the present worker is starting again, or was told to end while others go on */
	_Atomic bool
		ended; /* the present worker's process has come to its end, not by an exit in a handler */
	_Atomic uint8_t retired; /* there were workers before it: gb__shared_past has their counters */
	_Atomic uint8_t
		held; /* a handler holds its loop; written by who watches. Observers read these two: any byte is fine */
	_Atomic unsigned received; /* by the present worker with one message and not counted yet */
	struct gb__watched watched;
	struct gb__stall_counters stalls;
} __attribute__((aligned(64)));

#define GB__SHARED_NAME "gearbox"
#define GB__SHARED_MAGIC "gearbox-counters"
#define GB__SHARED_LAYOUT 2u /* raised with each change that sizes do not tell */

/** What observers look at first (observe.c): the rest is as this version has it, or it is not looked at. */
struct gb__shared_head {
	char magic[24];
	uint32_t layout, head_size, record_size, counters_size;
	char version[16];
	uint64_t size, records;
	char model[GB__MODEL_SPEC_MAX];
	_Atomic pid_t process; /* that runs it; 0: none */
	uint32_t alone, cpus;
};

struct gb__shared {
	struct gb__shared_head head; /* first */
	struct gb__ledger ledger;
	_Atomic unsigned stop;          /* how often gb_server_stop was called, in any process */
	_Atomic unsigned command;       /* enum gb__command: what all workers are told */
	struct gb__receiver receiver;   /* of the chief that serves alone and blocks; any process calls */
	_Atomic bool giving;            /* there is an acceptor that still gives connections to workers */
	_Atomic uint64_t signals[64];   /* that services watch, by number from 1: how many have come */
	_Atomic bool signalled;         /* and the chief has not passed it on */
	_Atomic uint64_t connections;   /* accepted and open in all workers */
	_Atomic uint64_t subscriptions; /* that were ever begun: each has a number of its own */
	pthread_mutex_t accept_lock;    /* wake=lock: process-shared, robust */
	struct gb__log_limit failures;  /* of worker processes that cannot start */
	struct gb__log_limit misplaced; /* of workers whose CPU was taken away */
	struct gb__names_counters names;
	struct gb__stall stall;
	int fd; /* of this memory, in the processes of the server; or -1 */
	size_t records_count;
	struct gb__record records[]; /* and behind them gb__shared_past */
};

/** Of memory that has `records` records: for each the counters of the workers that it had before, written by the chief alone.
 *  Apart from them, so that it takes no page for a worker that is the first, as most of one connection are. */
static inline struct gb__counters *gb__shared_past(const struct gb__shared *shared, size_t records)
{
	return (struct gb__counters *)(uintptr_t)&shared->records[records];
}

/** How large that memory is. */
static inline size_t gb__shared_size(size_t records)
{
	return sizeof(struct gb__shared) +
		records * (sizeof(struct gb__record) + sizeof(struct gb__counters));
}

/** Zeroed, with `records` records, in memory shared with later children and with observers. NULL without memory. */
struct gb__shared *gb__shared_create(size_t records);
void gb__shared_destroy(struct gb__shared *shared);
/** A worker has ended, perhaps by a crash: its counters retire; what connections it had were closed by `reason`. */
void gb__record_retire(struct gb__shared *shared, struct gb__record *record, int reason);
/** What all workers still wait for while they drain. */
void gb__shared_census(const struct gb__shared *shared, struct gb__census *ret);
/** All that was counted in the n-th of `records` records, by its present worker and those before. Thread: any. */
void gb__record_sum(const struct gb__shared *shared, size_t records, size_t n, struct gb__counters *ret);
/** Add how often it was held to `sum`. Thread: any. */
void gb__record_add_stalls(const struct gb__record *record, struct gb_stall_stats *sum);

#endif
