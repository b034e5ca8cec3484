/* Every protocol: right replies pass however they are split, and each single wrong byte is found. */
#include "load/protocol.h"

#include "harness.h"

#include <limits.h>

enum { REPLIES = 5, STATE_WORDS = 32 };

struct talk {
	const struct protocol *protocol;
	struct traffic traffic;
	uint64_t state[STATE_WORDS];
	unsigned char *replies; /* REPLIES right ones */
	size_t size;
};

static void begin(struct talk *talk, uint64_t number)
{
	memset(talk->state, 0xa5, sizeof(talk->state));
	CHECK(talk->protocol->begin(&talk->traffic, number, talk->state) < talk->traffic.period);
}

/* What a right server answers to the first requests of connection `number`. */
static void set_up(struct talk *talk, const struct protocol *protocol, size_t request_size, uint64_t number)
{
	size_t at;

	*talk = (struct talk){ .protocol = protocol };
	CHECK(protocol->state_size <= sizeof(talk->state));
	CHECK_INT(protocol->prepare(&(struct load_request){ .size = request_size }, &talk->traffic), 0);
	CHECK_INT(talk->traffic.request_size, request_size);
	CHECK(talk->traffic.size >= talk->traffic.period && talk->traffic.size <= 2 * talk->traffic.period);
	at = protocol->begin(&talk->traffic, number, talk->state);
	talk->replies = malloc(REPLIES * talk->traffic.reply_size);
	for (size_t i = 0; i < REPLIES; i++) {
		size_t left = request_size;

		if (protocol == &gb__protocol_time_echo) {
			memcpy(talk->replies + talk->size, "[Thu Apr 20 12:00:00 2017] ", 27);
			talk->size += 27;
		}
		while (left > 0) {
			size_t piece = traffic_piece(&talk->traffic, at, left);

			CHECK(piece > 0 && at + piece <= talk->traffic.size);
			memcpy(talk->replies + talk->size, talk->traffic.data + at, piece);
			at = traffic_after(&talk->traffic, at, piece);
			CHECK(at < talk->traffic.period);
			talk->size += piece;
			left -= piece;
		}
	}
	CHECK_INT(talk->size, REPLIES * talk->traffic.reply_size);
}

static void tear_down(struct talk *talk)
{
	gb__traffic_finish(&talk->traffic);
	free(talk->replies);
}

static int64_t hear(struct talk *talk, uint64_t awaited, size_t from, size_t size, struct gb_error *error)
{
	/* A copy of the exact size, so that a sanitizer sees reading beyond it. */
	unsigned char *copy = malloc(size);
	int64_t replies;

	memcpy(copy, talk->replies + from, size);
	replies = talk->protocol->check(
		&talk->traffic, talk->state, awaited, (struct gb_bytes){ copy, size }, error);
	free(copy);
	return replies;
}

static void each_protocol(void (*run)(struct talk *talk))
{
	static const size_t sizes[] = { 1, 2, 3, 9, 64, 1000 };

	for (size_t p = 0; gb__load_protocols[p]; p++)
		for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
			struct talk talk;

			/* Others know where replies end, not what they are, or have a test of their own. */
			if (gb__load_protocols[p] != &gb__protocol_echo &&
				gb__load_protocols[p] != &gb__protocol_time_echo)
				continue;
			set_up(&talk, gb__load_protocols[p], sizes[s], 7);
			run(&talk);
			tear_down(&talk);
		}
}

TEST(protocols_are_named_as_the_choices_say)
{
	char names[128] = "";

	for (size_t i = 0; gb__load_protocols[i]; i++)
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s", i ? "|" : "",
			gb__load_protocols[i]->name);
	CHECK_STR(names, PROTOCOL_CHOICES);
}

static void split_everywhere(struct talk *talk)
{
	for (size_t cut = 1; cut < talk->size; cut++) {
		int64_t before, after;

		begin(talk, 7);
		before = hear(talk, REPLIES, 0, cut, NULL);
		CHECK_INT(before, cut / talk->traffic.reply_size);
		after = hear(talk, REPLIES - (uint64_t)before, cut, talk->size - cut, NULL);
		CHECK_INT(before + after, REPLIES);
	}
}

TEST(right_replies_pass_split_at_every_byte)
{
	each_protocol(split_everywhere);
}

