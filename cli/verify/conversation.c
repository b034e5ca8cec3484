#include "verify/conversation.h"

#include <stdlib.h>
#include <string.h>

const struct verify_conversation gb__verify_conversations[] = {
	{ "fragmented", "messages cut at every byte, or anywhere", VERIFY_PATIENT, gb__verify_answers,
		gb__verify_write_fragmented },
	{ "pipelined", "many requests at once, answered in order", VERIFY_PATIENT, gb__verify_answers,
		gb__verify_write_pipelined },
	{ "half-closed", "the client's FIN comes right behind its last request", VERIFY_PATIENT,
		gb__verify_answers, gb__verify_write_half_closed },
	{ "paced", "each request waits for the answer to the last", VERIFY_PATIENT, gb__verify_replies,
		gb__verify_write_paced },
	{ "slow", "bytes that drip in, and a client that reads little at a time", VERIFY_PATIENT,
		gb__verify_answers, gb__verify_write_slow },
	{ "large", "1 MiB, the client reads while it writes", VERIFY_PATIENT, gb__verify_answers,
		gb__verify_write_large },
	{ "stalled", "the client reads nothing until it cannot write any more", VERIFY_PATIENT,
		gb__verify_replies, gb__verify_write_stalled },
	{ "parts", "messages larger than max-message, whole, cut, stalled and never complete", VERIFY_PATIENT,
		gb__verify_unbounded, gb__verify_write_parts },
	{ "many", "60 connections at once", VERIFY_PATIENT, NULL, gb__verify_write_many },
	{ "faulty", "messages that are too large or wrong, with good ones before and more bytes behind",
		VERIFY_PATIENT, gb__verify_has_faults, gb__verify_write_faulty },
	{ "once", "the server closes first, the client sends on", VERIFY_PATIENT, gb__verify_answers_once,
		gb__verify_write_once },
	{ "interrupted", "clients that close or reset, idle, amid a message, or with answers on the way",
		VERIFY_PATIENT, gb__verify_answers, gb__verify_write_interrupted },
	{ "spoken", "the server speaks and closes; the client is silent, chatty, half-closed or slow",
		VERIFY_PATIENT, gb__verify_speaks, gb__verify_write_spoken },
	{ "spoken-on", "the server speaks until the client half-closes", VERIFY_PATIENT, gb__verify_speaks_on,
		gb__verify_write_spoken_on },
	{ "spoken-interrupted", "clients that close or reset while the server speaks", VERIFY_PATIENT,
		gb__verify_speaks, gb__verify_write_spoken_interrupted },
	{ "queued", "40 clients that wait for their turn, where a model serves fewer", VERIFY_PATIENT, NULL,
		gb__verify_write_queued },
	{ "drained", "the server is stopped: in the backlog, with answers on the way, and idle", VERIFY_LAST,
		NULL, gb__verify_write_drained },
	{ "idle", "nothing moves for the idle timeout", VERIFY_DROWSY, gb__verify_answers,
		gb__verify_write_idle },
	{ "unfinished", "a message that is not complete within the read timeout", VERIFY_IMPATIENT,
		gb__verify_frames, gb__verify_write_unfinished },
	{ "unread", "a client that takes nothing for the write timeout", VERIFY_IMPATIENT, gb__verify_fills,
		gb__verify_write_unread },
	{ "abandoned", "the same, where the idle timeout comes first", VERIFY_DROWSY, gb__verify_fills,
		gb__verify_write_abandoned },
	{ NULL },
};

void gb__verify_plan_write(struct verify_plan *plan, const struct verify_protocol *protocol,
	enum verify_stage stage, const char *only)
{
	*plan = (struct verify_plan){ .protocol = protocol };
	for (const struct verify_conversation *row = gb__verify_conversations; row->name; row++) {
		if (row->stage != stage || (row->suits && !row->suits(protocol)) ||
			(only && strcmp(only, row->name) != 0))
			continue;
		plan->conversation = row->name;
		plan->numbers = 0;
		row->write(plan);
	}
}

void gb__verify_plan_finish(struct verify_plan *plan)
{
	for (size_t i = 0; i < plan->talks_count; i++) {
		gb__verify_talk_finish(plan->talks[i]);
		free(plan->talks[i]);
	}
	free(plan->talks);
}

/* The same on every machine and in every run (FNV-1a). */
static uint64_t seed_of(const struct verify_plan *plan)
{
	uint64_t hash = 14695981039346656037u;

	for (const char *at = plan->conversation; *at; at++)
		hash = (hash ^ (unsigned char)*at) * 1099511628211u;
	return hash + plan->numbers;
}

struct verify_talk *gb__verify_plan_talk(struct verify_plan *plan)
{
	struct verify_talk *talk = gb__verify_grow(NULL, 1, sizeof(*talk));

	if (plan->talks_count == plan->talks_room) {
		plan->talks_room = plan->talks_room * 2 + 64;
		plan->talks = gb__verify_grow(plan->talks, plan->talks_room, sizeof(struct verify_talk *));
	}
	plan->talks[plan->talks_count++] = talk;
	*talk = (struct verify_talk){
		.protocol = plan->protocol,
		.conversation = plan->conversation,
		.number = ++plan->numbers,
		.reasons = plan->protocol->eof_reasons ? plan->protocol->eof_reasons : 1u << GB_CLOSE_EOF,
		.random = seed_of(plan),
	};
	if (plan->protocol->begin)
		plan->protocol->begin(talk);
	return talk;
}

/* Whether a client leaves by a close that the kernel turns into a reset if anything was not read. */
static bool leaves(const struct verify_talk *talk)
{
	return talk->steps_count > 0 && talk->steps[talk->steps_count - 1].kind == VERIFY_LEAVE;
}

void gb__verify_plan_secure(struct verify_plan *plan)
{
	for (size_t i = 0; i < plan->talks_count; i++) {
		struct verify_talk *talk = plan->talks[i];

		if (talk->late) { /* its request comes behind a handshake, and a drain may be between them */
			talk->reasons |= 1u << GB_CLOSE_DRAIN;
			talk->prefix = true;
		}
		if (leaves(talk) && (talk->reasons & 1u << GB_CLOSE_RESET))
			talk->reasons |= 1u << GB_CLOSE_EOF; /* close_notify came before the reset */
	}
}
