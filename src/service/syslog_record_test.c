/* Records of both framings, wherever their bytes are cut, and the lines that they become. */
#include "syslog_record.h"

#include <gearbox/error.h>

#include "harness.h"

#include <stdio.h>

#define MAX 64u

struct conversation {
	const char *input;
	const char *records[6];
	int ending; /* of decode behind the last of them */
};

/* The first `cut` bytes arrive, then byte by byte: each time decode gets them in memory of their own. */
static void check_cut(const struct conversation *talk, size_t cut)
{
	size_t total = strlen(talk->input), from = 0, have = cut, found = 0;
	uint32_t scanned = 0;
	int result = 0;

	for (;;) {
		struct gb_frame frame = { 0 };
		unsigned char *bytes = malloc(have - from + 1);

		CHECK(bytes != NULL);
		memcpy(bytes, talk->input + from, have - from);
		result = syslog_codec.decode(
			NULL, NULL, (struct gb_bytes){ bytes, have - from }, MAX, &scanned, &frame);
		if (result == 1) {
			CHECK(talk->records[found] && frame.size == strlen(talk->records[found]));
			CHECK(memcmp(bytes + frame.offset, talk->records[found++], frame.size) == 0);
			from += frame.consumed;
			scanned = 0;
		}
		CHECK((result == -GB_EBADFRAME) == (frame.problem != NULL));
		free(bytes);
		if (result < 0 || (result == 0 && have == total))
			break;
		have += result == 0;
	}
	CHECK_INT(result, talk->ending);
	CHECK(!talk->records[found]);
}

TEST(records_of_both_framings_are_told_apart_wherever_they_are_cut)
{
	static const struct conversation talks[] = {
		{ "<1>a\n5 <2>b\n<3>c\r\n7 <4>\nd\r\n<5>\n",
			{ "<1>a", "<2>b\n", "<3>c", "<4>\nd\r\n", "<5>" }, 0 },
		{ "1 <1 <1 <", { "<", "<", "<" }, 0 },
		{ "<1>a\n7 <2>b", { "<1>a" }, 0 },
		{ "<1>a\n<2>b", { "<1>a" }, 0 },
		{ "4 <1>a<2>b\r", { "<1>a" }, 0 },
		{ "<1>a\nhello\n", { "<1>a" }, -GB_EBADFRAME },
		{ "<1>a\n\n", { "<1>a" }, -GB_EBADFRAME },
		{ "05 <1>ab", { NULL }, -GB_EBADFRAME },
		{ "5<1>ab", { NULL }, -GB_EBADFRAME },
		{ "5 hello", { NULL }, -GB_EBADFRAME },
		{ "65 ", { NULL }, -GB_ETOOLARGE },
		{ "99999999999999999999999999 <", { NULL }, -GB_ETOOLARGE },
		{ "<123456789012345678901234567890123456789012345678901234567890123\r\n",
			{ "<123456789012345678901234567890123456789012345678901234567890123" }, 0 },
		{ "<1234567890123456789012345678901234567890123456789012345678901234\n", { NULL },
			-GB_ETOOLARGE },
		{ "<1234567890123456789012345678901234567890123456789012345678901234", { NULL },
			-GB_ETOOLARGE },
	};

	for (size_t i = 0; i < sizeof(talks) / sizeof(*talks); i++)
		for (size_t cut = 0; cut <= strlen(talks[i].input); cut++)
			check_cut(&talks[i], cut);
}

static void check_line_of(const void *record, size_t size, bool cut, const char *expected)
{
	unsigned char *line = malloc(SYSLOG_LINE_MAX(size) + SYSLOG_CUT_SIZE);

	CHECK(line != NULL);
	CHECK_INT(syslog_line((struct gb_bytes){ record, size }, cut, line), strlen(expected));
	CHECK(memcmp(line, expected, strlen(expected)) == 0);
	free(line);
}

static void check_line(const void *record, size_t size, const char *expected)
{
	check_line_of(record, size, false, expected);
}

TEST(record_becomes_one_line)
{
	check_line("<1>plain \xc3\xbc", 11, "<1>plain \xc3\xbc\n");
	check_line("<1>a\0b\nc\x7f\x1f", 10, "<1>a#000b#012c#177#037\n");
	check_line("<1>a\n", 5, "<1>a\n");
	check_line("<1>a\n\n", 6, "<1>a#012\n");
	check_line("\0\0\0", 3, "#000#000#000\n");
	check_line("", 0, "\n");
}

/* Any byte at any place, and beside any other: bytes are looked at several at a time. */
TEST(each_byte_is_escaped_wherever_it_lies)
{
	unsigned char record[20], line[SYSLOG_LINE_MAX(sizeof(record))], expected[sizeof(line)];

	for (unsigned round = 0; round < 256 * sizeof(record); round++) {
		const size_t at = round / 256, beside = (at + 1) % sizeof(record);
		size_t size = 0;

		memset(record, 'a', sizeof(record));
		record[at] = (unsigned char)round;
		record[beside] = (unsigned char)(' ' + round % 200);
		if (record[sizeof(record) - 1] == '\n')
			continue;
		for (size_t i = 0; i < sizeof(record); i++) {
			if (record[i] < ' ' || record[i] == 127)
				size += (size_t)sprintf((char *)expected + size, "#%03o", record[i]);
			else
				expected[size++] = record[i];
		}
		expected[size++] = '\n';
		CHECK_INT(syslog_line((struct gb_bytes){ record, sizeof(record) }, false, line), size);
		CHECK(memcmp(line, expected, size) == 0);
	}
}

TEST(line_of_a_cut_record_says_so)
{
	static const struct {
		const char *rest, *line;
	} cut[] = { { "<1>a", "<1>a#cut\n" }, { "12 <1>a\n", "<1>a#012#cut\n" }, { "12 <", "<#cut\n" },
		{ "12 ", "#cut\n" }, { "12", "#cut\n" }, { "<", "<#cut\n" } };

	for (size_t i = 0; i < sizeof(cut) / sizeof(*cut); i++) {
		struct gb_bytes begun = syslog_begun(
			(struct gb_bytes){ (const unsigned char *)cut[i].rest, strlen(cut[i].rest) });

		check_line_of(begun.data, begun.size, true, cut[i].line);
	}
}
