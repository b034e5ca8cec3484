/* The pool with tasks of its own: who runs them, in which order, and how it ends. */
#include "pool/compute.h"

#include "harness.h"
#include "net/task.h"
#include "os/cpu.h"

#include <gearbox/log.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#define TASKS 200u
#define THREADS 4u

static struct gb__loop loop;
static struct gb__net net = { .loop = &loop };
static struct gb__chunk message;
static struct gb__task tasks[TASKS];
static unsigned back;

/* The handler: what it is told is which task. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned order[TASKS], ran, inside, inside_most;
static bool held;         /* nobody leaves */
static unsigned leave_at; /* ... before so many are inside */

/* Time as the pool sees it, where a test makes it up: a job takes so much, and computes for a share of it. */
static _Atomic uint64_t time_ms = 1000;
static unsigned job_ms, job_percent;

static uint64_t made_up_ms(void)
{
	return time_ms;
}

static uint64_t made_up_wall_ns(void)
{
	return time_ms * 1000000;
}

static uint64_t made_up_cpu_ns(void)
{
	return time_ms * 10000 * job_percent;
}

static const struct gb__compute_clock made_up = { made_up_ms, made_up_wall_ns, made_up_cpu_ns };

static void handle(struct gb_conn *conn, struct gb_bytes bytes)
{
	atomic_fetch_add(&time_ms, job_ms);
	pthread_mutex_lock(&lock);
	order[ran++] = (unsigned)(gb__task_of(conn) - tasks);
	inside++;
	inside_most = inside > inside_most ? inside : inside_most;
	pthread_cond_broadcast(&changed);
	while (held || inside_most < leave_at)
		pthread_cond_wait(&changed, &lock);
	inside--;
	pthread_mutex_unlock(&lock);
}

static struct gb__terms terms = { .on_message = handle };

static void come_back(struct gb__post *post, bool alive)
{
	CHECK(alive);
	back++;
}

static void loop_make(void)
{
	struct gb__engine *engine;
	struct gb_error error;

	if (gb__engine_create("poll", (struct gb__engine_options){ .os = &gb__os_linux }, &engine, &error) <
		0)
		test_fail(__FILE__, __LINE__, "%s", error.text);
	gb__loop_init(&loop, engine);
}

static void submit(struct gb__compute *compute, unsigned n)
{
	tasks[n] = (struct gb__task){
		.facade = { .net = &net, .terms = &terms, .state = GB__CONN_TASK },
		.on_message = terms.on_message,
		.message = &message,
		.job.run = gb__task_run,
		.done = { .run = come_back },
	};
	gb__compute_submit(compute, &tasks[n].job);
}

static struct gb__compute *pool(unsigned threads)
{
	struct gb__compute *compute;
	struct gb_error error;

	if (gb__compute_create(threads, 0, &compute, &error) < 0)
		test_fail(__FILE__, __LINE__, "%s", error.text);
	return compute;
}

static void await_back(unsigned count)
{
	while (back < count)
		CHECK(gb__loop_turn(&loop, -1) >= 0);
}

TEST(one_thread_runs_tasks_in_the_order_they_came)
{
	struct gb__compute *compute = pool(1);

	loop_make();
	held = true; /* the first holds the thread until all wait */
	for (unsigned n = 0; n < TASKS; n++)
		submit(compute, n);
	pthread_mutex_lock(&lock);
	held = false;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	await_back(TASKS);
	CHECK_INT(ran, TASKS);
	CHECK_INT(inside_most, 1);
	for (unsigned n = 0; n < TASKS; n++)
		CHECK_INT(order[n], n);
	gb__compute_destroy(compute);
	gb__loop_finish(&loop);
}

TEST(as_many_tasks_run_at_once_as_there_are_threads)
{
	struct gb__compute *compute = pool(THREADS);

	loop_make();
	leave_at = THREADS;
	for (unsigned n = 0; n < TASKS; n++)
		submit(compute, n);
	await_back(TASKS);
	CHECK_INT(ran, TASKS);
	CHECK_INT(inside_most, THREADS);
	gb__compute_destroy(compute);
	gb__loop_finish(&loop);
}

