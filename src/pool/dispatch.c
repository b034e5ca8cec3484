/*
 * The dispatcher. Tasks that no process has room for wait in the order of net/job.h. A process is given a few
 * messages ahead, so that it need not sleep while the loop is busy; when another has nothing to do, those that have not
 * begun are taken back for it. So no message waits behind another while there is a process that could run it.
 */
#include "pool/dispatch.h"

#include "base/macros.h"
#include "net/task.h"
#include "os/os.h"

#include <string.h>

#define BEHIND_MS 1000u /* without a break: then it is the bottleneck */
#define PROCESSES_ADVISED_MAX 256u

static void wake_later(struct gb__wakes *wakes, struct gb__exchange *exchange)
{
	for (unsigned i = 0; i < wakes->count; i++)
		if (wakes->exchanges[i] == exchange)
			return;
	if (wakes->count < gb__countof(wakes->exchanges))
		wakes->exchanges[wakes->count++] = exchange;
	else
		gb__exchange_wake(exchange);
}

void gb__processes_unlock(struct gb__processes *processes, struct gb__wakes *wakes)
{
	pthread_mutex_unlock(&processes->lock);
	for (unsigned i = 0; i < wakes->count; i++)
		gb__exchange_wake(wakes->exchanges[i]);
	wakes->count = 0;
}

void gb__bell_ring(struct gb__bell *bell)
{
	if (!atomic_exchange(&bell->rung, 1))
		gb__os_linux.ops->event_signal(&gb__os_linux, bell->fd);
}

static struct gb_bytes message_of(const struct gb__task *task)
{
	return (struct gb_bytes){ task->message->data + task->message->begin,
		task->message->end - task->message->begin };
}

/* With the lock: fill a slot. */
static void give(struct gb__processes *processes, struct gb__process *process, struct gb__task *task)
{
	struct gb__exchange *exchange = process->exchange;
	const struct gb__limits *limits =
		task->facade.terms->limits; /* perhaps of another loop's connection */
	const struct gb_bytes message = message_of(task);
	struct gb__exchange_slot *slot;
	uintptr_t within = (uintptr_t)task->frame.parsed - (uintptr_t)message.data;
	unsigned n = 0;

	while (process->errands[n].task)
		n++;
	process->errands[n] =
		(struct gb__errand){ .task = task, .sent = gb__min(message.size, GB__EXCHANGE_PART) };
	processes->ahead += process->taken > 0;
	process->taken++;
	slot = &exchange->slots[n];
	atomic_store_explicit(&slot->cancelled, atomic_load_explicit(&task->cancelled, memory_order_relaxed),
		memory_order_relaxed);
	slot->source = task->source;
	slot->service = task->service;
	slot->route = (uintptr_t)task->route;
	slot->key = task->frame.key;
	slot->offset = task->frame.offset;
	slot->consumed = task->frame.consumed;
	slot->parsed = within <= message.size ? within : UINT64_MAX;
	slot->output_low = gb__limit(&limits->output_low);
	slot->output_high = gb__limit(&limits->output_high);
	slot->output_max = gb__limit(&limits->output_bytes_max);
	slot->conn_slot = task->facade.stream.endpoint.slot;
	slot->conn_generation = task->facade.stream.endpoint.generation;
	memcpy(slot->state, gb_conn_state(&task->facade), task->facade.terms->service->conn_state_size);
	gb__exchange_queue(exchange, n, message);
}

void gb__errand_free(struct gb__processes *processes, struct gb__process *process, struct gb__errand *errand)
{
	errand->task = NULL;
	process->taken--;
	processes->ahead -= process->taken > 0;
}

/* The one with the least to do that has room, or NULL. */
static struct gb__process *freest(struct gb__processes *processes)
{
	struct gb__process *best = NULL;

	for (unsigned i = 0; i < processes->options.count; i++) {
		struct gb__process *process = &processes->list[i];

		if (!process->alive || process->taken == GB__EXCHANGE_SLOTS)
			continue;
		if (process->taken == 0)
			return process;
		if (!best || process->taken < best->taken)
			best = process;
	}
	return best;
}

/* Take the oldest message that another has not begun. NULL: there is none. */
static struct gb__task *take_back(struct gb__processes *processes)
{
	for (unsigned i = 0; processes->ahead > 0 && i < processes->options.count; i++) {
		struct gb__process *process = &processes->list[i];
		unsigned best = GB__EXCHANGE_SLOTS;

		for (unsigned n = 0; process->taken > 1 && n < GB__EXCHANGE_SLOTS; n++)
			if (process->errands[n].task && !process->errands[n].crashed &&
				gb__exchange_phase(process->exchange, n) == GB__EXCHANGE_QUEUED &&
				(best == GB__EXCHANGE_SLOTS ||
					(int32_t)(process->exchange->orders[n] -
						process->exchange->orders[best]) < 0))
				best = n;
		if (best < GB__EXCHANGE_SLOTS && gb__exchange_take_back(process->exchange, best)) {
			struct gb__task *task = process->errands[best].task;

			gb__errand_free(processes, process, &process->errands[best]);
			return task;
		}
	}
	return NULL;
}

