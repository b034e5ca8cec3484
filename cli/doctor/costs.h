/** What basic operations cost on this machine: measured, then told. */
#ifndef CLI_DOCTOR_COSTS_H
#define CLI_DOCTOR_COSTS_H

#include "json.h"

#include <stdbool.h>
#include <stdio.h>

struct costs;

/**
 * Measure everything, in some seconds; progress goes to standard error when that is a terminal.
 *
 * `uring`: whether io_uring works here. What cannot be measured says so in its row. Returns 0 or -ENOMEM.
 */
int gb__costs_measure(bool uring, struct costs **ret);
void gb__costs_destroy(struct costs *costs);

void gb__costs_text(FILE *stream, const struct costs *costs);

/** Add "load_average" and "costs" to an object. */
void gb__costs_json(json_t *object, const struct costs *costs);

#endif
