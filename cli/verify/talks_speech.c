/* Talks with services that speak first and ignore what they hear. */
#include "verify/conversation.h"

#define SPOKEN_ON 200000u     /* bytes heard of an endless speech before the client ends it */
#define ON_THE_WAY (1u << 20) /* more than can be on the way behind that */
#define RECEIVE_BUFFER 65536  /* which bounds it */

enum { LOCAL_BIT = 1u << GB_CLOSE_LOCAL, RESET_BIT = 1u << GB_CLOSE_RESET };

bool gb__verify_speaks(const struct verify_protocol *protocol)
{
	return protocol->speech;
}

bool gb__verify_speaks_on(const struct verify_protocol *protocol)
{
	return protocol->speech && protocol->endless;
}

static struct verify_talk *speech_talk(struct verify_plan *plan, unsigned address)
{
	struct verify_talk *talk = gb__verify_plan_talk(plan);

	talk->address = plan->protocol->endless ? 0 : address;
	talk->reasons = LOCAL_BIT;
	plan->protocol->speech(talk, SIZE_MAX);
	return talk;
}

void gb__verify_write_spoken(struct verify_plan *plan)
{
	for (unsigned address = 0; address < VERIFY_ADDRESSES; address++) {
		struct verify_talk *talk;

		speech_talk(plan, address); /* silent */

		talk = speech_talk(plan, address); /* half-closed */
		gb__verify_talk_step(talk, VERIFY_FIN, 0);

		talk = speech_talk(plan, address); /* chatty */
		gb__verify_talk_noise(talk, 50000);
		gb__verify_talk_send(talk);

		talk = speech_talk(plan, address); /* and closing */
		gb__verify_talk_noise(talk, 3000);
		gb__verify_talk_send_cut(talk, 4, 1);
		gb__verify_talk_step(talk, VERIFY_FIN, 0);

		talk = speech_talk(plan, address); /* slow */
		talk->receive_buffer = 4096;
		gb__verify_talk_step(talk, VERIFY_HOLD, 10);
		gb__verify_talk_await(talk);
	}
}

static struct verify_talk *endless_talk(struct verify_plan *plan)
{
	struct verify_talk *talk = gb__verify_plan_talk(plan);

	talk->address = 1;
	talk->prefix = true;
	talk->receive_buffer = RECEIVE_BUFFER;
	talk->reasons = LOCAL_BIT;
	plan->protocol->speech(talk, SPOKEN_ON + ON_THE_WAY);
	return talk;
}

void gb__verify_write_spoken_on(struct verify_plan *plan)
{
	for (unsigned i = 0; i < 2; i++) {
		struct verify_talk *talk = endless_talk(plan);

		if (i > 0)
			gb__verify_talk_step(talk, VERIFY_HOLD, 10);
		gb__verify_talk_step(talk, VERIFY_AWAIT, SPOKEN_ON);
		gb__verify_talk_step(talk, VERIFY_FIN, 0);
	}
}

void gb__verify_write_spoken_interrupted(struct verify_plan *plan)
{
	bool endless = plan->protocol->endless;

	for (unsigned i = 0; i < 4; i++) {
		struct verify_talk *talk = endless ? endless_talk(plan) : speech_talk(plan, 0);

		/* What was said behind a client that closes comes back as a reset, if it was not all said. */
		talk->prefix = true;
		talk->reasons = LOCAL_BIT | RESET_BIT;
		if (i < 2 && endless)
			gb__verify_talk_step(talk, VERIFY_AWAIT, 30000);
		gb__verify_talk_step(talk, i % 2 ? VERIFY_RESET : VERIFY_LEAVE, 0);
	}
}
