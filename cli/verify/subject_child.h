/** The child's side of a server under test. */
#ifndef CLI_VERIFY_SUBJECT_CHILD_H
#define CLI_VERIFY_SUBJECT_CHILD_H

#include "verify/subject.h"

/** What the child tells: when it serves or cannot, then at its end. */
struct verify_report {
	struct gb_error error;
	uint16_t ports[VERIFY_ADDRESSES];
	char model[VERIFY_SPEC_MAX];
	struct verify_outcome outcome;
};
_Static_assert(sizeof(struct verify_report) <= 4096, "written to a pipe in one piece");

/** All that both sides talk through: two pipes, and the file that standard error becomes. */
struct verify_subject_pipes {
	int told[2], notes[2], log;
};

/** Make the server, run it until SIGTERM, tell what became of it, exit. */
_Noreturn void gb__verify_subject_serve(const char *spec, const struct verify_target *target,
	enum verify_stage stage, const struct verify_subject_pipes *pipes);

#endif
