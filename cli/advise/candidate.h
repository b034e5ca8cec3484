/** Models that may be advised, sized for a situation, and what they are like. */
#ifndef ADVISE_CANDIDATE_H
#define ADVISE_CANDIDATE_H

#include "advise/situation.h"

#include <stddef.h>

#define ADVISE_SPEC_MAX 256
#define ADVISE_CANDIDATES_MAX 64
#define ADVISE_WORKERS_MAX 512 /* threads that serve a connection each; of processes a quarter */

/** What a model is like: bits that rules speak of. */
enum advise_feature {
	ADVISE_BLOCKING = 1u << 0,       /* a worker serves one connection at a time */
	ADVISE_EVENT = 1u << 1,          /* a loop serves many */
	ADVISE_RING = 1u << 2,           /* on io_uring */
	ADVISE_THREADS = 1u << 3,        /* workers are threads */
	ADVISE_PROCESSES = 1u << 4,      /* workers are processes, or handlers run in some */
	ADVISE_PER_CONNECTION = 1u << 5, /* a worker for each connection */
	ADVISE_FIXED = 1u << 6,          /* blocking workers whose number is fixed */
	ADVISE_TOO_FEW = 1u << 7,        /* fewer of those than connections */
	ADVISE_ONE_LOOP = 1u << 8,
	ADVISE_LOOPS = 1u << 9,   /* several */
	ADVISE_INLINE = 1u << 10, /* an event engine whose handlers run on the loop */
	ADVISE_POOL = 1u << 11,   /* handlers run in a pool */
	ADVISE_HANDED = 1u << 12, /* an acceptor spreads connections */
	ADVISE_REUSEPORT = 1u << 13,
	ADVISE_SHORT_POOL = 1u << 14, /* far fewer threads in the pool than keep the CPUs busy */
	ADVISE_AWAKE_POOL = 1u
		<< 15, /* enough for that, and far fewer than there are messages: none of them has to sleep */
};

struct advise_candidate {
	char preset[64]; /* its name without sizes */
	char spec[ADVISE_SPEC_MAX];
	unsigned features;
	double workers,
		compute_workers; /* 0: not to be said; workers of a model per connection: the connections */
};

/** Whether a spec can be served; `arg` is the caller's. */
typedef bool advise_admits_cb(void *arg, const char *spec);

/** What a whole list of axes, sizes included, is like in a situation. */
void gb__advise_candidate_of(const char *name, const char *spec, const char *axes,
	const struct advise_situation *situation, struct advise_candidate *ret);

/**
 * All presets, sized for the situation, that are admitted (NULL: all are), once for each size that makes sense.
 *
 * Sizes: as many blocking workers as connections, which they serve until these leave; a pool by gb_pool_size_for and, when that
 * leaves CPUs idle, one that does not; a loop for each CPU that the load keeps busy.
 * Returns how many.
 */
size_t gb__advise_candidates(const struct advise_situation *situation, advise_admits_cb *admits, void *arg,
	struct advise_candidate ret[ADVISE_CANDIDATES_MAX]);

#endif
