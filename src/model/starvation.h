/**
 * Clients that wait because each worker serves one connection to its end: nobody is slow, nothing fails, and they wait
 * for ever. So it is said, once. For workers that accept for themselves, or take from a channel; where the acceptor has a
 * queue of its own, pull.c says it.
 */
#ifndef MODEL_STARVATION_H
#define MODEL_STARVATION_H

#include "model/worker.h"

struct gb__starvation {
	struct gb_timer timer;
	struct gb_worker *chief;
	unsigned workers;
	bool waited;       /* when it was looked at last */
	uint64_t accepted; /* by then */
};

/** Look now and then whether clients wait and none is accepted, until it has been said; not without memory. */
void gb__starvation_watch(struct gb__starvation *starvation, struct gb_worker *chief, unsigned workers);
void gb__starvation_end(struct gb__starvation *starvation);
/** So many clients wait for so many workers: say it. */
void gb__starvation_tell(unsigned clients, unsigned workers);

#endif
