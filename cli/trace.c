/* `gearbox trace`: where the time of a running server's messages goes, sampled. */
#include "clock.h"
#include "command.h"
#include "figure.h"
#include "json.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define NS_PER_S 1000000000u
#define RENEW_NS (NS_PER_S / 2) /* well within what a call of gb_observe_sample lasts */
#define WEEK_MS (7ull * 24 * 3600 * 1000)

struct trace_flags {
	uint64_t pid, server, duration_ms, every;
	bool json, help;
};

static const struct gb_setting flags_table[] = {
	{ "pid", GB_SETTING_COUNT, offsetof(struct trace_flags, pid), .min = 1, .max = INT32_MAX,
		.argument = "PID", .summary = "the process that runs the server, or one of its workers" },
	{ "server", GB_SETTING_COUNT, offsetof(struct trace_flags, server), "0", .max = 1000, .argument = "N",
		.summary = "which server of the process, where it has several, from 0" },
	{ "duration", GB_SETTING_DURATION, offsetof(struct trace_flags, duration_ms), "5s", 1, WEEK_MS,
		.argument = "TIME", .summary = "look for so long; SIGINT ends it earlier" },
	{ "every", GB_SETTING_COUNT, offsetof(struct trace_flags, every), "16", 1, UINT32_MAX,
		.argument = "N", .summary = "have one message in N timed" },
	{ "json", GB_SETTING_SWITCH, offsetof(struct trace_flags, json), .summary = "print JSON" },
	{ "help", GB_SETTING_SWITCH, offsetof(struct trace_flags, help), .summary = "print this help" },
	{ NULL },
};

static void print_help(void)
{
	const struct gb_args_table tables[] = { { "Flags:", flags_table }, { NULL, NULL } };

	printf("Usage: %s trace --pid PID [--duration TIME] [--every N] [--json]\n\n"
	       "Looks at a server that runs, without stopping it: what its workers do, and where the time of some of its\n"
	       "messages goes:\n"
	       "accept (a connection waits to be accepted), queue (a message waits for its handler), run (the handler),\n"
	       "output (until the kernel has the answer). Needs the server's user, or root, and its version of gearbox.\n\n",
		gb__program.name);
	gb_args_help(stdout, tables);
	puts("\nExit codes: 0, 1 when it cannot look or the server ended first, 2 wrong usage.");
}

/* What was counted from one look to the other. */
struct span {
	struct gb_observed_server before, after; /* whose stages are the differences */
	struct gb_observed_worker *first, *last; /* by place */
	double seconds;
	bool ended; /* the server, meanwhile */
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
	(void)number;
	interrupted = 1;
}

static bool runs(const struct gb_observed *observed)
{
	struct gb_observed_server now;

	gb_observe_server(observed, &now);
	return now.process > 0 && (kill(now.process, 0) == 0 || errno == EPERM);
}

static void look_at_workers(const struct gb_observed *observed, size_t count, struct gb_observed_worker *ret)
{
	for (size_t i = 0; i < count; i++)
		gb_observe_worker(observed, i, &ret[i]);
}

static void watch(struct gb_observed *observed, const struct trace_flags *flags, struct span *span)
{
	const uint64_t begin_ns = gb__clock_ns(CLOCK_MONOTONIC),
		       end_ns = begin_ns + flags->duration_ms * 1000000;
	uint64_t at_ns;

	gb_observe_server(observed, &span->before);
	look_at_workers(observed, span->before.workers, span->first);
	while (!interrupted && !span->ended && (at_ns = gb__clock_ns(CLOCK_MONOTONIC)) < end_ns) {
		const uint64_t left_ns = end_ns - at_ns;

		gb_observe_sample(observed, (unsigned)flags->every);
		gb__clock_pause(left_ns < RENEW_NS ? left_ns : RENEW_NS);
		span->ended = !runs(observed);
	}
	gb_observe_server(observed, &span->after);
	look_at_workers(observed, span->after.workers, span->last);
	for (int i = 0; i < GB_STAGE_COUNT; i++)
		gb_stage_since(&span->after.stages[i], &span->before.stages[i]);
	span->seconds = (double)(gb__clock_ns(CLOCK_MONOTONIC) - begin_ns) / NS_PER_S;
}

static double mean_ns(const struct gb_stage_times *times)
{
	return times->count ? (double)times->sum_ns / (double)times->count : 0;
}

