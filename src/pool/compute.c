/*
 * The queue and the threads that work it off.
 *
 * A pool that is too small is slow in silence. So when tasks have waited for a thread without a break for a second,
 * the log says so, once, with how much CPU time was used meanwhile: handlers that wait want more threads, those that
 * compute want more CPUs.
 *
 * With compute-workers=auto the threads are as many as sizing.h says, by what is measured of some jobs. One that is too many
 * leaves between two jobs.
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
#include "pool/sizing.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#define BEHIND_MS 1000u /* without a break: then it is the bottleneck */
#define THREADS_ADVISED_MAX 256u
#define MEASURE_MS 10u /* between two jobs of a thread that are measured: two system calls each */
#define IDLE_S 6 /* a thread that may be too many sleeps at most so long; more than GB__SIZING_SURPLUS_MS */
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
	unsigned count; /* threads that live */
	size_t stack;
	struct slot {
		pthread_t thread;
		enum { FREE, LIVES, LEFT } state; /* LEFT: it has let go of the pool, and is to be joined */
	} * slots;
	unsigned slots_count;
	/* compute-workers=auto */
	const struct gb__compute_clock *clock; /* NULL: the number stays */
	struct gb__sizing sizing;
	struct gb__cpus cpus;      /* where those that are started later run */
	unsigned idle, idle_least; /* threads without a job: now, and at least since the last look */
	unsigned leaving;          /* how many are to end */
};

static uint64_t clock_now_ms(void)
{
	return gb__os_now_ms(&gb__os_linux);
}

static uint64_t clock_now_ns(void)
{
	return gb__os_linux.ops->now_ns(&gb__os_linux);
}

const struct gb__compute_clock gb__compute_clock = { clock_now_ms, clock_now_ns, gb__thread_cpu_ns };

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

/* Until there may be a job. A thread that may be too many looks from time to time, though nothing happens. */
static void wait_for_job(struct gb__compute *compute)
{
	struct timespec until;

	compute->idle++;
	if (compute->clock && compute->sizing.threads > gb__sizing_least(&compute->sizing)) {
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += IDLE_S;
		pthread_cond_timedwait(&compute->filled, &compute->lock, &until);
	} else {
		pthread_cond_wait(&compute->filled, &compute->lock);
	}
	compute->idle--;
	compute->idle_least = gb__min(compute->idle_least, compute->idle);
}

/* Where the handlers' share of computing is measured: one job of a thread every so often, whichever it is. */
static void run_measured(struct gb__compute *compute, struct gb__job *job)
{
	uint64_t cpu_ns = compute->clock->cpu_ns(), wall_ns = compute->clock->wall_ns();

	job->run(job);
	cpu_ns = compute->clock->cpu_ns() - cpu_ns;
	wall_ns = compute->clock->wall_ns() - wall_ns;
	pthread_mutex_lock(&compute->lock);
	gb__sizing_add(&compute->sizing, cpu_ns, wall_ns);
}

/* Run a job, and come back with the lock. */
static void run(struct gb__compute *compute, struct gb__job *job, uint64_t *measured_ms)
{
	uint64_t now_ms = compute->clock ? compute->clock->now_ms() : 0;
	bool measured = compute->clock && now_ms - *measured_ms >= MEASURE_MS;

	pthread_mutex_unlock(&compute->lock);
	if (gb__unlikely(measured)) {
		*measured_ms = now_ms;
		run_measured(compute, job);
	} else {
		job->run(job);
		pthread_mutex_lock(&compute->lock);
	}
}

/* With the lock: the calling thread is no longer the pool's. */
static void leave(struct gb__compute *compute)
{
	struct slot *slot = compute->slots;

	while (slot->state != LIVES || !pthread_equal(slot->thread, pthread_self()))
		slot++;
	slot->state = LEFT;
	compute->count--;
	compute->leaving--;
}

static void look(struct gb__compute *compute);

static void *thread_main(void *arg)
{
	struct gb__compute *compute = arg;
	uint64_t measured_ms = 0;

	pthread_mutex_lock(&compute->lock);
	while (!compute->leaving) {
		struct gb__job *job = gb__jobs_take(&compute->waiting);

		if (!job) {
			if (compute->ending)
				break;
			wait_for_job(compute);
			look(compute);
			continue;
		}
		gb__level_taken(compute->counters, &compute->waiting, job);
		if (gb__unlikely(!compute->told) && gb__unlikely(falls_behind(compute)))
			tell_once(compute);
		run(compute, job, &measured_ms);
		look(compute);
	}
	if (compute->leaving)
		leave(compute);
	pthread_mutex_unlock(&compute->lock);
	return NULL;
}

/* Whoever starts it may be a loop's thread, which has a CPU of its own. */
static void *later_main(void *arg)
{
	struct gb__compute *compute = arg;

	(void)gb__cpus_use(&compute->cpus);
	return thread_main(arg);
}

