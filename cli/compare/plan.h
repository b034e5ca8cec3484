/** From the command line to models and points. */
#ifndef COMPARE_PLAN_H
#define COMPARE_PLAN_H

#include "compare/comparison.h"

/**
 * Find the models, see that each can be served at every step, and that descriptors and ports suffice. This process must have no
 * threads.
 *
 * Returns 0; -GB_EUSAGE or -GB_EILLEGAL with the reason and what would be possible, a code of the machine.
 */
int gb__compare_plan(const struct compare_options *options, struct comparison *ret, struct gb_error *error);

/** See that descriptors and ports suffice, as the plan does. Returns 0, or -GB_EUSAGE with what would be possible. */
int gb__compare_claim(const struct compare_options *options, struct gb_error *error);

#endif
