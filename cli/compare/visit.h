/** One visit: a server is started, held idle, put under load, and ended; and what it used meanwhile. */
#ifndef COMPARE_VISIT_H
#define COMPARE_VISIT_H

#include "compare/comparison.h"

/**
 * Visit the point once: a sample more, or what went wrong, in it.
 *
 * Returns 0; -EINTR when it was interrupted before there was a sample.
 */
int gb__compare_visit(const struct comparison *comparison, struct compare_point *point);

#endif
