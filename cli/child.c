#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

pid_t gb__child_fork(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setpgid(0, 0);
		if (getppid() != parent)
			_exit(1); /* it ended before we could tell the kernel */
	}
	if (pid > 0)
		setpgid(pid, pid); /* whoever of both is first */
	return pid < 0 ? -errno : pid;
}

int gb__child_pipes(int first[2], int second[2])
{
	int result;

	if (pipe2(first, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(second, O_CLOEXEC) == 0)
		return 0;
	result = -errno;
	close(first[0]);
	close(first[1]);
	return result;
}

void gb__child_kill(pid_t pid)
{
	kill(-pid, SIGKILL);
}

int gb__child_wait(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}
