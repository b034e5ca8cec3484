#include "load/report.h"

#include <stdarg.h>
#include <string.h>

/* The quantiles that are told, in ten thousandths. */
static const struct {
	const char *label, *key;
	unsigned quantile;
} quantiles[] = {
	{ "p50", "p50", 5000 },
	{ "p90", "p90", 9000 },
	{ "p99", "p99", 9900 },
	{ "p99.9", "p99_9", 9990 },
};
#define QUANTILES (sizeof(quantiles) / sizeof(*quantiles))

static unsigned long long number(uint64_t value)
{
	return value;
}

static double per_second(const struct totals *totals, uint64_t count)
{
	double seconds = gb__totals_seconds(totals);

	return seconds > 0 ? (double)count / seconds : 0;
}

static void print_duration(FILE *stream, uint64_t ns)
{
	static const struct {
		const char *unit;
		double ns;
	} units[] = { { "s", 1e9 }, { "ms", 1e6 }, { "µs", 1e3 }, { "ns", 1 } };
	size_t i = 0;

	/* 999.6 µs would be 1e+03 with three digits: from where it rounds up, the next unit has it. */
	while (i + 1 < sizeof(units) / sizeof(*units) && (double)ns < 0.9995 * units[i].ns)
		i++;
	fprintf(stream, (double)ns < 999.5 * units[i].ns ? "%.3g %s" : "%.0f %s", (double)ns / units[i].ns,
		units[i].unit);
}

/* A rate with three digits at least, and no power of ten. */
static void print_rate(FILE *stream, double rate)
{
	fprintf(stream, rate < 9.995 ? "%.2f" : rate < 99.95 ? "%.1f" : "%.0f", rate);
}

static void print_bytes_rate(FILE *stream, double rate)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB" };
	size_t i = 0;

	while (i + 1 < sizeof(units) / sizeof(*units) && rate >= 999.5) {
		rate /= 1024;
		i++;
	}
	print_rate(stream, rate);
	fprintf(stream, " %s/s", units[i]);
}

