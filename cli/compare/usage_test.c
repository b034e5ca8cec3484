#include "compare/usage.h"

#include "harness.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BURN_NS 50000000u
#define TICK_NS (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK))
#define MEMORY (16u << 20)

static void burn(clockid_t clock)
{
	struct timespec now;

	do
		clock_gettime(clock, &now);
	while ((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec < BURN_NS);
}

static void *burn_in_thread(void *arg)
{
	burn(CLOCK_THREAD_CPUTIME_ID);
	return arg;
}

static void tell(int fd)
{
	if (write(fd, "", 1) != 1)
		_exit(1);
}

/* A process whose thread has ended, one of whose children has ended and another lives. It tells when they have done it all. */
static void tree(int told)
{
	pthread_t thread;
	pid_t pid;

	prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody ends it when this test has failed */
	if (pthread_create(&thread, NULL, burn_in_thread, NULL) == 0)
		pthread_join(thread, NULL);
	pid = fork();
	if (pid == 0) {
		burn(CLOCK_PROCESS_CPUTIME_ID);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	if (fork() == 0) {
		void *memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (memory == MAP_FAILED)
			_exit(1);
		memset(memory, 1, MEMORY);
		burn(CLOCK_PROCESS_CPUTIME_ID);
		tell(told);
	}
	for (;;)
		pause();
}

TEST(of_a_tree_all_is_counted_threads_and_processes_that_ended_too)
{
	int told[2];
	pid_t pid;
	char byte;

	CHECK(pipe(told) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		tree(told[1]);
	CHECK(read(told[0], &byte, 1) == 1);
	/* Of who was waited for ticks are known, of either kind. */
	CHECK(gb__usage_cpu_ns(pid, 100) >= 3 * (uint64_t)BURN_NS - 2 * TICK_NS);
	CHECK(gb__usage_memory(pid) >= MEMORY);
	CHECK(kill(pid, SIGKILL) == 0);
	CHECK(waitpid(pid, NULL, 0) == pid);
	close(told[0]);
	close(told[1]);
}
