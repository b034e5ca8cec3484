/** A diagnosis in a few sentences: what works here, what limits, what to change. */
#ifndef CLI_DOCTOR_VERDICT_H
#define CLI_DOCTOR_VERDICT_H

#include "doctor/diagnosis.h"

#define VERDICT_MAX 1024u

void gb__diagnosis_verdict(const struct diagnosis *diagnosis, char *text, size_t size);

#endif
