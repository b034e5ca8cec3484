/** One model: servers under it, all talks, and what differs. */
#ifndef CLI_VERIFY_RUNNER_H
#define CLI_VERIFY_RUNNER_H

#include "verify/conversation.h"

enum verify_news_kind {
	VERIFY_DIFFERENCE,
	VERIFY_REMARK,  /* about differences told before: no difference itself */
	VERIFY_SKIPPED, /* the machine refuses this model */
	VERIFY_WRONG,   /* the model is no spec, or illegal for the service */
	VERIFY_DONE,    /* the last of each runner */
};

/** What a runner tells, written at once: it comes out of a pipe in one piece. */
struct verify_news {
	enum verify_news_kind kind;
	char conversation[32]; /* DIFFERENCE: or "server", of what is no conversation's */
	unsigned number;       /* of the connection in it; 0: none in particular */
	unsigned count;        /* of differences that this stands for */
	char text[600];
};

/** What is played against every model. */
struct verify_program {
	struct verify_target target;
	struct verify_plan plans[VERIFY_STAGES];
	unsigned patience_ms; /* without any progress */
	bool fail_fast;       /* leave a model at its first difference */
};

/** Run it all under a model and write news to `fd`. The process must have no threads. */
void gb__verify_runner_run(const struct verify_program *program, const char *spec, int fd);

#endif
