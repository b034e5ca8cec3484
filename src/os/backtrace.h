/**
 * Where another thread is, of this process or of a child: it is asked by a signal, whose handler notes the addresses of its
 * stack in memory that both have. Names are for who asked (os/symbol.h): the handler calls nothing that could wait.
 *
 * The signal is SIGWINCH: ignored by default, so that it harms nobody who gets it by mistake, and debuggers let it pass. A
 * program that handles, ignores or blocks it keeps it, and there are no backtraces. Calls that the signal interrupts go on
 * (SA_RESTART), but for those that never do (signal(7)): sleeps, poll, select, epoll_wait and receives with a timeout
 * return early, once.
 */
#ifndef OS_BACKTRACE_H
#define OS_BACKTRACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define GB__BACKTRACE_FRAMES 32u

enum gb__backtrace_state {
	GB__BACKTRACE_IDLE,
	GB__BACKTRACE_ASKED,
	GB__BACKTRACE_ANSWERS, /* the handler writes */
	GB__BACKTRACE_DONE,
};

/** In memory that is shared with the process that is asked, at the same address. */
struct gb__backtrace {
	_Atomic int state;
	pid_t process, thread;
	/** Called in the handler, by the thread that is asked: what else there is to note. Async-signal-safe. */
	void (*look)(struct gb__backtrace *backtrace);
	uint64_t cpu_ns; /* that the thread has taken */
	unsigned frames_count;
	uintptr_t frames
		[GB__BACKTRACE_FRAMES]; /* innermost first; each lies in the instruction that was under way */
};

/** `backtrace` may be asked for, here and in later children, until the same call of _end. Returns whether it may here. */
bool gb__backtrace_begin(struct gb__backtrace *backtrace);
void gb__backtrace_end(struct gb__backtrace *backtrace);
/** Whether nobody writes in it: one that answers late, after it was forgotten, may. */
bool gb__backtrace_free(const struct gb__backtrace *backtrace);
/** Ask a thread; it is free. Its state is DONE once it has answered. Returns 0 or a negative errno. */
int gb__backtrace_ask(struct gb__backtrace *backtrace, pid_t process, pid_t thread);
/** The answer was read, or is not waited for any more: one that is under way is dropped. */
void gb__backtrace_forget(struct gb__backtrace *backtrace);

#endif
