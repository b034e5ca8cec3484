/** A diagnosis told: to people as a few sentences, a table and lists; to programs as a JSON object. */
#ifndef CLI_DOCTOR_REPORT_H
#define CLI_DOCTOR_REPORT_H

#include "doctor/diagnosis.h"
#include "json.h"

#include <stdio.h>

void gb__diagnosis_text(FILE *stream, const struct facts *facts, const struct diagnosis *diagnosis);

/** "verdict", "rows", "general", "targets", "facts". */
json_t *gb__diagnosis_json(const struct facts *facts, const struct diagnosis *diagnosis);

#endif
