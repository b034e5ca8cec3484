/** Conversations: by name, the talks that show one behaviour, for every protocol that has it. */
#ifndef CLI_VERIFY_CONVERSATION_H
#define CLI_VERIFY_CONVERSATION_H

#include "verify/protocol.h"

/** Talks need servers with other timeouts, or the end of the server. */
enum verify_stage {
	VERIFY_PATIENT, /* no timeout can expire */
	VERIFY_LAST, /* the same server, which is stopped when all have met; only what can be open at once */
	VERIFY_IMPATIENT, /* read and write timeouts of a fraction of a second */
	VERIFY_DROWSY,    /* an idle timeout of that kind, shorter than the write timeout */
	VERIFY_STAGES
};

/** The drowsy server's idle timeout. */
#define VERIFY_IDLE_MS 150u
#define VERIFY_IDLE_TIMEOUT "150ms"

/** Talks as they are written. */
struct verify_plan {
	const struct verify_protocol *protocol;
	const char *conversation;
	struct verify_talk **talks; /* each where it stays */
	size_t talks_count, talks_room;
	unsigned numbers; /* talks of this conversation */
};

struct verify_conversation {
	const char *name, *summary; /* a word; a sentence without full stop */
	enum verify_stage stage;
	bool (*suits)(const struct verify_protocol *protocol); /* NULL: every protocol */
	void (*write)(struct verify_plan *plan);
};

extern const struct verify_conversation gb__verify_conversations[]; /* ends with a NULL name */

/** All talks of a stage; `only`: of the conversation of that name, unless NULL. */
void gb__verify_plan_write(struct verify_plan *plan, const struct verify_protocol *protocol,
	enum verify_stage stage, const char *only);
void gb__verify_plan_finish(struct verify_plan *plan);
/** Allow what TLS changes of the endings, and nothing else. */
void gb__verify_plan_secure(struct verify_plan *plan);

/** Another talk of the conversation being written; it ends with an eof unless that is changed. */
struct verify_talk *gb__verify_plan_talk(struct verify_plan *plan);

/* talks_*.c: who suits, and what they write */
bool gb__verify_answers(const struct verify_protocol *protocol);
bool gb__verify_replies(const struct verify_protocol *protocol);
bool gb__verify_has_faults(const struct verify_protocol *protocol);
bool gb__verify_answers_once(const struct verify_protocol *protocol);
bool gb__verify_speaks(const struct verify_protocol *protocol);
bool gb__verify_speaks_on(const struct verify_protocol *protocol);
bool gb__verify_frames(const struct verify_protocol *protocol);
bool gb__verify_fills(const struct verify_protocol *protocol);
bool gb__verify_unbounded(const struct verify_protocol *protocol);

void gb__verify_write_parts(struct verify_plan *plan);
void gb__verify_write_fragmented(struct verify_plan *plan);
void gb__verify_write_pipelined(struct verify_plan *plan);
void gb__verify_write_half_closed(struct verify_plan *plan);
void gb__verify_write_paced(struct verify_plan *plan);
void gb__verify_write_slow(struct verify_plan *plan);
void gb__verify_write_large(struct verify_plan *plan);
void gb__verify_write_stalled(struct verify_plan *plan);
void gb__verify_write_many(struct verify_plan *plan);
void gb__verify_write_queued(struct verify_plan *plan);
void gb__verify_write_faulty(struct verify_plan *plan);
void gb__verify_write_once(struct verify_plan *plan);
void gb__verify_write_interrupted(struct verify_plan *plan);
void gb__verify_write_spoken(struct verify_plan *plan);
void gb__verify_write_spoken_on(struct verify_plan *plan);
void gb__verify_write_spoken_interrupted(struct verify_plan *plan);
void gb__verify_write_drained(struct verify_plan *plan);
void gb__verify_write_idle(struct verify_plan *plan);
void gb__verify_write_unfinished(struct verify_plan *plan);
void gb__verify_write_unread(struct verify_plan *plan);
void gb__verify_write_abandoned(struct verify_plan *plan);

#endif
