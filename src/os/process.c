#include "os/process.h"

#include "os/thread.h"

#include "base/macros.h"
#include "base/stderr.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LEAVING_TRIES 20u

static GB__PER_PROCESS _Atomic pid_t self; /* 0: to be asked for */
static pthread_once_t self_once = PTHREAD_ONCE_INIT;

static void self_forget(void)
{
	atomic_store_explicit(&self, 0, memory_order_relaxed);
}

static void self_watch(void)
{
	pthread_atfork(NULL, NULL, self_forget);
}

pid_t gb__process_self(void)
{
	pid_t pid = atomic_load_explicit(&self, memory_order_relaxed);

	if (gb__likely(pid))
		return pid;
	pthread_once(&self_once, self_watch);
	pid = getpid();
	atomic_store_explicit(&self, pid, memory_order_relaxed);
	return pid;
}

pid_t gb__process_fork(void)
{
	pid_t parent = gb__process_self(), pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
	}
	return pid;
}

_Noreturn void gb__process_end(int code)
{
	fflush(NULL);
	_exit(code);
}

_Noreturn void gb__process_die(const char *text, int code)
{
	gb__stderr_write(text, strlen(text));
	_exit(code);
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

void gb__process_end_text(int status, char *text, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(text, size, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(text, size, "exit code %d", WEXITSTATUS(status));
}

void gb__process_await(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

void gb__process_signal(pid_t pid, int signal)
{
	kill(pid, signal);
}

int gb__report_pipe(int ret_fds[2])
{
	return pipe2(ret_fds, O_CLOEXEC) < 0 ? -errno : 0;
}

void gb__report_send(int fd, const void *message, size_t size)
{
	ssize_t written = write(fd, message, size);

	(void)written; /* the parent is gone: so are we, soon */
	close(fd);
}

int gb__report_receive(int fd, void *message, size_t size)
{
	ssize_t got;

	do
		got = read(fd, message, size);
	while (got < 0 && errno == EINTR);
	close(fd);
	return got == (ssize_t)size ? 0 : -ECHILD;
}

void *gb__shared_map(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

void *gb__unforked_map(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	madvise(memory, size, MADV_DONTFORK); /* without it children have it, too */
	return memory;
}

void gb__shared_unmap(void *memory, size_t size)
{
	if (memory)
		munmap(memory, size);
}

int gb__process_peek(pid_t pid, const struct iovec *into, const struct iovec *from, unsigned count)
{
	ssize_t size = 0, got;

	for (unsigned i = 0; i < count; i++)
		size += (ssize_t)into[i].iov_len;
	got = process_vm_readv(pid, into, count, from, count, 0);
	return got == size ? 0 : got < 0 ? -errno : -EFAULT;
}

uint64_t gb__process_cpu_ns(void)
{
	struct timespec time = { 0 };

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* "iou-wrk-PID", "iou-sqp-PID": a fork leaves those alone. */
static bool kernels_own(const char *task)
{
	char path[64], name[16] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%.20s/comm", task);
	file = fopen(path, "re");
	if (!file)
		return true; /* it has ended */
	if (!fgets(name, sizeof(name), file))
		name[0] = '\0';
	fclose(file);
	return strncmp(name, "iou-", 4) == 0;
}

static unsigned count_threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	const struct dirent *entry;
	unsigned count = 0;

	if (!tasks)
		return 1;
	while ((entry = readdir(tasks)) != NULL)
		count += entry->d_name[0] != '.' && !kernels_own(entry->d_name);
	closedir(tasks);
	return count;
}

#ifdef __SANITIZE_THREAD__
#define HAS_ANOTHER true /* the sanitizer's own, in every program */
#else
#define HAS_ANOTHER false
#endif

/* One that was joined may be there for a moment still. */
unsigned gb__process_threads(void)
{
	unsigned count = 1;

	for (unsigned tries = 0; !HAS_ANOTHER && tries < LEAVING_TRIES; tries++) {
		count = count_threads();
		if (count <= 1)
			return 1;
		gb__thread_rest(1);
	}
	return count;
}
