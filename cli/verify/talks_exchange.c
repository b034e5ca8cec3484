/* Talks with services that answer, as long as both sides behave. All end with the client's FIN. */
#include "verify/conversation.h"

#define KIB 1024u
#define MIB (1024u * KIB)
#define SHORT_MAX 12u        /* bytes of payload that are cut at every place */
#define QUEUED 40u           /* connections of which some may have to wait */
#define MANY 60u             /* connections */
#define FRAME 8192u          /* of a large amount that must go in messages */
#define STALLED (600u * KIB) /* more than the buffers of both kernels and the server hold */

bool gb__verify_answers(const struct verify_protocol *protocol)
{
	return protocol->exchange;
}

bool gb__verify_replies(const struct verify_protocol *protocol)
{
	return protocol->exchange && !protocol->mute;
}

bool gb__verify_frames(const struct verify_protocol *protocol)
{
	return protocol->framed;
}

static void end(struct verify_talk *talk)
{
	gb__verify_talk_step(talk, VERIFY_FIN, 0);
}

/* Three short messages, the one in the middle as short as can be. */
static struct verify_talk *short_talk(struct verify_plan *plan)
{
	struct verify_talk *talk = gb__verify_plan_talk(plan);

	talk->random = 1; /* the same bytes wherever they are cut */
	gb__verify_talk_exchange(talk, SHORT_MAX);
	gb__verify_talk_exchange(talk, 1);
	gb__verify_talk_exchange(talk, SHORT_MAX / 2);
	return talk;
}

/* An amount in messages that are not too large. */
static void exchange_much(struct verify_talk *talk, size_t size)
{
	size_t before = talk->sent.size;

	while (talk->sent.size - before < size)
		gb__verify_talk_exchange(talk, talk->protocol->framed ? FRAME : size);
}

void gb__verify_write_fragmented(struct verify_plan *plan)
{
	/* Around the headroom that engines leave before what they read, in which short rests are kept. */
	static const size_t rests[] = { 511, 512, 513, 2000, 5000 };
	struct verify_talk *talk = short_talk(plan);
	size_t size = talk->sent.size;

	gb__verify_talk_send_bytes(talk, 0);
	end(talk);
	for (size_t at = 1; at < size; at++) {
		talk = short_talk(plan);
		gb__verify_talk_send_halves(talk, at, 2);
		end(talk);
	}
	for (size_t i = 0; i < sizeof(rests) / sizeof(*rests); i++) {
		talk = gb__verify_plan_talk(plan);
		gb__verify_talk_exchange(talk, 1);
		size = talk->sent.size;
		gb__verify_talk_exchange(talk, 6000);
		gb__verify_talk_exchange(talk, 100);
		gb__verify_talk_send_halves(talk, size + rests[i], 4);
		end(talk);
	}
	for (unsigned i = 0; i < 6; i++) {
		talk = gb__verify_plan_talk(plan);
		for (unsigned j = 0; j < 20; j++)
			gb__verify_talk_exchange(talk, gb__verify_talk_random(talk, 2000) + 1);
		gb__verify_talk_send_cut(talk, 12, i % 2);
		end(talk);
	}
}

void gb__verify_write_pipelined(struct verify_plan *plan)
{
	for (unsigned i = 0; i < 6; i++) {
		struct verify_talk *talk = gb__verify_plan_talk(plan);

		/* More than a connection may have in one turn (turn-messages), and more than one read brings. */
		talk->address = i % VERIFY_ADDRESSES;
		if (talk->protocol->once)
			talk->address = 0;
		for (unsigned j = 0; j < 40 + 40 * i; j++)
			gb__verify_talk_exchange(talk, gb__verify_talk_random(talk, i < 3 ? 40 : 1500) + 1);
		gb__verify_talk_send(talk);
		gb__verify_talk_await(talk);
		end(talk);
	}
}