static void byte_by_byte(struct talk *talk)
{
	uint64_t replies = 0;

	begin(talk, 7);
	for (size_t i = 0; i < talk->size; i++) {
		int64_t now = hear(talk, REPLIES - replies, i, 1, NULL);

		CHECK_INT(now, (i + 1) % talk->traffic.reply_size == 0);
		replies += (uint64_t)now;
	}
	CHECK_INT(replies, REPLIES);
}

TEST(right_replies_pass_byte_by_byte)
{
	each_protocol(byte_by_byte);
}

static void change_each_byte(struct talk *talk)
{
	char place[64];
	struct gb_error error;

	for (size_t i = 0; i < talk->size; i++) {
		bool is_text = talk->protocol == &gb__protocol_echo || i % talk->traffic.reply_size >= 27;

		talk->replies[i] ^= 0x80;
		begin(talk, 7);
		CHECK_INT(hear(talk, REPLIES, 0, talk->size, &error), -GB_EBADFRAME);
		snprintf(place, sizeof(place), "byte %zu of the replies", i);
		CHECK(!is_text || strstr(error.text, place));
		talk->replies[i] ^= 0x80;
	}
}

TEST(every_wrong_byte_is_found)
{
	each_protocol(change_each_byte);
}

static void surplus(struct talk *talk)
{
	struct gb_error error;

	begin(talk, 7);
	CHECK_INT(
		hear(talk, REPLIES - 1, 0, talk->size - talk->traffic.reply_size + 1, &error), -GB_EBADFRAME);
	CHECK(strstr(error.text, "no request"));
	begin(talk, 7);
	CHECK_INT(hear(talk, REPLIES, 0, talk->size, NULL), REPLIES);
	CHECK_INT(hear(talk, 0, 0, 1, &error), -GB_EBADFRAME);
}

TEST(bytes_that_nobody_asked_for_are_found)
{
	each_protocol(surplus);
}

static void swapped(struct talk *talk)
{
	size_t size = talk->traffic.reply_size;

	if (talk->traffic.request_size < 9)
		return; /* too short to differ always */
	begin(talk, 7);
	CHECK_INT(hear(talk, REPLIES, size, size, NULL), -GB_EBADFRAME);
	begin(talk, 7);
	CHECK_INT(hear(talk, REPLIES, 0, size, NULL), 1);
	CHECK_INT(hear(talk, REPLIES - 1, 0, size, NULL), -GB_EBADFRAME);
}

TEST(a_reply_lost_or_doubled_is_found)
{
	each_protocol(swapped);
}

TEST(echo_bytes_are_checked_around_the_period)
{
	struct talk talk;

	for (uint64_t number = 0; number < 40; number++) {
		set_up(&talk, &gb__protocol_echo, 30011, number);
		begin(&talk, number);
		CHECK_INT(hear(&talk, REPLIES, 0, talk.size, NULL), REPLIES);
		tear_down(&talk);
	}
}

TEST(line_requests_are_lines)
{
	struct traffic traffic;

	CHECK_INT(gb__protocol_line.prepare(&(struct load_request){ .size = 64 }, &traffic), 0);
	for (size_t i = 0; i < traffic.period; i++)
		CHECK(i % 64 == 63 ? traffic.data[i] == '\n'
				   : traffic.data[i] >= ' ' && traffic.data[i] < 127);
	CHECK(memcmp(traffic.data, traffic.data + 64, 64) != 0);
	gb__traffic_finish(&traffic);
}

