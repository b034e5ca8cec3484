/** Threads. */
#ifndef OS_THREAD_H
#define OS_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** As pthread_create; `stack` bytes, 0: the system's default. Returns 0 or a negative errno. */
int gb__thread_start(pthread_t *ret, size_t stack, void *(*run)(void *arg), void *arg);
/**
 * Have the calling thread, when something wakes it, wait for a CPU instead of taking it from who runs there
 * (SCHED_BATCH, sched(7)), or no longer. What it starts meanwhile inherits it. Leaves other policies than the
 * normal one alone. Returns whether anything changed.
 */
bool gb__thread_courteous(bool courteous);
/** CPU time that the calling thread has taken. */
uint64_t gb__thread_cpu_ns(void);
/** The calling thread's number in the kernel. */
pid_t gb__thread_id(void);
/** What the kernel's scheduler knows of a thread. */
struct gb__thread_times {
	uint64_t ran_ns;    /* on a CPU */
	uint64_t waited_ns; /* for one */
};
/** Of a thread of any process. Returns false where nobody tells (no /proc, a kernel without). */
bool gb__thread_times(pid_t process, pid_t thread, struct gb__thread_times *ret);
/** Whether it is stopped by SIGSTOP, or by a debugger. */
bool gb__thread_stopped(pid_t process, pid_t thread);
/** A condition that is waited for by the monotonic clock. */
void gb__cond_init(pthread_cond_t *cond);
/** pthread_cond_timedwait of it, for so long from now. */
void gb__cond_wait_ns(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t ns);
/** Sleep, for who has nothing better to do. */
void gb__thread_rest(unsigned ms);

#endif
