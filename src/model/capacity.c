#include "model/capacity.h"

#include "base/log.h"
#include "base/macros.h"
#include "base/parse.h"
#include "os/cpu.h"
#include "os/limit.h"

#include <inttypes.h>

#define DESCRIPTORS_RESERVED 64u /* for the program: files, libraries, the listening sockets */
#define DESCRIPTORS_SCARCE 512u  /* a process that may have fewer reserves an eighth, */
#define DESCRIPTORS_LEAST 6u /* at least these beside those that are open: listening sockets and wake-ups */
#define DESCRIPTORS_PER_LOOP 2u /* a demultiplexer or ring, and a wake-up */
#define DESCRIPTORS_SLACK \
	32u                /* of the reserved, for those who come when all workers are full: to refuse them */
#define TASKS_RESERVED 64u /* processes and threads of others */

static bool per_connection(const struct gb__model *model)
{
	return model->workers == GB__WORKERS_PER_CONNECTION;
}

/* Workers that end are not gone at once: their connection no longer counts, but their place is taken. */
static uint64_t seats_for(uint64_t connections)
{
	return connections + connections / 8 + 16;
}

/* Few descriptors are no reason not to serve: then less is kept apart. */
static uint64_t descriptors_reserved(uint64_t descriptors)
{
	if (descriptors >= DESCRIPTORS_SCARCE)
		return DESCRIPTORS_RESERVED;
	return gb__max(descriptors / 8, gb__descriptors_open() + DESCRIPTORS_LEAST);
}

/* Of the `descriptors` of a process with workers, those that it needs before it has any connection. */
static uint64_t descriptors_needed(const struct gb__model *model, uint64_t workers, uint64_t descriptors)
{
	uint64_t loops = per_connection(model) || model->unit == GB__UNIT_PROCESS ? 1 : workers + 1;
	/* How its processes tell of replies, each loop, and of their ends. */
	uint64_t pool = model->compute == GB__COMPUTE_PROCESSES ? loops + 1 : 0;

	/* A listening socket or a channel for each. */
	return descriptors_reserved(descriptors) + loops * DESCRIPTORS_PER_LOOP + pool +
		(model->accept == GB__ACCEPT_REUSEPORT ? workers : 0);
}

/* How many connections `left` descriptors of each process allow. */
static uint64_t by_descriptors(const struct gb__model *model, uint64_t workers, uint64_t left)
{
	if (per_connection(model)) /* a process holds its own; the acceptor none beyond the handing over */
		return model->unit == GB__UNIT_PROCESS ? left : left / (1 + DESCRIPTORS_PER_LOOP);
	return model->unit == GB__UNIT_PROCESS ? workers * left : left;
}

/* One for each CPU that they may have. */
static unsigned workers_auto(const struct gb__cpus *affinity)
{
	unsigned cpus = gb__cpus_allotted(), chosen = gb__cpus_count(affinity);

	return chosen ? gb__min(chosen, cpus) : cpus;
}

/* Processes, or threads of one process, that this machine allows. */
static uint64_t tasks_allowed(const struct gb__model *model)
{
	return model->unit == GB__UNIT_THREAD ? gb__min(gb__tasks_max(), gb__stacks_max()) : gb__tasks_max();
}

static uint64_t tasks_possible(uint64_t allowed)
{
	return allowed > TASKS_RESERVED ? allowed - TASKS_RESERVED : 1;
}

#define TASKS_LIMITS \
	"(ulimit -u, kernel.pid_max, kernel.threads-max, vm.max_map_count, pids.max of the cgroup)"

