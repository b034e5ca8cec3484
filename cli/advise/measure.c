/*
 * One message at a time, on one connection, under the simplest model: what it takes then no other message had a part in. The
 * handler is gauged from inside, where it has a form that allows it; else what the server's CPU clock and the load's say.
 *
 * Where it blocks, what a pool's size depends on is the CPU time of a message among others, which is less: nobody falls asleep and
 * is woken for each. So it is measured again under the load itself, with a pool as large as the first figures want it.
 */
#include "advise/measure.h"

#include "advise/candidate.h"
#include "advise/gauge.h"
#include "compare/drive.h"
#include "compare/usage.h"
#include "doctor/facts.h"

#include <gearbox/model.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define WORDS_MAX 96
#define SETTLE_MS 100
#define QUICK_MS "300ms"
#define LONG_MS "1s"
#define ON_THE_WAY_NS 300000 /* a reply that takes no more beyond its handler was not waited for */

static void look_at_machine(struct advise_situation *situation)
{
	struct facts facts;

	gb__facts_read("", &facts);
	gb__facts_ask(&facts);
	situation->cpus = (unsigned)gb__facts_cpus_allotted(&facts);
	situation->quota =
		facts.cpu_quota_milli < FACT_UNLIMITED ? (double)facts.cpu_quota_milli / 1000 : NAN;
}

/* A server, and what came of a load on it. */
struct trial {
	struct compare_server server;
	struct compare_outcome outcome;
	double messages, server_ns; /* that were answered; CPU time of each */
};

/* CPU time of the load for each. */
static double load_ns(const struct trial *trial)
{
	return gb__json_number(trial->outcome.result, "cpu_seconds") * 1e9 / trial->messages;
}

static int drive(const struct compare_options *options, const struct compare_flag *extra, size_t count,
	struct trial *trial, struct gb_error *error)
{
	static const size_t step[COMPARE_AXES];
	struct compare_outcome *outcome = &trial->outcome;
	char *line[WORDS_MAX];
	int result,
		words = gb__compare_load_line(
			options, step, trial->server.address, extra, count, line, WORDS_MAX);

	if (words < 0)
		return gb_error_set(error, words, "no memory for the load's flags");
	result = gb__compare_drive(&trial->server, line, words, outcome, error);
	while (words > 0)
		free(line[--words]);
	if (result == 0 && gb__compare_signals)
		return -EINTR;
	if (result == 0)
		result = gb__compare_outcome_check(outcome, error);
	trial->messages = gb__json_number(outcome->result, "messages");
	if (result == 0 && !(trial->messages > 0))
		return gb_error_set(error, -EBADMSG, "no message was answered");
	return result;
}

/* The load with these flags in place of its own, on a server under this model. Finish the outcome after it. */
static int try_model(const struct compare_options *options, const char *spec,
	const struct compare_flag *extra, size_t count, struct trial *trial, struct gb_error *error)
{
	struct gb_error end = { 0 };
	double before_ns;
	int ended, result = gb__compare_server_start(&trial->server, &options->serving, spec, error);

	trial->outcome = (struct compare_outcome){ 0 };
	if (result < 0)
		return result;
	before_ns = (double)gb__usage_cpu_ns(trial->server.pid, SETTLE_MS);
	result = drive(options, extra, count, trial, error);
	trial->server_ns =
		((double)gb__usage_cpu_ns(trial->server.pid, SETTLE_MS) - before_ns) / trial->messages;
	ended = gb__compare_server_stop(&trial->server, &end);
	if (result == 0 && ended < 0) {
		*error = end;
		result = ended;
	}
	return result;
}

static void take_gauge(const struct advise_gauge *gauge, double server_ns, struct advise_situation *ret)
{
	double count = (double)gauge->held_ns.count;

	ret->measured = gauge->held_ns.count;
	if (count == 0)
		return;
	ret->cpu_ns = (double)gauge->cpu_ns / count;
	ret->blocked_ns = (double)gauge->blocked_ns / count;
	ret->io_ns = fmax(0, server_ns - ret->cpu_ns - (double)gauge->own_ns);
	ret->median_ns = (double)gb__histogram_quantile(&gauge->held_ns, 5000);
	ret->p99_ns = (double)gb__histogram_quantile(&gauge->held_ns, 9900);
	ret->longest_ns = (double)gauge->held_ns.max;
	ret->request_bytes = (double)gauge->bytes / count;
}

/* Of a handler that cannot be wrapped: all CPU time is its, and who waits in it gives the loop back unless it says not. */
static void take_clocks(const struct compare_options *options, double server_ns, double least_ns,
	struct advise_situation *ret)
{
	double rest_ns = fmax(0, least_ns - server_ns - ON_THE_WAY_NS);

