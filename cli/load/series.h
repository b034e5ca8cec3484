/**
 * What happened when: a line of JSON for each interval of the measured time, written as it passes.
 *
 * Each generator gives its share of an interval when that is over; the last one to do so has it written. Thread: any.
 */
#ifndef LOAD_SERIES_H
#define LOAD_SERIES_H

#include "load/histogram.h"

#include <gearbox/error.h>

#include <pthread.h>
#include <stdio.h>

#define SERIES_SLOTS 64u /* intervals that generators may be apart */

struct series {
	FILE *file; /* NULL: nobody wants it */
	uint64_t interval_ns;
	unsigned parts; /* generators */
	pthread_mutex_t lock;
	uint64_t next; /* interval to be written next */
	struct series_slot {
		unsigned given;
		struct histogram *response_ns;
	} slots[SERIES_SLOTS];
};

/** Open the file. Returns 0, -errno or -ENOMEM with the reason. */
int gb__series_init(struct series *series, const char *path, uint64_t interval_ns, unsigned parts,
	struct gb_error *error);
/**
 * A generator's share of interval `index`: what `now` has more than `*before`, which becomes what `now` is. Those that
 * come too late for one count for the next.
 */
void gb__series_give(
	struct series *series, uint64_t index, const struct histogram *now, struct histogram *before);
/** Write what is left and close. Returns 0 or -errno: not all could be written. */
int gb__series_finish(struct series *series);

#endif
