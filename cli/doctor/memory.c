#include "doctor/memory.h"
#include "doctor/loopback.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MEMINFO "/proc/meminfo"
#define BATCHES 7u
#define BATCHES_FIRST 2u /* they fill gaps that others left in the slabs, and seem cheaper than they are */
#define BATCH_CONNECTIONS (MEMORY_CONNECTIONS / BATCHES)
#define BATCH_CONNECTIONS_MIN 20u /* fewer drown in what else goes on */
#define BATCH_THREADS 64u
#define THREAD_BATCHES (MEMORY_THREADS / BATCH_THREADS)
#define DESCRIPTORS_APART 32u
#define STACK_BYTES (256u * 1024u)

static int compare(const void *left, const void *right)
{
	const uint64_t *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

uint64_t gb__memory_median(uint64_t *numbers, size_t count)
{
	if (count == 0)
		return FACT_UNKNOWN;
	qsort(numbers, count, sizeof(*numbers), compare);
	return numbers[count / 2];
}

/* A line of a file of /proc that counts kibibytes, in bytes. */
static bool read_bytes(const char *path, const char *key, uint64_t *ret)
{
	char text[8192];
	uint64_t value;

	if (gb__facts_file("", path, text, sizeof(text)) < 0)
		return false;
	value = gb__facts_line(text, key);
	if (value >= FACT_UNLIMITED)
		return false;
	*ret = value * 1024;
	return true;
}

struct field {
	int listener, set;
	struct sockaddr_in address;
	int ends[2 * MEMORY_CONNECTIONS]; /* a client and what was accepted, in turn */
	size_t count;                     /* of ends */
};

static bool field_open(struct field *field)
{
	field->count = 0;
	field->set = epoll_create1(EPOLL_CLOEXEC);
	field->listener = gb__loopback_listen(16, &field->address);
	return field->set >= 0 && field->listener >= 0;
}

static bool field_add(struct field *field)
{
	struct epoll_event event = { .events = EPOLLIN };
	int client = gb__loopback_connect(&field->address), accepted;

	if (client < 0)
		return false;
	field->ends[field->count++] = client;
	accepted = accept4(field->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (accepted < 0)
		return false;
	field->ends[field->count++] = accepted;
	return epoll_ctl(field->set, EPOLL_CTL_ADD, accepted, &event) == 0;
}

/* Clients first: their resets leave nothing waiting. */
static void field_close(struct field *field)
{
	for (size_t i = 0; i < field->count; i++)
		close(field->ends[i]);
	if (field->listener >= 0)
		close(field->listener);
	if (field->set >= 0)
		close(field->set);
}

static uint64_t batch_connections(uint64_t descriptors)
{
	uint64_t fit;

	if (descriptors < DESCRIPTORS_APART)
		return 0;
	fit = (descriptors - DESCRIPTORS_APART) / 2 / BATCHES;
	return fit < BATCH_CONNECTIONS ? fit : BATCH_CONNECTIONS;
}

static uint64_t measure_connections(uint64_t descriptors)
{
	struct field *field = malloc(sizeof(*field));
	uint64_t per_batch = batch_connections(descriptors), grown[BATCHES], before, after;
	size_t batches = 0;

	if (!field || per_batch < BATCH_CONNECTIONS_MIN) {
		free(field);
		return FACT_UNKNOWN;
	}
	if (field_open(field) && read_bytes(MEMINFO, "Slab", &before)) {
		for (; batches < BATCHES; batches++) {
			uint64_t made = 0;

			while (made < per_batch && field_add(field))
				made++;
			if (made < per_batch || !read_bytes(MEMINFO, "Slab", &after))
				break;
			grown[batches] = after > before ? (after - before) / per_batch / 2 : 0;
			before = after;
		}
	}
	field_close(field);
	free(field);
	if (batches <= BATCHES_FIRST)
		return FACT_UNKNOWN;
	before = gb__memory_median(grown + BATCHES_FIRST, batches - BATCHES_FIRST);
	return before ? before : FACT_UNKNOWN;
}

struct crowd {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	unsigned arrived;
	bool over;
};

static void *stand(void *argument)
{
	struct crowd *crowd = argument;

	pthread_mutex_lock(&crowd->mutex);
	crowd->arrived++;
	pthread_cond_broadcast(&crowd->changed);
	while (!crowd->over)
		pthread_cond_wait(&crowd->changed, &crowd->mutex);
	pthread_mutex_unlock(&crowd->mutex);
	return NULL;
}

static bool crowd_grow(struct crowd *crowd, pthread_t *threads, unsigned *made, unsigned count)
{
	pthread_attr_t attributes;
	bool complete = true;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	for (unsigned i = 0; i < count && complete; i++) {
		complete = pthread_create(&threads[*made], &attributes, stand, crowd) == 0;
		*made += complete;
	}
	pthread_attr_destroy(&attributes);
	pthread_mutex_lock(&crowd->mutex);
	while (crowd->arrived < *made)
		pthread_cond_wait(&crowd->changed, &crowd->mutex);
	pthread_mutex_unlock(&crowd->mutex);
	return complete;
}

/* Where a thread's memory is counted. Its own process is exact; the whole machine has others as well. */
static const struct {
	const char *path, *key;
} parts[] = {
	{ MEMINFO, "KernelStack" },
	{ MEMINFO, "Slab" },
	{ "/proc/self/status", "VmPTE" },
	{ "/proc/self/smaps_rollup", "Private_Dirty" },
};
#define PARTS (sizeof(parts) / sizeof(*parts))

static bool read_parts(uint64_t *ret)
{
	for (size_t i = 0; i < PARTS; i++)
		if (!read_bytes(parts[i].path, parts[i].key, &ret[i]))
			return false;
	return true;
}

static void crowd_end(struct crowd *crowd, const pthread_t *threads, unsigned made)
{
	pthread_mutex_lock(&crowd->mutex);
	crowd->over = true;
	pthread_cond_broadcast(&crowd->changed);
	pthread_mutex_unlock(&crowd->mutex);
	for (unsigned i = 0; i < made; i++)
		pthread_join(threads[i], NULL);
}

/* Each part has its own median: what disturbs one of them at a time does not spoil the others. */
static uint64_t measure_threads(void)
{
	struct crowd crowd = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, false };
	pthread_t threads[MEMORY_THREADS];
	uint64_t grown[PARTS][THREAD_BATCHES], before[PARTS], after[PARTS], sum = 0;
	unsigned made = 0;
	size_t batches = 0;

	if (!read_parts(before))
		return FACT_UNKNOWN;
	for (; batches < THREAD_BATCHES; batches++) {
		if (!crowd_grow(&crowd, threads, &made, BATCH_THREADS) || !read_parts(after))
			break;
		for (size_t i = 0; i < PARTS; i++) {
			grown[i][batches] = after[i] > before[i] ? (after[i] - before[i]) / BATCH_THREADS : 0;
			before[i] = after[i];
		}
	}
	crowd_end(&crowd, threads, made);
	if (batches == 0)
		return FACT_UNKNOWN;
	for (size_t i = 0; i < PARTS; i++)
		sum += gb__memory_median(grown[i], batches);
	return sum ? sum : FACT_UNKNOWN;
}

void gb__memory_measure(struct facts *facts)
{
	facts->connection_bytes = measure_connections(facts->nofile_hard);
	facts->thread_bytes = measure_threads();
}
