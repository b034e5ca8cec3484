/* Rounds, medians, and the order of the rows. */
#include "command.h"
#include "doctor/costs_list.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROUNDS 25u
#define ROUNDS_MIN 5u
#define ROUND_NS 2000000u  /* at least, when counting up */
#define COST_NS 400000000u /* after so long a cost makes do with fewer rounds */
#define COUNT_MAX (1u << 24)
#define CPUS_MAX 4096

static const struct cost *const tables[] = { gb__costs_basic, gb__costs_switch, gb__costs_spawn,
	gb__costs_ready, gb__costs_sockets };
#define TABLES (sizeof(tables) / sizeof(*tables))

static int round_of(struct bench *bench, const struct cost *cost, unsigned count)
{
	int code;

	bench->watch.wall_ns = bench->watch.cpu_ns = 0;
	gb__stopwatch_resume(&bench->watch);
	code = cost->run(bench, count);
	gb__stopwatch_pause(&bench->watch);
	return code;
}

/* How many runs make a round that is long enough. The first ones also warm up. */
static int count_up(struct bench *bench, const struct cost *cost, unsigned *ret_count)
{
	for (unsigned count = 1;; count *= bench->watch.wall_ns < ROUND_NS / 16 ? 8 : 2) {
		int code = round_of(bench, cost, count);

		if (code < 0)
			return code;
		if (bench->watch.wall_ns >= ROUND_NS || count >= COUNT_MAX) {
			*ret_count = count;
			return 0;
		}
	}
}

static int measure_prepared(struct bench *bench, const struct cost *cost, struct cost_result *result)
{
	double wall[ROUNDS], cpu[ROUNDS];
	uint64_t spent = 0;
	unsigned count, rounds = 0;
	int code = count_up(bench, cost, &count);

	if (code < 0)
		return code;
	result->operations = (uint64_t)count * (cost->parts ? cost->parts : 1);
	while (rounds < ROUNDS && (rounds < ROUNDS_MIN || spent < COST_NS)) {
		code = round_of(bench, cost, count);
		if (code < 0)
			return code;
		wall[rounds] = (double)bench->watch.wall_ns / (double)result->operations;
		cpu[rounds] = (double)bench->watch.cpu_ns / (double)result->operations;
		spent += bench->watch.wall_ns;
		rounds++;
	}
	result->rounds = rounds;
	result->wall_ns = gb__spread_of(wall, rounds);
	result->cpu_ns = gb__spread_of(cpu, rounds);
	return 0;
}

static void measure(const unsigned *cpus, bool uring, const struct cost *cost, struct cost_result *result)
{
	struct bench bench = { .cpus = { cpus[0], cpus[1] }, .watch.with_children = cost->with_children };
	int code = 0;

	*result = (struct cost_result){ .cost = cost };
	if (cost->two_cpus && cpus[0] == cpus[1]) {
		result->missing = "only one CPU is allotted";
		return;
	}
	if (cost->uring && !uring) {
		result->missing = "io_uring is refused";
		return;
	}
	if (cost->prepare)
		code = cost->prepare(&bench, cost->kind);
	if (code == 0)
		code = measure_prepared(&bench, cost, result);
	if (cost->finish)
		cost->finish(&bench);
	if (code < 0)
		result->missing = strerrordesc_np(-code);
}

/* The first two CPUs that are allotted. */
static void choose_cpus(const cpu_set_t *set, unsigned *ret)
{
	unsigned found = 0;

	for (unsigned i = 0; i < CPUS_MAX && found < 2; i++)
		if (CPU_ISSET_S(i, CPU_ALLOC_SIZE(CPUS_MAX), set))
			ret[found++] = i;
	if (found == 0)
		ret[found++] = 0;
	if (found == 1)
		ret[1] = ret[0];
}

static void show_progress(const struct costs *costs, size_t count, const char *label)
{
	if (label)
		fprintf(stderr, "\r\033[K%s: doctor: %zu of %zu: %s", gb__program.name, costs->count + 1,
			count, label);
	else
		fprintf(stderr, "\r\033[K");
	fflush(stderr);
}

static size_t count_rows(void)
{
	size_t count = 0;

	for (size_t t = 0; t < TABLES; t++)
		for (const struct cost *cost = tables[t]; cost->key; cost++)
			count++;
	return count;
}

int gb__costs_measure(bool uring, struct costs **ret)
{
	const bool on_terminal = isatty(STDERR_FILENO);
	size_t count = count_rows();
	struct costs *costs = calloc(1, sizeof(*costs) + count * sizeof(*costs->results));
	cpu_set_t *allotted = CPU_ALLOC(CPUS_MAX);
	void (*previous)(int);

	if (!costs || !allotted) {
		free(costs);
		CPU_FREE(allotted);
		return -ENOMEM;
	}
	CPU_ZERO_S(CPU_ALLOC_SIZE(CPUS_MAX), allotted);
	sched_getaffinity(0, CPU_ALLOC_SIZE(CPUS_MAX), allotted);
	choose_cpus(allotted, costs->cpus);
	if (getloadavg(&costs->load, 1) != 1)
		costs->load = 0;
	previous = signal(SIGPIPE, SIG_IGN);
	for (size_t t = 0; t < TABLES; t++) {
		for (const struct cost *cost = tables[t]; cost->key; cost++) {
			if (on_terminal)
				show_progress(costs, count, cost->label);
			measure(costs->cpus, uring, cost, &costs->results[costs->count++]);
			sched_setaffinity(0, CPU_ALLOC_SIZE(CPUS_MAX), allotted);
		}
	}
	if (on_terminal)
		show_progress(costs, count, NULL);
	signal(SIGPIPE, previous);
	CPU_FREE(allotted);
	*ret = costs;
	return 0;
}

void gb__costs_destroy(struct costs *costs)
{
	free(costs);
}
