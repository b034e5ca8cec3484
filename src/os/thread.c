#include "os/thread.h"

#include "base/alloc.h"
#include "os/process.h"
#include "os/tsan.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int start(pthread_t *ret, size_t stack, void *(*run)(void *arg), void *arg)
{
	pthread_attr_t attributes;
	int result = 0;

	pthread_attr_init(&attributes);
	if (stack)
		result = pthread_attr_setstacksize(&attributes, stack);
	if (result == 0)
		result = pthread_create(ret, &attributes, run, arg);
	pthread_attr_destroy(&attributes);
	return -result;
}

#ifdef __SANITIZE_THREAD__

/* gcc 12's thread sanitizer loses a signal of the process, SIGTERM for one, that a thread takes while it begins or
 * ends. So none is for a thread then. */
struct begun {
	void *(*run)(void *arg);
	void *arg;
	sigset_t mask;
};

static void *run_between(void *arg)
{
	const struct begun begun = *(const struct begun *)arg;
	sigset_t all;
	void *result;

	gb__free(arg);
	gb__tsan_settle();
	pthread_sigmask(SIG_SETMASK, &begun.mask, NULL);
	result = begun.run(begun.arg);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	return result;
}

int gb__thread_start(pthread_t *ret, size_t stack, void *(*run)(void *arg), void *arg)
{
	struct begun *begun = gb__alloc(sizeof(*begun));
	sigset_t all;
	int result;

	if (!begun)
		return -ENOMEM;
	sigfillset(&all);
	*begun = (struct begun){ .run = run, .arg = arg };
	pthread_sigmask(SIG_SETMASK, &all, &begun->mask);
	all = begun->mask;
	result = start(ret, stack, run_between, begun);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	if (result < 0)
		gb__free(begun);
	return result;
}

#else

int gb__thread_start(pthread_t *ret, size_t stack, void *(*run)(void *arg), void *arg)
{
	return start(ret, stack, run, arg);
}

#endif

bool gb__thread_courteous(bool courteous)
{
	const long from = courteous ? SCHED_OTHER : SCHED_BATCH, to = courteous ? SCHED_BATCH : SCHED_OTHER;
	const struct sched_param parameters = { 0 };

	/* glibc's pthread_getschedparam remembers what it once read, musl's sched_getscheduler answers ENOSYS. */
	return syscall(SYS_sched_getscheduler, 0) == from &&
		syscall(SYS_sched_setscheduler, 0, to, &parameters) == 0;
}

pid_t gb__thread_id(void)
{
	static _Thread_local pid_t process, thread; /* a fork has the thread's copies */
	const pid_t self = gb__process_self();

	if (process != self) {
		thread = (pid_t)syscall(SYS_gettid);
		process = self;
	}
	return thread;
}

/* The first bytes of a file of /proc/PID/task/TID, terminated. */
static bool task_read(pid_t process, pid_t thread, const char *name, char *text, size_t size)
{
	char path[64];
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", (int)process, (int)thread, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	got = read(fd, text, size - 1);
	close(fd);
	text[got > 0 ? got : 0] = '\0';
	return got > 0;
}

bool gb__thread_times(pid_t process, pid_t thread, struct gb__thread_times *ret)
{
	char text[96], *rest;

	if (!task_read(process, thread, "schedstat", text, sizeof(text)))
		return false;
	ret->ran_ns = strtoull(text, &rest, 10);
	ret->waited_ns = strtoull(rest, &rest, 10);
	return rest > text;
}

bool gb__thread_stopped(pid_t process, pid_t thread)
{
	char text[128];
	const char *end;

	if (!task_read(process, thread, "stat", text, sizeof(text)))
		return false;
	end = strrchr(text, ')'); /* "PID (NAME) S ...": a name may have anything in it */
	return end && end[1] && (end[2] == 'T' || end[2] == 't');
}

void gb__cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attributes);
	pthread_condattr_destroy(&attributes);
}

void gb__cond_wait_ns(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t ns)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	ns += (uint64_t)until.tv_nsec;
	until.tv_sec += (time_t)(ns / 1000000000u);
	until.tv_nsec = (long)(ns % 1000000000u);
	pthread_cond_timedwait(cond, lock, &until);
}

void gb__thread_rest(unsigned ms)
{
	const struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&time, NULL);
}

uint64_t gb__thread_cpu_ns(void)
{
	struct timespec time = { 0 };

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}
