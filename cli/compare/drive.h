/** The load generator in a process of its own, as anybody would run it. */
#ifndef COMPARE_DRIVE_H
#define COMPARE_DRIVE_H

#include "compare/server.h"

#include <signal.h>
#include <stdbool.h>

/** What interrupts: 1 has the load end in order, 2 ends all at once. */
extern volatile sig_atomic_t gb__compare_signals;

struct compare_outcome {
	json_t *result; /* what it printed; NULL: nothing */
	bool right;     /* every message was answered rightly */
	char trouble[COMPARE_LOG_MAX];
};

/**
 * Run `load` with a command line, that of gb__compare_load_line, until its end; what the server says meanwhile is heard.
 *
 * Returns 0, or a code with the reason when there is no outcome. Call gb__compare_outcome_finish after it.
 */
int gb__compare_drive(struct compare_server *server, char **line, int count, struct compare_outcome *ret,
	struct gb_error *error);
/** Returns 0, or -EBADMSG with the reason: not every message was answered rightly. */
int gb__compare_outcome_check(const struct compare_outcome *outcome, struct gb_error *error);
void gb__compare_outcome_finish(struct compare_outcome *outcome);

#endif
