/** Words of the command line that stand for several things: sweeps and lists of models. */
#ifndef COMPARE_SWEEP_H
#define COMPARE_SWEEP_H

#include "compare/options.h"

/** Parse "connections=1,10,100". Returns 0, -GB_EUSAGE with the reason, -ENOMEM. */
int gb__compare_sweep_parse(const char *text, struct compare_axis *ret, struct gb_error *error);
void gb__compare_sweep_finish(struct compare_axis *axis);

/**
 * Split "reactor,engine=poll,thread-pool" into models: a word without "=" begins one, so does a second "accept=", and a
 * semicolon. Appends to `list` of `max` strings, that are to be freed.
 *
 * Returns 0, -GB_EUSAGE, -ENOMEM.
 */
int gb__compare_models_split(
	const char *text, char **list, size_t *count, size_t max, struct gb_error *error);

#endif
