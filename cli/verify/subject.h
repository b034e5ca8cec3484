/** A server under test, in a process of its own. */
#ifndef CLI_VERIFY_SUBJECT_H
#define CLI_VERIFY_SUBJECT_H

#include "verify/conversation.h"

#include <gearbox/server.h>

#include <stdbool.h>
#include <sys/types.h>

#define VERIFY_SPEC_MAX 256u /* of a model */

/** What became of a server that has ended. */
struct verify_outcome {
	struct gb_stats stats;
	char trouble[256]; /* what it left behind, or why its end was not in order; "" when all is well */
};

struct verify_subject {
	pid_t pid;                        /* -1: none */
	int told;                         /* what it tells of itself */
	int notes;                        /* struct verify_note of all its workers */
	int log;                          /* its standard error, a file */
	uint16_t ports[VERIFY_ADDRESSES]; /* on 127.0.0.1, in host order */
	char model[VERIFY_SPEC_MAX];      /* all axes, engine settled */
};

/**
 * Start a server with the options of a stage and wait until it serves. The process must have no threads.
 *
 * Returns 0, or the code of what went wrong: -ENOTSUP, -EPERM, -ENOSYS… where the machine refuses the engine,
 * -GB_EILLEGAL, -ETIME, -ECHILD (it died).
 */
int gb__verify_subject_start(struct verify_subject *subject, const char *spec,
	const struct verify_target *target, enum verify_stage stage, struct gb_error *error);
/** Ask it to end in order. */
void gb__verify_subject_stop(const struct verify_subject *subject);
/** Halt all of its processes, respectively have them go on: what comes meanwhile waits in the kernel. */
void gb__verify_subject_halt(const struct verify_subject *subject, bool halt);
/** Wait for its end, or kill it with all below it. Closes everything but the log. */
void gb__verify_subject_end(struct verify_subject *subject, struct verify_outcome *ret);
/** The first lines of its standard error, a '|' between them, those that are alike once with a count; closes the log. */
void gb__verify_subject_log(struct verify_subject *subject, char *text, size_t size);

#endif
