/* Children that nobody waits for are reaped at the second look, and no others. */
#include "harness.h"
#include "os/orphan.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* A child that has ended and was not reaped. */
static pid_t ended(int code)
{
	const pid_t pid = fork();
	siginfo_t info;

	CHECK(pid >= 0);
	if (pid == 0)
		_exit(code);
	CHECK_INT(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	return pid;
}

static bool is_that(pid_t pid, const void *arg)
{
	return pid == *(const pid_t *)arg;
}

TEST(a_child_that_somebody_waits_for_is_left_to_him_however_late)
{
	struct gb__orphans orphans = { 0 };
	const pid_t waited_for = ended(7), left = ended(8);
	int status;

	CHECK(gb__orphans_reap(&orphans, is_that, &waited_for));
	CHECK_INT(kill(left, 0), 0);
	for (int i = 0; i < 3; i++)
		CHECK(!gb__orphans_reap(&orphans, is_that, &waited_for));
	CHECK_INT(kill(left, 0), -1);
	CHECK_INT(errno, ESRCH);
	CHECK_INT(waitpid(waited_for, &status, 0), waited_for);
	CHECK_INT(WEXITSTATUS(status), 7);
	gb__orphans_finish(&orphans);
}
