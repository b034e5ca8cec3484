/* Talks with services that speak first and ignore what they hear. */
#include "verify/conversation.h"

#define SPOKEN_ON 200000u     /* bytes heard of an endless speech before the client ends it */
#define ON_THE_WAY (1u << 20) /* more than can be on the way behind that */
#define RECEIVE_BUFFER 65536  /* which bounds it */

enum { LOCAL_BIT = 1u << GB_CLOSE_LOCAL, RESET_BIT = 1u << GB_CLOSE_RESET };

bool verify_speaks(const struct verify_protocol *protocol)
{
	return protocol->speech;
}

bool verify_speaks_on(const struct verify_protocol *protocol)
{
	return protocol->speech && protocol->endless;
}

static struct verify_talk *speech_talk(struct verify_plan *plan, unsigned address)
{
	struct verify_talk *talk = verify_plan_talk(plan);

	talk->address = plan->protocol->endless ? 0 : address;
	talk->reasons = LOCAL_BIT;
	plan->protocol->speech(talk, SIZE_MAX);
	return talk;
}

void verify_write_spoken(struct verify_plan *plan)
{
	for (unsigned address = 0; address < VERIFY_ADDRESSES; address++) {
		struct verify_talk *talk;

		speech_talk(plan, address); /* silent */

		talk = speech_talk(plan, address); /* half-closed */
		verify_talk_step(talk, VERIFY_FIN, 0);

		talk = speech_talk(plan, address); /* chatty */
		verify_talk_noise(talk, 50000);
		verify_talk_send(talk);

		talk = speech_talk(plan, address); /* and closing */
		verify_talk_noise(talk, 3000);
		verify_talk_send_cut(talk, 4, 1);
		verify_talk_step(talk, VERIFY_FIN, 0);

		talk = speech_talk(plan, address); /* slow */
		talk->receive_buffer = 4096;
		verify_talk_step(talk, VERIFY_HOLD, 10);
		verify_talk_await(talk);
	}
}

static struct verify_talk *endless_talk(struct verify_plan *plan)
{
	struct verify_talk *talk = verify_plan_talk(plan);

	talk->address = 1;
	talk->prefix = true;
	talk->receive_buffer = RECEIVE_BUFFER;
	talk->reasons = LOCAL_BIT;
	plan->protocol->speech(talk, SPOKEN_ON + ON_THE_WAY);
	return talk;
}

void verify_write_spoken_on(struct verify_plan *plan)
{
	for (unsigned i = 0; i < 2; i++) {
		struct verify_talk *talk = endless_talk(plan);

		if (i > 0)
			verify_talk_step(talk, VERIFY_HOLD, 10);
		verify_talk_step(talk, VERIFY_AWAIT, SPOKEN_ON);
		verify_talk_step(talk, VERIFY_FIN, 0);
	}
}

void verify_write_spoken_interrupted(struct verify_plan *plan)
{
	bool endless = plan->protocol->endless;

	for (unsigned i = 0; i < 4; i++) {
		struct verify_talk *talk = endless ? endless_talk(plan) : speech_talk(plan, 0);

		/* What was said behind a client that closes comes back as a reset, if it was not all said. */
		talk->prefix = true;
		talk->reasons = LOCAL_BIT | RESET_BIT;
		if (i < 2 && endless)
			verify_talk_step(talk, VERIFY_AWAIT, 30000);
		verify_talk_step(talk, i % 2 ? VERIFY_RESET : VERIFY_LEAVE, 0);
	}
}
