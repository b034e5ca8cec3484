#include "os/process.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

pid_t gb__process_fork(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
	}
	return pid;
}

int gb__process_reap(pid_t pid, int *ret_status)
{
	pid_t ended;

	do
		ended = waitpid(pid, ret_status, WNOHANG);
	while (ended < 0 && errno == EINTR);
	if (ended < 0)
		return -errno;
	return ended > 0;
}

pid_t gb__process_ended(void)
{
	siginfo_t info = { 0 };

	if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
		return 0;
	return info.si_pid;
}

void *gb__shared_map(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

void gb__shared_unmap(void *memory, size_t size)
{
	if (memory)
		munmap(memory, size);
}