/* With the lock. Returns 0 or a negative errno. */
static int start_thread(struct gb__compute *compute, void *(*main)(void *arg))
{
	struct slot *slot = compute->slots;
	int result;

	while (slot->state == LIVES)
		slot++;
	if (slot->state == LEFT)
		pthread_join(slot->thread, NULL); /* it needs nothing any more to end */
	slot->state = FREE;
	result = gb__thread_start(&slot->thread, compute->stack, main, compute);
	if (result == 0) {
		slot->state = LIVES;
		compute->count++;
	}
	return result;
}

/* With the lock: have as many threads as the rule says. */
static void grow(struct gb__compute *compute, unsigned threads)
{
	while (threads > 0 && compute->leaving > 0) {
		compute->leaving--;
		compute->sizing.threads++;
		threads--;
	}
	while (threads-- > 0 && compute->sizing.threads < compute->slots_count &&
		start_thread(compute, later_main) == 0)
		compute->sizing.threads++; /* if not, it is tried again with the next look */
}

static void look(struct gb__compute *compute)
{
	uint64_t now_ms;
	int change;

	if (!compute->clock)
		return;
	now_ms = compute->clock->now_ms();
	if (!gb__sizing_due(&compute->sizing, now_ms) || compute->ending)
		return;
	change = gb__sizing_step(&compute->sizing, now_ms, compute->waiting.count, compute->idle_least);
	compute->idle_least = compute->idle;
	if (change > 0) {
		grow(compute, (unsigned)change);
	} else if (change < 0) {
		compute->leaving += (unsigned)-change;
		compute->sizing.threads -= (unsigned)-change;
		pthread_cond_broadcast(&compute->filled);
	}
}

static void conds_init(struct gb__compute *compute)
{
	pthread_condattr_t attributes;

	pthread_mutex_init(&compute->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&compute->filled, &attributes);
	pthread_condattr_destroy(&attributes);
}

int gb__compute_create(unsigned threads, size_t stack, struct gb__compute **ret, struct gb_error *error)
{
	struct gb__compute *compute = gb__alloc_zero(sizeof(*compute));
	int result = 0;

	if (compute)
		compute->slots = gb__alloc_zero(threads * sizeof(*compute->slots));
	if (!compute || !compute->slots) {
		gb__free(compute);
		return gb_error_set(error, -ENOMEM, "no memory for a pool of %u threads", threads);
	}
	conds_init(compute);
	compute->counters = compute->own;
	compute->stack = stack;
	compute->slots_count = threads;
	pthread_mutex_lock(&compute->lock);
	while (compute->count < threads && result == 0)
		result = start_thread(compute, thread_main);
	pthread_mutex_unlock(&compute->lock);
	if (result < 0) {
		gb_error_set(error, result, "cannot start thread %u of the compute pool: %s; see `ulimit -u`",
			compute->count, gb_strerror(result));
		gb__compute_destroy(compute);
		return result;
	}
	*ret = compute;
	return 0;
}

int gb__compute_adapt(struct gb__compute *compute, unsigned cpus, unsigned blocking, unsigned most,
	const struct gb__compute_clock *clock)
{
	struct slot *slots = gb__alloc_zero(gb__max(most, compute->slots_count) * sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	pthread_mutex_lock(&compute->lock);
	memcpy(slots, compute->slots, compute->slots_count * sizeof(*slots));
	gb__free(compute->slots);
	compute->slots = slots;
	compute->slots_count = gb__max(most, compute->slots_count);
	compute->clock = clock;
	gb__cpus_get(&compute->cpus);
	gb__sizing_init(&compute->sizing, cpus, blocking, compute->count);
	compute->idle_least = compute->idle;
	pthread_mutex_unlock(&compute->lock);
	return 0;
}

unsigned gb__compute_threads(struct gb__compute *compute)
{
	unsigned count;

	pthread_mutex_lock(&compute->lock);
	count = compute->count;
	pthread_mutex_unlock(&compute->lock);
	return count;
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
	for (unsigned i = 0; i < compute->slots_count; i++)
		if (compute->slots[i].state != FREE)
			pthread_join(compute->slots[i].thread, NULL);
	pthread_cond_destroy(&compute->filled);
	pthread_mutex_destroy(&compute->lock);
	gb__free(compute->slots);
	gb__free(compute);
}

void gb__compute_submit(struct gb__compute *compute, struct gb__job *job)
{
	gb__level_begin(job);
	pthread_mutex_lock(&compute->lock);
	gb__jobs_put(&compute->waiting, job);
	gb__level_put(compute->counters, &compute->waiting, job);
	pthread_cond_signal(&compute->filled);
	if (compute->idle == 0)
		look(compute); /* all may be inside handlers for long */
	pthread_mutex_unlock(&compute->lock);
}
