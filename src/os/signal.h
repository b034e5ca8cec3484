/** Signals as calls: handlers belong to the process, so there is one table of them. */
#ifndef OS_SIGNAL_H
#define OS_SIGNAL_H

/**
 * Call `handler(arg)` in signal context whenever `signal` arrives, in addition to earlier subscribers.
 * It must be async-signal-safe (signal-safety(7)). The first subscriber installs the handler; what was
 * installed before is kept for the last one to put back.
 *
 * Returns a ticket >= 0, or -ENOSPC.
 */
int gb__signal_subscribe(int signal, void (*handler)(void *arg), void *arg);
/** A negative ticket is fine. */
void gb__signal_unsubscribe(int ticket);
/** In a forked child: forget all subscribers, default action again. */
void gb__signal_reset(void);

#endif
