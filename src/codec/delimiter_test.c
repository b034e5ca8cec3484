#include "codec/codec_test_driver.h"
#include "harness.h"

#include <gearbox/error.h>

#include <stdlib.h>
#include <string.h>

static const struct gb_delimiter_options end = { "\r\n.\r\n", 5, 0 }, kept = { "\r\n.\r\n", 5, 1 },
					 nul = { "\0", 1, 0 }, twin = { "aab", 3, 0 };

#define CHECK_MESSAGES(options, max, text, ending, rest, ...) \
	do { \
		static const struct gb_bytes expected[] = { __VA_ARGS__ }; \
		codec_test(&(struct codec_conversation){ &gb_codec_delimiter, options, max, \
			(struct gb_bytes)BYTES(text), expected, sizeof(expected) / sizeof(*expected), \
			ending, rest }); \
	} while (0)

TEST(messages_end_with_the_delimiter_and_do_not_include_it)
{
	CHECK_MESSAGES(&end, 100, "one\r\n.\r\n\r\n.\r\ntwo\r\n\r\n.\r\n", 0, 0, BYTES("one"), BYTES(""),
		BYTES("two\r\n"));
	CHECK_MESSAGES(&kept, 100, "one\r\n.\r\n\r\n.\r\n", 0, 0, BYTES("one\r\n.\r\n"), BYTES("\r\n.\r\n"));
	CHECK_MESSAGES(&nul, 100, "one\0\0two\0", 0, 0, BYTES("one"), BYTES(""), BYTES("two"));
}

TEST(a_delimiter_may_begin_inside_what_only_looks_like_one)
{
	CHECK_MESSAGES(&twin, 100, "aaab", 0, 0, BYTES("a"));
	CHECK_MESSAGES(&twin, 100, "aaaabaab", 0, 0, BYTES("aa"), BYTES(""));
	CHECK_MESSAGES(&end, 100, "\r\n.\r\r\n.\r\n", 0, 0, BYTES("\r\n.\r"));
}

TEST(an_incomplete_message_is_left_over)
{
	CHECK_MESSAGES(&end, 100, "one\r\n.\r\ntwo\r\n.\r", 0, 7, BYTES("one"));
}

TEST(the_delimiter_does_not_count_towards_the_maximum)
{
	CHECK_MESSAGES(&end, 3, "one\r\n.\r\ntwo\r\n.\r\n", 0, 0, BYTES("one"), BYTES("two"));
	CHECK_MESSAGES(&end, 3, "one\r\n.\r\nfour\r\n.\r\n", -GB_ETOOLARGE, 0, BYTES("one"));
	CHECK_MESSAGES(&nul, 3, "one\0four", -GB_ETOOLARGE, 0, BYTES("one"));
}

/* What has no end in sight is refused as soon as it cannot have one any more. */
TEST(too_large_is_known_before_the_end_comes)
{
	struct gb_frame frame;
	uint32_t scanned = 0;
	struct gb_bytes input = { (const unsigned char *)"four\r\n.\r", 8 };

	CHECK_INT(gb_codec_delimiter.decode(&end, NULL, input, 4, &scanned, &frame), 0);
	input.size = 8;
	scanned = 0;
	CHECK_INT(gb_codec_delimiter.decode(&end, NULL, input, 3, &scanned, &frame), -GB_ETOOLARGE);
}

/* Random texts of few letters, against the plainest search. */
TEST(any_text_falls_as_a_plain_search_has_it)
{
	uint64_t random = test_seed();

	for (unsigned round = 0; round < 2000; round++) {
		unsigned char text[64];
		size_t size = test_random(&random) % sizeof(text), at = 0;

		for (size_t i = 0; i < size; i++)
			text[i] = "ab"[test_random(&random) % 2];
		for (;;) {
			struct gb_bytes rest = { text + at, size - at };
			struct gb_frame frame = { 0 };
			uint32_t scanned = 0;
			size_t plain = 0;

			while (plain + 3 <= rest.size && memcmp(rest.data + plain, "aab", 3) != 0)
				plain++;
			if (plain + 3 > rest.size) {
				CHECK_INT(gb_codec_delimiter.decode(&twin, NULL, rest, 100, &scanned, &frame),
					0);
				break;
			}
			CHECK_INT(gb_codec_delimiter.decode(&twin, NULL, rest, 100, &scanned, &frame), 1);
			CHECK_INT(frame.size, plain);
			CHECK_INT(frame.consumed, plain + 3);
			at += frame.consumed;
		}
	}
}
