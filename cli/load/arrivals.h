/**
 * When requests of an open loop are due: fixed beforehand, whatever the replies do, so that a slow server meets all of
 * them and none is left out (no coordinated omission: Tene, "How NOT to Measure Latency", 2015).
 *
 * Constant arrivals have equal distances; Poisson's are those of many independent clients (exponential distances). A rate
 * that rises or falls over some time is the same with the time bent: arrival n is where the rate's integral is n.
 * Several generators share them: each has every n-th, or a Poisson process of its own with an n-th of the rate.
 */
#ifndef LOAD_ARRIVALS_H
#define LOAD_ARRIVALS_H

#include <stdbool.h>
#include <stdint.h>

struct arrivals {
	/* to be filled in */
	double from, to;  /* of all generators, per second: both above 0 */
	uint64_t ramp_ns; /* from the first rate to the second; 0: the second from the beginning */
	bool poisson;
	unsigned part, parts; /* which generator this is, of how many */
	uint64_t seed;        /* of Poisson's; not 0 */
	/* its own */
	uint64_t begin_ns;
	double count; /* of the next arrival, on a clock that goes with the rate */
};

/** The first may be due now. */
void gb__arrivals_begin(struct arrivals *arrivals, uint64_t now_ns);
/** The time of the next, which is not before that of the last; UINT64_MAX: none comes within centuries. */
uint64_t gb__arrivals_next(struct arrivals *arrivals);
/** Messages per second of all generators, on average over `lasting_ns`. */
double gb__arrivals_mean(const struct arrivals *arrivals, uint64_t lasting_ns);

#endif
