#include "codec/codec_test_driver.h"
#include "harness.h"

#include <gearbox/error.h>

#include <string.h>

#define CHECK_MESSAGES(options, max, text, ending, rest, ...) \
	do { \
		static const struct gb_bytes expected[] = { __VA_ARGS__ }; \
		codec_test(&(struct codec_conversation){ &gb_codec_varint, options, max, \
			(struct gb_bytes)BYTES(text), expected, sizeof(expected) / sizeof(*expected), \
			ending, rest }); \
	} while (0)
#define CHECK_NO_MESSAGES(options, max, text, ending, rest) \
	codec_test(&(struct codec_conversation){ \
		&gb_codec_varint, options, max, (struct gb_bytes)BYTES(text), NULL, 0, ending, rest })

TEST(lengths_below_128_take_one_byte)
{
	static const struct gb_varint_options kept = { 1 };

	CHECK_MESSAGES(NULL, 100, "\3one\0\2xy", 0, 0, BYTES("one"), BYTES(""), BYTES("xy"));
	CHECK_MESSAGES(&kept, 100, "\3one\0\2xy", 0, 0, BYTES("\3one"), BYTES("\0"), BYTES("\2xy"));
	CHECK_MESSAGES(NULL, 100, "\3one\3tw", 0, 3, BYTES("one"));
}

TEST(longer_ones_begin_with_their_lowest_bits)
{
	static unsigned char text[302] = { 0xac, 0x02 }; /* 300 */
	struct gb_bytes message = { text + 2, 300 };

	memset(text + 2, 'x', 300);
	codec_test(&(struct codec_conversation){
		&gb_codec_varint, NULL, 300, { text, sizeof(text) }, &message, 1, 0, 0 });
	codec_test(&(struct codec_conversation){
		&gb_codec_varint, NULL, 299, { text, sizeof(text) }, NULL, 0, -GB_ETOOLARGE, 0 });
}

TEST(bits_that_are_not_needed_are_allowed)
{
	CHECK_MESSAGES(NULL, 100, "\x83\x80\0one", 0, 0, BYTES("one"));
}

TEST(a_length_above_the_maximum_is_refused_when_it_is_there)
{
	CHECK_NO_MESSAGES(NULL, 100, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", -GB_ETOOLARGE, 0);
	CHECK_NO_MESSAGES(NULL, 2, "\3", -GB_ETOOLARGE, 0);
}

TEST(a_length_of_more_than_64_bits_is_none)
{
	CHECK_NO_MESSAGES(NULL, 100, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", -GB_EBADFRAME, 0);
	CHECK_NO_MESSAGES(NULL, 100, "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80", -GB_EBADFRAME, 0);
	CHECK_NO_MESSAGES(NULL, 100, "\x80\x80\x80", 0, 3);
}

TEST(a_length_that_would_say_that_none_is_known_is_refused_in_parts_as_well)
{
	static const unsigned char text[] = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x";
	struct gb_progress progress = { 0 };
	struct gb_frame frame = { 0 };

	CHECK_INT(gb_codec_varint.decode_part(
			  NULL, NULL, (struct gb_bytes){ text, sizeof(text) - 1 }, 100, &progress, &frame),
		-GB_ETOOLARGE);
}
