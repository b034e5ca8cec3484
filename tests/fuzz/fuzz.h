/**
 * What the fuzzers of the codecs share. A target is a codec with a choice of options, a second decoder and an encoder;
 * fuzz.c has the body, LLVMFuzzerTestOneInput, which libFuzzer or fuzz_test.c calls.
 *
 * An input is: one byte for the kind of max_message and two for its value, four for the seed of the cuts, the bytes
 * that the target takes for its options; the rest is the stream. What is missing counts as 0.
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <gearbox/codec.h>

#include <stdint.h>

/** What is left of an input. */
struct fuzz_source {
	const uint8_t *data;
	size_t size;
};

/** The next byte of it, or 0. */
unsigned fuzz_take(struct fuzz_source *source);
/** A number of so many bytes, the highest first. */
uint64_t fuzz_take_number(struct fuzz_source *source, unsigned bytes);

struct fuzz_codec {
	const struct gb_codec_ops *ops;
	const char *alphabet; /* bytes that mean something to the codec, for inputs made at random */
	size_t alphabet_size;
	/** Options within their legal range, valid until the next call; NULL where the codec allows it. */
	const void *(*choose)(struct fuzz_source *source);
	/** The codec once more: as `decode`, written from <gearbox/codec.h> the slow way, without `scanned`. */
	int (*decode)(const void *options, struct gb_bytes input, size_t max_message, struct gb_frame *ret);
	/**
	 * Write a message made of `from`, which has at most `max_message` bytes, to `out`, which has room for it and
	 * FUZZ_OVERHEAD more. Returns how many bytes it takes there and in `ret_message` what has to be decoded of it,
	 * or 0 when `from` cannot be a message.
	 */
	size_t (*encode)(const void *options, struct gb_bytes from, size_t max_message, unsigned char *out,
		struct gb_bytes *ret_message);
};

#define FUZZ_OVERHEAD 4200u

/** The codec of this program. */
extern const struct fuzz_codec fuzz_codec;

/** Try one input: 0, or it aborts and says what did not hold. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
