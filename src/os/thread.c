#include "os/thread.h"

#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int gb__thread_start(pthread_t *ret, size_t stack, void *(*run)(void *arg), void *arg)
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

bool gb__thread_courteous(bool courteous)
{
	const long from = courteous ? SCHED_OTHER : SCHED_BATCH, to = courteous ? SCHED_BATCH : SCHED_OTHER;
	const struct sched_param parameters = { 0 };

	/* glibc's pthread_getschedparam remembers what it once read, musl's sched_getscheduler answers ENOSYS. */
	return syscall(SYS_sched_getscheduler, 0) == from &&
		syscall(SYS_sched_setscheduler, 0, to, &parameters) == 0;
}

void gb__thread_rest(unsigned ms)
{
	const struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&time, NULL);
}
