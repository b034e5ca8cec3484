#include "codec/codec_test_driver.h"
#include "harness.h"

#include <gearbox/error.h>

#define CHECK_MESSAGES(options, max, text, ending, rest, ...) \
	do { \
		static const struct gb_bytes expected[] = { __VA_ARGS__ }; \
		codec_test(&(struct codec_conversation){ &gb_codec_fixed, options, max, \
			(struct gb_bytes)BYTES(text), expected, sizeof(expected) / sizeof(*expected), \
			ending, rest }); \
	} while (0)

TEST(every_message_has_the_size)
{
	static const struct gb_fixed_options one = { 1 }, three = { 3 };

	CHECK_MESSAGES(&three, 3, "onetwosix", 0, 0, BYTES("one"), BYTES("two"), BYTES("six"));
	CHECK_MESSAGES(&three, 100, "onetw", 0, 2, BYTES("one"));
	CHECK_MESSAGES(&one, 100, "\0a", 0, 0, BYTES("\0"), BYTES("a"));
}

TEST(a_size_above_the_maximum_is_refused_at_the_first_byte)
{
	static const struct gb_fixed_options three = { 3 };

	codec_test(&(struct codec_conversation){
		&gb_codec_fixed, &three, 2, (struct gb_bytes)BYTES("o"), NULL, 0, -GB_ETOOLARGE, 0 });
}
