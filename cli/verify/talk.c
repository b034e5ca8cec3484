#include "verify/talk.h"

#include "verify/protocol.h"

#include <stdlib.h>
#include <string.h>

void gb__verify_talk_finish(struct verify_talk *talk)
{
	gb__verify_bytes_finish(&talk->sent);
	gb__verify_bytes_finish(&talk->wanted);
	free(talk->steps);
}

size_t gb__verify_talk_random(struct verify_talk *talk, size_t bound)
{
	return (size_t)(gb__verify_random(&talk->random) % bound);
}

void gb__verify_talk_exchange(struct verify_talk *talk, size_t size)
{
	talk->protocol->exchange(talk, size);
	talk->exchanges++;
}

void gb__verify_talk_incomplete(struct verify_talk *talk, size_t size, size_t missing)
{
	size_t answered = talk->wanted.size;

	if (talk->protocol->incomplete) {
		talk->protocol->incomplete(talk, size);
		return;
	}
	gb__verify_talk_exchange(talk, size);
	talk->sent.size -= missing;
	talk->wanted.size = answered;
}

void gb__verify_talk_noise(struct verify_talk *talk, size_t size)
{
	unsigned char *data = gb__verify_bytes_reserve(&talk->sent, size);

	for (size_t i = 0; i < size; i++)
		data[i] = (unsigned char)gb__verify_random(&talk->random);
	talk->sent.size += size;
}

void gb__verify_talk_step(struct verify_talk *talk, enum verify_step_kind kind, size_t amount)
{
	if (talk->steps_count == talk->steps_room) {
		talk->steps_room = talk->steps_room * 2 + 8;
		talk->steps = gb__verify_grow(talk->steps, talk->steps_room, sizeof(*talk->steps));
	}
	talk->steps[talk->steps_count++] = (struct verify_step){ kind, amount };
}

/* Where the last send ends. */
static size_t sent_so_far(const struct verify_talk *talk)
{
	for (size_t i = talk->steps_count; i-- > 0;)
		if (talk->steps[i].kind == VERIFY_SEND)
			return talk->steps[i].amount;
	return 0;
}

static void send_up_to(struct verify_talk *talk, size_t end, unsigned pause_ms)
{
	if (end > sent_so_far(talk))
		gb__verify_talk_step(talk, VERIFY_SEND, end);
	if (pause_ms > 0)
		gb__verify_talk_step(talk, VERIFY_PAUSE, pause_ms);
}

void gb__verify_talk_send(struct verify_talk *talk)
{
	send_up_to(talk, talk->sent.size, 0);
}

static int compare_sizes(const void *a, const void *b)
{
	const size_t *left = a, *right = b;

	return *left < *right ? -1 : *left > *right;
}

void gb__verify_talk_send_cut(struct verify_talk *talk, unsigned pieces, unsigned pause_ms)
{
	size_t begin = sent_so_far(talk), size = talk->sent.size - begin;
	size_t *cuts = gb__verify_grow(NULL, pieces, sizeof(*cuts));

	for (unsigned i = 0; i + 1 < pieces; i++)
		cuts[i] = begin + gb__verify_talk_random(talk, size + 1);
	cuts[pieces - 1] = talk->sent.size;
	qsort(cuts, pieces, sizeof(*cuts), compare_sizes);
	for (unsigned i = 0; i < pieces; i++)
		send_up_to(talk, cuts[i], pause_ms);
	free(cuts);
}

void gb__verify_talk_send_bytes(struct verify_talk *talk, unsigned pause_ms)
{
	for (size_t at = sent_so_far(talk); at < talk->sent.size; at++)
		send_up_to(talk, at + 1, pause_ms);
}

void gb__verify_talk_send_halves(struct verify_talk *talk, size_t at, unsigned pause_ms)
{
	send_up_to(talk, at, pause_ms);
	send_up_to(talk, talk->sent.size, 0);
}

void gb__verify_talk_await(struct verify_talk *talk)
{
	gb__verify_talk_step(talk, VERIFY_AWAIT, talk->wanted.size);
}

unsigned gb__verify_talk_endings(const struct verify_talk *talk)
{
	if (talk->endings)
		return talk->endings;
	for (size_t i = 0; i < talk->steps_count; i++)
		if (talk->steps[i].kind == VERIFY_LEAVE || talk->steps[i].kind == VERIFY_RESET)
			return 1u << VERIFY_BY_CLIENT;
	return 1u << VERIFY_BY_FIN;
}

bool gb__verify_knows(const struct verify_protocol *protocol, const char *service)
{
	if (strcmp(protocol->service, service) == 0)
		return true;
	for (unsigned i = 0; i < VERIFY_TWINS && protocol->twins[i]; i++)
		if (strcmp(protocol->twins[i], service) == 0)
			return true;
	return false;
}