void gb__verify_write_half_closed(struct verify_plan *plan)
{
	static const size_t sizes[] = { 0, 1, 100, 10000, 200000 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct verify_talk *talk = gb__verify_plan_talk(plan);

		if (sizes[i] > 0)
			exchange_much(talk, sizes[i]);
		gb__verify_talk_send(talk);
		end(talk);
	}
	if (plan->protocol->framed) {
		struct verify_talk *talk = gb__verify_plan_talk(plan);

		gb__verify_talk_exchange(talk, 100);
		gb__verify_talk_exchange(talk, 100);
		gb__verify_talk_send(talk);
		/* A message that will never be complete is dropped. */
		gb__verify_talk_incomplete(talk, 1000, 10);
		gb__verify_talk_send(talk);
		end(talk);
	}
}

void gb__verify_write_paced(struct verify_plan *plan)
{
	for (unsigned i = 0; i < 4; i++) {
		struct verify_talk *talk = gb__verify_plan_talk(plan);

		for (unsigned j = 0; j < 16; j++) {
			gb__verify_talk_exchange(talk, gb__verify_talk_random(talk, i % 2 ? 8000 : 100) + 1);
			gb__verify_talk_send(talk);
			gb__verify_talk_await(talk);
		}
		end(talk);
	}
}

void gb__verify_write_slow(struct verify_plan *plan)
{
	struct verify_talk *talk = gb__verify_plan_talk(plan);

	gb__verify_talk_exchange(talk, 24);
	gb__verify_talk_exchange(talk, 3);
	gb__verify_talk_send_bytes(talk, 1);
	end(talk);

	talk = gb__verify_plan_talk(plan);
	talk->receive_buffer = 4096;
	exchange_much(talk, 100000);
	gb__verify_talk_send_cut(talk, 10, 1);
	end(talk);
}

void gb__verify_write_large(struct verify_plan *plan)
{
	struct verify_talk *talk = gb__verify_plan_talk(plan);

	exchange_much(talk, MIB);
	gb__verify_talk_send(talk);
	end(talk);
}

void gb__verify_write_stalled(struct verify_plan *plan)
{
	for (unsigned i = 0; i < 2; i++) {
		struct verify_talk *talk = gb__verify_plan_talk(plan);

		exchange_much(talk, STALLED);
		gb__verify_talk_step(talk, VERIFY_HOLD, 10);
		gb__verify_talk_send(talk);
		if (i == 0) /* else the end comes while answers are held back */
			gb__verify_talk_await(talk);
		end(talk);
	}
}

static void write_many_exchanges(struct verify_talk *talk)
{
	gb__verify_talk_exchange(talk, gb__verify_talk_random(talk, 3000) + 1);
	gb__verify_talk_send(talk);
	gb__verify_talk_await(talk);
	gb__verify_talk_step(talk, VERIFY_MEET, 0);
	gb__verify_talk_exchange(talk, gb__verify_talk_random(talk, 3000) + 1);
	gb__verify_talk_send(talk);
	end(talk);
}

void gb__verify_write_many(struct verify_plan *plan)
{
	for (unsigned i = 0; i < MANY; i++) {
		struct verify_talk *talk = gb__verify_plan_talk(plan);

		if (plan->protocol->exchange) {
			talk->address = plan->protocol->once ? 0 : i % VERIFY_ADDRESSES;
			write_many_exchanges(talk);
		} else {
			talk->address = plan->protocol->endless ? 0 : i % VERIFY_ADDRESSES;
			talk->reasons = 1u << GB_CLOSE_LOCAL;
			gb__verify_talk_step(talk, VERIFY_MEET, 0);
			plan->protocol->speech(talk, SIZE_MAX);
		}
	}
}

void gb__verify_write_queued(struct verify_plan *plan)
{
	for (unsigned i = 0; i < QUEUED; i++) {
		struct verify_talk *talk = gb__verify_plan_talk(plan);

		talk->queues = true;
		if (plan->protocol->exchange) {
			gb__verify_talk_exchange(talk, 50 + i);
			gb__verify_talk_exchange(talk, 1);
			gb__verify_talk_send(talk);
			if (i % 2)
				gb__verify_talk_await(talk);
			end(talk);
		} else {
			talk->reasons = 1u << GB_CLOSE_LOCAL;
			plan->protocol->speech(talk, SIZE_MAX);
		}
	}
}
