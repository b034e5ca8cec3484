/* Talks that run into a timeout of an impatient server. */
#include "verify/conversation.h"

#define UNREAD (600u << 10) /* more than all buffers hold */
#define FRAME 8192u

bool gb__verify_fills(const struct verify_protocol *protocol)
{
	return protocol->exchange ? !protocol->mute : protocol->endless;
}

void gb__verify_write_idle(struct verify_plan *plan)
{
	struct verify_talk *talk = gb__verify_plan_talk(plan);

	talk->reasons = 1u << GB_CLOSE_IDLE;

	talk = gb__verify_plan_talk(
		plan); /* behind an answer; a client that is held up itself may come too late */
	talk->reasons = 1u << GB_CLOSE_IDLE;
	talk->prefix = true;
	gb__verify_talk_exchange(talk, 100);
	gb__verify_talk_send(talk);
	gb__verify_talk_await(talk);
	gb__verify_talk_step(talk, VERIFY_LINGER, 0); /* the server does not wait for ever */

	if (plan->protocol->work) {
		talk = gb__verify_plan_talk(plan); /* behind one that took longer than the timeout */
		talk->reasons = 1u << GB_CLOSE_IDLE;
		talk->prefix = true;
		plan->protocol->work(talk, 2 * VERIFY_IDLE_MS);
		gb__verify_talk_send(talk);
	}
}

void gb__verify_write_unfinished(struct verify_plan *plan)
{
	static const size_t sizes[] = { 100, 3000 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct verify_talk *talk = gb__verify_plan_talk(plan);

		talk->reasons = 1u << GB_CLOSE_READ_TIMEOUT;
		gb__verify_talk_exchange(talk, 10);
		gb__verify_talk_incomplete(talk, sizes[i], 2);
		gb__verify_talk_send(talk);
	}
}

/* A client that reads nothing while more is to come than all buffers hold. */
static struct verify_talk *write_unread(struct verify_plan *plan)
{
	struct verify_talk *talk = gb__verify_plan_talk(plan);

	talk->reasons = 1u << GB_CLOSE_WRITE_TIMEOUT;
	talk->endings = 1u << VERIFY_BY_RESET;
	talk->prefix = true;
	talk->receive_buffer = 65536;
	gb__verify_talk_step(talk, VERIFY_HOLD, 0);
	if (talk->protocol->exchange) {
		while (talk->sent.size < UNREAD || talk->wanted.size < UNREAD)
			gb__verify_talk_exchange(talk, FRAME);
		gb__verify_talk_send(talk);
	} else {
		talk->address = 1;
		talk->protocol->speech(talk, UNREAD);
	}
	return talk;
}

/* Whoever is held up, server or client, may find another time over before the buffers are full. */
static void allow(struct verify_talk *talk, enum gb_close_reason reason)
{
	talk->reasons |= 1u << reason;
	talk->endings |= 1u << VERIFY_BY_FIN;
}

void gb__verify_write_unread(struct verify_plan *plan)
{
	struct verify_talk *talk = write_unread(plan);

	if (plan->protocol->framed || plan->protocol->coded)
		allow(talk, GB_CLOSE_READ_TIMEOUT);
}

void gb__verify_write_abandoned(struct verify_plan *plan)
{
	allow(write_unread(plan), GB_CLOSE_IDLE);
}
