/**
 * Who overflows a coroutine's stack hits the guard below it. That ends the process by SIGSEGV as any crash does; here
 * it is said first whose coroutine it was, by one line on standard error:
 *
 *     NAME: the coroutine of service S overflowed its stack of N bytes (larger: stack=2N)
 *
 * A handler needs a stack of its own then (sigaltstack), which belongs to a thread: it is set where a worker's first
 * coroutine is created, unless the thread has one, and taken away with the worker's coroutines, on the same thread.
 *
 * The handlers of SIGSEGV and SIGBUS belong to the process. What the program, or a sanitizer, has installed before is
 * called after the line, and for every other fault; what it installs later stays. Without one the default follows.
 */
#ifndef CORO_OVERFLOW_H
#define CORO_OVERFLOW_H

struct gb__coros;

/** From now on the overflows of these are reported. Returns 0 or -ENOMEM. Thread: that of the coroutines. */
int gb__overflow_arm(struct gb__coros *coros);
/** No longer. Thread: the same. */
void gb__overflow_disarm(struct gb__coros *coros);

#endif
