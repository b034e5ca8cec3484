#include "os/thread.h"

#include "harness.h"
#include "os/process.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct seen {
	sigset_t blocked;
	size_t stack;
};

static void *look(void *arg)
{
	struct seen *seen = arg;
	pthread_attr_t attributes;

	pthread_sigmask(SIG_SETMASK, NULL, &seen->blocked);
	CHECK_INT(pthread_getattr_np(pthread_self(), &attributes), 0);
	CHECK_INT(pthread_attr_getstacksize(&attributes, &seen->stack), 0);
	pthread_attr_destroy(&attributes);
	return arg;
}

TEST(a_thread_has_the_mask_of_who_starts_it)
{
	sigset_t usr2;
	struct seen seen;
	pthread_t thread;
	void *returned;

	sigemptyset(&usr2);
	sigaddset(&usr2, SIGUSR2);
	CHECK_INT(pthread_sigmask(SIG_SETMASK, &usr2, NULL), 0);
	CHECK_INT(gb__thread_start(&thread, 0, look, &seen), 0);
	CHECK_INT(pthread_join(thread, &returned), 0);
	CHECK(returned == &seen);
	CHECK_INT(sigismember(&seen.blocked, SIGUSR2), 1);
	CHECK_INT(sigismember(&seen.blocked, SIGTERM), 0);
	CHECK_INT(sigismember(&seen.blocked, SIGINT), 0);
	CHECK_INT(sigismember(&seen.blocked, SIGCHLD), 0);
}

static int acknowledged[2];

static void acknowledge(int number)
{
	const char byte = 'a';

	(void)number;
	CHECK_INT(write(acknowledged[1], &byte, 1), 1);
}

static void *wait_a_moment(void *arg)
{
	(void)poll(NULL, 0, 0);
	return arg;
}

/* Until it is killed. */
static _Noreturn void start_and_join(void)
{
	pthread_t threads[4];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGUSR1, acknowledge);
	(void)poll(NULL, 0, 0); /* see os/tsan.h */
	acknowledge(0);
	for (;;) {
		for (unsigned i = 0; i < 4; i++)
			CHECK_INT(gb__thread_start(&threads[i], 0, wait_a_moment, NULL), 0);
		for (unsigned i = 0; i < 4; i++)
			CHECK_INT(pthread_join(threads[i], NULL), 0);
	}
}

/* Stopped meanwhile, as verify does: then it is whoever comes first who takes it. */
TEST(no_signal_is_lost_while_threads_begin_and_end)
{
	struct pollfd told;
	char byte;
	pid_t pid;

	CHECK_INT(pipe(acknowledged), 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		start_and_join();
	told = (struct pollfd){ .fd = acknowledged[0], .events = POLLIN };
	CHECK_INT(read(acknowledged[0], &byte, 1), 1);
	for (unsigned i = 0; i < 2000; i++) {
		CHECK_INT(kill(pid, SIGSTOP), 0);
		CHECK_INT(kill(pid, SIGUSR1), 0);
		CHECK_INT(kill(pid, SIGCONT), 0);
		CHECK_INT(poll(&told, 1, 30000), 1);
		CHECK_INT(read(acknowledged[0], &byte, 1), 1);
	}
	CHECK_INT(kill(pid, SIGKILL), 0);
	CHECK_INT(waitpid(pid, NULL, 0), pid);
}

#ifndef __SANITIZE_THREAD__
static void *wait_for_the_end(void *arg)
{
	char byte;

	CHECK_INT(read(*(int *)arg, &byte, 1), 0);
	return NULL;
}

TEST(threads_of_a_process_are_counted)
{
	pthread_t threads[2];
	int end[2];

	CHECK_INT(gb__process_threads(), 1);
	CHECK_INT(pipe(end), 0);
	for (int i = 0; i < 2; i++)
		CHECK_INT(gb__thread_start(&threads[i], 0, wait_for_the_end, &end[0]), 0);
	CHECK_INT(gb__process_threads(), 3);
	close(end[1]);
	for (int i = 0; i < 2; i++)
		CHECK_INT(pthread_join(threads[i], NULL), 0);
	CHECK_INT(gb__process_threads(), 1);
}
#endif

TEST(a_stack_is_as_large_as_was_asked_for)
{
	struct seen seen;
	pthread_t thread;

	CHECK_INT(gb__thread_start(&thread, 3u << 20, look, &seen), 0);
	CHECK_INT(pthread_join(thread, NULL), 0);
	CHECK(seen.stack >= 3u << 20 && seen.stack < 4u << 20);
	CHECK_INT(gb__thread_start(&thread, 1, look, &seen), -EINVAL);
}

/* The kernel's answer: musl's sched_getscheduler has none. */
static long policy(void)
{
	return syscall(SYS_sched_getscheduler, 0);
}

TEST(courtesy_is_the_batch_policy_and_can_be_taken_back)
{
	CHECK_INT(policy(), SCHED_OTHER);
	CHECK(!gb__thread_courteous(false));
	CHECK(gb__thread_courteous(true));
	CHECK_INT(policy(), SCHED_BATCH);
	CHECK(!gb__thread_courteous(true));
	CHECK(gb__thread_courteous(false));
	CHECK_INT(policy(), SCHED_OTHER);
}

TEST(another_policy_than_the_normal_one_is_left_alone)
{
	CHECK_INT(syscall(SYS_sched_setscheduler, 0, SCHED_IDLE, &(struct sched_param){ 0 }), 0);
	CHECK(!gb__thread_courteous(true));
	CHECK(!gb__thread_courteous(false));
	CHECK_INT(policy(), SCHED_IDLE);
}

TEST(a_rest_is_at_least_as_long_as_was_said)
{
	struct timespec before, after;

	clock_gettime(CLOCK_MONOTONIC, &before);
	gb__thread_rest(1020);
	clock_gettime(CLOCK_MONOTONIC, &after);
	CHECK((after.tv_sec - before.tv_sec) * 1000000000ll + after.tv_nsec - before.tv_nsec >= 1020000000ll);
	/* No bound from above here but the harness's own: it is not a thousand times as long. */
}

static void *tell_number(void *arg)
{
	*(pid_t *)arg = gb__thread_id();
	return arg;
}

TEST(a_thread_knows_its_number_in_a_forked_process_too)
{
	pthread_t thread;
	pid_t other, child;
	int status;

	CHECK_INT(gb__thread_id(), getpid());
	CHECK_INT(gb__thread_start(&thread, 0, tell_number, &other), 0);
	CHECK_INT(pthread_join(thread, NULL), 0);
	CHECK(other > 0 && other != getpid());
	child = fork();
	CHECK(child >= 0);
	if (child == 0)
		_exit(gb__thread_id() == getpid() && gb__thread_id() == getpid() ? 0 : 1);
	CHECK(waitpid(child, &status, 0) == child);
	CHECK_INT(status, 0);
}
