/* RFC 862: what is sent comes back, so the reply's stream is the request's. */
#include "load/protocol.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * A prime, so that messages of any size begin everywhere in it: one lost, doubled or swapped shows as wrong
 * bytes. It lies in memory twice, so that a piece may begin anywhere.
 */
#define PERIOD 65521u
#define NUMBER_STEP 7919u /* places between the beginnings of two connections */

struct echo_state {
	uint64_t offset; /* bytes checked */
	size_t at;       /* the place of the next one expected */
	size_t turn;     /* which request the current reply is to */
	size_t of_reply; /* bytes of the current reply that have arrived */
};

static int echo_prepare(const struct load_request *request, struct traffic *ret)
{
	uint64_t random = 0x9e3779b97f4a7c15u;
	unsigned char *data;

	if (request->messages && request->messages->count > 0)
		return gb__traffic_of_messages(request->messages, ret);
	data = malloc(2 * (size_t)PERIOD);
	if (!data)
		return -ENOMEM;
	for (size_t i = 0; i < PERIOD; i++) {
		/* xorshift64 (Marsaglia, "Xorshift RNGs", 2003) */
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		data[i] = data[i + PERIOD] = (unsigned char)(random >> 32);
	}
	*ret = (struct traffic){ .data = data,
		.size = 2 * (size_t)PERIOD,
		.period = PERIOD,
		.request_size = request->size,
		.reply_size = request->size };
	return 0;
}

static size_t echo_begin(const struct traffic *traffic, uint64_t number, void *state)
{
	struct echo_state *echo = state;

	*echo = (struct echo_state){ .at = (size_t)(number % PERIOD * NUMBER_STEP % PERIOD) };
	if (traffic->sizes)
		echo->at = 0; /* with the first of the messages */
	return echo->at;
}

/* Compare bytes of one reply. Returns 0 or -GB_EBADFRAME. */
static int64_t echo_compare(
	const struct traffic *traffic, struct echo_state *echo, struct gb_bytes bytes, struct gb_error *error)
{
	size_t checked = 0;

	while (checked < bytes.size) {
		size_t piece = traffic_piece(traffic, echo->at, bytes.size - checked);
		int64_t rc = gb__protocol_compare(
			traffic->data + echo->at, bytes.data + checked, piece, echo->offset, error);

		if (rc < 0)
			return rc;
		echo->at = traffic_after(traffic, echo->at, piece);
		echo->offset += piece;
		checked += piece;
	}
	return 0;
}

static int64_t echo_check(const struct traffic *traffic, void *state, uint64_t awaited, struct gb_bytes bytes,
	struct gb_error *error)
{
	struct echo_state *echo = state;
	uint64_t replies = 0;

	while (bytes.size > 0) {
		size_t turn = echo->turn, reply = traffic_take(traffic, &turn, 1);
		size_t left = reply - echo->of_reply, size = bytes.size < left ? bytes.size : left;
		int64_t rc;

		if (replies == awaited)
			return gb__protocol_surplus(echo->offset, error);
		rc = echo_compare(traffic, echo, (struct gb_bytes){ bytes.data, size }, error);
		if (rc < 0)
			return rc;
		bytes.data += size;
		bytes.size -= size;
		echo->of_reply += size;
		if (echo->of_reply == reply) {
			echo->of_reply = 0;
			echo->turn = turn;
			replies++;
		}
	}
	return (int64_t)replies;
}

const struct protocol gb__protocol_echo = {
	.name = "echo",
	.state_size = sizeof(struct echo_state),
	.prepare = echo_prepare,
	.begin = echo_begin,
	.check = echo_check,
};
