/* A server's counters from outside: its shared memory, found among the descriptors of the process and mapped. */
#include "base/alloc.h"
#include "base/macros.h"
#include "model/record.h"
#include "os/os.h"
#include "os/process.h"
#include "os/shared.h"

#include <gearbox/observe.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LEASE_MS 3000u

struct gb_observed {
	struct gb__shared *shared;
	size_t size;
	size_t records; /* as it was checked: whoever is looked at may write there what he likes */
};

static bool is_ours(const struct gb__shared *shared, size_t size, size_t *ret_records)
{
	const struct gb__shared_head *head = &shared->head;

	*ret_records = __atomic_load_n(&head->records, __ATOMIC_RELAXED);
	return memcmp(head->magic, GB__SHARED_MAGIC, sizeof(GB__SHARED_MAGIC)) == 0 &&
		head->layout == GB__SHARED_LAYOUT && head->head_size == sizeof(*shared) &&
		head->record_size == sizeof(struct gb__record) &&
		head->counters_size == sizeof(struct gb__counters) &&
		strncmp(head->version, GB_VERSION, sizeof(head->version)) == 0 && head->size == size &&
		*ret_records <= size / sizeof(struct gb__record) && /* no product is too large then */
		gb__shared_size(*ret_records) <= size;
}

static int refuse(pid_t pid, unsigned n, int result, struct gb_error *error)
{
	switch (result) {
	case -ESRCH:
		return gb_error_set(error, result, "there is no process %d", (int)pid);
	case -ENOENT:
		if (n > 0)
			return gb_error_set(error, result, "process %d has only %u gearbox server%s or fewer",
				(int)pid, n, n == 1 ? "" : "s");
		return gb_error_set(error, result, "process %d has no gearbox server", (int)pid);
	case -EACCES:
	case -EPERM:
		return gb_error_set(error, -EACCES,
			"process %d may not be looked into: be its user, or root, also where it has changed its user",
			(int)pid);
	case -ENOTSUP:
		return gb_error_set(error, result,
			"process %d is of another version of gearbox than this, " GB_VERSION
			", and its counters have another layout: use its own",
			(int)pid);
	default:
		return gb_error_set(
			error, result, "cannot look into process %d: %s", (int)pid, gb_strerror(result));
	}
}

int gb_observe(pid_t pid, unsigned n, struct gb_observed **ret, struct gb_error *error)
{
	struct gb_observed *observed;
	void *memory;
	size_t size, records;
	int result = gb__shared_file_attach(pid, GB__SHARED_NAME, n, &memory, &size);

	if (result < 0)
		return refuse(pid, n, result, error);
	observed = gb__alloc_zero(sizeof(*observed));
	if (!observed)
		result = -ENOMEM;
	else if (size < sizeof(struct gb__shared) || !is_ours(memory, size, &records))
		result = -ENOTSUP;
	if (result < 0) {
		gb__shared_unmap(memory, size);
		gb__free(observed);
		return refuse(pid, n, result, error);
	}
	*observed = (struct gb_observed){ memory, size, records };
	*ret = observed;
	return 0;
}

void gb_observe_end(struct gb_observed *observed)
{
	if (!observed)
		return;
	gb__shared_unmap(observed->shared, observed->size);
	gb__free(observed);
}

static void add_stats(struct gb_stats *sum, const struct gb_stats *stats)
{
	for (size_t i = 0; i < sizeof(*sum) / sizeof(uint64_t); i++)
		((uint64_t *)sum)[i] += ((const uint64_t *)stats)[i];
}

static void take_stage(const struct gb_stage_times *from, struct gb_stage_times *ret)
{
	for (size_t i = 0; i < sizeof(*ret) / sizeof(uint64_t); i++)
		((uint64_t *)ret)[i] = __atomic_load_n((const uint64_t *)from + i, __ATOMIC_RELAXED);
}

void gb_observe_server(const struct gb_observed *observed, struct gb_observed_server *ret)
{
	const struct gb__shared *shared = observed->shared;

	*ret = (struct gb_observed_server){
		.process = atomic_load(&shared->head.process),
		.workers = observed->records,
		.alone = shared->head.alone,
		.cpus = shared->head.cpus,
	};
	snprintf(ret->model, sizeof(ret->model), "%.*s", (int)sizeof(shared->head.model) - 1,
		shared->head.model);
	for (size_t i = 0; i < ret->workers; i++) {
		struct gb__counters counters;

		gb__record_sum(shared, ret->workers, i, &counters);
		add_stats(&ret->stats, &counters.stats);
		gb__record_add_stalls(&shared->records[i], &ret->stalls);
	}
	for (int i = 0; i < GB_STAGE_COUNT; i++)
		take_stage(&shared->ledger.stages[i], &ret->stages[i]);
}

void gb_observe_worker(const struct gb_observed *observed, size_t n, struct gb_observed_worker *ret)
{
	const struct gb__record *record;
	struct gb__counters counters;

	*ret = (struct gb_observed_worker){ 0 };
	if (n >= observed->records)
		return;
	record = &observed->shared->records[n];
	gb__record_sum(observed->shared, observed->records, n, &counters);
	*ret = (struct gb_observed_worker){
		.stats = counters.stats,
		.waits = counters.waits,
		.events = counters.events,
		.stalls = gb__seen_count(record->stalls.count),
		.active = counters.sampled.active,
		.sampled = counters.sampled.messages,
		.run_ns = counters.sampled.run_ns,
		.cpu_ns = counters.sampled.cpu_ns,
		.thread = atomic_load(&record->watched.thread),
	};
	ret->process = ret->thread ? record->watched.process : 0;
}

void gb_observe_sample(struct gb_observed *observed, unsigned every)
{
	struct gb__ledger *ledger = &observed->shared->ledger;
	const uint64_t now_ms = gb__os_now_ms(&gb__os_linux);
	const uint32_t others = atomic_load(&ledger->every);

	if (every == 0)
		return;
	if (others == 0 || every < others || now_ms >= atomic_load(&ledger->until_ms))
		atomic_store(&ledger->every, every);
	atomic_store(&ledger->until_ms, now_ms + LEASE_MS);
}
