/* RFC 862: what is sent comes back, so the reply's stream is the request's. */
#include "load/protocol.h"

#include <errno.h>
#include <stdlib.h>

/*
 * A prime, so that messages of any size begin everywhere in it: one lost, doubled or swapped shows as wrong
 * bytes. It lies in memory twice, so that a piece may begin anywhere.
 */
#define PERIOD 65521u
#define NUMBER_STEP 7919u /* places between the beginnings of two connections */

struct echo_state {
	uint64_t offset; /* bytes checked */
	size_t at;       /* the place of the next one expected */
	size_t of_reply; /* bytes of the current reply that have arrived */
};

static int echo_prepare(size_t request_size, struct traffic *ret)
{
	unsigned char *data = malloc(2 * (size_t)PERIOD);
	uint64_t random = 0x9e3779b97f4a7c15u;

	if (!data)
		return -ENOMEM;
	for (size_t i = 0; i < PERIOD; i++) {
		/* xorshift64 (Marsaglia, "Xorshift RNGs", 2003) */
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		data[i] = data[i + PERIOD] = (unsigned char)(random >> 32);
	}
	*ret = (struct traffic){ data, 2 * (size_t)PERIOD, PERIOD, request_size, request_size };
	return 0;
}

static size_t echo_begin(const struct traffic *traffic, uint64_t number, void *state)
{
	struct echo_state *echo = state;

	*echo = (struct echo_state){ .at = (size_t)(number % PERIOD * NUMBER_STEP % PERIOD) };
	return echo->at;
}

static int64_t echo_check(const struct traffic *traffic, void *state, uint64_t awaited, struct gb_bytes bytes,
	struct gb_error *error)
{
	struct echo_state *echo = state;
	uint64_t room = awaited * traffic->reply_size - (awaited ? echo->of_reply : 0);
	size_t checked = 0, size = bytes.size < room ? bytes.size : (size_t)room, arrived;

	while (checked < size) {
		size_t piece = traffic_piece(traffic, echo->at, size - checked);
		int64_t rc = gb__protocol_compare(
			traffic->data + echo->at, bytes.data + checked, piece, echo->offset, error);

		if (rc < 0)
			return rc;
		echo->at = traffic_after(traffic, echo->at, piece);
		echo->offset += piece;
		checked += piece;
	}
	if (size < bytes.size)
		return gb__protocol_surplus(echo->offset, error);
	arrived = echo->of_reply + size;
	echo->of_reply = arrived % traffic->reply_size;
	return (int64_t)(arrived / traffic->reply_size);
}

const struct protocol gb__protocol_echo = {
	.name = "echo",
	.state_size = sizeof(struct echo_state),
	.prepare = echo_prepare,
	.begin = echo_begin,
	.check = echo_check,
};
