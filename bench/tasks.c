/*
 * What coroutines cost with their scheduling, by the public functions alone: medians of rounds, in ns; and very many
 * tasks without connections at once, started, each switched to and ended, in one process.
 *
 *     tasks [ROUNDS [TASKS]]
 */
#include <gearbox/gearbox.h>
#include <gearbox/stream.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS_MAX 1001
#define SWITCHES 10000u
#define YIELDERS 100u

static unsigned rounds = 101;
static unsigned long tasks = 1000000;
static struct gb_server *server;
static int failure;

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* `round` does SWITCHES of what is counted. */
static void measure(const char *what, struct gb_coro *coro, void (*round)(struct gb_coro *coro))
{
	static double times[ROUNDS_MAX];

	round(coro);
	for (unsigned i = 0; i < rounds; i++) {
		const double began = now_ns();

		round(coro);
		times[i] = (now_ns() - began) / SWITCHES;
	}
	qsort(times, rounds, sizeof(*times), compare);
	printf("%-46s %8.1f %8.1f\n", what, times[rounds / 2], times[rounds / 10]);
}

static struct gb_channel *there, *back;

static int returns_balls(struct gb_coro *coro, void *arg)
{
	unsigned ball;

	while (gb_channel_receive(coro, there, &ball) > 0)
		if (gb_channel_send(coro, back, &ball) < 0)
			return -1;
	return 0;
}

/* Each ball wakes the other one and lets it run, twice. */
static void ping_pong(struct gb_coro *coro)
{
	for (unsigned ball = 0; ball < SWITCHES / 2; ball++)
		if (gb_channel_send(coro, there, &ball) < 0 || gb_channel_receive(coro, back, &ball) <= 0)
			failure = 1;
}

static int yields(struct gb_coro *coro, void *arg)
{
	for (unsigned i = 0; i < SWITCHES / YIELDERS; i++)
		if (gb_yield(coro) < 0)
			return -1;
	return 0;
}

static void yield_many(struct gb_coro *coro)
{
	struct gb_scope scope;

	gb_scope_begin(coro, &scope);
	for (unsigned i = 0; i < YIELDERS; i++)
		if (gb_scope_start(&scope, yields, NULL) < 0)
			failure = 1;
	if (gb_scope_end(&scope) < 0)
		failure = 1;
}

static void yield_alone(struct gb_coro *coro)
{
	for (unsigned i = 0; i < SWITCHES; i++)
		if (gb_yield(coro) < 0)
			failure = 1;
}

static int nothing(struct gb_coro *coro, void *arg)
{
	return 0;
}

static void start(struct gb_coro *coro)
{
	struct gb_scope scope;

	gb_scope_begin(coro, &scope);
	gb_scope_limit(&scope, 8);
	for (unsigned i = 0; i < SWITCHES; i++)
		if (gb_scope_start(&scope, nothing, NULL) < 0)
			failure = 1;
	if (gb_scope_end(&scope) < 0)
		failure = 1;
}

static unsigned long begun, ended;

/* Each is there until all are. */
static int waits(struct gb_coro *coro, void *arg)
{
	unsigned token;

	begun++;
	if (gb_channel_receive(coro, arg, &token) != 0)
		return -1;
	ended++;
	return 0;
}

static long resident_kib(void)
{
	char line[256];
	FILE *file = fopen("/proc/self/status", "r");
	long kib = 0;

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, "VmRSS:", 6) == 0)
			kib = strtol(line + 6, NULL, 10);
	if (file)
		fclose(file);
	return kib;
}

static void many_at_once(struct gb_coro *coro)
{
	const double began = now_ns();
	const long before_kib = resident_kib();
	struct gb_channel *gate;
	struct gb_scope scope;
	double all_there;
	long kib;

	if (gb_channel_create(sizeof(unsigned), 1, &gate) < 0)
		abort();
	gb_scope_begin(coro, &scope);
	for (unsigned long i = 0; i < tasks; i++) {
		int result = gb_scope_start(&scope, waits, gate);

		if (result < 0) {
			printf("only %lu of %lu tasks: %s\n", i, tasks, strerror(-result));
			failure = 1;
			break;
		}
	}
	while (begun < scope.running && gb_yield(coro) == 0)
		continue;
	all_there = now_ns();
	kib = resident_kib() - before_kib;
	gb_channel_close(gate);
	if (gb_scope_end(&scope) < 0 || ended != tasks)
		failure = 1;
	gb_channel_destroy(gate);
	printf("%lu tasks at once: started and run in %.2f s, woken and ended in %.2f s, %.0f bytes each\n",
		ended, (all_there - began) / 1e9, (now_ns() - all_there) / 1e9,
		(double)kib * 1024 / (double)tasks);
}

static int run(struct gb_coro *coro, void *arg)
{
	printf("%-46s %8s %8s\n", "ns", "median", "tenth");
	measure("a value through a channel: wake and resume", coro, ping_pong);
	measure("gb_yield, one of 100", coro, yield_many);
	measure("gb_yield, alone: a turn of the loop", coro, yield_alone);
	measure("a task started, run and ended", coro, start);
	gb_channel_close(there);
	if (tasks > 0)
		many_at_once(coro);
	fflush(stdout);
	gb_server_stop(server);
	return 0;
}

static int on_start(struct gb_worker *worker, void *user)
{
	int result = gb_channel_create(sizeof(unsigned), 1, &there);

	if (result == 0)
		result = gb_channel_create(sizeof(unsigned), 1, &back);
	if (result == 0)
		result = gb_coro_start(worker, "returns balls", returns_balls, NULL);
	return result == 0 ? gb_coro_start(worker, "tasks", run, NULL) : result;
}

static void on_stop(struct gb_worker *worker, void *user)
{
	gb_channel_destroy(there);
	gb_channel_destroy(back);
}

static void no_connections(struct gb_stream *stream)
{
}

static const struct gb_service service = {
	GB_SERVICE_INIT,
	.state = GB_STATE_WORKER,
	.name = "tasks",
	.serve = no_connections,
	.on_start = on_start,
	.on_stop = on_stop,
};

int main(int argc, char **argv)
{
	struct gb_error error = { .text = "no memory" };
	struct gb_options *options = NULL;
	bool fine;

	if (argc > 1)
		rounds = (unsigned)strtoul(argv[1], NULL, 10);
	if (argc > 2)
		tasks = strtoul(argv[2], NULL, 10);
	if (argc > 3 || rounds < 1 || rounds > ROUNDS_MAX) {
		fprintf(stderr, "usage: tasks [ROUNDS [TASKS]], at most %d rounds\n", ROUNDS_MAX);
		return 2;
	}
	fine = gb_options_create(&options) == 0 && gb_options_set(options, "model", "reactor", &error) == 0 &&
		gb_server_create(options, &server, &error) == 0 &&
		gb_server_attach(server, &service, NULL, &error) == 0 && gb_server_run(server, &error) == 0;
	if (!fine)
		fprintf(stderr, "tasks: %s\n", error.text);
	gb_options_destroy(options);
	gb_server_destroy(server);
	if (fine && !failure)
		printf("1 passed, 0 failed\n"); /* as a test */
	return fine && !failure ? 0 : 1;
}
