#include "compare/visit.h"

#include "compare/drive.h"
#include "compare/hold.h"
#include "compare/usage.h"
#include "tls/tls.h"

#include <gearbox/observe.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SETTLE_MS 100 /* until what was asked of a server is done, at most */
#define WARM_UP_MESSAGES 400
#define TIMED_MS \
	300 /* of load under which the ledger is kept, which takes a little of each message; at most */
#define TIMED_EVERY 8 /* messages, of which it has one */
#define SHARE "50"    /* messages of a connection that makes room for others */
#define LINE_MAX_WORDS 96

/* What is counted before and after a load. */
struct marks {
	double cpu_ns, counts[COUNTERS];
	json_t *summary;
};

/* Its answer to who asks for its counters is not to be counted: before a load it is asked first, after it last. */
static void take_marks(struct compare_server *server, bool before, struct marks *ret)
{
	if (before)
		ret->summary = gb__compare_server_summary(server);
	ret->cpu_ns = (double)gb__usage_cpu_ns(server->pid, SETTLE_MS);
	gb__counters_read(&server->counters, ret->counts);
	if (!before)
		ret->summary = gb__compare_server_summary(server);
}

/* Connections of the load at this point. */
static size_t connections_at(const struct comparison *comparison, const struct compare_point *point)
{
	const struct compare_options *options = comparison->options;

	for (size_t i = 0; i < options->axes_count; i++)
		if (strcmp(options->axes[i].name, "connections") == 0)
			return (size_t)options->axes[i].steps[point->step[i]].number;
	return options->connections;
}

/* Where fewer are served at once than come, connections take turns. */
static bool takes_turns(const struct comparison *comparison, const struct compare_point *point)
{
	return point->capacity < connections_at(comparison, point) &&
		!gb__compare_load_flag(comparison->options, "messages-per-connection");
}

/* What a load is run for. */
enum purpose { WARM_UP, MEASURED, LEDGER };

static int run_load(const struct comparison *comparison, struct compare_point *point,
	struct compare_server *server, enum purpose purpose, struct compare_outcome *ret,
	struct gb_error *error)
{
	struct compare_flag extra[8];
	char *line[LINE_MAX_WORDS], messages[32], timed[32];
	size_t count = 0;
	int words, result;

	if (takes_turns(comparison, point)) {
		extra[count++] = (struct compare_flag){ "messages-per-connection", SHARE };
		extra[count++] = (struct compare_flag){ "reconnect", "yes" };
	}
	if (purpose == LEDGER) {
		uint64_t measured_ms = comparison->options->duration_ms;

		snprintf(timed, sizeof(timed), "%ums",
			measured_ms && measured_ms < TIMED_MS ? (unsigned)measured_ms : TIMED_MS);
		extra[count++] = (struct compare_flag){ "messages", NULL };
		extra[count++] = (struct compare_flag){ "duration", timed };
		extra[count++] = (struct compare_flag){ "warm-up", NULL };
	}
	if (purpose == WARM_UP) {
		size_t wanted = WARM_UP_MESSAGES + 2 * connections_at(comparison, point);

		if (comparison->options->messages && wanted > comparison->options->messages)
			wanted = comparison->options->messages;
		snprintf(messages, sizeof(messages), "%zu", wanted);
		extra[count++] = (struct compare_flag){ "messages", messages };
		extra[count++] = (struct compare_flag){ "duration", "1s" };
		extra[count++] = (struct compare_flag){ "warm-up", NULL };
	}
	words = gb__compare_load_line(
		comparison->options, point->step, server->address, extra, count, line, LINE_MAX_WORDS);
	if (words < 0)
		return gb_error_set(error, words, "no memory for the load's flags");
	result = gb__compare_drive(server, line, words, ret, error);
	while (words > 0)
		free(line[--words]);
	return result;
}

/* Messages of each worker between two summaries: the greatest, and the deviation, over their mean. */
static void compare_workers(const json_t *before, const json_t *after, struct compare_sample *sample)
{
	const json_t *workers = json_object_get(after, "workers"), *then = json_object_get(before, "workers");
	double most = 0, sum = 0, squares = 0, count = (double)json_array_size(workers);

	for (size_t i = 0; i < json_array_size(workers); i++) {
		double messages = gb__json_number(json_array_get(workers, i), "messages");
		double earlier = gb__json_number(json_array_get(then, i), "messages");

		messages -= isfinite(earlier) ? earlier : 0;
		if (!isfinite(messages) || messages < 0)
			return;
		most = fmax(most, messages);
		sum += messages;
		squares += messages * messages;
	}
	if (count < 2 || sum <= 0)
		return;
	sample->values[METRIC_IMBALANCE] = most * count / sum;
	sample->values[METRIC_IMBALANCE_DEVIATION] =
		sqrt(fmax(0, squares / count - sum / count * (sum / count))) / (sum / count);
}

