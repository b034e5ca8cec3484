#include "load/hdr.h"
#include "load/report.h"

#include <stdlib.h>

/* A percentile that has too few samples is none: null. */
static json_t *json_quantile(const struct histogram *histogram, const struct quantile *quantile)
{
	if (histogram->count < gb__quantile_samples_min(quantile->ten_thousandths))
		return json_null();
	return json_integer((json_int_t)gb__histogram_quantile(histogram, quantile->ten_thousandths));
}

json_t *gb__report_json_durations(const struct histogram *histogram)
{
	json_t *object = json_pack("{s:I, s:I}", "min", (json_int_t)(histogram->count ? histogram->min : 0),
		"mean", (json_int_t)gb__histogram_mean(histogram));

	for (size_t i = 0; i < QUANTILES_MAX; i++)
		json_object_set_new(
			object, gb__quantiles[i].key, json_quantile(histogram, &gb__quantiles[i]));
	json_object_set_new(object, "max", json_integer((json_int_t)histogram->max));
	return object;
}

static json_t *json_errors(const struct totals *totals)
{
	return json_pack("{s:I, s:I, s:I, s:I}", "connect_failed", (json_int_t)totals->connect_failed,
		"closed_early", (json_int_t)totals->closed_early, "wrong_replies",
		(json_int_t)totals->wrong_replies, "unanswered", (json_int_t)gb__totals_unanswered(totals));
}

static json_t *json_warnings(const struct doubts *doubts)
{
	json_t *array = json_array();

	for (size_t i = 0; i < doubts->count; i++)
		json_array_append_new(array,
			json_pack("{s:s, s:s}", "kind", doubts->list[i].kind, "text", doubts->list[i].text));
	return array;
}

static json_t *json_histogram(const struct histogram *histogram)
{
	char *text = gb__hdr_encode(histogram);
	json_t *value = text ? json_string(text) : NULL;

	free(text);
	return value ? value : json_null();
}

static json_t *json_handshakes(const struct histogram *histogram)
{
	return json_pack("{s:I, s:o}", "count", (json_int_t)histogram->count, "ns",
		histogram->count ? gb__report_json_durations(histogram) : json_null());
}

/* Null without TLS. */
static json_t *json_tls(const struct outcome *outcome)
{
	const struct handshakes *handshakes = &outcome->totals.handshakes;

	if (!outcome->options->tls.use)
		return json_null();
	return json_pack("{s:s?, s:s?, s:o, s:o, s:o}", "version",
		handshakes->version[0] ? handshakes->version : NULL, "cipher",
		handshakes->cipher[0] ? handshakes->cipher : NULL, "alpn",
		handshakes->alpn[0] ? gb__json_text(handshakes->alpn) : json_null(), "full",
		json_handshakes(&handshakes->full_ns), "resumed", json_handshakes(&handshakes->resumed_ns));
}

static json_t *json_asked(const struct outcome *outcome)
{
	const struct load_options *options = outcome->options;

	return json_pack("{s:o, s:s, s:s, s:I, s:I, s:I, s:I, s:s?}", "address",
		gb__json_text(options->address), "protocol", options->protocol->name, "engine",
		outcome->engine, "connections", (json_int_t)options->connections, "size",
		(json_int_t)options->size, "depth", (json_int_t)options->depth, "threads",
		(json_int_t)outcome->threads, "arrivals",
		options->rate_to > 0 ? (options->poisson ? "poisson" : "constant") : NULL);
}

static void set_counts(json_t *object, const struct totals *totals)
{
	json_object_set_new(object, "opened", json_integer((json_int_t)totals->opened));
	json_object_set_new(object, "sent", json_integer((json_int_t)totals->sent));
	json_object_set_new(object, "messages", json_integer((json_int_t)totals->messages));
	json_object_set_new(object, "bytes", json_integer((json_int_t)totals->bytes));
	json_object_set_new(object, "timeouts", json_integer((json_int_t)totals->timeouts));
}

static void set_rates(json_t *object, const struct outcome *outcome)
{
	const struct totals *totals = &outcome->totals;
	double seconds = gb__totals_seconds(totals), each = seconds > 0 ? 1 / seconds : 0;

	json_object_set_new(object, "seconds", json_real(seconds));
	json_object_set_new(object, "messages_per_second", json_real(gb__outcome_rate(outcome)));
	json_object_set_new(object, "bytes_per_second", json_real((double)totals->bytes * each));
	json_object_set_new(object, "connections_per_second", json_real((double)totals->opened * each));
	json_object_set_new(object, "offered_per_second",
		outcome->offered > 0 ? json_real(outcome->offered) : json_null());
	json_object_set_new(object, "cpu_seconds", json_real((double)totals->cpu_ns / 1e9));
}

json_t *gb__load_report_json(const struct outcome *outcome)
{
	const struct totals *totals = &outcome->totals;
	char errors[2 * TOTALS_TEXT_MAX];
	json_t *object = json_asked(outcome);

	gb__report_errors(outcome, errors, sizeof(errors));
	set_counts(object, totals);
	set_rates(object, outcome);
	json_object_set_new(object, "latency_ns", gb__report_json_durations(&totals->response_ns));
	json_object_set_new(object, "response_ns", gb__report_json_durations(&totals->response_ns));
	json_object_set_new(object, "service_ns", gb__report_json_durations(gb__outcome_service(outcome)));
	json_object_set_new(object, "histogram", json_histogram(&totals->response_ns));
	json_object_set_new(object, "tls", json_tls(outcome));
	json_object_set_new(object, "idle", json_integer((json_int_t)outcome->options->idle));
	json_object_set_new(object, "idle_lost", json_integer((json_int_t)outcome->idle_lost));
	json_object_set_new(object, "errors", json_errors(totals));
	json_object_set_new(object, "error", gb__json_text(errors));
	json_object_set_new(object, "warnings", json_warnings(&outcome->doubts));
	json_object_set_new(object, "interrupted", json_boolean(totals->interrupted));
	json_object_set_new(object, "ok", json_boolean(gb__outcome_right(outcome)));
	return object;
}
