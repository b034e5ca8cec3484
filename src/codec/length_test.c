#include "codec/codec_test_driver.h"
#include "harness.h"

#include <gearbox/codec.h>
#include <gearbox/error.h>

/* Input, ending and rest, then the expected messages as BYTES(…). */
#define CHECK_MESSAGES(options, max, text, end, left, ...) \
	do { \
		static const struct gb_bytes expected[] = { __VA_ARGS__ }; \
		check_messages(options, max, (struct gb_bytes)BYTES(text), end, left, expected, \
			sizeof(expected) / sizeof(*expected)); \
	} while (0)
#define CHECK_NO_MESSAGES(options, max, text, end, left) \
	check_messages(options, max, (struct gb_bytes)BYTES(text), end, left, NULL, 0)

static void check_messages(const struct gb_length_options *options, size_t max, struct gb_bytes input,
	int ending, size_t rest, const struct gb_bytes *messages, size_t count)
{
	codec_test(&(struct codec_conversation){
		&gb_codec_length, options, max, input, messages, count, ending, rest });
}

static int decode(
	const struct gb_length_options *options, struct gb_bytes input, size_t max, struct gb_frame *ret)
{
	uint32_t scanned = 0;

	return gb_codec_length.decode(options, NULL, input, max, &scanned, ret);
}

TEST(four_bytes_of_network_order_are_the_default)
{
	static const struct gb_length_options zero;

	CHECK_MESSAGES(
		NULL, 100, "\0\0\0\3one\0\0\0\0\0\0\0\2xy", 0, 0, BYTES("one"), BYTES(""), BYTES("xy"));
	CHECK_MESSAGES(&zero, 100, "\0\0\0\3one", 0, 0, BYTES("one"));
}

TEST(lengths_have_one_two_four_or_eight_bytes)
{
	static const struct gb_length_options one = { .width = 1 }, two = { .width = 2 },
					      four = { .width = 4 }, eight = { .width = 8 };

	CHECK_MESSAGES(&one, 100, "\3one\0\1x", 0, 0, BYTES("one"), BYTES(""), BYTES("x"));
	CHECK_MESSAGES(&two, 100, "\0\3one\0\0\0\1x", 0, 0, BYTES("one"), BYTES(""), BYTES("x"));
	CHECK_MESSAGES(&four, 100, "\0\0\0\3one\0\0\0\1x", 0, 0, BYTES("one"), BYTES("x"));
	CHECK_MESSAGES(&eight, 100, "\0\0\0\0\0\0\0\3one\0\0\0\0\0\0\0\1x", 0, 0, BYTES("one"), BYTES("x"));
}

TEST(lowest_byte_comes_first_when_asked_for)
{
	static const struct gb_length_options two = { .width = 2, .little_endian = 1 },
					      eight = { .width = 8, .little_endian = 1 };

	CHECK_MESSAGES(&two, 100, "\3\0one\0\0\1\0x", 0, 0, BYTES("one"), BYTES(""), BYTES("x"));
	CHECK_MESSAGES(&eight, 100, "\3\0\0\0\0\0\0\0one", 0, 0, BYTES("one"));
	CHECK_NO_MESSAGES(&two, 100, "\0\1", -GB_ETOOLARGE, 0);
}

TEST(every_byte_of_the_length_counts)
{
	static const struct gb_length_options big = { .width = 8 },
					      little = { .width = 8, .little_endian = 1 };
	unsigned char header[8];
	struct gb_frame frame;

	for (unsigned at = 0; at < 8; at++) {
		uint64_t length = (uint64_t)0x80 << 8 * at;

		memset(header, 0, sizeof(header));
		header[7 - at] = 0x80;
		CHECK_INT(decode(&big, (struct gb_bytes){ header, 8 }, length, &frame), 0);
		CHECK_INT(decode(&big, (struct gb_bytes){ header, 8 }, length - 1, &frame), -GB_ETOOLARGE);
		memset(header, 0, sizeof(header));
		header[at] = 0x80;
		CHECK_INT(decode(&little, (struct gb_bytes){ header, 8 }, length, &frame), 0);
		CHECK_INT(decode(&little, (struct gb_bytes){ header, 8 }, length - 1, &frame), -GB_ETOOLARGE);
	}
}

