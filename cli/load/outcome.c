#include "load/outcome.h"

#include <string.h>

double gb__outcome_rate(const struct outcome *outcome)
{
	double seconds = gb__totals_seconds(&outcome->totals);

	return seconds > 0 ? (double)outcome->totals.messages / seconds : 0;
}

const struct histogram *gb__outcome_service(const struct outcome *outcome)
{
	return outcome->totals.service_ns.count ? &outcome->totals.service_ns : &outcome->totals.response_ns;
}

/* What was to be sent per second on average, as far as that is known. */
static double offered(const struct fleet *fleet)
{
	const struct load_options *options = fleet->options;

	if (options->rate_to <= 0)
		return 0;
	return gb__arrivals_mean(&fleet->generators[0].schedule.arrivals,
		options->duration_ms ? options->duration_ms * 1000000 : 1);
}

/* How long requests were due: to the end of the schedule, unless messages or connections came to an end before. */
static double due_seconds(const struct outcome *outcome, const struct fleet *fleet)
{
	const struct schedule *schedule = &fleet->generators[0].schedule;
	const struct totals *totals = &outcome->totals;
	bool ended = totals->interrupted || schedule->end_ns == SCHEDULE_NO_BOUND || schedule->left == 0;

	return ended ? gb__totals_seconds(totals) : (double)(schedule->end_ns - totals->begin_ns) / 1e9;
}

/* The same of what fell due: what is drawn at random, or is interrupted while it rises, has a rate of its own. */
static double asked(const struct outcome *outcome, double seconds)
{
	const struct load_options *options = outcome->options;
	bool drawn =
		options->poisson || (outcome->totals.interrupted && options->rate_from != options->rate_to);

	if (outcome->offered <= 0 || !drawn)
		return outcome->offered;
	return seconds > 0 ? (double)outcome->totals.sent / seconds : 0;
}

bool gb__outcome_right(const struct outcome *outcome)
{
	return gb__totals_right(&outcome->totals) && outcome->idle_lost == 0;
}

static void judge(struct outcome *outcome, const struct fleet *fleet, const struct circumstances *before)
{
	const struct load_options *options = outcome->options;
	const struct totals *totals = &outcome->totals;
	double seconds = due_seconds(outcome, fleet);
	struct facts_of_run facts = { .lasted_ns = totals->lasted_ns,
		.busiest_ns = totals->busiest_ns,
		.threads = outcome->threads,
		.samples = totals->response_ns.count,
		.counted = options->message_count || options->messages_per_connection,
		.offered = asked(outcome, seconds),
		.sent = seconds > 0 ? (double)(totals->sent - totals->unsent) / seconds : 0,
		.answered = gb__outcome_rate(outcome),
		.late_ns = gb__histogram_quantile(&totals->late_ns, 9900) };

	if (!outcome->sending)
		return;
	gb__circumstances_compare(before, &facts);
	gb__doubts_judge(&facts, &outcome->doubts);
}

void gb__outcome_take(const struct fleet *fleet, const struct circumstances *before, struct outcome *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->options = fleet->options;
	ret->traffic = &fleet->traffic;
	ret->engine = fleet->engine;
	ret->threads = fleet->count;
	ret->offered = offered(fleet);
	gb__totals_init(&ret->totals);
	for (unsigned i = 0; i < fleet->count; i++) {
		ret->sending = ret->sending || fleet->generators[i].measured_ns != UINT64_MAX;
		gb__totals_merge(&ret->totals, &fleet->generators[i].totals);
	}
	judge(ret, fleet, before);
}
