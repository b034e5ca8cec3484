#include "load/doubts.h"

#include "harness.h"

/* A run of ten seconds of which nothing is to be doubted. */
static struct facts_of_run sound(void)
{
	return (struct facts_of_run){ .lasted_ns = 10000000000u,
		.busiest_ns = 3000000000u,
		.threads = 1,
		.samples = 10000,
		.offered = 1000,
		.sent = 1000,
		.answered = 999 };
}

static struct doubts doubts;

static void check_doubt(const struct facts_of_run *facts, const char *kind, const char *words)
{
	gb__doubts_judge(facts, &doubts);
	CHECK_INT(doubts.count, 1);
	CHECK_STR(doubts.list[0].kind, kind);
	CHECK(strstr(doubts.list[0].text, words));
}

TEST(a_sound_run_has_none)
{
	struct facts_of_run facts = sound();

	gb__doubts_judge(&facts, &doubts);
	CHECK_INT(doubts.count, 0);
	facts.offered = 0; /* a closed loop has no rate to miss */
	facts.sent = facts.answered = 5;
	gb__doubts_judge(&facts, &doubts);
	CHECK_INT(doubts.count, 0);
}

TEST(a_generator_without_cpu_to_spare_is_saturated)
{
	struct facts_of_run facts = sound();

	facts.busiest_ns = 9499999999u;
	gb__doubts_judge(&facts, &doubts);
	CHECK_INT(doubts.count, 0);
	facts.busiest_ns = 9500000000u;
	check_doubt(&facts, "saturated", "--threads 2");
	facts.busiest_ns = 10100000000u;
	check_doubt(&facts, "saturated", "100 %");
	facts.lasted_ns = 900000000; /* too short to tell */
	gb__doubts_judge(&facts, &doubts);
	CHECK_INT(doubts.count, 0);
}

TEST(a_quota_that_stopped_it_is_told)
{
	struct facts_of_run facts = sound();

	facts.throttled_ns = 10000000;
	gb__doubts_judge(&facts, &doubts);
	CHECK_INT(doubts.count, 0);
	facts.throttled_ns = 11000000;
	check_doubt(&facts, "throttled", "11.0 ms");
}

TEST(a_rate_that_was_not_sent_or_not_answered_is_missed)
{
	struct facts_of_run facts = sound();

	facts.sent = 989;
	check_doubt(&facts, "missed-rate", "1000/s were to be sent and 989/s were");
	facts = sound();
	facts.answered = 500;
	check_doubt(&facts, "missed-rate", "500/s answered");
	facts = sound();
	facts.late_ns = 2000000;
	check_doubt(&facts, "missed-rate", "late by 2.0 ms");
}

TEST(clocks_that_jump_or_stood_are_told)
{
	struct facts_of_run facts = sound();

	facts.suspended_ns = 1000000000;
	facts.stepped_ns = 1000000000;
	check_doubt(&facts, "clock", "slept for 1000 ms");
	facts = sound();
	facts.stepped_ns = 3600000000000;
	check_doubt(&facts, "clock", "jumped");
	facts = sound();
	facts.stepped_ns = 15000000; /* as NTP may */
	gb__doubts_judge(&facts, &doubts);
	CHECK_INT(doubts.count, 0);
	facts.slewed_ns = 100000000;
	check_doubt(&facts, "clock", "corrected");
}

TEST(percentiles_that_have_no_samples_are_told_unless_so_many_were_asked_for)
{
	struct facts_of_run facts = sound();

	facts.samples = 9999;
	check_doubt(&facts, "samples", "no p99.99, which takes 10000");
	facts.samples = 999;
	check_doubt(&facts, "samples", "no p99.9 and above, which takes 1000");
	facts.samples = 1;
	check_doubt(&facts, "samples", "1 answered message gives no p50");
	facts.counted = true;
	gb__doubts_judge(&facts, &doubts);
	CHECK_INT(doubts.count, 0);
}
