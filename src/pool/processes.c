/* How a pool of processes begins and ends, and what becomes of one that ends by itself. */
#include "pool/dispatch.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/macros.h"
#include "net/task.h"
#include "os/os.h"
#include "os/process.h"
#include "os/socket.h"
#include "pool/apart.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define RELAUNCH_MS 50u /* after it ended twice in a row without a reply; doubled with each further time */
#define RELAUNCH_MS_MAX 1000u

/* In a process: `arg` is its bit of each bell. */
struct ringer {
	struct gb__processes *processes;
	unsigned index;
};

static void ring(void *arg, uint32_t source)
{
	const struct ringer *ringer = arg;
	struct gb__bell *bell = &ringer->processes->bells[source];

	atomic_fetch_or(&bell->processes[ringer->index / 64], 1ull << ringer->index % 64);
	gb__bell_ring(bell);
}

int gb__processes_control(const struct gb__processes *processes)
{
	return processes->forker.control;
}

/* All loops look for what is theirs of one process, whoever should have told them. */
static void ring_all(struct gb__processes *processes, unsigned index)
{
	for (unsigned source = 0; source < processes->options.sources; source++) {
		atomic_fetch_or(&processes->bells[source].processes[index / 64], 1ull << index % 64);
		gb__os_linux.ops->event_signal(&gb__os_linux, processes->bells[source].fd);
	}
}

/* What it had not begun waits again, before all others: the newest is put there first. */
static void wait_again(struct gb__processes *processes, struct gb__process *process)
{
	for (;;) {
		struct gb__exchange *exchange = process->exchange;
		unsigned newest = GB__EXCHANGE_SLOTS;
		struct gb__job *job;

		for (unsigned n = 0; n < GB__EXCHANGE_SLOTS; n++)
			if (process->errands[n].task &&
				gb__exchange_phase(exchange, n) == GB__EXCHANGE_QUEUED &&
				(newest == GB__EXCHANGE_SLOTS ||
					(int32_t)(exchange->orders[n] - exchange->orders[newest]) > 0))
				newest = n;
		if (newest == GB__EXCHANGE_SLOTS)
			return;
		atomic_store(&exchange->phases[newest], GB__EXCHANGE_FREE);
		job = &process->errands[newest].task->job;
		gb__jobs_put_back(&processes->waiting, job);
		gb__errand_free(processes, process, &process->errands[newest]);
	}
}

/* With the lock: what it had. Returns the service whose message it had begun, or NULL. */
static const char *bury(struct gb__processes *processes, unsigned index)
{
	struct gb__process *process = &processes->list[index];
	struct gb__exchange *exchange = process->exchange;
	const char *service = NULL;

	process->alive = false;
	atomic_store(&exchange->sleeping, 0);
	wait_again(processes, process);
	for (unsigned n = 0; n < GB__EXCHANGE_SLOTS; n++) {
		struct gb__errand *errand = &process->errands[n];

		if (!errand->task || errand->crashed || gb__exchange_phase(exchange, n) == GB__EXCHANGE_DONE)
			continue;
		atomic_store(&exchange->phases[n], GB__EXCHANGE_FREE);
		errand->crashed = true;
		service = errand->task->facade.terms->service->name;
	}
	return service;
}

/* No process will run anything any more. */
static void give_up(struct gb__processes *processes, bool all_dead)
{
	pthread_mutex_lock(&processes->lock);
	processes->gone = true;
	for (unsigned i = 0; all_dead && i < processes->options.count; i++)
		bury(processes, i);
	pthread_mutex_unlock(&processes->lock);
	for (unsigned i = 0; i < processes->options.count; i++)
		ring_all(processes, i);
}

void gb__processes_kill(struct gb__processes *processes)
{
	give_up(processes, false);
	gb__forker_kill(&processes->forker);
}

static void tell_end(struct gb__processes *processes, unsigned index, const char *how, const char *service,
	unsigned delay_ms)
{
	uint64_t held;

	if (!gb__log_allowed(&processes->log_limit, gb__os_now_ms(&gb__os_linux), &held))
		return;
	if (service)
		gb__log(GB__LOG_WARNING,
			"process %u of the compute pool ended unexpectedly, by a message of %s: %s; its connection is "
			"closed (%llu more since the last report)",
			index, service, how, (unsigned long long)held);
	else
		gb__log(GB__LOG_WARNING,
			"process %u of the compute pool ended unexpectedly: %s; starting it again in %u ms "
			"(%llu more since the last report)",
			index, how, delay_ms, (unsigned long long)held);
}

/* A crash in a row with others waits, lest a service that always crashes forks for ever. */
static unsigned delay_of(struct gb__process *process)
{
	process->failures++; /* an answer sets it back */
	if (process->failures < 2)
		return 0;
	return gb__min(RELAUNCH_MS << gb__min(process->failures - 2, 16u), RELAUNCH_MS_MAX);
}

static void ended(struct gb__processes *processes, unsigned index, const char *how)
{
	struct gb__process *process = &processes->list[index];
	struct gb__wakes wakes = { 0 };
	const char *service;
	unsigned delay_ms;
	bool gone;

	pthread_mutex_lock(&processes->lock);
	service = bury(processes, index);
	delay_ms = delay_of(process);
	gone = processes->gone;
	gb__processes_dispatch(processes, &wakes);
	gb__processes_unlock(processes, &wakes);
	ring_all(processes, index);
	if (gone) /* killed */
		return;
	tell_end(processes, index, how, service, delay_ms);
	gb__forker_launch(&processes->forker, index, delay_ms);
}

static void started(struct gb__processes *processes, unsigned index)
{
	struct gb__wakes wakes = { 0 };

	pthread_mutex_lock(&processes->lock);
	processes->list[index].alive = true;
	gb__processes_dispatch(processes, &wakes);
	gb__processes_unlock(processes, &wakes);
}

