/* Threads and processes made and ended, one after the other. */
#include "doctor/bench.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define TOUCHED_BYTES (10u << 20)

static void *nothing(void *argument)
{
	return argument;
}

static int run_thread(struct bench *bench, unsigned count)
{
	(void)bench;
	while (count-- > 0) {
		pthread_t thread;
		int code = pthread_create(&thread, NULL, nothing, NULL);

		if (code)
			return -code;
		pthread_join(thread, NULL);
	}
	return 0;
}

static int run_fork(struct bench *bench, unsigned count)
{
	(void)bench;
	while (count-- > 0) {
		pid_t child = fork();

		if (child < 0)
			return -errno;
		if (child == 0)
			_exit(0);
		while (waitpid(child, NULL, 0) < 0)
			if (errno != EINTR)
				return -errno;
	}
	return 0;
}

/* In small pages, as a heap that grew bit by bit has them: their tables are what fork copies. */
static int prepare_touched(struct bench *bench, unsigned kind)
{
	void *memory = mmap(NULL, TOUCHED_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)kind;
	if (memory == MAP_FAILED)
		return -errno;
	madvise(memory, TOUCHED_BYTES, MADV_NOHUGEPAGE);
	memset(memory, 1, TOUCHED_BYTES);
	bench->state = memory;
	return 0;
}

static void finish_touched(struct bench *bench)
{
	if (bench->state)
		munmap(bench->state, TOUCHED_BYTES);
}

const struct cost gb__costs_spawn[] = {
	{ "thread", "thread: create and join", .run = run_thread },
	{ "process", "process: fork, exit, wait", .with_children = true, .run = run_fork },
	{ "process-10mib", "process: the same with 10 MiB touched", .with_children = true,
		.prepare = prepare_touched, .run = run_fork, .finish = finish_touched },
	{ NULL },
};