TEST(an_idle_thread_takes_a_task_while_another_is_inside_a_long_one)
{
	struct gb__compute *compute = pool(2);

	loop_make();
	held = true;
	submit(compute, 0);
	pthread_mutex_lock(&lock);
	while (inside < 1)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	submit(compute, 1); /* the queue was empty again: this one has to wake somebody, too */
	pthread_mutex_lock(&lock);
	while (inside < 2)
		pthread_cond_wait(&changed, &lock);
	held = false;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	await_back(2);
	gb__compute_destroy(compute);
	gb__loop_finish(&loop);
}

TEST(a_pool_that_was_idle_serves_again_and_again)
{
	struct gb__compute *compute = pool(2);

	loop_make();
	for (unsigned n = 0; n < TASKS; n++) {
		submit(compute, n);
		await_back(n + 1);
	}
	CHECK_INT(ran, TASKS);
	gb__compute_destroy(compute);
	gb__loop_finish(&loop);
}

TEST(a_cancelled_task_comes_back_without_its_handler)
{
	struct gb__compute *compute = pool(1);

	loop_make();
	held = true;
	submit(compute, 0);
	submit(compute, 1);
	atomic_store(&tasks[1].cancelled, true);
	pthread_mutex_lock(&lock);
	held = false;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	await_back(2);
	CHECK_INT(ran, 1);
	CHECK_INT(order[0], 0);
	gb__compute_destroy(compute);
	gb__loop_finish(&loop);
}

static _Atomic unsigned told;
static char told_text[512];

static void hear(enum gb_log_level level, const char *text, void *arg)
{
	if (told++ == 0)
		snprintf(told_text, sizeof(told_text), "%s", text);
}

/* Waits, until somebody has said that this makes others wait. */
static void handle_slowly(struct gb_conn *conn, struct gb_bytes bytes)
{
	const struct timespec time = { .tv_nsec = 30000000 };

	if (!told)
		nanosleep(&time, NULL);
}

TEST(a_pool_that_is_the_bottleneck_says_so_once)
{
	struct gb__compute *compute = pool(1);

	loop_make();
	gb_log_set(hear, NULL);
	terms.on_message = handle_slowly;
	for (unsigned n = 0; n < TASKS; n++)
		submit(compute, n);
	await_back(TASKS);
	CHECK_INT(told, 1);
	CHECK(strstr(told_text, "the compute pool is the bottleneck"));
	CHECK(strstr(told_text, "compute-workers"));
	gb__compute_destroy(compute);
	gb__loop_finish(&loop);
}

TEST(a_pool_that_keeps_up_says_nothing)
{
	struct gb__compute *compute = pool(1);

	loop_make();
	gb_log_set(hear, NULL);
	terms.on_message = handle_slowly;
	for (unsigned n = 0; n < 50; n++) { /* longer than the bottleneck of above, one by one */
		submit(compute, n);
		await_back(n + 1);
	}
	CHECK_INT(told, 0);
	gb__compute_destroy(compute);
	gb__loop_finish(&loop);
}

static int threads_now(void)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[128];
	int threads = 0;

	CHECK(file);
	while (fgets(line, sizeof(line), file))
		sscanf(line, "Threads: %d", &threads);
	fclose(file);
	return threads;
}

#ifdef __SANITIZE_THREAD__
enum { OTHERS = 1 }; /* its own thread, which comes when it likes */
#else
enum { OTHERS = 0 };
#endif

TEST(a_pool_without_work_ends_and_leaves_no_thread)
{
	const int before = threads_now();

	for (unsigned threads = 0; threads <= THREADS; threads++) {
		struct gb__compute *compute = pool(threads);
		int now = threads_now();

		CHECK(now >= before + (int)threads && now <= before + (int)threads + OTHERS);
		gb__compute_destroy(compute);
		while (threads_now() > before + OTHERS) /* the kernel's list is a moment behind a join */
			;
	}
	gb__compute_destroy(NULL);
}

