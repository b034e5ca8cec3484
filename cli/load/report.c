#include "load/report.h"

#include "figure.h"

#include <stdarg.h>
#include <string.h>

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
	char text[FIGURE_MAX];

	fputs(gb__figure(FORM_NS, (double)ns, text), stream);
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
static const char *silence_hint(const struct outcome *outcome)
{
	const struct traffic *traffic = outcome->traffic;

	if (memchr(traffic->data, '\n', traffic->size) && traffic->sizes)
		return "no reply at all: does the server speak this protocol?";
	return "no reply at all: does the server wait for the end of a line (--protocol line), or for other messages "
	       "(--message TEXT)?";
}

void gb__report_errors(const struct outcome *outcome, char *text, size_t size)
{
	const struct totals *totals = &outcome->totals;
	uint64_t unanswered = gb__totals_unanswered(totals);

	text[0] = '\0';
	if (totals->connect_failed)
		append(text, size, "%llu connection%s not established (%s)", number(totals->connect_failed),
			plural(totals->connect_failed), totals->connect_text);
	if (totals->wrong_replies)
		append(text, size, "%llu wrong repl%s (%s)", number(totals->wrong_replies),
			totals->wrong_replies == 1 ? "y" : "ies", totals->wrong_text);
	if (totals->wrong_replies && outcome->options->protocol == &gb__protocol_echo)
		append(text, size,
			"does the server echo what it gets? other protocols are --protocol line or time-echo, "
			"other messages --message TEXT");
	if (totals->closed_early)
		append(text, size, "%llu connection%s closed early (%s)", number(totals->closed_early),
			plural(totals->closed_early), totals->closed_text);
	if (outcome->idle_lost)
		append(text, size, "%llu idle connection%s ended or heard something",
			number(outcome->idle_lost), plural(outcome->idle_lost));
	if (totals->timeouts)
		append(text, size, "%llu message%s timed out", number(totals->timeouts),
			plural(totals->timeouts));
	if (unanswered)
		append(text, size, "%llu message%s unanswered", number(unanswered), plural(unanswered));
	if (text[0] && totals->stalled)
		append(text, size, "nothing moved for %llu ms", number(totals->stalled_ms));
	if (unanswered && totals->bytes_heard == 0 && totals->stalled)
		append(text, size, "%s", silence_hint(outcome));
}

void gb__report_durations(FILE *stream, const char *word, const struct histogram *latency)
{
	fprintf(stream, "  %-10s ", word);
	for (size_t i = 0; i < QUANTILES_MAX; i++) {
		unsigned quantile = gb__quantiles[i].ten_thousandths;

		/* Without samples it would be the maximum under another name. */
		if (latency->count < gb__quantile_samples_min(quantile))
			break;
		fprintf(stream, "%s ", gb__quantiles[i].label);
		print_duration(stream, gb__histogram_quantile(latency, quantile));
		fprintf(stream, ", ");
	}
	fprintf(stream, "max ");
	print_duration(stream, latency->max);
	fputc('\n', stream);
}

/* First of all what speaks against the rest. */
static void print_doubts(FILE *stream, const struct doubts *doubts)
{
	for (size_t i = 0; i < doubts->count; i++)
		fprintf(stream, "WARNING (%s): %s.\n", doubts->list[i].kind, doubts->list[i].text);
}

static void print_rates(FILE *stream, const struct outcome *outcome)
{
	const struct totals *totals = &outcome->totals;

	fprintf(stream, "  rate       ");
	print_rate(stream, gb__outcome_rate(outcome));
	fprintf(stream, "/s, ");
	print_bytes_rate(stream, per_second(totals, totals->bytes));
	fputc('\n', stream);
}

static void print_offered(FILE *stream, const struct outcome *outcome)
{
	const struct load_options *options = outcome->options;

	fprintf(stream, "  offered    ");
	print_rate(stream, options->rate_from);
	if (options->rate_from != options->rate_to) {
		fprintf(stream, " to ");
		print_rate(stream, options->rate_to);
	}
	fprintf(stream, "/s, %s\n", options->poisson ? "as Poisson arrivals" : "evenly spaced");
}

static void print_tls(FILE *stream, const struct handshakes *handshakes)
{
	fprintf(stream, "  tls        %s, %s%s%s; %llu full handshake%s, %llu resumed\n", handshakes->version,
		handshakes->cipher, handshakes->alpn[0] ? ", ALPN " : "", handshakes->alpn,
		number(handshakes->full_ns.count), plural(handshakes->full_ns.count),
		number(handshakes->resumed_ns.count));
	if (handshakes->full_ns.count > 0)
		gb__report_durations(stream, "full", &handshakes->full_ns);
	if (handshakes->resumed_ns.count > 0)
		gb__report_durations(stream, "resumed", &handshakes->resumed_ns);
}

void gb__load_report_text(FILE *stream, const struct outcome *outcome)
{
	const struct load_options *options = outcome->options;
	const struct totals *totals = &outcome->totals;
	char what[64];

	print_doubts(stream, &outcome->doubts);
	if (options->messages.count > 0)
		snprintf(what, sizeof(what), "%zu message%s of one's own", options->messages.count,
			plural(options->messages.count));
	else
		snprintf(what, sizeof(what), "%s%llu byte%s", options->made.count ? "on average " : "",
			number(options->size), plural(options->size));
	fprintf(stream, "%llu connection%s to %s, %s%s, %s, depth %llu, on %s", number(options->connections),
		plural(options->connections), options->address, options->protocol->name,
		options->tls.use ? " over TLS" : "", what, number(options->depth), outcome->engine);
	if (outcome->threads > 1)
		fprintf(stream, " in %u threads", outcome->threads);
	fputc('\n', stream);
	if (options->idle)
		fprintf(stream, "  beside     %llu idle connection%s\n", number(options->idle),
			plural(options->idle));
	if (outcome->offered > 0)
		print_offered(stream, outcome);
	if (options->reconnect)
		fprintf(stream, "  connected  %llu times, %.0f/s\n", number(totals->opened),
			per_second(totals, totals->opened));
	if (totals->handshakes.version[0])
		print_tls(stream, &totals->handshakes);
	fprintf(stream, "  checked    %llu message%s", number(totals->messages), plural(totals->messages));
	if (totals->messages > 0) {
		fprintf(stream, " in ");
		print_duration(stream, totals->end_ns - totals->begin_ns);
	}
	fprintf(stream, "%s\n", totals->interrupted ? ", interrupted" : "");
	if (totals->messages > 0)
		print_rates(stream, outcome);
	if (totals->messages > 0 && outcome->offered <= 0)
		gb__report_durations(stream, "latency", &totals->response_ns);
	if (totals->messages > 0 && outcome->offered > 0) {
		gb__report_durations(stream, "response", &totals->response_ns);
		gb__report_durations(stream, "service", &totals->service_ns);
	}
	if (gb__outcome_right(outcome)) /* else the line on standard error says what */
		fprintf(stream, "  errors     none\n");
}
