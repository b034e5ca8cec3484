/* Each way to differ is found and named. */
#include "verify/compare.h"

#include "harness.h"

struct outcome {
	struct verify_talk talk;
	struct verify_transcript transcript;
};

/* A talk that wants "hello", and a transcript that is right. */
static struct outcome right(void)
{
	struct outcome outcome = {
		.talk = { .reasons = 1u << GB_CLOSE_EOF },
		.transcript = { .ending = VERIFY_BY_FIN,
			.reasons = 1u << GB_CLOSE_EOF,
			.opened = 1,
			.closed = 1,
			.played = true },
	};

	gb__verify_bytes_append(&outcome.talk.wanted, "hello", 5);
	gb__verify_bytes_append(&outcome.transcript.got, "hello", 5);
	return outcome;
}

static void check_differs(struct outcome *outcome, const char *wanted)
{
	char text[256] = "";

	if (!gb__verify_compare(&outcome->talk, &outcome->transcript, text, sizeof(text)))
		test_fail(__FILE__, __LINE__, "no difference, expected \"%s\"", wanted);
	if (!strstr(text, wanted))
		test_fail(__FILE__, __LINE__, "\"%s\" lacks \"%s\"", text, wanted);
	gb__verify_talk_finish(&outcome->talk);
	gb__verify_bytes_finish(&outcome->transcript.got);
}

static void check_same(struct outcome *outcome)
{
	char text[256] = "";

	if (gb__verify_compare(&outcome->talk, &outcome->transcript, text, sizeof(text)))
		test_fail(__FILE__, __LINE__, "%s", text);
	gb__verify_talk_finish(&outcome->talk);
	gb__verify_bytes_finish(&outcome->transcript.got);
}

TEST(what_is_right_does_not_differ)
{
	struct outcome outcome = right();

	check_same(&outcome);
}

TEST(a_talk_that_was_not_played_does_not_differ)
{
	struct outcome outcome = right();

	outcome.transcript.played = false;
	outcome.transcript.got.size = 0;
	check_same(&outcome);
}

TEST(a_wrong_byte_is_the_difference)
{
	struct outcome outcome = right();

	outcome.transcript.got.data[3] = 'p';
	outcome.transcript.reasons = 1u << GB_CLOSE_RESET;
	check_differs(&outcome, "byte 3 of 5 is 0x70, expected 0x6c (close reason reset)");
}

TEST(missing_bytes_are_unless_any_part_will_do)
{
	struct outcome outcome = right();

	outcome.transcript.got.size = 2;
	check_differs(&outcome, "byte 2 is missing: a FIN after 2 of 5 bytes");
	outcome = right();
	outcome.talk.prefix = true;
	outcome.transcript.got.size = 2;
	check_same(&outcome);
}

TEST(further_bytes_are)
{
	struct outcome outcome = right();

	outcome.talk.prefix = true;
	gb__verify_bytes_append(&outcome.transcript.got, "!", 1);
	check_differs(&outcome, "byte 5 is 0x21, expected no more than 5 bytes");
}

TEST(another_ending_is)
{
	struct outcome outcome = right();

	outcome.transcript.ending = VERIFY_BY_RESET;
	check_differs(&outcome, "ends with a reset, expected a FIN");
	outcome = right();
	outcome.talk.endings = 1u << VERIFY_BY_RESET;
	check_differs(&outcome, "ends with a FIN, expected a reset");
	outcome = right();
	gb__verify_talk_step(&outcome.talk, VERIFY_LEAVE, 0);
	outcome.transcript.ending = VERIFY_BY_CLIENT;
	check_same(&outcome);
}

TEST(another_reason_is_unless_a_race_allows_it)
{
	struct outcome outcome = right();

	outcome.transcript.reasons = 1u << GB_CLOSE_IDLE;
	check_differs(&outcome, "close reason idle, expected eof");
	outcome = right();
	outcome.talk.reasons |= 1u << GB_CLOSE_IDLE;
	outcome.transcript.reasons = 1u << GB_CLOSE_IDLE;
	check_same(&outcome);
}

TEST(callbacks_that_came_twice_never_or_at_once_are)
{
	struct outcome outcome = right();

	outcome.transcript.closed = 2;
	check_differs(&outcome, "on_close was called 2 times");
	outcome = right();
	outcome.transcript.opened = 0;
	check_differs(&outcome, "on_open was called 0 times");
	outcome = right();
	outcome.transcript.overlapped = 1;
	check_differs(&outcome, "at the same time");
}

