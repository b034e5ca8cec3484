/** Threads that leave signals to the thread that runs the server. */
#ifndef OS_THREAD_H
#define OS_THREAD_H

#include <pthread.h>
#include <stddef.h>

/** As pthread_create, all signals blocked in it; `stack` bytes, 0: the system's default. Returns 0 or a negative errno. */
int gb__thread_start(pthread_t *ret, size_t stack, void *(*run)(void *arg), void *arg);
/** Sleep, for who has nothing better to do. */
void gb__thread_rest(unsigned ms);

#endif
