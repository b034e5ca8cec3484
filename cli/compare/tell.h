/** A comparison for people: tables on standard output. */
#ifndef COMPARE_TELL_H
#define COMPARE_TELL_H

#include "compare/comparison.h"
#include "json.h"

/** Print the tables, then what `document` says of findings and the baseline. */
void gb__compare_tell(const struct comparison *comparison, const json_t *document);

#endif