TEST(length_that_counts_itself_includes_the_header)
{
	static const struct gb_length_options one = { .width = 1, .counts_itself = 1 },
					      two = { .width = 2, .little_endian = 1, .counts_itself = 1 };

	CHECK_MESSAGES(&one, 3, "\4one\1\2x", 0, 0, BYTES("one"), BYTES(""), BYTES("x"));
	CHECK_MESSAGES(&two, 3, "\5\0one\2\0\3\0x", 0, 0, BYTES("one"), BYTES(""), BYTES("x"));
	CHECK_MESSAGES(&one, 3, "\4one\5four", -GB_ETOOLARGE, 0, BYTES("one"));
}

TEST(length_smaller_than_the_header_it_counts_is_a_bad_frame)
{
	static const struct gb_length_options one = { .width = 1, .counts_itself = 1 },
					      four = { .counts_itself = 1 };

	CHECK_MESSAGES(&one, 100, "\4one\0rest", -GB_EBADFRAME, 0, BYTES("one"));
	CHECK_NO_MESSAGES(&four, 100, "\0\0\0\3rest", -GB_EBADFRAME, 0);
	CHECK_MESSAGES(&four, 100, "\0\0\0\4", 0, 0, BYTES(""));
}

TEST(header_is_kept_when_asked_for)
{
	static const struct gb_length_options two = { .width = 2, .keep_header = 1 },
					      itself = { .width = 1, .counts_itself = 1, .keep_header = 1 };

	CHECK_MESSAGES(&two, 3, "\0\3one\0\0", 0, 0, BYTES("\0\3one"), BYTES("\0\0"));
	CHECK_MESSAGES(&itself, 3, "\4one\1", 0, 0, BYTES("\4one"), BYTES("\1"));
	CHECK_NO_MESSAGES(&two, 3, "\0\4four", -GB_ETOOLARGE, 0);
}

TEST(incomplete_message_waits)
{
	CHECK_NO_MESSAGES(NULL, 100, "\0\0\0", 0, 3);
	CHECK_NO_MESSAGES(NULL, 100, "\0\0\0\3", 0, 4);
	CHECK_MESSAGES(NULL, 100, "\0\0\0\3one\0\0\0\3on", 0, 6, BYTES("one"));
}

TEST(message_above_the_maximum_is_refused_when_its_header_is_there)
{
	struct gb_frame frame = { 7, 7, 7 };
	static const unsigned char header[] = { 0, 0, 0, 5 };

	CHECK_MESSAGES(NULL, 4, "\0\0\0\4four\0\0\0\5fiver", -GB_ETOOLARGE, 0, BYTES("four"));
	CHECK_NO_MESSAGES(NULL, 0, "\0\0\0\1", -GB_ETOOLARGE, 0);
	CHECK_NO_MESSAGES(NULL, 1u << 30, "\xff\xff\xff\xff", -GB_ETOOLARGE, 0);
	CHECK_INT(decode(NULL, (struct gb_bytes){ header, 3 }, 4, &frame), 0);
	CHECK_INT(decode(NULL, (struct gb_bytes){ header, 4 }, 4, &frame), -GB_ETOOLARGE);
	CHECK(frame.consumed == 7 && frame.offset == 7 && frame.size == 7);
}

TEST(any_length_and_any_maximum_are_possible)
{
	static const struct gb_length_options eight = { .width = 8 },
					      itself = { .width = 8, .counts_itself = 1 };

	CHECK_NO_MESSAGES(&eight, SIZE_MAX, "\xff\xff\xff\xff\xff\xff\xff\xffrest", 0, 12);
	CHECK_NO_MESSAGES(&itself, SIZE_MAX, "\xff\xff\xff\xff\xff\xff\xff\xffrest", 0, 12);
	CHECK_NO_MESSAGES(&eight, SIZE_MAX - 1, "\xff\xff\xff\xff\xff\xff\xff\xff", -GB_ETOOLARGE, 0);
	CHECK_MESSAGES(&eight, SIZE_MAX, "\0\0\0\0\0\0\0\3one", 0, 0, BYTES("one"));
}

#define RANDOM_BYTES 400

