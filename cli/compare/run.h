/** A comparison from its plan to its sums: what `compare` and `advise` have in common. */
#ifndef COMPARE_RUN_H
#define COMPARE_RUN_H

#include "compare/comparison.h"
#include "verify/upstream.h"

/** SIGINT and SIGTERM: the first has what there is told, the second ends the load at once (gb__compare_signals). */
void gb__compare_signals_install(void);

/**
 * Serve whom a service forwards to, unless the user named one, and add its setting to the options.
 *
 * Returns 0, or a code with the reason. Undone by gb__verify_upstream_stop.
 */
int gb__compare_upstream_start(
	struct compare_options *options, struct verify_upstream *ret, struct gb_error *error);

/**
 * Plan, visit all points in turns, sum up. Interrupted, it has what there is by then. Borrows `options`.
 *
 * Returns as gb__compare_plan does. Call gb__comparison_finish after it.
 */
int gb__compare_run(const struct compare_options *options, struct comparison *ret, struct gb_error *error);

#endif
