/**
 * Coroutines: code that reads from top to bottom and waits where it stands, while its worker serves others.
 *
 * A straight-line handler (`serve` of a service) runs in one, and so does a task without a connection. Under event
 * engines each has a stack of its own; under the blocking engine the handler has the worker's. A coroutine belongs to its
 * worker and never changes its thread. It gives up the thread only in functions that say "waits"; between two of them
 * nothing else of its worker runs.
 *
 * Nothing is implicit: a call that blocks (sleep, read, a mutex) blocks the worker with all that it serves.
 *
 * What ends a wait before what it is for: a deadline (-ETIMEDOUT); that the coroutine was cancelled, by its scope or
 * because the worker ends (-ECANCELED, and every later wait fails the same); for a coroutine without a connection, that
 * the server drains (-ESHUTDOWN, once: whoever has more to do may go on until the drain timeout). Whoever gets an error
 * cleans up and returns.
 */
#ifndef GEARBOX_CORO_H
#define GEARBOX_CORO_H

#include <gearbox/error.h>
#include <gearbox/operation.h>
#include <gearbox/types.h>

GB_BEGIN

/** What a coroutine runs. What it returns, if negative, is a failure that its scope passes on. */
typedef int gb_coro_run(struct gb_coro *coro, void *arg);

/**
 * Start a coroutine without a connection, e.g. in on_start for a worker's periodic work. It begins in this turn or the
 * next one, and belongs to the worker: a drain tells it once no client is left, and waits for it within the drain
 * timeout. `name` is for messages and outlives it. Thread: the worker's, in a coroutine or not.
 * Returns 0, -ENOMEM, -ESHUTDOWN (the worker ends).
 */
GB_API int gb_coro_start(struct gb_worker *worker, const char *name, gb_coro_run *run, void *arg);

/** Its worker. */
GB_API struct gb_worker *gb_coro_worker(const struct gb_coro *coro);

/** Why every wait of it fails from now on (-ECANCELED), or 0. */
GB_API int gb_coro_cancelled(const struct gb_coro *coro);

/** Let the others of the worker run, at least one turn. Waits. Returns 0, -ETIMEDOUT, -ECANCELED, -ESHUTDOWN. */
GB_API int gb_yield(struct gb_coro *coro);

/** Sleep for `ms` milliseconds. Waits. Returns 0, -ETIMEDOUT (a deadline came first), -ECANCELED, -ESHUTDOWN, -ENOMEM. */
GB_API int gb_sleep(struct gb_coro *coro, uint64_t ms);

/** Sleep until a time of gb_worker_clock_ns: for what is to come at fixed times. As gb_sleep. */
GB_API int gb_sleep_until(struct gb_coro *coro, uint64_t clock_ns);

/**
 * Wait until an operation is complete; `operation` was begun with on_done NULL.
 *
 * Waits. What ends the wait earlier cancels the operation, and the function returns when that is complete, so that the
 * operation may lie on the coroutine's stack. Returns its result, -ETIMEDOUT, -ECANCELED, -ESHUTDOWN.
 */
GB_API int gb_await(struct gb_coro *coro, struct gb_operation *operation);

/**
 * Wait until any of `count` operations is complete. The others stay under way: cancel and await them, or await again.
 *
 * Waits. Returns the index of the first in the list that is complete; -ETIMEDOUT, -ECANCELED, -ESHUTDOWN (all stay under
 * way), -EINVAL (none of them was begun).
 */
GB_API int gb_await_any(struct gb_coro *coro, struct gb_operation *const *operations, size_t count);

/** A deadline on everything that waits, from its begin to its end; the nearer of two that nest counts. */
struct gb_deadline {
	struct gb_coro *coro;
	struct gb_deadline *outer;
	uint64_t clock_ns; /* the nearest of all that are open */
};

/** Begin a deadline of `ms` from now: waits that reach it return -ETIMEDOUT. Deadlines end in reverse order.
 *  Returns `deadline`. */
GB_API struct gb_deadline *gb_deadline_begin(struct gb_coro *coro, struct gb_deadline *deadline, uint64_t ms);
/** End it: what held before holds again. Returns whether its time was over. */
GB_API bool gb_deadline_end(struct gb_deadline *deadline);

