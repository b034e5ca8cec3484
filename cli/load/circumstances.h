/** What the machine does to a run meanwhile: clocks that move against each other, quotas that stop it. */
#ifndef LOAD_CIRCUMSTANCES_H
#define LOAD_CIRCUMSTANCES_H

#include "load/doubts.h"

struct circumstances {
	int64_t of_day_ns, raw_ns, awake_ns; /* clocks, as far as they were from the monotonic one */
	int64_t throttled_ns; /* by quotas, of this process's control group; -1: cannot be told */
};

/** Note how things stand. Reads files: not in the measured time. */
void gb__circumstances_note(struct circumstances *ret);
/** Fill in what has happened since. */
void gb__circumstances_compare(const struct circumstances *before, struct facts_of_run *facts);

#endif
