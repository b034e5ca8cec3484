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

static void judge(struct outcome *outcome, const struct circumstances *before)
{
	const struct load_options *options = outcome->options;
	const struct totals *totals = &outcome->totals;
	struct facts_of_run facts = { .lasted_ns = totals->lasted_ns,
		.busiest_ns = totals->busiest_ns,
		.threads = outcome->threads,
		.samples = totals->response_ns.count,
		.counted = options->message_count || options->messages_per_connection };

	if (!outcome->sending)
		return;
	gb__circumstances_compare(before, &facts);
	gb__doubts_judge(&facts, &outcome->doubts);
}

void gb__outcome_take(
	const struct generator *generator, const struct circumstances *before, struct outcome *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->options = generator->options;
	ret->traffic = &generator->traffic;
	ret->engine = generator->engine;
	ret->sending = generator->sending;
	ret->threads = 1;
	ret->totals = generator->totals;
	judge(ret, before);
}
