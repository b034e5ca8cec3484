/** A diagnosis told: to people as a table and lists, to programs as members of a JSON object. */
#ifndef CLI_DOCTOR_REPORT_H
#define CLI_DOCTOR_REPORT_H

#include "doctor/diagnosis.h"
#include "doctor/json.h"

void gb__diagnosis_text(FILE *stream, const struct facts *facts, const struct diagnosis *diagnosis);

/** "rows", "general", "targets", "facts" into the object that is open. */
void gb__diagnosis_json(struct json *json, const struct facts *facts, const struct diagnosis *diagnosis);

#endif