/* Of the time of a message; that of connections is none. */
static double share(const struct span *span, enum gb_stage stage)
{
	double all = 0;

	for (int i = GB_STAGE_QUEUE; i < GB_STAGE_COUNT; i++)
		all += mean_ns(&span->after.stages[i]);
	return stage == GB_STAGE_ACCEPT || all <= 0 ? 0 : mean_ns(&span->after.stages[stage]) / all;
}

/* Whether somebody was there, or has been. */
static bool place_used(const struct span *span, size_t n)
{
	return span->last[n].process || span->last[n].waits || span->last[n].stats.accepted;
}

/* Of those that were looked at: what the server has of them is read a moment before. */
static uint64_t messages_of(const struct span *span)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < span->after.workers; i++)
		sum += span->last[i].stats.messages - span->first[i].stats.messages;
	return sum;
}

/* CPU time over time of the handlers that were timed, or -1. */
static double compute_share(const struct gb_observed_worker *first, const struct gb_observed_worker *last)
{
	const uint64_t run_ns = last->run_ns - first->run_ns, cpu_ns = last->cpu_ns - first->cpu_ns;

	if (run_ns == 0)
		return -1;
	return cpu_ns < run_ns ? (double)cpu_ns / (double)run_ns : 1;
}

static json_t *stage_json(const struct span *span, enum gb_stage stage)
{
	const struct gb_stage_times *times = &span->after.stages[stage];
	static const struct {
		const char *key;
		double share;
	} quantiles[] = { { "p50_ns", .5 }, { "p90_ns", .9 }, { "p99_ns", .99 }, { "p99_9_ns", .999 },
		{ "max_ns", 1 } };
	json_t *object =
		json_pack("{s:I, s:f}", "count", (json_int_t)times->count, "mean_ns", mean_ns(times));

	for (size_t i = 0; i < sizeof(quantiles) / sizeof(*quantiles); i++)
		json_object_set_new(object, quantiles[i].key,
			json_integer((json_int_t)gb_stage_quantile_ns(times, quantiles[i].share)));
	json_object_set_new(
		object, "share", stage == GB_STAGE_ACCEPT ? json_null() : json_real(share(span, stage)));
	return object;
}

static json_t *worker_json(const struct span *span, size_t n)
{
	const struct gb_observed_worker *first = &span->first[n], *last = &span->last[n];
	const double compute = compute_share(first, last);

	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:I, s:I}", "messages",
		(json_int_t)(last->stats.messages - first->stats.messages), "bytes_in",
		(json_int_t)(last->stats.bytes_in - first->stats.bytes_in), "bytes_out",
		(json_int_t)(last->stats.bytes_out - first->stats.bytes_out), "accepted",
		(json_int_t)(last->stats.accepted - first->stats.accepted), "connections",
		(json_int_t)last->stats.connections, "active", (json_int_t)last->active, "waits",
		(json_int_t)(last->waits - first->waits), "stalls",
		(json_int_t)(last->stalls - first->stalls), "sampled",
		(json_int_t)(last->sampled - first->sampled), "run_ns",
		(json_int_t)(last->run_ns - first->run_ns), "compute_share",
		compute < 0 ? json_null() : json_real(compute), "process", (json_int_t)last->process,
		"thread", (json_int_t)last->thread);
}

static int print_json(const struct span *span)
{
	const struct gb_observed_server *after = &span->after;
	json_t *stages = json_object(), *workers = json_array();

	for (int i = 0; i < GB_STAGE_COUNT; i++)
		json_object_set_new(
			stages, gb_stage_name((enum gb_stage)i), stage_json(span, (enum gb_stage)i));
	for (size_t i = 0; i < after->workers; i++)
		if (place_used(span, i))
			json_array_append_new(workers, worker_json(span, i));
	return gb__json_print(
		json_pack("{s:s, s:I, s:f, s:b, s:b, s:I, s:I, s:I, s:o, s:o}", "model", after->model,
			"process", (json_int_t)span->before.process, "seconds", span->seconds, "interrupted",
			interrupted != 0, "ended", span->ended, "messages", (json_int_t)messages_of(span),
			"stalls", (json_int_t)(after->stalls.stalls - span->before.stalls.stalls), "cpus",
			(json_int_t)after->cpus, "stages", stages, "workers", workers));
}

/* In a column; the letter µ has two bytes. */
static void print_duration(double ns)
{
	char text[FIGURE_MAX];

	gb__figure(FORM_NS, ns, text);
	printf("%*s", strstr(text, "µ") ? 11 : 10, text);
}

