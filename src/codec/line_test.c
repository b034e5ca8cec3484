#include "codec/codec_test_driver.h"
#include "harness.h"

#include <gearbox/codec.h>
#include <gearbox/error.h>

/* Input, ending and rest, then the expected lines as BYTES(…); empty ones are BYTES(""). */
#define CHECK_LINES(line_options, max, text, end, left, ...) \
	do { \
		static const struct gb_bytes lines[] = { __VA_ARGS__ }; \
		check_lines(line_options, max, (struct gb_bytes)BYTES(text), end, left, lines, \
			sizeof(lines) / sizeof(*lines)); \
	} while (0)
#define CHECK_NO_LINES(max, text, end, left) \
	check_lines(NULL, max, (struct gb_bytes)BYTES(text), end, left, NULL, 0)

static void check_lines(const struct gb_line_options *options, size_t max, struct gb_bytes input, int ending,
	size_t rest, const struct gb_bytes *lines, size_t count)
{
	codec_test(&(struct codec_conversation){
		&gb_codec_line, options, max, input, lines, count, ending, rest });
}

static int decode(const char *text, size_t size, size_t max, uint32_t *scanned, struct gb_frame *ret)
{
	return gb_codec_line.decode(
		NULL, NULL, (struct gb_bytes){ (const unsigned char *)text, size }, max, scanned, ret);
}

TEST(lines_end_with_lf_or_crlf)
{
	CHECK_LINES(NULL, 100, "one\ntwo\r\nthree\n", 0, 0, BYTES("one"), BYTES("two"), BYTES("three"));
}

TEST(empty_lines_are_messages)
{
	CHECK_LINES(NULL, 100, "\n\r\n\n\r\n", 0, 0, BYTES(""), BYTES(""), BYTES(""), BYTES(""));
	CHECK_LINES(NULL, 0, "\n\r\n", 0, 0, BYTES(""), BYTES(""));
}

TEST(cr_elsewhere_belongs_to_the_line)
{
	CHECK_LINES(NULL, 100, "a\rb\n\r\r\n\rc\r\n", 0, 0, BYTES("a\rb"), BYTES("\r"), BYTES("\rc"));
}

TEST(every_other_byte_belongs_to_the_line)
{
	CHECK_LINES(NULL, 100, "a\0b\xff\n\t \x80\x1b\n", 0, 0, BYTES("a\0b\xff"), BYTES("\t \x80\x1b"));
}

TEST(incomplete_line_waits)
{
	CHECK_LINES(NULL, 100, "one\ntwo", 0, 3, BYTES("one"));
	CHECK_NO_LINES(100, "two", 0, 3);
}

TEST(lone_cr_at_the_end_of_input_waits)
{
	CHECK_LINES(NULL, 100, "one\ntwo\r", 0, 4, BYTES("one"));
	CHECK_NO_LINES(3, "two\r", 0, 4);
	CHECK_NO_LINES(0, "\r", 0, 1);
}

TEST(end_is_kept_when_asked_for)
{
	static const struct gb_line_options keep = { .keep_end = 1 }, drop = { .keep_end = 0 };

	CHECK_LINES(&keep, 100, "one\ntwo\r\n\n\r\n", 0, 0, BYTES("one\n"), BYTES("two\r\n"), BYTES("\n"),
		BYTES("\r\n"));
	CHECK_LINES(&keep, 3, "one\r\n", 0, 0, BYTES("one\r\n"));
	CHECK_LINES(&drop, 100, "one\ntwo\r\n", 0, 0, BYTES("one"), BYTES("two"));
}

TEST(end_does_not_count_towards_the_maximum)
{
	CHECK_LINES(NULL, 4, "1234\n1234\r\n123\r\r\n", 0, 0, BYTES("1234"), BYTES("1234"), BYTES("123\r"));
}

TEST(line_above_the_maximum_is_refused)
{
	CHECK_LINES(NULL, 4, "1234\n12345\nrest", -GB_ETOOLARGE, 0, BYTES("1234"));
	CHECK_LINES(NULL, 4, "1234\n12345\r\nrest", -GB_ETOOLARGE, 0, BYTES("1234"));
	CHECK_NO_LINES(4, "1234\r\r\n", -GB_ETOOLARGE, 0);
	CHECK_NO_LINES(4, "1234\rx\n", -GB_ETOOLARGE, 0);
	CHECK_NO_LINES(4, "12345678901234567890", -GB_ETOOLARGE, 0);
	CHECK_NO_LINES(0, "1\n", -GB_ETOOLARGE, 0);
	CHECK_NO_LINES(0, "\r\r\n", -GB_ETOOLARGE, 0);
}

