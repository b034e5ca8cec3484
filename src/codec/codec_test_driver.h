/**
 * Runs a conversation through a codec as a connection would, cut into arrivals in every way.
 *
 * Whole; at every byte; at every pair of bytes when it is short; byte by byte; in random places (by
 * test_seed); and, when nothing is left over, three of it in a row. Each must give the same messages
 * and the same ending; and the same in parts, of different sizes, where `ending` is not that one is too large.
 */
#ifndef CODEC_TEST_DRIVER_H
#define CODEC_TEST_DRIVER_H

#include <gearbox/codec.h>

struct codec_conversation {
	const struct gb_codec_ops *ops;
	const void *options; /* for the codec */
	size_t max_message;
	struct gb_bytes input;
	const struct gb_bytes *messages; /* expected, in this order */
	size_t message_count;
	int ending;  /* what decode must return after the last message: 0 or an error */
	size_t rest; /* bytes of an incomplete message at the end, when `ending` is 0 */
};

/** An initializer of struct gb_bytes from a string literal. */
#define BYTES(literal) \
	{ \
		(const unsigned char *)(literal), sizeof(literal) - 1 \
	}

/** Ends the test with a failure that names the cuts when any of them goes wrong. */
void codec_test(const struct codec_conversation *conversation);

#endif
