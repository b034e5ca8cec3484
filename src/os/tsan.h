/**
 * Signals under gcc's thread sanitizer, which runs handlers when the thread next makes a call that it knows to block,
 * or is in one. Without it these do nothing.
 */
#ifndef OS_TSAN_H
#define OS_TSAN_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GB__TSAN_WAIT_NS 100000000

/**
 * Before a thread's first signal may come. gcc 12's sanitizer makes what it notes signals in at the thread's first
 * call that may block, and loses a signal that comes just then: this is that call.
 */
static inline void gb__tsan_settle(void)
{
#ifdef __SANITIZE_THREAD__
	(void)poll(NULL, 0, 0);
#endif
}

/**
 * Whether descriptors may be closed where it does not see it. It would take who is given the number next for somebody
 * who uses the descriptor of another thread.
 */
static inline bool gb__tsan_close_unseen(void)
{
#ifdef __SANITIZE_THREAD__
	return false;
#else
	return true;
#endif
}

/** How long to wait in a system call that it does not know to block: a signal that came just before is put off. */
static inline int64_t gb__tsan_wait_ns(int64_t timeout_ns)
{
#ifdef __SANITIZE_THREAD__
	if (timeout_ns < 0 || timeout_ns > GB__TSAN_WAIT_NS)
		return GB__TSAN_WAIT_NS;
#endif
	return timeout_ns;
}

#endif
