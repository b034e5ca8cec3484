/** One connection to a server that is asked what it answers, apart from any talk. */
#ifndef CLI_VERIFY_LESSON_H
#define CLI_VERIFY_LESSON_H

#include "verify/bytes.h"
#include "verify/subject.h"

/** What is heard. Zero it first; gb__verify_bytes_finish(&heard) at last. */
struct verify_lesson {
	const struct verify_subject *subject;
	unsigned patience_ms;
	struct verify_bytes heard;
	bool by_reset;               /* it ended so */
	bool first;                  /* the server ended before the client did */
	enum gb_close_reason reason; /* that the server gave */
};

/** How the client goes on when it has sent all. */
enum verify_lesson_end {
	VERIFY_LESSON_FIN,  /* half-closes */
	VERIFY_LESSON_LOOK, /* half-closes after a while in which the server may end first */
	VERIFY_LESSON_WAIT, /* waits for the server's end */
	VERIFY_LESSON_STOP, /* stops the server once that knows of it and has answered */
};

/**
 * Connect, send, hear all until the server's end, and why it closed. What was heard before goes.
 *
 * Returns 0; -ETIME (nothing moves), or -errno (it does not connect) with the reason in `error`.
 */
int gb__verify_lesson_hold(struct verify_lesson *lesson, const struct verify_bytes *sent,
	enum verify_lesson_end end, struct gb_error *error);

#endif
