/** The result of a load, for people and for programs. */
#ifndef LOAD_REPORT_H
#define LOAD_REPORT_H

#include "json.h"
#include "load/generator.h"

#include <stdio.h>

/** Print the result as a few lines. */
void gb__load_report_text(FILE *stream, const struct generator *generator);

/**
 * The result as one JSON object. Keys stay: scripts rely on them.
 *
 * Latencies are nanoseconds, `seconds` the measured time, `ok` whether the exit code is 0.
 */
json_t *gb__load_report_json(const struct generator *generator);

/** Write what went wrong as one sentence without full stop; empty when nothing did. */
void gb__report_errors(const struct generator *generator, char *text, size_t size);

#endif
