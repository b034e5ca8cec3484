/** Plays talks against a server: raw sockets and poll(2), nothing of the library that is under test. */
#ifndef CLI_VERIFY_DRIVER_H
#define CLI_VERIFY_DRIVER_H

#include "verify/player.h"
#include "verify/subject.h"

/** A run of talks. Set the first part, zero the rest. */
struct verify_drive {
	const struct verify_subject *subject;
	struct verify_talk *const *talks;
	size_t count;
	size_t capacity; /* connections that the server serves at the same time */
	uint32_t
		first; /* number of the first talk among all of this server: clients' addresses follow from it */
	bool stop;     /* stop the server when the talks have met; play only as many as it has capacity for */
	struct gb__tls *tls;  /* that clients speak; NULL: none */
	unsigned patience_ms; /* without any progress of a talk */

	struct verify_transcript *transcripts; /* by talk */
	struct gb_stats noted;                 /* closed, by reason, and accepted, as notes tell */
	unsigned strays;                       /* notes about nobody, */
	uint32_t stray;                        /* and whom the last of them names */
	bool hung;                             /* a talk did not get on: the rest was not played */
};

/** Play them all. Call gb__verify_drive_finish after it. */
void gb__verify_drive_run(struct verify_drive *drive);
void gb__verify_drive_finish(struct verify_drive *drive);

#endif