/* Append a message of random bytes, as the options want it. Returns where its own bytes lie. */
static struct gb_bytes encode(unsigned char *input, size_t *used, const struct gb_length_options *options,
	size_t size, uint64_t *seed)
{
	unsigned char *header = input + *used;
	uint64_t length = size + (options->counts_itself ? options->width : 0);
	struct gb_bytes message = { header + options->width, size };

	for (unsigned i = 0; i < options->width; i++) {
		unsigned place = options->little_endian ? i : options->width - 1 - i;

		header[i] = (unsigned char)(length >> 8 * place);
	}
	for (size_t i = 0; i < size; i++)
		header[options->width + i] = (unsigned char)test_random(seed);
	*used += options->width + size;
	if (options->keep_header)
		message = (struct gb_bytes){ header, options->width + size };
	return message;
}

TEST(random_messages_come_out_as_they_went_in)
{
	uint64_t seed = test_seed();

	for (unsigned i = 0; i < 64; i++) {
		const struct gb_length_options options = { 1u << i % 4, i & 4, i & 8, i & 16 };
		unsigned char input[RANDOM_BYTES];
		struct gb_bytes messages[RANDOM_BYTES];
		struct codec_conversation conversation = { &gb_codec_length, &options, 60, { input, 0 },
			messages, 0, 0, 0 };

		for (unsigned count = 1 + test_random(&seed) % 4; count > 0; count--)
			messages[conversation.message_count++] = encode(
				input, &conversation.input.size, &options, test_random(&seed) % 61, &seed);
		codec_test(&conversation);
	}
}

TEST(the_length_may_lie_anywhere_in_a_header)
{
	/* Two bytes of a type, the length of the body, a checksum of one byte that it does not count. */
	static const struct gb_length_options body = { .width = 2, .offset = 2, .adjustment = 1 },
					      all = { .width = 3,
						      .offset = 1,
						      .adjustment = -4,
						      .keep_header = 1 },
					      dropped = { .width = 1, .offset = 1, .strip = 1 },
					      behind = { .width = 1, .adjustment = 1, .strip = 2 };

	CHECK_MESSAGES(&body, 100, "T1\0\2!okT2\0\0?", 0, 0, BYTES("!ok"), BYTES("?"));
	CHECK_MESSAGES(&all, 100, "T\0\0\6okT\0\0\4", 0, 0, BYTES("T\0\0\6ok"), BYTES("T\0\0\4"));
	CHECK_MESSAGES(&dropped, 100, "T\2okU\0", 0, 0, BYTES("\2ok"), BYTES("\0"));
	CHECK_MESSAGES(&behind, 100, "\2!ok\0?", 0, 0, BYTES("ok"), BYTES(""));
}

TEST(an_adjustment_beyond_the_length_and_a_message_shorter_than_what_is_dropped_are_bad_frames)
{
	static const struct gb_length_options all = { .width = 2, .adjustment = -2 },
					      most = { .width = 1, .strip = 4 },
					      huge = { .width = 8, .adjustment = INT64_MAX };

	CHECK_NO_MESSAGES(&all, 100, "\0\1x", -GB_EBADFRAME, 0);
	CHECK_NO_MESSAGES(&most, 100, "\2xy", -GB_EBADFRAME, 0);
	CHECK_MESSAGES(&most, 100, "\3xyz", 0, 0, BYTES(""));
	CHECK_NO_MESSAGES(&huge, 100, "\xff\xff\xff\xff\xff\xff\xff\xff", -GB_ETOOLARGE, 0);
}

TEST(a_length_of_almost_all_of_64_bits_is_not_shorter_than_what_is_dropped)
{
	static const struct gb_length_options dropped = { .width = 8, .strip = 12 },
					      behind = {
						      .width = 8, .offset = 1, .keep_header = 1, .strip = 9
					      };

	CHECK_NO_MESSAGES(&dropped, SIZE_MAX, "\xff\xff\xff\xff\xff\xff\xff\xffrest", 0, 12);
	CHECK_NO_MESSAGES(&dropped, SIZE_MAX, "\0\0\0\0\0\0\0\3xyz", -GB_EBADFRAME, 0);
	CHECK_MESSAGES(&dropped, SIZE_MAX, "\0\0\0\0\0\0\0\5vwxyz", 0, 0, BYTES("z"));
	CHECK_NO_MESSAGES(&behind, SIZE_MAX, "T\xff\xff\xff\xff\xff\xff\xff\xffrest", 0, 13);
}
