#include "load/doubts.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BUSY_PERCENT 95u          /* from there on a generator has nothing left to wait with */
#define JUDGED_MIN_NS 1000000000u /* in less time a burst of work tells nothing */
#define RATE_MISSED 0.99          /* of what was to be sent, or answered */
#define THROTTLED_PER_MILLE 1u    /* of the time */
#define STEP_MIN_NS 10000000u     /* a time of day that is kept by NTP moves less … */
#define SLEW_PER_MILLION 600u     /* … than it may slew: 500, and what reading takes */
#define LATE_MAX_NS 1000000u

const struct quantile gb__quantiles[QUANTILES_MAX] = {
	{ "p50", "p50", 5000 },
	{ "p75", "p75", 7500 },
	{ "p90", "p90", 9000 },
	{ "p99", "p99", 9900 },
	{ "p99.9", "p99_9", 9990 },
	{ "p99.99", "p99_99", 9999 },
};

uint64_t gb__quantile_samples_min(unsigned ten_thousandths)
{
	return 10000 / (10000 - ten_thousandths);
}

static void doubt(struct doubts *doubts, const char *kind, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static void doubt(struct doubts *doubts, const char *kind, const char *format, ...)
{
	struct doubt *one = &doubts->list[doubts->count++];
	va_list arguments;

	one->kind = kind;
	va_start(arguments, format);
	vsnprintf(one->text, sizeof(one->text), format, arguments);
	va_end(arguments);
}

static double ms(uint64_t ns)
{
	return (double)ns / 1e6;
}

static void judge_cpu(const struct facts_of_run *facts, struct doubts *doubts)
{
	uint64_t percent = facts->lasted_ns ? facts->busiest_ns * 100 / facts->lasted_ns : 0;

	if (percent >= BUSY_PERCENT && facts->lasted_ns >= JUDGED_MIN_NS)
		doubt(doubts, "saturated",
			"the generator itself was busy for %llu %% of the time: the figures are its own, the server may do "
			"better; --threads %u has another CPU help, if there is one",
			(unsigned long long)(percent > 100 ? 100 : percent), facts->threads + 1);
	if (facts->throttled_ns * 1000 > facts->lasted_ns * THROTTLED_PER_MILLE)
		doubt(doubts, "throttled",
			"a CPU quota stopped the generator for %.1f ms: what was slow then was this side",
			ms(facts->throttled_ns));
}

static void judge_rate(const struct facts_of_run *facts, struct doubts *doubts)
{
	if (facts->offered <= 0)
		return;
	if (facts->sent < facts->offered * RATE_MISSED)
		doubt(doubts, "missed-rate",
			"%.0f/s were to be sent and %.0f/s were: latencies hold, for the rate that was not reached",
			facts->offered, facts->sent);
	else if (facts->answered < facts->offered * RATE_MISSED)
		doubt(doubts, "missed-rate",
			"%.0f/s were sent and %.0f/s answered: requests pile up, so latencies grow with the run's length",
			facts->offered, facts->answered);
	if (facts->late_ns > LATE_MAX_NS)
		doubt(doubts, "missed-rate",
			"the generator was late by %.1f ms and more for one request in a hundred, with a connection free: "
			"latencies have that in them",
			ms(facts->late_ns));
}

static void judge_clock(const struct facts_of_run *facts, struct doubts *doubts)
{
	uint64_t slew = facts->lasted_ns / 1000000 * SLEW_PER_MILLION;

	if (facts->suspended_ns > STEP_MIN_NS)
		doubt(doubts, "clock", "the machine slept for %.0f ms meanwhile", ms(facts->suspended_ns));
	else if (facts->stepped_ns > STEP_MIN_NS + slew)
		doubt(doubts, "clock", "the clock jumped by %.0f ms meanwhile", ms(facts->stepped_ns));
	else if (facts->slewed_ns > STEP_MIN_NS + slew)
		doubt(doubts, "clock",
			"the clock was corrected by %.0f ms meanwhile: durations are off by as much",
			ms(facts->slewed_ns));
}

static void judge_samples(const struct facts_of_run *facts, struct doubts *doubts)
{
	for (size_t i = 0; i < QUANTILES_MAX && !facts->counted; i++) {
		const struct quantile *quantile = &gb__quantiles[i];
		uint64_t wanted = gb__quantile_samples_min(quantile->ten_thousandths);

		if (facts->samples >= wanted)
			continue;
		doubt(doubts, "samples",
			"%llu answered message%s give%s no %s%s, which takes %llu: measure for longer",
			(unsigned long long)facts->samples, facts->samples == 1 ? "" : "s",
			facts->samples == 1 ? "s" : "", quantile->label,
			i + 1 < QUANTILES_MAX ? " and above" : "", (unsigned long long)wanted);
		return;
	}
}

void gb__doubts_judge(const struct facts_of_run *facts, struct doubts *ret)
{
	ret->count = 0;
	judge_cpu(facts, ret);
	judge_rate(facts, ret);
	judge_clock(facts, ret);
	judge_samples(facts, ret);
}
