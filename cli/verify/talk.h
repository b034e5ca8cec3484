/**
 * A talk: what one connection does, and what must come of it under every model.
 *
 * Talks are written before any server runs, with fixed seeds, so that each model gets the same bytes in the
 * same pieces. What must come back is known from the protocol (protocol.h), not from another run: a fault
 * that all models share is found as well.
 */
#ifndef CLI_VERIFY_TALK_H
#define CLI_VERIFY_TALK_H

#include "verify/bytes.h"

#include <gearbox/conn.h>

#include <stdbool.h>

struct verify_protocol;

enum verify_step_kind {
	VERIFY_SEND,  /* `sent` up to offset `amount`; more is read meanwhile */
	VERIFY_FILL,  /* all of `sent`, until that has stood still for so many ms */
	VERIFY_AWAIT, /* until so many bytes have come in all, or the end */
	VERIFY_PAUSE, /* so many milliseconds */
	VERIFY_HOLD, /* read nothing until sending has stood still for so many ms; 0: until the server has closed */
	VERIFY_MEET,   /* until all talks of this conversation that can be open at once are here */
	VERIFY_FIN,    /* half-close */
	VERIFY_LEAVE,  /* close */
	VERIFY_RESET,  /* close with a reset */
	VERIFY_LINGER, /* stay until the server has closed for its part */
};

struct verify_step {
	enum verify_step_kind kind;
	size_t amount;
};

/** How a connection ends for the client. */
enum verify_ending { VERIFY_UNENDED, VERIFY_BY_FIN, VERIFY_BY_RESET, VERIFY_BY_CLIENT };

struct verify_talk {
	const struct verify_protocol *protocol;
	const char *conversation;
	unsigned number;  /* within its conversation, from 1 */
	unsigned address; /* which of the server's, each with settings of its own */
	struct verify_bytes sent, wanted;
	struct verify_step *steps;
	size_t steps_count;
	bool late; /* of a conversation that stops the server: begins when the others have met, just before */
	bool queues; /* begins whether or not the server has room for it: it waits for its turn */
	bool prefix; /* what comes may end anywhere within what is wanted */
	unsigned
		endings; /* those that may be: bits by enum verify_ending; none: BY_FIN, or BY_CLIENT if it leaves */
	uint32_t reasons;   /* those that the server may give: bits by enum gb_close_reason */
	int receive_buffer; /* SO_RCVBUF; 0: the kernel's choice */
	uint64_t random;    /* the seed's state */
	uint32_t exchanges; /* so far: for protocols that number them */
	size_t messages;    /* so far: where an exchange may hold several */
	size_t steps_room;
};

void gb__verify_talk_finish(struct verify_talk *talk);

/** One request of about `size` bytes and its answer, to be sent by a later step. */
void gb__verify_talk_exchange(struct verify_talk *talk, size_t size);
/** A request of about `size` bytes that never gets its last `missing` ones, of a framed protocol. */
void gb__verify_talk_incomplete(struct verify_talk *talk, size_t size, size_t missing);
/** So many bytes that no answer belongs to. */
void gb__verify_talk_noise(struct verify_talk *talk, size_t size);
/** Any number below `bound`. */
size_t gb__verify_talk_random(struct verify_talk *talk, size_t bound);

/** Send what was added since the last send, in one piece. */
void gb__verify_talk_send(struct verify_talk *talk);
/** The same in `pieces`, cut anywhere, with a pause behind each (0: none). */
void gb__verify_talk_send_cut(struct verify_talk *talk, unsigned pieces, unsigned pause_ms);
/** The same byte by byte. */
void gb__verify_talk_send_bytes(struct verify_talk *talk, unsigned pause_ms);
/** The same in two pieces, the second from `at` on. */
void gb__verify_talk_send_halves(struct verify_talk *talk, size_t at, unsigned pause_ms);
/** Wait for all that is wanted so far. */
void gb__verify_talk_await(struct verify_talk *talk);
/** Any other step. */
void gb__verify_talk_step(struct verify_talk *talk, enum verify_step_kind kind, size_t amount);

/** How the client must see the connection end. */
unsigned gb__verify_talk_endings(const struct verify_talk *talk);

#endif