/**
 * A deadline on the statement or block that follows, however it is left (a `break` in it leaves it alone):
 *
 *	GB_WITH_DEADLINE(coro, 500)
 *		result = gb_read_message(stream, &line);
 */
#define GB_WITH_DEADLINE(coro, ms) GB__WITH_NUMBERED(coro, ms, __COUNTER__)
#define GB__WITH_NUMBERED(coro, ms, number) GB__WITH_NAMES(coro, ms, number)
#define GB__WITH_NAMES(coro, ms, number) GB__WITH_NAMED(coro, ms, gb__with##number, gb__once##number)
#define GB__WITH_NAMED(coro, ms, with, once) \
	for (struct gb_deadline with __attribute__((cleanup(gb_deadline_end))) = { 0 }, \
				     *once = gb_deadline_begin(coro, &with, ms); \
		once; once = NULL)

/**
 * A scope: coroutines that are started in it end in it. It waits for all, and a failure of one cancels the others.
 *
 * Lies on the stack of the coroutine that waits for it.
 */
struct gb_scope {
	struct gb_coro *coro;   /* whose it is */
	struct gb_scope *outer; /* of the same coroutine */
	void *coroutines[2];    /* that were started in it and have not ended: gearbox's own */
	size_t running, running_max;
	int failure; /* the first one's result */
	bool cancelled;
};

/** Begin one of `coro`, without a limit. */
GB_API void gb_scope_begin(struct gb_coro *coro, struct gb_scope *scope);
/** At most so many run at once: gb_scope_start waits for room. 0, the default: no limit. */
GB_API void gb_scope_limit(struct gb_scope *scope, size_t running_max);
/**
 * Start a coroutine of the scope. It begins when its starter waits next. Waits only while the limit is reached.
 *
 * Returns 0, -ENOMEM, -ECANCELED (the scope is cancelled: it is not started), -ETIMEDOUT, -ESHUTDOWN.
 */
GB_API int gb_scope_start(struct gb_scope *scope, gb_coro_run *run, void *arg);
/** Cancel all of them: each of their waits fails with -ECANCELED. */
GB_API void gb_scope_cancel(struct gb_scope *scope);
/**
 * Wait for all of them and end the scope. What ends the wait earlier cancels them, and it waits all the same.
 *
 * Waits. Returns the first failure, -ETIMEDOUT, -ECANCELED, -ESHUTDOWN, or 0.
 */
GB_API int gb_scope_end(struct gb_scope *scope);

/**
 * A bounded queue between coroutines of one worker, first in, first out. Values are copied.
 */
struct gb_channel;

/** A channel for up to `capacity` (at least 1) values of `size` bytes. Returns 0, -ENOMEM, -EINVAL. */
GB_API int gb_channel_create(size_t size, size_t capacity, struct gb_channel **ret);
/** Nobody waits on it any more. NULL is fine. */
GB_API void gb_channel_destroy(struct gb_channel *channel);
/** Put a value in. Waits while it is full. Returns 0, -EPIPE (it is closed), -ETIMEDOUT, -ECANCELED, -ESHUTDOWN. */
GB_API int gb_channel_send(struct gb_coro *coro, struct gb_channel *channel, const void *value);
/** The same without waiting, also from a callback of the worker. Returns 0, -EAGAIN (full), -EPIPE. */
GB_API int gb_channel_try_send(struct gb_channel *channel, const void *value);
/** Take the oldest value. Waits while there is none. Returns 1, 0 (closed and empty), -ETIMEDOUT, -ECANCELED, -ESHUTDOWN. */
GB_API int gb_channel_receive(struct gb_coro *coro, struct gb_channel *channel, void *ret_value);
/** No more values; those in it can still be taken. */
GB_API void gb_channel_close(struct gb_channel *channel);

/**
 * Run `run` on the compute pool and wait for it (gb_offload_begin). A wait that ends early waits for the function all the
 * same, which can ask gb_offload_cancelled. Waits. Returns what it returns, -ETIMEDOUT, -ECANCELED, -ESHUTDOWN.
 */
GB_API int gb_offload(struct gb_coro *coro, int (*run)(struct gb_offload *offload, void *arg), void *arg);

GB_END

#endif