int gb__processes_look(struct gb__processes *processes)
{
	struct gb__forker_news news;
	char how[64];

	while (gb__forker_receive(&processes->forker, false, &news)) {
		if (news.kind == GB__FORKER_GONE) {
			give_up(processes, true);
			return -ECHILD;
		}
		if (news.index >= processes->options.count)
			continue;
		if (news.kind == GB__FORKER_STARTED && news.error.code == 0) {
			started(processes, news.index);
		} else if (news.kind == GB__FORKER_STARTED) {
			gb__log(GB__LOG_WARNING, "%s", news.error.text);
		} else {
			gb__process_end_text(news.status, how, sizeof(how));
			ended(processes, news.index, how);
		}
	}
	return 0;
}

static void forker_begin(void *arg)
{
	struct gb__processes *processes = arg;

	processes->options.let_go(processes->options.arg);
}

static void forker_end(void *arg)
{
	struct gb__processes *processes = arg;

	for (unsigned i = 0; i < processes->options.count; i++)
		gb__exchange_end(processes->list[i].exchange);
}

static void serve(void *arg, unsigned index, int control)
{
	struct gb__processes *processes = arg;
	struct gb__processes_options *options = &processes->options;
	struct ringer ringer = { processes, index };
	struct gb_error error = { 0 };
	struct gb__terms *terms;
	struct gb__net *net;
	int result;

	/* A wild pointer shall not reach what others exchange. */
	for (unsigned i = 0; i < options->count; i++)
		if (i != index)
			gb__shared_unmap(processes->list[i].exchange, sizeof(struct gb__exchange));
	result = options->begin(options->arg, index, &net, &terms, &error);
	gb__forker_started(control, index, &error);
	if (result < 0)
		gb__process_end(1);
	gb__apart_run(processes->list[index].exchange, net, terms, ring, &ringer);
	options->end(options->arg);
}

static const struct gb__forker_ops forker_ops = { .begin = forker_begin, .serve = serve, .end = forker_end };

/* Returns what went wrong with the first that could not start. */
static int await_all(struct gb__processes *processes, struct gb_error *error)
{
	for (unsigned i = 0; i < processes->options.count; i++)
		gb__forker_launch(&processes->forker, i, 0);
	for (unsigned i = 0; i < processes->options.count; i++) {
		struct gb__forker_news news;
		char how[64];

		if (!gb__forker_receive(&processes->forker, true, &news) || news.kind == GB__FORKER_GONE)
			return gb_error_set(
				error, -ECHILD, "the processes of the compute pool cannot be started");
		if (news.kind == GB__FORKER_ENDED) {
			gb__process_end_text(news.status, how, sizeof(how));
			return gb_error_set(error, -ECHILD,
				"process %u of the compute pool ended before it served: %s", news.index, how);
		}
		if (news.error.code < 0)
			return gb_error_set(error, news.error.code, "%s", news.error.text);
		processes->list[gb__min(news.index, processes->options.count - 1)].alive = true;
	}
	return 0;
}

static int memory_make(struct gb__processes *processes)
{
	const size_t bells = processes->options.sources * sizeof(struct gb__bell);

	processes->bells = gb__shared_map(bells);
	if (!processes->bells)
		return -ENOMEM;
	for (unsigned i = 0; i < processes->options.sources; i++)
		processes->bells[i].fd = -1;
	for (unsigned i = 0; i < processes->options.count; i++) {
		processes->list[i].exchange = gb__shared_map(sizeof(struct gb__exchange));
		if (!processes->list[i].exchange)
			return -ENOMEM;
	}
	for (unsigned i = 0; i < processes->options.sources; i++) {
		processes->bells[i].fd = gb__os_linux.ops->event_create(&gb__os_linux);
		if (processes->bells[i].fd < 0)
			return processes->bells[i].fd;
	}
	return 0;
}

int gb__processes_create(
	struct gb__processes_options options, struct gb__processes **ret, struct gb_error *error)
{
	struct gb__processes *processes =
		gb__alloc_zero(sizeof(*processes) + options.count * sizeof(processes->list[0]));
	int result;

	if (!processes)
		return gb_error_set(error, -ENOMEM, "no memory for a pool of %u processes", options.count);
	processes->options = options;
	processes->counters = processes->own;
	pthread_mutex_init(&processes->lock, NULL);
	result = memory_make(processes);
	if (result < 0)
		gb_error_set(error, result, "cannot make a pool of %u processes: %s", options.count,
			gb_strerror(result));
	else
		result = gb__forker_start(&processes->forker, options.count, &forker_ops, processes, error);
	if (result == 0)
		result = await_all(processes, error);
	if (result < 0) {
		gb__processes_destroy(processes);
		return result;
	}
	*ret = processes;
	return 0;
}

void gb__processes_count(struct gb__processes *processes, struct gb__level_counters *counters)
{
	gb__levels_begin(counters);
	processes->counters = counters;
}

void gb__processes_destroy(struct gb__processes *processes)
{
	if (!processes)
		return;
	gb__assert(processes->waiting.count == 0);
	gb__forker_finish(&processes->forker);
	for (unsigned i = 0; processes->bells && i < processes->options.sources; i++)
		if (processes->bells[i].fd >= 0)
			gb__socket_close(processes->bells[i].fd);
	for (unsigned i = 0; i < processes->options.count; i++)
		gb__shared_unmap(processes->list[i].exchange, sizeof(struct gb__exchange));
	gb__shared_unmap(processes->bells, processes->options.sources * sizeof(struct gb__bell));
	pthread_mutex_destroy(&processes->lock);
	gb__free(processes);
}