TEST(time_echo_replies_need_a_time_that_exists)
{
	static const struct {
		const char *stamp;
		bool right;
	} rows[] = {
		{ "[Thu Apr 20 12:00:00 2017] ", true },
		{ "[Thu Jan  1 00:00:00 1970] ", true },
		{ "[Thu Feb 29 23:59:59 2024] ", true },
		{ "[Wed Feb 29 23:59:59 2023] ", false },
		{ "[Wed Apr 20 12:00:00 2017] ", false },
		{ "[thu Apr 20 12:00:00 2017] ", false },
		{ "[Thu Apr 20 24:00:00 2017] ", false },
		{ "[Thu Apr 20 12:60:00 2017] ", false },
		{ "(Thu Apr 20 12:00:00 2017] ", false },
		{ "[Thu Apr 20 12:00:00 2017]\t", false },
		{ "[Thu Apr 20 12:00:00 20170 ", false },
		{ "[Thu Jan 01 00:00:00 1970] ", false },
		{ "[unknown time] 00000000    ", false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct talk talk;
		struct gb_error error = { 0 };
		int64_t replies;

		set_up(&talk, &gb__protocol_time_echo, 16, 0);
		begin(&talk, 0);
		memcpy(talk.replies, rows[i].stamp, 27);
		replies = hear(&talk, 1, 0, talk.traffic.reply_size, &error);
		if (replies != (rows[i].right ? 1 : -GB_EBADFRAME))
			test_fail(__FILE__, __LINE__, "\"%s\": %lld", rows[i].stamp, (long long)replies);
		CHECK(rows[i].right || strstr(error.text, "expected a time"));
		tear_down(&talk);
	}
}

/* A line protocol and one of its connections. */
struct lines {
	struct traffic traffic;
	uint64_t state[STATE_WORDS];
};

static void lines_begin(struct lines *lines, const struct load_request *request)
{
	CHECK_INT(gb__protocol_line.prepare(request, &lines->traffic), 0);
	gb__protocol_line.begin(&lines->traffic, 0, lines->state);
}

static int64_t lines_hear(struct lines *lines, uint64_t awaited, const char *text)
{
	struct gb_error error;

	return gb__protocol_line.check(&lines->traffic, lines->state, awaited,
		(struct gb_bytes){ (const unsigned char *)text, strlen(text) }, &error);
}

TEST(line_replies_are_counted)
{
	struct lines lines;

	lines_begin(&lines, &(struct load_request){ .size = 8 });
	CHECK_INT(lines_hear(&lines, 3, "any"), 0);
	CHECK_INT(lines_hear(&lines, 3, "thing\nelse\r\n"), 2);
	CHECK_INT(lines_hear(&lines, 1, "\n"), 1);
	CHECK_INT(lines_hear(&lines, 1, "a\nb"), -GB_EBADFRAME);
	gb__traffic_finish(&lines.traffic);
	lines_begin(&lines, &(struct load_request){ .size = 8, .reply_lines = 2 });
	CHECK_INT(lines_hear(&lines, 2, "$3\r\n"), 0);
	CHECK_INT(lines_hear(&lines, 2, "foo\r\n$3\r\nbar\r\n"), 2);
	gb__traffic_finish(&lines.traffic);
}

TEST(expected_line_replies_are_compared)
{
	const struct load_request request = { .size = 8, .expect = { (const unsigned char *)"hi there", 8 } };
	static const char *const wrong[] = { "hi them\n", "hi ther\n", "hi there!\n", "hi there\r\r\n",
		"\n" };
	struct lines lines;

	lines_begin(&lines, &request);
	CHECK_INT(lines_hear(&lines, 3, "hi there\nhi the"), 1);
	CHECK_INT(lines_hear(&lines, 2, "re\r"), 0);
	CHECK_INT(lines_hear(&lines, 2, "\nhi there\n"), 2);
	gb__traffic_finish(&lines.traffic);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		lines_begin(&lines, &request);
		CHECK_INT(lines_hear(&lines, 3, wrong[i]), -GB_EBADFRAME);
		gb__traffic_finish(&lines.traffic);
	}
}

TEST(messages_of_ones_own_are_echoed_in_turn)
{
	const struct gb_bytes list[] = { { (const unsigned char *)"one", 3 },
		{ (const unsigned char *)"second", 6 } };
	const struct messages messages = { (struct gb_bytes *)list, 2 };
	struct talk talk = { .protocol = &gb__protocol_echo };
	size_t turn = 1;

	CHECK_INT(
		gb__protocol_echo.prepare(&(struct load_request){ .messages = &messages }, &talk.traffic), 0);
	CHECK_INT(traffic_take(&talk.traffic, &turn, 3), 6 + 3 + 6);
	CHECK_INT(turn, 0);
	begin(&talk, 5);
	talk.replies = (unsigned char *)"onesecondoneseconb";
	CHECK_INT(hear(&talk, 4, 0, 4, NULL), 1);
	CHECK_INT(hear(&talk, 3, 4, 8, NULL), 2);
	CHECK_INT(hear(&talk, 1, 12, 6, NULL), -GB_EBADFRAME);
	gb__traffic_finish(&talk.traffic);
}