/* Response times; the load leaves out what so few messages do not tell. */
static void take_latency(const json_t *result, struct compare_sample *sample)
{
	static const struct {
		const char *key;
		enum compare_metric metric;
	} rows[] = { { "p50", METRIC_P50 }, { "p90", METRIC_P90 }, { "p99", METRIC_P99 },
		{ "p99_9", METRIC_P99_9 }, { "p99_99", METRIC_P99_99 }, { "max", METRIC_MAX } };
	const char *histogram = json_string_value(json_object_get(result, "histogram"));

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		sample->values[rows[i].metric] =
			gb__json_number(json_object_get(result, "response_ns"), rows[i].key);
	sample->histogram = histogram ? strdup(histogram) : NULL;
}

static void take_tls(const json_t *result, struct compare_point *point)
{
	json_t *tls = json_object_get(result, "tls");

	if (!json_is_object(tls))
		return;
	json_decref(point->tls);
	point->tls = json_incref(tls);
}

static void take_warnings(const json_t *result, struct compare_point *point)
{
	const json_t *warnings = json_object_get(result, "warnings");

	for (size_t i = 0; i < json_array_size(warnings); i++) {
		const char *text = json_string_value(json_object_get(json_array_get(warnings, i), "text"));

		if (text)
			gb__compare_warn(point, text);
	}
}

/* Handlers that held their loop, as far as the server watches them. */
static void take_stalls(const json_t *before, const json_t *after, struct compare_point *point)
{
	const json_t *stalls = json_object_get(after, "stalls");
	double earlier = gb__json_number(json_object_get(before, "stalls"), "count");
	double count = gb__json_number(stalls, "count") - (isfinite(earlier) ? earlier : 0);
	double longest_ns = gb__json_number(stalls, "longest_us") * 1000;
	char text[COMPARE_TEXT_MAX], longest[FIGURE_MAX];

	if (!(count > 0))
		return;
	snprintf(text, sizeof(text), "handlers held their loop too long, %.0f times, the longest for %s",
		count, gb__figure(FORM_NS, longest_ns, longest));
	gb__compare_warn(point, text);
}

static void compare_marks(const struct marks *before, const struct marks *after, double messages,
	struct compare_point *point, struct compare_sample *sample)
{
	static const int metrics[COUNTERS] = { [COUNTER_INSTRUCTIONS] = METRIC_INSTRUCTIONS,
		[COUNTER_SWITCHES] = METRIC_SWITCHES,
		[COUNTER_SYSTEM_CALLS] = METRIC_SYSTEM_CALLS };

	sample->values[METRIC_CPU] = (after->cpu_ns - before->cpu_ns) / messages;
	for (int i = 0; i < COUNTERS; i++)
		sample->values[metrics[i]] = (after->counts[i] - before->counts[i]) / messages;
	if (after->summary && !point->per_connection)
		compare_workers(before->summary, after->summary, sample);
	take_stalls(before->summary, after->summary, point);
}

/* The load that counts, and what the server used for it. */
static int measure(const struct comparison *comparison, struct compare_point *point,
	struct compare_server *server, struct compare_sample *sample, struct gb_error *error)
{
	struct marks before, after;
	struct compare_outcome outcome = { 0 };
	double messages;
	int result;

	take_marks(server, true, &before);
	result = run_load(comparison, point, server, MEASURED, &outcome, error);
	take_marks(server, false, &after);
	messages = gb__json_number(outcome.result, "messages");
	if (result == 0)
		result = gb__compare_outcome_check(&outcome, error);
	if (result == 0 && !(messages > 0))
		result = gb_error_set(
			error, gb__compare_signals ? -EINTR : -EBADMSG, "no message was answered");
	if (result == 0) {
		sample->values[METRIC_MESSAGES_PER_SECOND] =
			gb__json_number(outcome.result, "messages_per_second");
		take_latency(outcome.result, sample);
		take_warnings(outcome.result, point);
		take_tls(outcome.result, point);
		compare_marks(&before, &after, messages, point, sample);
	}
	json_decref(before.summary);
	json_decref(after.summary);
	gb__compare_outcome_finish(&outcome);
	return result;
}

static int warm_up(const struct comparison *comparison, struct compare_point *point,
	struct compare_server *server, struct gb_error *error)
{
	struct compare_outcome outcome = { 0 };
	int result = run_load(comparison, point, server, WARM_UP, &outcome, error);

