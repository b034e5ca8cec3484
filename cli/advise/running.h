/** The situation of a server that runs, from its counters (gearbox/observe.h), without stopping it. */
#ifndef ADVISE_RUNNING_H
#define ADVISE_RUNNING_H

#include "advise/options.h"
#include "advise/situation.h"

/**
 * Look at the process `options->pid` for some seconds, or until a signal. Goal and wishes come from the options.
 *
 * Returns 0 with the server's model; a code with the reason: as of gb_observe, -EAGAIN (no message came), -EINTR.
 */
int gb__advise_running(const struct advise_options *options, struct advise_situation *ret,
	char ret_model[COMPARE_SPEC_MAX], struct gb_error *error);

#endif
