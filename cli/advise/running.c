#include "advise/running.h"

#include "clock.h"
#include "compare/drive.h"
#include "compare/usage.h"

#include <gearbox/observe.h>

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>

#define LOOK_MS 5000
#define LOOK_QUICK_MS 1000
#define RENEW_NS 500000000
#define PATIENCE 10 /* times as long, until there is a message */
#define EVERY 8     /* one message in so many is timed */

/* The server and its workers together, at one moment. */
struct look {
	struct gb_observed_server server;
	uint64_t sampled, run_ns, cpu_ns, active, used_ns, at_ns;
};

static void look_at(const struct gb_observed *observed, struct look *ret)
{
	*ret = (struct look){ 0 };
	gb_observe_server(observed, &ret->server);
	for (size_t i = 0; i < ret->server.workers; i++) {
		struct gb_observed_worker worker;

		gb_observe_worker(observed, i, &worker);
		ret->sampled += worker.sampled;
		ret->run_ns += worker.run_ns;
		ret->cpu_ns += worker.cpu_ns;
		ret->active += worker.active;
	}
	ret->used_ns = ret->server.process > 0 ? gb__usage_cpu_ns(ret->server.process, 0) : 0;
	ret->at_ns = gb__clock_ns(CLOCK_MONOTONIC);
}

/* Returns 0; -ESRCH when it has ended meanwhile, -EINTR. */
static int watch(struct gb_observed *observed, unsigned look_ms, struct look *before, struct look *after)
{
	const uint64_t look_ns = (uint64_t)look_ms * 1000000;
	uint64_t look;
	bool none;

	gb_observe_sample(observed, EVERY);
	look_at(observed, before);
	do {
		gb_observe_sample(observed, EVERY);
		gb__clock_pause(RENEW_NS);
		look_at(observed, after);
		if (gb__compare_signals)
			return -EINTR;
		if (after->server.process <= 0 || (kill(after->server.process, 0) < 0 && errno == ESRCH))
			return -ESRCH;
		look = after->at_ns - before->at_ns;
		none = after->server.stats.messages == before->server.stats.messages;
	} while (look < look_ns || (none && look < PATIENCE * look_ns));
	for (int i = 0; i < GB_STAGE_COUNT; i++)
		gb_stage_since(&after->server.stages[i], &before->server.stages[i]);
	return 0;
}

static void take(const struct look *before, const struct look *after, struct advise_situation *ret)
{
	const struct gb_stage_times *run = &after->server.stages[GB_STAGE_RUN];
	double messages = (double)(after->server.stats.messages - before->server.stats.messages);
	double sampled = (double)(after->sampled - before->sampled);
	double run_ns = run->count ? (double)run->sum_ns / (double)run->count : 0;

	ret->cpus = after->server.cpus;
	ret->quota = NAN;
	ret->connections = fmax(1, (double)after->active);
	ret->idle = fmax(0, (double)after->server.stats.connections - (double)after->active);
	ret->depth = 1;
	ret->rate = messages * 1e9 / (double)(after->at_ns - before->at_ns);
	ret->cpu_ns = sampled > 0 ? (double)(after->cpu_ns - before->cpu_ns) / sampled : run_ns;
	ret->blocked_ns =
		sampled > 0 ? fmax(0, (double)(after->run_ns - before->run_ns) / sampled - ret->cpu_ns) : 0;
	ret->io_ns = fmax(0, (double)(after->used_ns - before->used_ns) / messages - ret->cpu_ns);
	ret->measured = run->count;
	ret->median_ns = (double)gb_stage_quantile_ns(run, 0.5);
	ret->p99_ns = (double)gb_stage_quantile_ns(run, 0.99);
	ret->longest_ns = (double)gb_stage_quantile_ns(run, 1);
	ret->request_bytes =
		(double)(after->server.stats.bytes_in - before->server.stats.bytes_in) / messages;
	ret->reply_bytes =
		(double)(after->server.stats.bytes_out - before->server.stats.bytes_out) / messages;
}

int gb__advise_running(const struct advise_options *options, struct advise_situation *ret,
	char ret_model[COMPARE_SPEC_MAX], struct gb_error *error)
{
	static struct look before, after;
	struct gb_observed *observed;
	int result = gb_observe((pid_t)options->pid, 0, &observed, error);

	if (result < 0)
		return result;
	result = watch(observed, options->quick ? LOOK_QUICK_MS : LOOK_MS, &before, &after);
	gb_observe_end(observed);
	if (result == -ESRCH)
		return gb_error_set(
			error, result, "process %llu has ended", (unsigned long long)options->pid);
	if (result < 0)
		return result;
	if (after.server.stats.messages == before.server.stats.messages)
		return gb_error_set(error, -EAGAIN,
			"process %llu got no message meanwhile: advice goes by its load",
			(unsigned long long)options->pid);
	*ret = (struct advise_situation){ .goal = (enum advise_goal)options->goal,
		.isolate = options->isolate };
	take(&before, &after, ret);
	snprintf(ret_model, COMPARE_SPEC_MAX, "%s", after.server.model);
	return 0;
}
