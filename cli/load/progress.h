/** One line on standard error while a load runs. */
#ifndef LOAD_PROGRESS_H
#define LOAD_PROGRESS_H

#include "load/fleet.h"

/** For fleet.on_tick. On a terminal the line stays in its place, elsewhere there is one a second. */
void gb__progress_show(const struct fleet *fleet, uint64_t now_ns);
/** Take the line away again, if there is one. */
void gb__progress_clear(void);

#endif