TEST(last_words_are_part_of_an_end)
{
	struct verify_last last[GB_CLOSE_REASON_COUNT] = {
		[GB_CLOSE_IDLE] = { .reason = GB_CLOSE_IDLE }, [GB_CLOSE_DRAIN] = { .reason = GB_CLOSE_DRAIN }
	};
	const struct verify_protocol protocol = { .service = "polite", .last = last };
	struct outcome outcome;

	gb__verify_bytes_append(&last[GB_CLOSE_IDLE].words, "bye", 3);
	gb__verify_bytes_append(&last[GB_CLOSE_DRAIN].words, "bye", 3);
	for (unsigned i = 0; i < 6; i++) {
		const enum gb_close_reason reason = i < 3 ? GB_CLOSE_IDLE : GB_CLOSE_DRAIN;

		outcome = right();
		outcome.talk.protocol = &protocol;
		outcome.talk.reasons = outcome.transcript.reasons = 1u << reason;
		outcome.talk.prefix = i == 2;
		outcome.transcript.got.size = 0;
		gb__verify_bytes_append(&outcome.transcript.got,
			(const char *[]){ "hello", "hellobye", "helb", "hello", "hebyello", "hebye" }[i],
			(size_t[]){ 5, 8, 4, 5, 8, 5 }[i]);
		if (i == 0)
			check_differs(&outcome,
				"5 bytes came, expected 5 and then the 3 that are said at this end");
		else if (i == 5)
			check_differs(&outcome, "byte 2 of 5 is 0x62");
		else
			check_same(&outcome);
	}
	gb__verify_bytes_finish(&last[GB_CLOSE_IDLE].words);
	gb__verify_bytes_finish(&last[GB_CLOSE_DRAIN].words);
}

TEST(what_is_joined_may_end_with_the_other)
{
	struct outcome outcome = right();

	outcome.talk.reasons = 1u << GB_CLOSE_IDLE;
	outcome.transcript.reasons = 1u << GB_CLOSE_RELAY;
	check_same(&outcome);
	outcome = right();
	outcome.transcript.reasons = 1u << GB_CLOSE_RELAY;
	check_differs(&outcome, "close reason relay, expected eof");
}

TEST(trouble_goes_before_all)
{
	struct outcome outcome = right();

	snprintf(outcome.transcript.trouble, sizeof(outcome.transcript.trouble), "hangs");
	outcome.transcript.got.size = 0;
	check_differs(&outcome, "hangs");
}

TEST(counters_must_say_what_was_noted)
{
	struct gb_stats counted = { .accepted = 3 }, noted = { .accepted = 3 };
	char text[256];

	counted.closed[GB_CLOSE_EOF] = noted.closed[GB_CLOSE_EOF] = 2;
	CHECK(!gb__verify_compare_stats(&counted, &noted, text, sizeof(text)));
	counted.connections = 1;
	CHECK(gb__verify_compare_stats(&counted, &noted, text, sizeof(text)));
	CHECK_STR(text, "counted 1 connections open at its end");
	counted.accepted = 4;
	CHECK(gb__verify_compare_stats(&counted, &noted, text, sizeof(text)));
	CHECK_STR(text, "counted 4 accepted connections, noted 3");
	noted.closed[GB_CLOSE_IDLE] = 1;
	CHECK(gb__verify_compare_stats(&counted, &noted, text, sizeof(text)));
	CHECK_STR(text, "counted 0 connections closed by idle, noted 1");
	noted.closed[GB_CLOSE_IDLE] = 0;
	counted.closed[GB_CLOSE_CRASHED] = 1; /* nobody can have noted it */
	CHECK(gb__verify_compare_stats(&counted, &noted, text, sizeof(text)));
	CHECK_STR(text, "counted 1 connections closed by crashed, noted 0");
}

TEST(connections_that_the_service_made_are_counted_only)
{
	struct gb_stats counted = { .accepted = 3 }, noted = { .accepted = 3 };
	char text[256];

	counted.closed[GB_CLOSE_EOF] = noted.closed[GB_CLOSE_EOF] = 3;
	counted.closed[GB_CLOSE_LOCAL] = 2;
	CHECK(!gb__verify_compare_stats(&counted, &noted, text, sizeof(text)));
	noted.closed[GB_CLOSE_IDLE] = 1;
	CHECK(gb__verify_compare_stats(&counted, &noted, text, sizeof(text)));
	CHECK_STR(text, "counted 0 connections closed by idle, noted 1");
}