	if (result == 0 && !gb__compare_signals)
		result = gb__compare_outcome_check(&outcome, error);
	gb__compare_outcome_finish(&outcome);
	return result;
}

/* How long messages wait for a loop that others hold, of the server's own ledger, beside the load that counts. */
static int time_delay(const struct comparison *comparison, struct compare_point *point,
	struct compare_server *server, struct compare_sample *sample, struct gb_error *error)
{
	struct compare_outcome outcome = { 0 };
	struct gb_observed_server before, after;
	struct gb_stage_times *times = &after.stages[GB_STAGE_QUEUE];
	struct gb_observed *observed;
	int result;

	if (!server->model || gb_observe(server->pid, 0, &observed, NULL) < 0)
		return 0; /* the metric is absent */
	gb_observe_server(observed, &before);
	gb_observe_sample(observed, TIMED_EVERY);
	result = run_load(comparison, point, server, LEDGER, &outcome, error);
	gb_observe_server(observed, &after);
	gb_stage_since(times, &before.stages[GB_STAGE_QUEUE]);
	if (result == 0 && times->count > 0)
		sample->values[METRIC_LOOP_DELAY] = (double)gb_stage_quantile_ns(times, .99);
	gb_observe_end(observed);
	gb__compare_outcome_finish(&outcome);
	return result;
}

static void hold_idle(const struct comparison *comparison, const struct compare_point *point,
	struct compare_server *server, struct compare_sample *sample)
{
	size_t count = comparison->options->idle_connections;
	struct compare_idle idle;
	struct gb__tls *tls = NULL;

	if (connections_at(comparison, point) > count && count > 0)
		count = connections_at(comparison, point);
	/* Each takes a process or a thread: as many as the load has. */
	if (point->per_connection && count > connections_at(comparison, point))
		count = connections_at(comparison, point);
	if (count > point->capacity)
		count = point->capacity;
	if (count == 0)
		return;
	if (comparison->options->tls) {
		/* Whom it trusts changes nothing of what the server holds; the load looks at certificates. */
		const struct gb__tls_options any = { .verify = GB__TLS_VERIFY_NONE };

		if (gb__tls_create(&any, &tls, NULL) < 0)
			return; /* it is not measured then */
	}
	gb__compare_hold(server, count, tls, &idle);
	gb__tls_destroy(tls);
	sample->values[METRIC_MEMORY] = idle.bytes_per_connection;
	sample->values[METRIC_IDLE_CPU] = idle.cpu_share;
}

static int visit(const struct comparison *comparison, struct compare_point *point,
	struct compare_server *server, struct compare_sample *sample, struct gb_error *error)
{
	const struct compare_model *model = &comparison->models[point->model];
	int result, ended;
	struct gb_error end = { 0 };

	result = model->command
		? gb__compare_server_start_command(server, model->command, error)
		: gb__compare_server_start(server, &comparison->options->serving, point->spec, error);
	if (result < 0)
		return result;
	hold_idle(comparison, point, server, sample);
	if (gb__compare_signals == 0)
		result = warm_up(comparison, point, server, error);
	if (result == 0 && gb__compare_signals)
		result = -EINTR;
	if (result == 0)
		result = measure(comparison, point, server, sample, error);
	if (result == 0 && !gb__compare_signals)
		result = time_delay(comparison, point, server, sample, error);
	if (server->log[0] && result == 0)
		gb__compare_warn(point, server->log);
	ended = gb__compare_server_stop(server, &end);
	if (ended < 0 && result == 0) {
		*error = end;
		return ended;
	}
	return result;
}

int gb__compare_visit(const struct comparison *comparison, struct compare_point *point)
{
	static struct compare_server server;
	struct compare_sample *sample = &point->samples[point->samples_count];
	struct gb_error error = { 0 };
	int result;

	for (int metric = 0; metric < METRICS_COUNT; metric++)
		sample->values[metric] = NAN;
	if (takes_turns(comparison, point)) {
		char text[COMPARE_TEXT_MAX];

		snprintf(text, sizeof(text),
			"serves %zu connection%s" COMPARE_TURNS SHARE
			" messages, and another takes its place",
			point->capacity, point->capacity == 1 ? "" : "s");
		gb__compare_warn(point, text);
	}
	result = visit(comparison, point, &server, sample, &error);
	if (result < 0 && gb__compare_signals)
		return -EINTR;
	if (result < 0)
		snprintf(point->error, sizeof(point->error), "%s",
			error.text[0] ? error.text : gb_strerror(result));
	else
		point->samples_count++;
	return 0;
}