/* The workers and their pools: of threads one for all, of processes one for each. */
static int check_workers(
	const struct gb__model *model, uint64_t workers, uint64_t descriptors, struct gb_error *error)
{
	uint64_t tasks = workers, allowed = tasks_allowed(model), possible = tasks_possible(allowed);
	uint64_t needed = descriptors_needed(model, workers, descriptors);

	if (model->compute != GB__COMPUTE_INLINE) {
		uint64_t pool = model->compute_workers ? model->compute_workers : gb__cpus_allotted();

		tasks += model->unit == GB__UNIT_PROCESS ? workers * pool : pool;
	}
	if (tasks > possible)
		return gb_error_set(error, -GB_ELIMIT,
			"%" PRIu64 " worker%s %" PRIu64 " threads or processes; this machine allows %" PRIu64
			", and %u are left to others: take fewer, or raise the limits " TASKS_LIMITS,
			workers, workers == 1 ? " makes" : "s make", tasks, allowed, TASKS_RESERVED);
	if (needed >= descriptors)
		return gb_error_set(error, -GB_ELIMIT,
			"%" PRIu64 " worker%s %" PRIu64 " descriptors, a process may have %" PRIu64
			": %sraise the hard limit (ulimit -Hn, LimitNOFILE=)",
			workers, workers == 1 ? " needs" : "s need", needed, descriptors,
			workers == 1 ? "" : "take fewer workers, or ");
	return 0;
}

static int limit_connections(struct gb_server *server, uint64_t descriptors, struct gb_error *error)
{
	const struct gb__model *model = &server->model;
	struct gb__limits *limits = &server->limits;
	uint64_t needed = descriptors_needed(model, server->seats_count, descriptors);
	uint64_t left = descriptors > needed ? descriptors - needed : 1;
	uint64_t possible = by_descriptors(model, server->seats_count, left);
	uint64_t allowed = tasks_allowed(model);
	uint64_t tasks = per_connection(model) ? tasks_possible(allowed) : UINT64_MAX;

	if (limits->connections_max > tasks)
		return gb_error_set(error, -GB_ELIMIT,
			"max-connections %" PRIu64
			" may take as many threads or processes; this machine allows %" PRIu64
			", and %u are left to others: lower it, or raise the limits " TASKS_LIMITS,
			limits->connections_max, allowed, TASKS_RESERVED);
	if (limits->connections_max > possible)
		return gb_error_set(error, -GB_ELIMIT,
			"max-connections %" PRIu64 ": %" PRIu64 " descriptors per process allow %" PRIu64
			" under this model; lower it, or raise the hard limit (ulimit -Hn, LimitNOFILE=)",
			limits->connections_max, descriptors, possible);
	if (!limits->connections_max) {
		limits->connections_max = gb__min(possible, tasks);
		if (descriptors < DESCRIPTORS_SCARCE)
			gb__log(GB__LOG_WARNING,
				"at most %" PRIu64 " connection%s: a process may have no more than %" PRIu64
				" descriptors (ulimit -Hn, LimitNOFILE=)",
				limits->connections_max, limits->connections_max == 1 ? "" : "s",
				descriptors);
	}
	server->worker_connections_max =
		model->unit == GB__UNIT_PROCESS ? left + DESCRIPTORS_SLACK : UINT64_MAX;
	return 0;
}

static int check_marks(const struct gb__limits *limits, struct gb_error *error)
{
	const uint64_t marks[] = { limits->output_low, limits->output_high, limits->output_bytes_max };
	char texts[3][32];

	if (marks[0] <= marks[1] && marks[1] <= marks[2])
		return 0;
	for (size_t i = 0; i < 3; i++)
		gb__format_units(marks[i], gb__size_units, texts[i], sizeof(texts[i]));
	return gb_error_set(error, -GB_EUSAGE,
		"output-low, output-high and output-max must rise: %s, %s, %s do not", texts[0], texts[1],
		texts[2]);
}

int gb__capacity_resolve(struct gb_server *server, struct gb_error *error)
{
	const struct gb__model *model = &server->model;
	struct gb__limits *limits = &server->limits;
	uint64_t descriptors = gb__descriptors_raise();
	int result = 0;

	*limits = server->options->limits;
	result = check_marks(limits, error);
	if (result < 0)
		return result;
	if (!per_connection(model)) {
		server->seats_count =
			model->workers ? model->workers : workers_auto(&server->options->affinity);
		result = check_workers(model, server->seats_count, descriptors, error);
	}
	if (result == 0)
		result = limit_connections(server, descriptors, error);
	if (result == 0 && per_connection(model))
		server->seats_count = (unsigned)seats_for(limits->connections_max);
	return result;
}