static struct gb__task *take_waiting(struct gb__processes *processes)
{
	struct gb__job *job = gb__jobs_take(&processes->waiting);

	if (!job)
		return NULL;
	gb__level_taken(processes->counters, &processes->waiting, job);
	return gb__container_of(job, struct gb__task, job);
}

/* Those of low priority stay where others can pass them. */
static bool any_for_ahead(const struct gb__jobs *waiting)
{
	return waiting->count > waiting->levels[gb__level_of(GB_PRIORITY_LOW)].count;
}

void gb__processes_dispatch(struct gb__processes *processes, struct gb__wakes *wakes)
{
	struct gb__process *process;

	while (!processes->gone && (processes->waiting.count || processes->ahead) &&
		(process = freest(processes))) {
		const bool urgent = any_for_ahead(&processes->waiting);
		struct gb__task *task;

		if (process->taken > 0 && !urgent)
			return;
		task = urgent ? NULL : take_back(processes);
		if (!task)
			task = take_waiting(processes);
		if (!task)
			return;
		give(processes, process, task);
		wake_later(wakes, process->exchange);
	}
}

void gb__processes_submit(
	struct gb__processes *processes, unsigned source, unsigned service, struct gb__task *task)
{
	struct gb__wakes wakes = { 0 };

	task->source = source;
	task->service = service;
	gb__level_begin(&task->job);
	pthread_mutex_lock(&processes->lock);
	gb__jobs_put(&processes->waiting, &task->job);
	gb__level_put(processes->counters, &processes->waiting, &task->job);
	if (processes->gone)
		gb__os_linux.ops->event_signal(&gb__os_linux, processes->bells[source].fd);
	gb__processes_dispatch(processes, &wakes);
	gb__processes_unlock(processes, &wakes);
}

/* Nothing of the reply is kept. */
static void spill(struct gb__errand *errand, int reason)
{
	struct gb__task *task = errand->task;

	gb__output_clear(&task->facade.stream.output, &task->facade.net->engine->pool);
	task->facade.flags |= GB__CONN_RESET;
	task->failed = reason;
	errand->spilt = true;
}

/* A part of the reply, as far as it is allowed. */
static void take_part(struct gb__errand *errand, const struct gb__exchange_slot *slot)
{
	struct gb__task *task = errand->task;
	struct gb__output *output = &task->facade.stream.output;
	const uint32_t part = gb__min(slot->reply_part, GB__EXCHANGE_PART);

	if (errand->spilt || part == 0)
		return;
	if (output->bytes + part > task->facade.terms->limits->output_bytes_max)
		spill(errand, GB_CLOSE_OUTPUT_LIMIT);
	else if (gb__output_append(output, &task->facade.net->engine->pool, slot->reply, part) < 0)
		spill(errand, GB_CLOSE_NO_MEMORY);
}

static void take_outcome(struct gb__errand *errand, const struct gb__exchange_slot *slot)
{
	const struct gb__exchange_outcome outcome = slot->outcome;
	struct gb__task *task = errand->task;

	if (!task->replies.loose) /* others of the connection may be under way, and would undo each other's */
		memcpy(gb_conn_state(&task->facade), slot->state,
			task->facade.terms->service->conn_state_size);
	task->facade.state = GB__CONN_STALE;
	if (errand->spilt)
		return;
	task->facade.flags |= outcome.flags & (GB__CONN_REFUSED_TRY | GB__CONN_RESET | GB__CONN_OUTPUT_END);
	task->holds = outcome.holds;
	task->failed = outcome.failed < GB_CLOSE_REASON_COUNT ? outcome.failed : GB_CLOSE_LOCAL;
	task->aborted = outcome.aborted;
	task->paused = outcome.paused;
}

/* With the lock. Returns whether the task is back. */
static bool look_at(
	struct gb__processes *processes, struct gb__process *process, unsigned n, struct gb__wakes *wakes)
{
	struct gb__errand *errand = &process->errands[n];
	struct gb__exchange_slot *slot = &process->exchange->slots[n];
	struct gb_bytes message = message_of(errand->task);

