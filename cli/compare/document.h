/** The comparison as JSON, "gearbox-compare-1": what other programs, the report and later runs read. */
#ifndef COMPARE_DOCUMENT_H
#define COMPARE_DOCUMENT_H

#include "compare/comparison.h"
#include "json.h"

#define COMPARE_FORMAT "gearbox-compare-1"

/** All but "findings" and "baseline", which are null then. `argv` is the command line. Returns NULL without memory. */
json_t *gb__compare_document(const struct comparison *comparison, int argc, char **argv);

#endif
