/*
 * The queue and the threads that work it off.
 *
 * A pool that is too small is slow in silence. So when tasks have waited for a thread without a break for a second,
 * the log says so, once, with how much CPU time was used meanwhile: handlers that wait want more threads, those that
 * compute want more CPUs.
 */
#include "pool/compute.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/log.h"
#include "base/macros.h"
#include "net/job.h"
#include "os/cpu.h"
#include "os/os.h"
#include "os/process.h"
#include "os/thread.h"
#include "pool/level.h"

#include <errno.h>
#include <pthread.h>

#define BEHIND_MS 1000u /* without a break: then it is the bottleneck */
#define THREADS_ADVISED_MAX 256u
#define BUSY_PERCENT 80u /* of the CPU time: from there on threads are not what is missing */

struct gb__compute {
	pthread_mutex_t lock;
	pthread_cond_t filled;
	struct gb__jobs waiting;
	struct gb__level_counters *counters, own[GB__LEVELS]; /* the server's, or its own */
	uint64_t behind_since_ms; /* tasks have waited without a break since then; 0: none waits */
	uint64_t behind_cpu_ns;   /* what CPU time the process had taken then */
	bool told;                /* that it is the bottleneck */
	bool ending;
	unsigned count; /* threads */
	pthread_t threads[];
};

/* Percent of the allotted CPUs' time that the process took. */
static unsigned busy(uint64_t cpu_ns, uint64_t wall_ms)
{
	return (unsigned)(cpu_ns / 10000 / gb__max(wall_ms * gb__cpus_allotted(), 1u));
}

static void tell(unsigned threads, unsigned waiting, unsigned busy)
{
	if (busy < BUSY_PERCENT)
		gb__log(GB__LOG_WARNING,
			"the compute pool is the bottleneck: %u messages wait for its %u threads, and %u %% of the CPU "
			"time is used: handlers wait, so threads = how many wait at once, say compute-workers=%u",
			waiting, threads, busy, gb__min(threads + waiting, THREADS_ADVISED_MAX));
	else
		gb__log(GB__LOG_WARNING,
			"the compute pool is the bottleneck: %u messages wait for its %u threads, and %u %% of the CPU "
			"time is used: handlers compute, so more threads (compute-workers) will not help, more CPUs will",
			waiting, threads, busy);
}

/* After one was taken, with the lock: whether tasks wait, and have for long. */
static bool falls_behind(struct gb__compute *compute)
{
	uint64_t now_ms;

	if (compute->waiting.count == 0) {
		compute->behind_since_ms = 0;
		return false;
	}
	now_ms = gb__os_now_ms(&gb__os_linux);
	if (compute->behind_since_ms == 0) {
		compute->behind_since_ms = now_ms;
		compute->behind_cpu_ns = gb__process_cpu_ns();
	}
	return now_ms - compute->behind_since_ms >= BEHIND_MS;
}

/* With the lock, which it gives back and takes again. */
static void tell_once(struct gb__compute *compute)
{
	uint64_t wall_ms = gb__os_now_ms(&gb__os_linux) - compute->behind_since_ms;
	uint64_t cpu_ns = gb__process_cpu_ns() - compute->behind_cpu_ns;
	unsigned waiting = compute->waiting.count;

	compute->told = true;
	pthread_mutex_unlock(&compute->lock);
	tell(compute->count, waiting, busy(cpu_ns, wall_ms));
	pthread_mutex_lock(&compute->lock);
}

static void *thread_main(void *arg)
{
	struct gb__compute *compute = arg;

	pthread_mutex_lock(&compute->lock);
	for (;;) {
		struct gb__job *job = gb__jobs_take(&compute->waiting);

		if (!job) {
			if (compute->ending)
				break;
			pthread_cond_wait(&compute->filled, &compute->lock);
			continue;
		}
		gb__level_taken(compute->counters, &compute->waiting, job);
		if (gb__unlikely(!compute->told) && gb__unlikely(falls_behind(compute)))
			tell_once(compute);
		pthread_mutex_unlock(&compute->lock);
		job->run(job);
		pthread_mutex_lock(&compute->lock);
	}
	pthread_mutex_unlock(&compute->lock);
	return NULL;
}

int gb__compute_create(unsigned threads, size_t stack, struct gb__compute **ret, struct gb_error *error)
{
	struct gb__compute *compute = gb__alloc_zero(sizeof(*compute) + threads * sizeof(pthread_t));

	if (!compute)
		return gb_error_set(error, -ENOMEM, "no memory for a pool of %u threads", threads);
	pthread_mutex_init(&compute->lock, NULL);
	pthread_cond_init(&compute->filled, NULL);
	compute->counters = compute->own;
	for (; compute->count < threads; compute->count++) {
		int result = gb__thread_start(&compute->threads[compute->count], stack, thread_main, compute);

		if (result < 0) {
			gb_error_set(error, result,
				"cannot start thread %u of the compute pool: %s; see `ulimit -u`",
				compute->count, gb_strerror(result));
			gb__compute_destroy(compute);
			return result;
		}
	}
	*ret = compute;
	return 0;
}

void gb__compute_count(struct gb__compute *compute, struct gb__level_counters *counters)
{
	gb__levels_begin(counters);
	compute->counters = counters;
}

void gb__compute_destroy(struct gb__compute *compute)
{
	if (!compute)
		return;
	pthread_mutex_lock(&compute->lock);
	gb__assert(compute->waiting.count == 0);
	compute->ending = true;
	pthread_cond_broadcast(&compute->filled);
	pthread_mutex_unlock(&compute->lock);
	for (unsigned i = 0; i < compute->count; i++)
		pthread_join(compute->threads[i], NULL);
	pthread_cond_destroy(&compute->filled);
	pthread_mutex_destroy(&compute->lock);
	gb__free(compute);
}

void gb__compute_submit(struct gb__compute *compute, struct gb__job *job)
{
	gb__level_begin(job);
	pthread_mutex_lock(&compute->lock);
	gb__jobs_put(&compute->waiting, job);
	gb__level_put(compute->counters, &compute->waiting, job);
	pthread_cond_signal(&compute->filled);
	pthread_mutex_unlock(&compute->lock);
}