TEST(a_thread_that_cannot_start_is_named_and_nothing_remains)
{
	struct gb__compute *compute = NULL;
	struct gb_error error;

	CHECK_INT(gb__compute_create(3, 1, &compute, &error), -EINVAL); /* a stack of one byte */
	CHECK(!compute);
	CHECK(strstr(error.text, "cannot start thread 0 of the compute pool"));
}

/* All wait from the beginning on, and no thread is idle. */
static void run_all(struct gb__compute *compute)
{
	const unsigned threads = gb__compute_threads(compute);

	held = true;
	back = 0;
	for (unsigned n = 0; n < TASKS; n++)
		submit(compute, n);
	pthread_mutex_lock(&lock);
	while (inside < threads)
		pthread_cond_wait(&changed, &lock);
	ran = 0;
	held = false;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	await_back(TASKS);
}

/* Single jobs, in steps of time, until there are so many threads. */
static void idle_until(struct gb__compute *compute, unsigned threads)
{
	while (gb__compute_threads(compute) != threads) {
		back = ran = 0;
		atomic_fetch_add(&time_ms, 200);
		submit(compute, 0);
		await_back(1);
		CHECK(gb__compute_threads(compute) >= threads);
	}
}

TEST(a_pool_that_adapts_grows_while_tasks_wait_and_shrinks_once_threads_are_idle)
{
	struct gb__compute *compute = pool(2);

	loop_make();
	CHECK_INT(gb__compute_adapt(compute, 2, 0, 100, &made_up), 0);
	job_ms = 20;
	run_all(compute);
	CHECK_INT(gb__compute_threads(compute), 15); /* five for each CPU, and half as many */
	job_ms = 0;
	idle_until(compute, 5);
	for (unsigned i = 0; i < 60; i++) {
		idle_until(compute, 5);
		atomic_fetch_add(&time_ms, 200);
	}
	job_ms = 20; /* and again */
	run_all(compute);
	CHECK_INT(gb__compute_threads(compute), 15);
	gb__compute_destroy(compute);
	gb__loop_finish(&loop);
}

static struct gb__cpus all_cpus;
static atomic_uint elsewhere;

/* Whoever has been inside has one CPU from then on, as a loop's thread may. */
static void handle_on_one_cpu(struct gb_conn *conn, struct gb_bytes bytes)
{
	static _Thread_local bool was_inside;
	struct gb__cpus cpus;

	gb__cpus_get(&cpus);
	if (!was_inside && gb__cpus_count(&cpus) != gb__cpus_count(&all_cpus))
		atomic_fetch_add(&elsewhere, 1);
	was_inside = true;
	CHECK_INT(gb__cpus_use_one(&all_cpus, 0), 0);
	handle(conn, bytes);
}

TEST(threads_of_a_pool_that_adapts_run_where_it_was_made)
{
	struct gb__compute *compute = pool(2);

	gb__cpus_get(&all_cpus);
	loop_make();
	CHECK_INT(gb__compute_adapt(compute, 2, 0, 100, &made_up), 0);
	CHECK_INT(gb__cpus_use_one(&all_cpus, 0), 0);
	terms.on_message = handle_on_one_cpu;
	job_ms = 20;
	run_all(compute);
	CHECK_INT(gb__compute_threads(compute), 15);
	CHECK_INT(elsewhere, 0);
	gb__compute_destroy(compute);
	gb__loop_finish(&loop);
}

TEST(a_pool_that_adapts_stays_small_for_handlers_that_compute)
{
	struct gb__compute *compute = pool(2);

	loop_make();
	CHECK_INT(gb__compute_adapt(compute, 2, 0, 100, &made_up), 0);
	job_ms = 20;
	job_percent = 100;
	run_all(compute);
	CHECK_INT(gb__compute_threads(compute), 3);
	gb__compute_destroy(compute);
	gb__loop_finish(&loop);
}