/* The bytes of `text` that have arrived when the line is refused. */
static void check_refused_at(const char *text, size_t max, size_t expected)
{
	uint32_t scanned = 0;
	struct gb_frame frame;

	for (size_t size = 1; size < expected; size++)
		CHECK_INT(decode(text, size, max, &scanned, &frame), 0);
	CHECK_INT(decode(text, expected, max, &scanned, &frame), -GB_ETOOLARGE);
}

TEST(long_line_is_refused_as_soon_as_it_must_be)
{
	check_refused_at("12345", 4, 5);
	check_refused_at("1234\r5", 4, 6);
	check_refused_at("1234\r\r", 4, 6);
	check_refused_at("123\r5", 4, 5);
	check_refused_at("1", 0, 1);
	check_refused_at("\r1", 0, 2);
}

TEST(any_maximum_is_possible)
{
	CHECK_LINES(NULL, SIZE_MAX, "one\ntwo\r\nx\r", 0, 2, BYTES("one"), BYTES("two"));
	CHECK_LINES(NULL, SIZE_MAX - 1, "one\ntwo\r\nx\r", 0, 2, BYTES("one"), BYTES("two"));
}

TEST(no_input_is_an_incomplete_line)
{
	uint32_t scanned = 0;
	struct gb_frame frame;

	CHECK_INT(decode("", 0, 0, &scanned, &frame), 0);
	CHECK_INT(scanned, 0);
}

TEST(search_resumes_where_it_ended)
{
	char text[] = "12345678\n";
	uint32_t scanned = 0;
	struct gb_frame frame;

	CHECK_INT(decode(text, 6, 100, &scanned, &frame), 0);
	CHECK_INT(scanned, 6);
	text[2] = '\n'; /* nobody looks there again */
	CHECK_INT(decode(text, 9, 100, &scanned, &frame), 1);
	CHECK_INT(frame.consumed, 9);
	CHECK_INT(frame.offset, 0);
	CHECK_INT(frame.size, 8);
}

TEST(refusal_writes_no_frame)
{
	struct gb_frame frame = { 7, 7, 7 };
	uint32_t scanned = 0;

	CHECK_INT(decode("12345\n", 6, 4, &scanned, &frame), -GB_ETOOLARGE);
	CHECK(frame.consumed == 7 && frame.offset == 7 && frame.size == 7);
}

#define RANDOM_BYTES 48

/* The rules once more, the slow way and with all of the input at hand. */
static struct codec_conversation expected_lines(struct gb_bytes input, size_t max, struct gb_bytes *lines)
{
	struct codec_conversation expected = { &gb_codec_line, NULL, max, input, lines, 0, 0, 0 };
	size_t start = 0;

	for (size_t i = 0; i < input.size; i++) {
		size_t size = i - start;

		if (input.data[i] != '\n')
			continue;
		if (size > 0 && input.data[i - 1] == '\r')
			size--;
		if (size > max) {
			expected.ending = -GB_ETOOLARGE;
			return expected;
		}
		lines[expected.message_count++] = (struct gb_bytes){ input.data + start, size };
		start = i + 1;
	}
	expected.rest = input.size - start;
	if (expected.rest > max + 1 || (expected.rest == max + 1 && input.data[start + max] != '\r'))
		expected.ending = -GB_ETOOLARGE;
	return expected;
}

TEST(random_lines_follow_the_rules)
{
	static const unsigned char alphabet[] = "ab\r\r\n\n";
	unsigned char bytes[RANDOM_BYTES];
	struct gb_bytes lines[RANDOM_BYTES];
	uint64_t state = test_seed();

	for (unsigned i = 0; i < 100; i++) {
		struct gb_bytes input = { bytes, 1 + test_random(&state) % sizeof(bytes) };
		size_t max = test_random(&state) % 10;
		struct codec_conversation conversation;

		for (size_t j = 0; j < input.size; j++)
			bytes[j] = alphabet[test_random(&state) % (sizeof(alphabet) - 1)];
		conversation = expected_lines(input, max, lines);
		codec_test(&conversation);
	}
}
