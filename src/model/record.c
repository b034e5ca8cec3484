#include "model/record.h"

#include "base/macros.h"
#include "os/shared.h"

static void lock_init(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attributes;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(lock, &attributes);
	pthread_mutexattr_destroy(&attributes);
}

struct gb__shared *gb__shared_create(size_t records)
{
	int fd;
	struct gb__shared *shared = gb__shared_file_map(gb__shared_size(records), GB__SHARED_NAME, &fd);

	if (!shared)
		return NULL;
	shared->fd = fd;
	shared->records_count = records;
	lock_init(&shared->accept_lock);
	shared->head = (struct gb__shared_head){
		.magic = GB__SHARED_MAGIC,
		.layout = GB__SHARED_LAYOUT,
		.head_size = sizeof(*shared),
		.record_size = sizeof(struct gb__record),
		.counters_size = sizeof(struct gb__counters),
		.version = GB_VERSION,
		.size = gb__shared_size(records),
		.records = records,
	};
	return shared;
}

void gb__shared_destroy(struct gb__shared *shared)
{
	if (shared)
		gb__shared_file_unmap(shared, gb__shared_size(shared->records_count), shared->fd);
}

static uint64_t read_counter(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static void add(struct gb__counters *sum, const struct gb__counters *counters)
{
	const uint64_t *from = (const uint64_t *)counters;
	uint64_t *to = (uint64_t *)sum;

	static_assert(sizeof(*counters) % sizeof(uint64_t) == 0, "counters only");
	for (size_t i = 0; i < sizeof(*counters) / sizeof(uint64_t); i++) {
		const bool maximum = i >= sizeof(*counters) / sizeof(uint64_t) - GB__COUNTERS_MAXIMA;
		const uint64_t value = read_counter(&from[i]);

		if (!maximum)
			gb__count(to[i], value);
		else if (value > to[i])
			__atomic_store_n(&to[i], value, __ATOMIC_RELAXED);
	}
}

static void clear(struct gb__counters *counters)
{
	uint64_t *to = (uint64_t *)counters;

	for (size_t i = 0; i < sizeof(*counters) / sizeof(uint64_t); i++)
		__atomic_store_n(&to[i], 0, __ATOMIC_RELAXED);
}

void gb__record_retire(struct gb__shared *shared, struct gb__record *record, int reason)
{
	struct gb_stats *stats = &record->counters.stats;
	uint64_t clients = read_counter(&stats->connections), outgoing = read_counter(&stats->outgoing);
	unsigned received = atomic_exchange(&record->received, 0);

	atomic_fetch_sub_explicit(&shared->connections, clients, memory_order_relaxed);
	__atomic_store_n(&stats->connections, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&stats->outgoing, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&record->counters.coroutines.alive, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&record->counters.sampled.active, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&record->counters.tls.under_way, 0, __ATOMIC_RELAXED);
	gb__count(stats->accepted, received);
	gb__count(stats->closed[reason], clients + outgoing + received);
	for (size_t i = 0; i < sizeof(struct gb__census) / sizeof(uint64_t); i++)
		__atomic_store_n((uint64_t *)&record->counters.census + i, 0, __ATOMIC_RELAXED);
	atomic_store(&record->retired, true);
	add(&gb__shared_past(shared, shared->records_count)[record - shared->records], &record->counters);
	clear(&record->counters);
	atomic_store(&record->away, false);
	atomic_store(&record->ended, false);
	atomic_store(&record->watched.thread, 0);
}

void gb__shared_census(const struct gb__shared *shared, struct gb__census *ret)
{
	*ret = (struct gb__census){ 0 };
	for (size_t i = 0; i < shared->records_count; i++) {
		const struct gb__census *census = &shared->records[i].counters.census;

		ret->connections += read_counter(&census->connections);
		ret->output += read_counter(&census->output);
		ret->pooled += read_counter(&census->pooled);
		ret->message += read_counter(&census->message);
		ret->held += read_counter(&census->held);
	}
}

void gb__record_sum(const struct gb__shared *shared, size_t records, size_t n, struct gb__counters *ret)
{
	const struct gb__record *record = &shared->records[n];

	*ret = (struct gb__counters){ 0 };
	if (atomic_load(&record->retired))
		add(ret, &gb__shared_past(shared, records)[n]);
	add(ret, &record->counters);
}

void gb__record_add_stalls(const struct gb__record *record, struct gb_stall_stats *sum)
{
	const struct gb__stall_counters *stalls = &record->stalls;

	sum->stalls += gb__seen_count(stalls->count);
	sum->now += atomic_load(&record->held);
	sum->ns += gb__seen_count(stalls->ns);
	sum->longest_ns = gb__max(sum->longest_ns, gb__seen_count(stalls->longest_ns));
}
