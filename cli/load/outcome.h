/** What came of a load: of all its generators together, and whether that is to be trusted. */
#ifndef LOAD_OUTCOME_H
#define LOAD_OUTCOME_H

#include "load/circumstances.h"
#include "load/fleet.h"

struct outcome {
	const struct load_options *options;
	const struct traffic *traffic;
	const char *engine;
	bool sending;         /* the measured time had begun */
	unsigned threads;     /* of generators */
	double offered;       /* messages per second on average of an open loop, else 0 */
	struct totals totals; /* of all generators */
	struct doubts doubts;
	uint64_t idle_lost; /* of idle connections: ended, or spoken on */
};

/** Sum up; `before` is what was noted before the run. Borrows from the fleet until it is finished. */
void gb__outcome_take(const struct fleet *fleet, const struct circumstances *before, struct outcome *ret);

/** Whether every request was answered rightly, on connections that held, idle ones as well. */
bool gb__outcome_right(const struct outcome *outcome);

/** Requests that were answered in a second. */
double gb__outcome_rate(const struct outcome *outcome);

/** What requests took from when they were sent. */
const struct histogram *gb__outcome_service(const struct outcome *outcome);

#endif
