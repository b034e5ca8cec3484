#include "model/offload.h"

#include "base/macros.h"
#include "file/threads.h"
#include "model/tally.h"
#include "model/worker.h"
#include "net/route.h"
#include "os/cpu.h"
#include "pool/compute.h"
#include "pool/processes.h"

#include <gearbox/model.h>

#define BLOCKING_THREADS \
	64u /* at least so many: how many wait at once nobody has said, and a waiting thread costs little */
#define BLOCKING_PROCESSES 16u /* the same of processes, which cost more */
#define TASKS_EACH 64u         /* that may wait for a thread, or a process */

/* threads = C / P for C CPUs and the share P of a handler's time that it computes; unknown, so taken as 1,
 * or 0.2 and less where the service says that it may block. The command `gearbox serve` takes compute-workers=N. */
static unsigned size_of(const struct gb_server *server)
{
	const bool processes = server->model.compute == GB__COMPUTE_PROCESSES;
	unsigned cpus;

	if (server->model.compute_workers)
		return server->model.compute_workers;
	cpus = gb__cpus_allotted();
	for (size_t i = 0; i < server->bindings_count; i++)
		if (gb__service_traits(server->bindings[i].service) & GB_TRAIT_MAY_BLOCK)
			return gb__max(
				gb_pool_size_for(cpus, 0), processes ? BLOCKING_PROCESSES : BLOCKING_THREADS);
	return cpus;
}

/* compute-workers=auto: from there on by what is measured. */
static int adapt(struct gb_server *server, struct gb_error *error)
{
	unsigned cpus = gb__cpus_allotted(), begun = size_of(server);
	unsigned blocking = begun > cpus ? begun : 0, most = gb__max(begun, gb_pool_size_for(cpus, 0));
	int result =
		gb__compute_adapt(server->compute, cpus, blocking, most + (most + 1) / 2, &gb__compute_clock);

	return result < 0 ? gb_error_set(error, result, "no memory for the compute pool") : 0;
}

/* Worker threads that share the pool. */
static unsigned loops_of(const struct gb_server *server)
{
	if (server->model.unit == GB__UNIT_PROCESS)
		return 1;
	return server->seats_count;
}

int gb__offload_start(struct gb_server *server, size_t place, struct gb_error *error)
{
	int result = 0;

	switch (server->model.compute) {
	case GB__COMPUTE_THREADS:
		result = gb__compute_create(size_of(server), server->model.stack, &server->compute, error);
		if (result == 0)
			gb__compute_count(server->compute, gb__tally_levels(server, place));
		if (result == 0 && !server->model.compute_workers)
			result = adapt(server, error);
		break;
	case GB__COMPUTE_PROCESSES:
		result = gb__apart_start(server, size_of(server), loops_of(server), error);
		if (result == 0)
			gb__processes_count(server->processes, gb__tally_levels(server, place));
		break;
	default:
		break;
	}
	return result;
}

void gb__offload_stop(struct gb_server *server)
{
	gb__compute_destroy(server->compute);
	server->compute = NULL;
	gb__processes_destroy(server->processes);
	server->processes = NULL;
	gb__file_threads_destroy(atomic_exchange(&server->file_threads, NULL));
}

static void submit(void *arg, struct gb__job *job)
{
	gb__compute_submit(arg, job);
}

int gb__offload_join(struct gb_worker *worker)
{
	struct gb_server *server = worker->server;
	unsigned tasks_max;

	if (!server->compute && !server->processes)
		return 0; /* and nobody reads files of the system for each connection's thread */
	tasks_max = gb__max(TASKS_EACH * size_of(server) / loops_of(server), 1u);
	if (server->compute)
		gb__net_submit_to(&worker->net, submit, server->compute, tasks_max);
	return server->processes ? gb__apart_join(worker, tasks_max) : 0;
}

int gb__offload_supervise(struct gb_worker *worker)
{
	return worker->server->processes ? gb__apart_supervise(worker) : 0;
}

void gb__offload_kill(struct gb_server *server)
{
	if (server->processes)
		gb__processes_kill(server->processes);
}
