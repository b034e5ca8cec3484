/** The situation of a service and its load, as it is measured. */
#ifndef ADVISE_MEASURE_H
#define ADVISE_MEASURE_H

#include "advise/options.h"
#include "advise/situation.h"

/**
 * Send messages of the load one at a time and see what each takes of the handler, of the rest of the server, and of the
 * clock; and take from the options and the machine what these say. This process must have no threads.
 *
 * Returns 0; a code with the reason: not every message was answered rightly, -EINTR.
 */
int gb__advise_measure(
	const struct advise_options *options, struct advise_situation *ret, struct gb_error *error);

#endif
