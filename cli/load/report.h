/** The result of a load, for people and for programs. */
#ifndef LOAD_REPORT_H
#define LOAD_REPORT_H

#include "json.h"
#include "load/outcome.h"

#include <stdio.h>

/** Print the result as a few lines, before them what speaks against it. */
void gb__load_report_text(FILE *stream, const struct outcome *outcome);

/**
 * The result as one JSON object. Keys stay: scripts rely on them.
 *
 * Latencies are nanoseconds, null where samples are too few for a percentile; `seconds` is the measured time, `ok`
 * whether every message was answered rightly, `warnings` what speaks against the figures; docs/load.md has all.
 */
json_t *gb__load_report_json(const struct outcome *outcome);

/** Print percentiles of one histogram as a line that begins with `word`. */
void gb__report_durations(FILE *stream, const char *word, const struct histogram *histogram);
/** The same as an object. */
json_t *gb__report_json_durations(const struct histogram *histogram);

/** Write what went wrong as one sentence without full stop; empty when nothing did. */
void gb__report_errors(const struct outcome *outcome, char *text, size_t size);

#endif