static void print_stage(const struct span *span, enum gb_stage stage)
{
	static const double shares[] = { .5, .9, .99, .999, 1 };
	const struct gb_stage_times *times = &span->after.stages[stage];

	printf("%-8s%10" PRIu64, gb_stage_name(stage), times->count);
	if (times->count == 0) {
		puts("");
		return;
	}
	print_duration(mean_ns(times));
	for (size_t i = 0; i < sizeof(shares) / sizeof(*shares); i++)
		print_duration((double)gb_stage_quantile_ns(times, shares[i]));
	if (stage == GB_STAGE_ACCEPT)
		puts("");
	else
		printf("%8.0f %%\n", share(span, stage) * 100);
}

static void print_worker(const struct span *span, size_t n)
{
	const struct gb_observed_worker *first = &span->first[n], *last = &span->last[n];
	const double compute = compute_share(first, last);

	printf("%-8zu%12.0f%12.0f%12" PRIu64 "%10" PRIu64 "%8" PRIu64, span->after.alone ? 0 : n,
		(double)(last->stats.messages - first->stats.messages) / span->seconds,
		(double)(last->stats.accepted - first->stats.accepted) / span->seconds,
		last->stats.connections, last->active, last->stalls - first->stalls);
	if (compute < 0)
		puts("         -");
	else
		printf("%8.0f %%\n", compute * 100);
}

static int print_text(const struct span *span)
{
	const struct gb_observed_server *after = &span->after;
	const uint64_t messages = messages_of(span);

	printf("%s, process %d: %.1f s, %" PRIu64 " messages (%.0f a second), of which %" PRIu64
	       " were timed\n\n",
		after->model, (int)span->before.process, span->seconds, messages,
		(double)messages / span->seconds, after->stages[GB_STAGE_RUN].count);
	printf("%-8s%10s%10s%10s%10s%10s%10s%10s%10s\n", "stage", "count", "mean", "p50", "p90", "p99",
		"p99.9", "max", "share");
	for (int i = 0; i < GB_STAGE_COUNT; i++)
		print_stage(span, (enum gb_stage)i);
	printf("\n%-8s%12s%12s%12s%10s%8s%10s\n", "worker", "messages/s", "accepted/s", "connections",
		"active", "stalls", "on a CPU");
	for (size_t i = 0; i < after->workers; i++)
		if (place_used(span, i))
			print_worker(span, i);
	return EXIT_DONE;
}

static int trace(struct gb_observed *observed, const struct trace_flags *flags)
{
	struct sigaction action = { .sa_handler = on_interrupt };
	static struct span span; /* one command, one span; too large for a small stack */
	int rc;

	if (!runs(observed))
		return gb__command_fail(
			EXIT_FAILED, "trace: the server of process %" PRIu64 " does not run", flags->pid);
	gb_observe_server(observed, &span.before);
	span.first = calloc(span.before.workers, sizeof(*span.first));
	span.last = calloc(span.before.workers, sizeof(*span.last));
	if (!span.first || !span.last)
		return gb__command_fail(EXIT_FAILED, "trace: no memory");
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	watch(observed, flags, &span);
	rc = flags->json ? print_json(&span) : print_text(&span);
	free(span.first);
	free(span.last);
	if (span.ended)
		return gb__command_fail(EXIT_FAILED, "trace: the server ended after %.1f s", span.seconds);
	return rc;
}

int gb__command_trace(int argc, char **argv)
{
	struct trace_flags flags;
	struct gb_observed *observed;
	struct gb_error error;
	int rc = gb_settings_init(flags_table, &flags, sizeof(flags));

	if (rc < 0)
		return gb__command_fail(EXIT_FAILED, "%s", gb_strerror(rc));
	rc = gb_args_parse(argc - 1, argv + 1, flags_table, &flags, NULL, 0, &error);
	if (rc < 0)
		return gb__command_fail(EXIT_WRONG_USAGE, "trace: %s", error.text);
	if (flags.help) {
		print_help();
		return EXIT_DONE;
	}
	if (!flags.pid)
		return gb__command_fail(EXIT_WRONG_USAGE,
			"trace: which server? --pid PID is the number in its line \"serving ... (model ..., pid PID)\"");
	rc = gb_observe((pid_t)flags.pid, (unsigned)flags.server, &observed, &error);
	if (rc < 0)
		return gb__command_fail(EXIT_FAILED, "trace: %s", error.text);
	rc = trace(observed, &flags);
	gb_observe_end(observed);
	return rc;
}
