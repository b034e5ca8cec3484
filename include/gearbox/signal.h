/**
 * Signals that a service asks for: to open its files again at SIGHUP, to look at its settings at SIGUSR2.
 *
 * A service names them in `signals`, so that the server catches them from before its first worker until gb_server_run
 * returns, and none of them ends the program when nobody is there to be told. Each worker that watches one is told on its
 * own thread, between events, never in signal context, under every model. A signal is one that comes to the process of
 * gb_server_run, whose pid is that of the ready line; what comes to a worker process alone is told to nobody.
 *
 * Signals of one number that come close together may be told as one, as the kernel does.
 */
#ifndef GEARBOX_SIGNAL_H
#define GEARBOX_SIGNAL_H

#include <gearbox/coro.h>
#include <gearbox/error.h>
#include <gearbox/operation.h>
#include <gearbox/types.h>

#include <signal.h>

GB_BEGIN

/**
 * For `signals` of a service: `.signals = GB_SIGNAL_BIT(SIGHUP) | GB_SIGNAL_BIT(SIGUSR2)`.
 *
 * Refused (-EINVAL, by gb_server_listen and gb_server_attach) are those that cannot be caught (KILL, STOP), that tell of a
 * fault (SEGV, BUS, FPE, ILL, TRAP, SYS, ABRT), that are the server's (TERM and INT, which stop it; USR1, which has it print its
 * counters; CHLD; ALRM, which bounds a stop; URG, which wakes blocking workers; PIPE), and the two of the C library.
 */
#define GB_SIGNAL_BIT(number) (UINT64_C(1) << ((number)-1))

struct gb_signal_watch;

/** It has come; `times` is 1, or more if several are told as one. Here it may be stopped, or started again. */
typedef void gb_signal_told(struct gb_signal_watch *watch, uint64_t times, void *user);

/** Zeroed memory is a stopped one; it is the caller's and stays put while it runs. The fields are gearbox's. */
struct gb_signal_watch {
	gb_signal_told *on_signal;
	void *user;
	struct gb_worker *worker;
	int number;
	uint64_t seen; /* of the server's count */
	void *link[2];
};

/**
 * Start or restart it: `on_signal` is called whenever `number` has come from now on, a drain included, until the worker ends,
 * where it is stopped without a call. Any number of watches may be for one signal.
 *
 * Thread: the worker's. Returns 0, -EINVAL (no service of the server has it in `signals`, or there is nothing to call),
 * -ESHUTDOWN (the worker ends), -EOPNOTSUPP (gb_worker_computes).
 */
GB_API int gb_signal_watch_start(struct gb_worker *worker, struct gb_signal_watch *watch, int number,
	gb_signal_told *on_signal, void *user, struct gb_error *error);
/** Stop it; a stopped one is fine. Thread: the worker's. */
GB_API void gb_signal_watch_stop(struct gb_signal_watch *watch);

/** The next signal as an operation. Zeroed before its first begin, and kept for the next one. */
struct gb_signal {
	struct gb_operation operation;
	struct gb_signal_watch watch;
};

/**
 * Begin to wait for `number`: complete with how often it has come, at least 1, since this was begun first, respectively was
 * complete last, so that whoever begins it again and again misses none. Else with an error as gb_signal_watch_start has
 * them, or -ECANCELED: by gb_operation_cancel, or when the worker ends, before on_stop. Thread: the worker's. Returns the
 * operation.
 */
GB_API struct gb_operation *gb_signal_begin(struct gb_worker *worker, struct gb_signal *signal, int number,
	gb_operation_done *on_done, void *user);

/** Wait for `number` to come from now on: for each of them keep one `struct gb_signal`. Waits. Returns how often it has come,
 *  an error as gb_signal_watch_start has them, -ETIMEDOUT, -ECANCELED, -ESHUTDOWN. */
GB_API int gb_wait_signal(struct gb_coro *coro, int number);

GB_END

#endif
