/** What basic operations cost on this machine: measured, then told. */
#ifndef CLI_DOCTOR_COSTS_H
#define CLI_DOCTOR_COSTS_H

#include "doctor/json.h"

struct costs;

/**
 * Measure everything, in some seconds; progress goes to standard error when that is a terminal.
 *
 * `uring`: whether io_uring works here. What cannot be measured says so in its row. Returns 0 or -ENOMEM.
 */
int costs_measure(bool uring, struct costs **ret);
void costs_destroy(struct costs *costs);

void costs_text(FILE *stream, const struct costs *costs);

/** "costs" into the object that is open. */
void costs_json(struct json *json, const struct costs *costs);

#endif
