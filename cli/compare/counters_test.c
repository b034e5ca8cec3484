#include "compare/counters.h"

#include "harness.h"

#include <math.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SLEEPS 50
#define CALLS 1000

/* What counts is that of a process which its child has started, and which has ended. */
static void work(void)
{
	pid_t pid = fork();

	for (int i = 0; pid == 0 && i < SLEEPS; i++)
		nanosleep(&(struct timespec){ .tv_nsec = 1000 }, NULL);
	for (int i = 0; pid == 0 && i < CALLS; i++)
		syscall(SYS_getppid);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	_exit(0);
}

/* What this machine does not count, or not for us, is not known. */
static void check_count(double count, double least)
{
	CHECK(isnan(count) || count >= least);
}

TEST(what_processes_do_that_have_ended_is_counted)
{
	struct compare_counters counters;
	double counts[COUNTERS];
	int go[2];
	pid_t pid;
	char byte;

	CHECK(pipe(go) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		close(go[1]); /* the end of this test is told as well */
		if (read(go[0], &byte, 1) == 1)
			work();
		_exit(1);
	}
	gb__counters_open(pid, &counters);
	CHECK(write(go[1], "", 1) == 1);
	CHECK(waitpid(pid, NULL, 0) == pid);
	gb__counters_read(&counters, counts);
	check_count(counts[COUNTER_SWITCHES], SLEEPS);
	check_count(counts[COUNTER_SYSTEM_CALLS], SLEEPS + CALLS);
	check_count(counts[COUNTER_INSTRUCTIONS], SLEEPS + CALLS);
	gb__counters_close(&counters);
	close(go[0]);
	close(go[1]);
}

TEST(what_is_not_counted_is_not_known)
{
	struct compare_counters counters = { { -1, -1, -1 } };
	double counts[COUNTERS] = { 0 };

	gb__counters_read(&counters, counts);
	for (int i = 0; i < COUNTERS; i++)
		CHECK(isnan(counts[i]));
	gb__counters_close(&counters);
}