	if (errand->crashed) {
		spill(errand, GB_CLOSE_CRASHED);
		gb__errand_free(processes, process, errand);
		return true;
	}
	switch (gb__exchange_phase(process->exchange, n)) {
	case GB__EXCHANGE_WANTS:
		errand->sent += gb__exchange_feed(process->exchange, n, message, errand->sent);
		break;
	case GB__EXCHANGE_PARTIAL:
		take_part(errand, slot);
		break;
	case GB__EXCHANGE_DONE:
		take_part(errand, slot);
		take_outcome(errand, slot);
		atomic_store(&process->exchange->phases[n], GB__EXCHANGE_FREE);
		gb__errand_free(processes, process, errand);
		process->failures = 0;
		return true;
	default:
		return false;
	}
	gb__exchange_resume(process->exchange, n);
	wake_later(wakes, process->exchange);
	return false;
}

/* No process will run them. */
static struct gb__job *take_all_waiting(
	struct gb__processes *processes, unsigned source, struct gb__job *taken)
{
	for (unsigned left = processes->waiting.count; left > 0; left--) {
		struct gb__job *job = gb__jobs_take(&processes->waiting);
		struct gb__task *task = gb__container_of(job, struct gb__task, job);

		if (task->source != source) {
			gb__jobs_put(&processes->waiting, job);
			continue;
		}
		spill(&(struct gb__errand){ .task = task }, GB_CLOSE_CRASHED);
		task->job.next = taken;
		taken = &task->job;
	}
	return taken;
}

/* With the lock. Returns how many messages wait, once, when some have for long: else it would be slow in silence. */
static unsigned falls_behind(struct gb__processes *processes)
{
	const unsigned waiting = processes->waiting.count + processes->ahead;
	uint64_t now_ms;

	if (processes->told)
		return 0;
	if (waiting == 0) {
		processes->behind_since_ms = 0;
		return 0;
	}
	now_ms = gb__os_now_ms(&gb__os_linux);
	if (processes->behind_since_ms == 0)
		processes->behind_since_ms = now_ms;
	processes->told = now_ms - processes->behind_since_ms >= BEHIND_MS;
	return processes->told ? waiting : 0;
}

static void tell(unsigned waiting, unsigned count)
{
	gb__log(GB__LOG_WARNING,
		"the compute pool is the bottleneck: %u messages wait for its %u processes: handlers that wait want "
		"more of them, say compute-workers=%u, those that compute want more CPUs",
		waiting, count, gb__min(count + waiting, PROCESSES_ADVISED_MAX));
}

void gb__processes_collect(struct gb__processes *processes, unsigned source)
{
	struct gb__bell *bell = &processes->bells[source];
	struct gb__job *back = NULL;
	unsigned waiting;
	struct gb__wakes wakes = { 0 };

	gb__os_linux.ops->event_clear(&gb__os_linux, bell->fd);
	atomic_store(&bell->rung, 0);
	pthread_mutex_lock(&processes->lock);
	for (unsigned word = 0; word * 64 < processes->options.count; word++) {
		uint64_t bits =
			atomic_load(&bell->processes[word]) ? atomic_exchange(&bell->processes[word], 0) : 0;

		for (; bits; bits &= bits - 1) {
			unsigned index = word * 64 + (unsigned)__builtin_ctzll(bits);
			struct gb__process *process;

			if (index >= processes->options.count)
				break;
			process = &processes->list[index];
			for (unsigned n = 0; n < GB__EXCHANGE_SLOTS; n++) {
				struct gb__task *task = process->errands[n].task;

				if (!task || task->source != source ||
					!look_at(processes, process, n, &wakes))
					continue;
				task->job.next = back;
				back = &task->job;
			}
		}
	}
	gb__processes_dispatch(processes, &wakes);
	waiting = falls_behind(processes);
	if (gb__unlikely(processes->gone))
		back = take_all_waiting(processes, source, back);
	gb__processes_unlock(processes, &wakes);
	if (gb__unlikely(waiting))
		tell(waiting, processes->options.count);
	while (back) {
		struct gb__task *task = gb__container_of(back, struct gb__task, job);

		back = back->next;
		task->done.run(&task->done, true);
	}
}

void gb__processes_cancel(struct gb__processes *processes, struct gb__task *task)
{
	pthread_mutex_lock(&processes->lock);
	for (unsigned i = 0; i < processes->options.count; i++)
		for (unsigned n = 0; n < GB__EXCHANGE_SLOTS; n++)
			if (processes->list[i].errands[n].task == task)
				atomic_store(&processes->list[i].exchange->slots[n].cancelled, 1);
	pthread_mutex_unlock(&processes->lock);
}

int gb__processes_bell(const struct gb__processes *processes, unsigned source)
{
	return processes->bells[source].fd;
}
