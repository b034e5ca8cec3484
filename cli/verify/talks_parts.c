/* Talks with services that take messages of any size: what is larger than max-message comes in parts. */
#include "verify/conversation.h"

#define KIB 1024u
#define LONG (300u * KIB)
#define STALLED (600u * KIB) /* more than the buffers of both kernels and the server hold */

bool gb__verify_unbounded(const struct verify_protocol *protocol)
{
	return protocol->unbounded;
}

static void end(struct verify_talk *talk)
{
	gb__verify_talk_step(talk, VERIFY_FIN, 0);
}

/* Around the bounds: of what a first part has, of a whole message, of a buffer. */
static void write_bounds(struct verify_plan *plan)
{
	static const size_t bounds[] = { 4096, VERIFY_MESSAGE_MAX, 64 * KIB };
	struct verify_talk *talk = gb__verify_plan_talk(plan);

	for (size_t i = 0; i < sizeof(bounds) / sizeof(*bounds); i++)
		for (size_t more = 0; more <= 16; more += 4)
			gb__verify_talk_exchange(talk, bounds[i] - 8 + more);
	gb__verify_talk_send(talk);
	end(talk);
}

static void write_cut(struct verify_plan *plan)
{
	for (unsigned i = 0; i < 6; i++) {
		struct verify_talk *talk = gb__verify_plan_talk(plan);

		talk->address = i % VERIFY_ADDRESSES;
		gb__verify_talk_exchange(talk, 1);
		gb__verify_talk_exchange(talk, LONG);
		gb__verify_talk_exchange(talk, 100);
		gb__verify_talk_exchange(talk, VERIFY_MESSAGE_MAX + 100 * i);
		gb__verify_talk_send_cut(talk, 4 + 12 * i, i % 2);
		if (i % 3 == 0)
			gb__verify_talk_await(talk);
		end(talk);
	}
}

/* The client does not read until it cannot write any more. */
static void write_stalled(struct verify_plan *plan)
{
	struct verify_talk *talk = gb__verify_plan_talk(plan);

	gb__verify_talk_exchange(talk, STALLED);
	gb__verify_talk_exchange(talk, STALLED);
	gb__verify_talk_step(talk, VERIFY_HOLD, 10);
	gb__verify_talk_send(talk);
	end(talk);
}

/* A message whose first parts have come and whose last never does is not answered, however that ends. */
static void write_incomplete(struct verify_plan *plan)
{
	static const enum verify_step_kind ways[] = { VERIFY_FIN, VERIFY_LEAVE, VERIFY_RESET };

	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		struct verify_talk *talk = gb__verify_plan_talk(plan);

		if (ways[i] == VERIFY_RESET)
			talk->reasons = 1u << GB_CLOSE_RESET;
		gb__verify_talk_exchange(talk, 100);
		gb__verify_talk_incomplete(talk, 100 * KIB, 10);
		gb__verify_talk_send(talk);
		gb__verify_talk_await(talk);
		gb__verify_talk_step(talk, ways[i], 0);
	}
}

void gb__verify_write_parts(struct verify_plan *plan)
{
	write_bounds(plan);
	write_cut(plan);
	write_stalled(plan);
	write_incomplete(plan);
}