/* Append ", " where something stands already, then the text. */
static void append(char *text, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void append(char *text, size_t size, const char *format, ...)
{
	size_t used = strlen(text);
	va_list arguments;

	if (used > 0)
		used += (size_t)snprintf(text + used, size - used, ", ");
	if (used >= size)
		return;
	va_start(arguments, format);
	vsnprintf(text + used, size - used, format, arguments);
	va_end(arguments);
}

static const char *plural(uint64_t count)
{
	return count == 1 ? "" : "s";
}

/* What it may be that nobody answered to. */
static const char *silence_hint(const struct generator *generator)
{
	const struct traffic *traffic = &generator->traffic;

	if (memchr(traffic->data, '\n', traffic->size) && traffic->sizes)
		return "no reply at all: does the server speak this protocol?";
	return "no reply at all: does the server wait for the end of a line (--protocol line), or for other messages "
	       "(--message TEXT)?";
}

void gb__report_errors(const struct generator *generator, char *text, size_t size)
{
	const struct totals *totals = &generator->totals;
	uint64_t unanswered = gb__totals_unanswered(totals);

	text[0] = '\0';
	if (totals->connect_failed)
		append(text, size, "%llu connection%s not established (%s)", number(totals->connect_failed),
			plural(totals->connect_failed), totals->connect_text);
	if (totals->wrong_replies)
		append(text, size, "%llu wrong repl%s (%s)", number(totals->wrong_replies),
			totals->wrong_replies == 1 ? "y" : "ies", totals->wrong_text);
	if (totals->wrong_replies && generator->options->protocol == &gb__protocol_echo)
		append(text, size,
			"does the server echo what it gets? other protocols are --protocol line or time-echo, "
			"other messages --message TEXT");
	if (totals->closed_early)
		append(text, size, "%llu connection%s closed early (%s)", number(totals->closed_early),
			plural(totals->closed_early), totals->closed_text);
	if (unanswered)
		append(text, size, "%llu message%s unanswered", number(unanswered), plural(unanswered));
	if (text[0] && totals->stalled)
		append(text, size, "nothing moved for %llu ms", number(totals->stalled_ms));
	if (unanswered && totals->bytes_heard == 0 && totals->stalled)
		append(text, size, "%s", silence_hint(generator));
}

static void print_latency(FILE *stream, const struct histogram *latency)
{
	fprintf(stream, "  latency    ");
	for (size_t i = 0; i < QUANTILES; i++) {
		fprintf(stream, "%s ", quantiles[i].label);
		print_duration(stream, gb__histogram_quantile(latency, quantiles[i].quantile));
		fprintf(stream, ", ");
	}
	fprintf(stream, "max ");
	print_duration(stream, latency->max);
	fputc('\n', stream);
}

static void print_rates(FILE *stream, const struct totals *totals)
{
	fprintf(stream, "  rate       ");
	print_rate(stream, per_second(totals, totals->messages));
	fprintf(stream, "/s, ");
	print_bytes_rate(stream, per_second(totals, totals->bytes));
	fputc('\n', stream);
}

void gb__load_report_text(FILE *stream, const struct generator *generator)
{
	const struct load_options *options = generator->options;
	const struct totals *totals = &generator->totals;
	char what[64];

	if (options->messages.count > 0)
		snprintf(what, sizeof(what), "%zu message%s of one's own", options->messages.count,
			plural(options->messages.count));
	else
		snprintf(what, sizeof(what), "%llu byte%s", number(options->size), plural(options->size));
	fprintf(stream, "%llu connection%s to %s, %s, %s, depth %llu, on %s\n", number(options->connections),
		plural(options->connections), options->address, options->protocol->name, what,
		number(options->depth), generator->engine);
	if (options->reconnect)
		fprintf(stream, "  connected  %llu times, %.0f/s\n", number(totals->opened),
			per_second(totals, totals->opened));
	fprintf(stream, "  checked    %llu message%s", number(totals->messages), plural(totals->messages));
	if (totals->messages > 0) {
		fprintf(stream, " in ");
		print_duration(stream, totals->end_ns - totals->begin_ns);
	}
	fprintf(stream, "%s\n", totals->interrupted ? ", interrupted" : "");
	if (totals->messages > 0)
		print_rates(stream, totals);
	if (totals->messages > 0)
		print_latency(stream, &totals->latency_ns);
	if (gb__totals_right(totals)) /* else the line on standard error says what */
		fprintf(stream, "  errors     none\n");
}

static json_t *json_latency(const struct histogram *latency)
{
	json_t *object = json_pack("{s:I, s:I}", "min", (json_int_t)(latency->count ? latency->min : 0),
		"mean", (json_int_t)gb__histogram_mean(latency));

	for (size_t i = 0; i < QUANTILES; i++)
		json_object_set_new(object, quantiles[i].key,
			json_integer((json_int_t)gb__histogram_quantile(latency, quantiles[i].quantile)));
	json_object_set_new(object, "max", json_integer((json_int_t)latency->max));
	return object;
}

static json_t *json_errors(const struct totals *totals)
{
	return json_pack("{s:I, s:I, s:I, s:I}", "connect_failed", (json_int_t)totals->connect_failed,
		"closed_early", (json_int_t)totals->closed_early, "wrong_replies",
		(json_int_t)totals->wrong_replies, "unanswered", (json_int_t)gb__totals_unanswered(totals));
}

json_t *gb__load_report_json(const struct generator *generator)
{
	const struct load_options *options = generator->options;
	const struct totals *totals = &generator->totals;
	char errors[2 * TOTALS_TEXT_MAX];
	json_t *object = json_pack("{s:o, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "address",
		gb__json_text(options->address), "protocol", options->protocol->name, "engine",
		generator->engine, "connections", (json_int_t)options->connections, "size",
		(json_int_t)options->size, "depth", (json_int_t)options->depth, "opened",
		(json_int_t)totals->opened, "sent", (json_int_t)totals->sent, "messages",
		(json_int_t)totals->messages, "bytes", (json_int_t)totals->bytes);

	gb__report_errors(generator, errors, sizeof(errors));
	json_object_set_new(object, "seconds", json_real(gb__totals_seconds(totals)));
	json_object_set_new(object, "messages_per_second", json_real(per_second(totals, totals->messages)));
	json_object_set_new(object, "bytes_per_second", json_real(per_second(totals, totals->bytes)));
	json_object_set_new(object, "connections_per_second", json_real(per_second(totals, totals->opened)));
	json_object_set_new(object, "latency_ns", json_latency(&totals->latency_ns));
	json_object_set_new(object, "errors", json_errors(totals));
	json_object_set_new(object, "error", gb__json_text(errors));
	json_object_set_new(object, "interrupted", json_boolean(totals->interrupted));
	json_object_set_new(object, "ok", json_boolean(gb__totals_right(totals)));
	return object;
}
