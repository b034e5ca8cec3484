/**
 * Signals as calls: handlers belong to the process, so there is one table of them.
 *
 * What a handler of the program starts, by fork, posix_spawn or system, has the dispositions and the mask that the
 * program had. So no thread blocks signals, and a signal that is to have no effect has a handler that does nothing:
 * exec puts that back, while an ignored one stays ignored. A fork without exec puts everything back at once.
 */
#ifndef OS_SIGNAL_H
#define OS_SIGNAL_H

#include <signal.h>
#include <stdbool.h>

/**
 * Call `handler(arg)` in signal context whenever `signal` arrives, on any thread, in addition to earlier subscribers.
 * The program's own handler of SIGCHLD is called as well, of other signals it is not.
 * `handler` must be async-signal-safe (signal-safety(7)). The first subscriber installs the handler; what was
 * installed before is kept for the last one to put back. A signal that the calling thread blocks is unblocked there.
 *
 * Returns a ticket >= 0, -ENOSPC, or -EBUSY: it is lent.
 */
int gb__signal_subscribe(int signal, void (*handler)(void *arg), void *arg);
/** Handlers that began before have returned. A negative ticket is fine. */
void gb__signal_unsubscribe(int ticket);
/** Others of the library have a handler there: what a stranger's child finds instead. NULL: no longer. */
struct sigaction;
void gb__signal_lend(int signal, const struct sigaction *program);
/** Wait for handlers that have begun: they may still use what was taken away from them. */
void gb__signal_await(void);
/** Whether the program ignores it. */
bool gb__signal_ignored(int signal);
/** Whether the program has a handler of its own there. */
bool gb__signal_handled(int signal);
/** Let a signal have no effect from now on; what the program ignores already stays so. */
void gb__signal_quiet(int signal);

/** The mask of signals that the program had in this thread, which what it starts is to have. */
void gb__signal_mask_of_program(sigset_t *ret);

/**
 * Around the fork of a worker process, by the only thread there is. From `hold` on SIGTERM, SIGINT, SIGCHLD and what is subscribed to wait.
 * The child forgets all subscribers, whose signals have no effect there, and is back at the program's mask with
 * `release`, but for what it has subscribed to meanwhile.
 */
void gb__signal_hold(void);
void gb__signal_release(void);

#endif
