/* Talks that end otherwise: by a fault, by the server, or by a client that leaves. */
#include "verify/conversation.h"

#define KIB 1024u
#define PENDING (600u * KIB) /* answers that cannot all be on the way */
#define FRAME 8192u
#define TRAILING 100000u /* bytes behind a fault, which are thrown away */

enum { EOF_BIT = 1u << GB_CLOSE_EOF, RESET_BIT = 1u << GB_CLOSE_RESET, LOCAL_BIT = 1u << GB_CLOSE_LOCAL };

bool gb__verify_has_faults(const struct verify_protocol *protocol)
{
	return protocol->faults;
}

bool gb__verify_answers_once(const struct verify_protocol *protocol)
{
	return protocol->once;
}

static struct verify_talk *faulty_talk(
	struct verify_plan *plan, const struct verify_fault *fault, unsigned good)
{
	struct verify_talk *talk = gb__verify_plan_talk(plan);

	for (unsigned i = 0; i < good; i++)
		gb__verify_talk_exchange(talk, 100 + i);
	fault->commit(talk);
	talk->reasons = 1u << fault->reason;
	return talk;
}

void gb__verify_write_faulty(struct verify_plan *plan)
{
	struct verify_talk *talk;

	for (const struct verify_fault *fault = plan->protocol->faults; fault->name; fault++) {
		talk = faulty_talk(plan, fault, 0);
		gb__verify_talk_send(talk);

		talk = faulty_talk(plan, fault, 3);
		gb__verify_talk_send(talk);
		gb__verify_talk_step(talk, VERIFY_FIN, 0);

		talk = faulty_talk(plan, fault, 20);
		gb__verify_talk_noise(talk, TRAILING);
		gb__verify_talk_send(talk);

		talk = faulty_talk(plan, fault, 2);
		gb__verify_talk_send_cut(talk, 6, 1);
		gb__verify_talk_noise(talk, TRAILING);
		gb__verify_talk_send_cut(talk, 5, 1);
		gb__verify_talk_step(talk, VERIFY_FIN, 0);
	}
	/* The largest that is allowed. */
	talk = gb__verify_plan_talk(plan);
	gb__verify_talk_exchange(talk, VERIFY_MESSAGE_MAX);
	gb__verify_talk_exchange(talk, 1);
	gb__verify_talk_exchange(talk, VERIFY_MESSAGE_MAX);
	gb__verify_talk_send_cut(talk, 4, 1);
	gb__verify_talk_step(talk, VERIFY_FIN, 0);
}

void gb__verify_write_once(struct verify_plan *plan)
{
	static const size_t trailing[] = { 0, 1, 1000, TRAILING };

	for (size_t i = 0; i < sizeof(trailing) / sizeof(*trailing); i++) {
		struct verify_talk *talk = gb__verify_plan_talk(plan);

		talk->address = 1;
		talk->reasons = LOCAL_BIT;
		gb__verify_talk_exchange(talk, 8);
		gb__verify_talk_send(talk);
		gb__verify_talk_await(talk);
		gb__verify_talk_noise(talk, trailing[i]);
		gb__verify_talk_send(talk);
		if (i % 2)
			gb__verify_talk_step(talk, VERIFY_FIN, 0);
	}
}

/* A talk whose client leaves in some way behind the steps that its caller adds. */
static struct verify_talk *leaving_talk(struct verify_plan *plan, uint32_t reasons)
{
	struct verify_talk *talk = gb__verify_plan_talk(plan);

	talk->prefix = true;
	talk->reasons = reasons;
	if (talk->wanted.size > 0) /* a greeting on the way: closing resets it, unless it is there */
		talk->reasons |= RESET_BIT | plan->protocol->eof_reasons;
	return talk;
}

static void leave(struct verify_talk *talk, bool reset)
{
	gb__verify_talk_step(talk, reset ? VERIFY_RESET : VERIFY_LEAVE, 0);
}

