/** For tests: what a function writes to standard error, run in a child that it may end. */
#ifndef BASE_CAPTURE_TEST_H
#define BASE_CAPTURE_TEST_H

#include "harness.h"

#include <sys/wait.h>
#include <unistd.h>

/** Returns the child's wait status; `text` gets what fits, terminated. */
static int capture(void (*run)(void), char *text, size_t size)
{
	int status, ends[2];
	size_t used = 0;
	ssize_t done;
	pid_t pid;

	CHECK(pipe(ends) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		run();
		_exit(0);
	}
	close(ends[1]);
	while ((done = read(ends[0], text + used, size - 1 - used)) > 0)
		used += (size_t)done;
	text[used] = '\0';
	close(ends[0]);
	CHECK(waitpid(pid, &status, 0) == pid);
	return status;
}

#endif