	ret->cpu_ns = ret->median_ns = ret->p99_ns = ret->longest_ns = server_ns;
	ret->io_ns = 0;
	if (options->serving.service->traits & GB_TRAIT_MAY_BLOCK)
		ret->blocked_ns = rest_ns;
	else
		ret->waits_ns = rest_ns;
	ret->median_ns += ret->blocked_ns;
	ret->p99_ns = ret->longest_ns = ret->median_ns;
	ret->request_bytes = (double)options->size;
}

static void take_load(const struct advise_options *options, struct advise_situation *ret)
{
	const struct compare_options *load = &options->compare;
	const struct gb_service *service = load->serving.service;

	ret->connections = (double)load->connections;
	ret->idle = (double)options->idle;
	ret->depth = (double)load->depth;
	ret->rate = load->rate;
	ret->bursts = load->arrivals && load->arrivals[0] == 'p';
	ret->shares_cpus = true;
	ret->worker_state = service->state == GB_STATE_WORKER && !(service->traits & GB_TRAIT_STATE_APART);
	ret->isolate = options->isolate;
	ret->goal = (enum advise_goal)options->goal;
}

static int measure_alone(const struct advise_options *options, const struct compare_options *gauged,
	const struct advise_gauge *gauge, struct advise_situation *ret, struct gb_error *error)
{
	/* NULL takes a flag away. */
	const struct compare_flag one_at_a_time[] = { { "connections", "1" }, { "depth", "1" },
		{ "rate", NULL }, { "arrivals", NULL }, { "threads", NULL }, { "model", NULL },
		{ "ramp", NULL }, { "idle", NULL }, { "warm-up", NULL }, { "messages-per-connection", NULL },
		{ "reconnect", NULL }, { "duration", options->quick ? QUICK_MS : LONG_MS } };
	static struct trial trial;
	double least_ns;
	int result = try_model(gauged, "iterative", one_at_a_time,
		sizeof(one_at_a_time) / sizeof(*one_at_a_time), &trial, error);

	if (result == 0) {
		least_ns = gb__json_number(json_object_get(trial.outcome.result, "service_ns"), "min");
		ret->reply_bytes = gb__json_number(trial.outcome.result, "bytes") / trial.messages;
		ret->load_ns = load_ns(&trial);
		if (gauge)
			take_gauge(gauge, trial.server_ns, ret);
		if (ret->measured == 0)
			take_clocks(&options->compare, trial.server_ns, least_ns, ret);
		else {
			ret->waits_ns =
				fmax(0, least_ns - ret->io_ns - (double)gauge->held_ns.min - ON_THE_WAY_NS);
			/* Its own thread does not block, and still it says that it may: another one does. */
			ret->offloads = ret->waits_ns > 0 &&
				(options->compare.serving.service->traits & GB_TRAIT_MAY_BLOCK);
		}
	}
	gb__compare_outcome_finish(&trial.outcome);
	return result;
}

/* Where no pool can serve it, or it does not do so rightly, nothing is known: the candidates will show that. */
static void measure_under_load(const struct advise_options *options, struct advise_situation *ret)
{
	const struct compare_flag as_it_is[] = { { "messages", NULL }, { "warm-up", NULL },
		{ "duration", options->quick ? QUICK_MS : LONG_MS } };
	const struct compare_options *load = &options->compare;
	char spec[ADVISE_SPEC_MAX], full[COMPARE_SPEC_MAX];
	static struct trial trial;
	struct gb_error error = { 0 };
	double each_ns;

	snprintf(spec, sizeof(spec), "reactor-pool,compute-workers=%.0f",
		ceil(fmin(ADVISE_WORKERS_MAX, gb__advise_at_a_time(ret))));
	if (gb_model_check(spec, load->serving.service, true, NULL) < 0 ||
		gb__compare_probe(&load->serving, spec, full, NULL) < 0)
		return;
	if (try_model(load, spec, as_it_is, sizeof(as_it_is) / sizeof(*as_it_is), &trial, &error) == 0) {
		each_ns = trial.server_ns + (ret->shares_cpus ? load_ns(&trial) : 0);
		ret->under_load = each_ns / fmax(ret->cpu_ns + ret->io_ns, 1);
	}
	gb__compare_outcome_finish(&trial.outcome);
}

int gb__advise_measure(
	const struct advise_options *options, struct advise_situation *ret, struct gb_error *error)
{
	static struct compare_options gauged;
	static struct gb_service service;
	struct advise_gauge *gauge;
	int result = gb__advise_gauge(options->compare.serving.service, &service, &gauge);

	if (result < 0 && result != -ENOTSUP)
		return gb_error_set(error, result, "no memory to measure with");
	*ret = (struct advise_situation){ .rate = NAN };
	look_at_machine(ret);
	take_load(options, ret);
	gauged = options->compare;
	gauged.serving.service = &service;
	result = measure_alone(options, &gauged, gauge, ret, error);
	gb__advise_gauge_finish(gauge);
	if (result == 0 && gb__advise_blocks(ret))
		measure_under_load(options, ret);
	return result == 0 && gb__compare_signals ? -EINTR : result;
}
