/** The inside of a pool of processes (processes.h): what each has, and who gets what. */
#ifndef POOL_DISPATCH_H
#define POOL_DISPATCH_H

#include "base/log.h"
#include "net/job.h"
#include "os/forker.h"
#include "pool/exchange.h"
#include "pool/level.h"
#include "pool/processes.h"

#include <pthread.h>

/* What tells one loop, in shared memory. */
struct gb__bell {
	int fd;
	_Atomic uint32_t rung;
	_Atomic uint64_t processes[GB__PROCESSES_MAX / 64]; /* that have something */
} __attribute__((aligned(64)));

struct gb__errand {
	struct gb__task *task; /* NULL: free */
	uint64_t sent;         /* bytes of the message */
	bool crashed, spilt;   /* spilt: the reply was more than allowed, or than memory */
};

struct gb__process {
	struct gb__exchange *exchange;
	struct gb__errand errands[GB__EXCHANGE_SLOTS];
	unsigned taken; /* errands */
	bool alive;
	unsigned failures; /* in a row: ended without a reply */
};

struct gb__processes {
	struct gb__processes_options options;
	pthread_mutex_t lock; /* of all below */
	struct gb__jobs waiting;
	struct gb__level_counters *counters, own[GB__LEVELS]; /* the server's, or its own */
	unsigned ahead; /* messages given beyond the first of each process */
	struct gb__bell *bells;
	struct gb__forker forker;
	bool gone;
	struct gb__log_limit log_limit;
	uint64_t behind_since_ms; /* messages have waited without a break since then; 0: none waits */
	bool told;                /* that it is the bottleneck */
	struct gb__process list[];
};

/* Processes to be woken once the lock is released. */
struct gb__wakes {
	unsigned count;
	struct gb__exchange *exchanges[16];
};

/** Tell a loop that something is back. */
void gb__bell_ring(struct gb__bell *bell);
/** With the lock: give out what waits, and what waits in vain behind others. */
void gb__processes_dispatch(struct gb__processes *processes, struct gb__wakes *wakes);
/** Release the lock, then wake. */
void gb__processes_unlock(struct gb__processes *processes, struct gb__wakes *wakes);
/** With the lock: its task has left. */
void gb__errand_free(struct gb__processes *processes, struct gb__process *process, struct gb__errand *errand);

#endif