void gb__verify_write_interrupted(struct verify_plan *plan)
{
	const struct verify_protocol *protocol = plan->protocol;
	struct verify_talk *talk;

	for (unsigned reset = 0; reset < 2; reset++) {
		uint32_t eof = protocol->eof_reasons ? protocol->eof_reasons : EOF_BIT;
		uint32_t reasons = reset ? RESET_BIT : eof;

		talk = leaving_talk(plan, reasons); /* at once */
		leave(talk, reset);

		talk = leaving_talk(plan, reasons); /* idle */
		talk->prefix = false;
		gb__verify_talk_exchange(talk, 100);
		gb__verify_talk_send(talk);
		gb__verify_talk_await(talk);
		leave(talk, reset);

		if (protocol->framed) { /* amid a message */
			talk = leaving_talk(plan, reasons);
			gb__verify_talk_exchange(talk, 100);
			gb__verify_talk_incomplete(talk, 3000, 10);
			gb__verify_talk_send(talk);
			gb__verify_talk_await(talk);
			leave(talk, reset);
		}
		if (protocol->mute)
			continue;

		/* Answers on the way: a client that closes resets what comes for it. Whether the server has
		 * answered everything by then, nobody can say. */
		talk = leaving_talk(plan, reset ? RESET_BIT : eof | RESET_BIT);
		for (unsigned i = 0; i < 10; i++)
			gb__verify_talk_exchange(talk, 100);
		gb__verify_talk_send(talk);
		leave(talk, reset);

		/* Answers waiting in the server, for want of room. */
		talk = leaving_talk(plan, RESET_BIT);
		while (talk->sent.size < PENDING || talk->wanted.size < PENDING)
			gb__verify_talk_exchange(talk, FRAME);
		gb__verify_talk_step(talk, VERIFY_HOLD, 0);
		gb__verify_talk_step(talk, VERIFY_FILL, 10);
		leave(talk, reset);
	}
	if (!protocol->work)
		return;
	for (unsigned reset = 0; reset < 2; reset++) { /* handlers at work for a client that has gone */
		size_t answered;

		talk = leaving_talk(plan, reset ? RESET_BIT : EOF_BIT | RESET_BIT);
		gb__verify_talk_exchange(talk, 50);
		answered = talk->wanted.size;
		for (unsigned i = 0; i < 16; i++)
			gb__verify_talk_exchange(talk, 50);
		gb__verify_talk_send(talk);
		gb__verify_talk_step(talk, VERIFY_AWAIT, answered);
		leave(talk, reset);
	}
}

/* Connects when everybody else has met: served all the same. */
static void write_late(struct verify_plan *plan)
{
	struct verify_talk *talk = gb__verify_plan_talk(plan);

	talk->late = true;
	if (plan->protocol->speech) {
		plan->protocol->speech(talk, SIZE_MAX);
		talk->reasons = LOCAL_BIT;
	} else {
		gb__verify_talk_exchange(talk, 200);
		gb__verify_talk_send(talk);
		talk->reasons = 1u << GB_CLOSE_DRAIN;
	}
}

/* Has its first answer when it meets; `more` others are on the way. */
static void write_open(struct verify_plan *plan, unsigned more)
{
	struct verify_talk *talk = gb__verify_plan_talk(plan);
	size_t first;

	gb__verify_talk_exchange(talk, 50);
	first = talk->wanted.size;
	for (unsigned i = 0; i < more; i++)
		gb__verify_talk_exchange(talk, 50);
	gb__verify_talk_send(talk);
	gb__verify_talk_step(talk, VERIFY_AWAIT, first);
	gb__verify_talk_step(talk, VERIFY_MEET, 0);
	talk->reasons = 1u << GB_CLOSE_DRAIN;
}

void gb__verify_write_drained(struct verify_plan *plan)
{
	if (plan->protocol->exchange)
		for (unsigned i = 0; i < 3; i++) {
			write_open(plan, 0);
			write_open(plan, 16);
		}
	for (unsigned i = 0; i < 6; i++)
		write_late(plan);
}
