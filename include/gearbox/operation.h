/**
 * Operations: whatever takes time besides the bytes of a connection.
 *
 * A timer, a connect, a function on the compute pool, a result that another thread posts: each is an operation in memory
 * of the caller's, begun by a function of its kind, completed exactly once. In callback style `on_done` tells of it; a
 * straight-line handler awaits it (gb_await in gearbox/coro.h). The memory stays where it is until it is complete.
 * The proactor literature's word (Schmidt, Stal, Rohnert and Buschmann, POSA volume 2: asynchronous operation).
 */
#ifndef GEARBOX_OPERATION_H
#define GEARBOX_OPERATION_H

#include <gearbox/types.h>

GB_BEGIN

struct gb_operation;
struct gb__operation_kind;

/** To be called when an operation is complete, on its worker's thread, never from inside the function that began or
 *  cancelled it. The memory of the operation is the callee's again. */
typedef void gb_operation_done(struct gb_operation *operation, void *user);

/** Zeroed memory is one that was never begun. The fields are gearbox's; ask by the functions. */
struct gb_operation {
	gb_operation_done *on_done; /* NULL: it is awaited, or asked about */
	void *user;
	struct gb_worker *worker;              /* it is complete there */
	const struct gb__operation_kind *kind; /* NULL: it is not under way */
	void *link[2];
	int result;
	bool complete;
};

/** Whether it was begun and is not complete. Thread: the worker's, as for all here. */
GB_API bool gb_operation_pending(const struct gb_operation *operation);

/** Once it is complete: what came of it, 0 or more as its kind says, or a negative code. */
GB_API int gb_operation_result(const struct gb_operation *operation);

/**
 * Cancel it: it completes as soon as it can, with -ECANCELED unless it was done by then. `on_done` follows all the same,
 * and the memory stays until then: a function that runs on the pool, for one, is only told. One that is not under way
 * is left as it is.
 */
GB_API void gb_operation_cancel(struct gb_operation *operation);

/** A result that somebody else has, on whichever thread. */
struct gb_posted {
	struct gb_operation operation;
};

/** Begin to wait for a result. Thread: the worker's. Returns the operation. */
GB_API struct gb_operation *gb_posted_begin(
	struct gb_worker *worker, struct gb_posted *posted, gb_operation_done *on_done, void *user);

/**
 * Complete it with `result`. Exactly once for each begin, also when it was cancelled meanwhile: only then is it complete,
 * since only then is nobody left who points to it. Thread: any of the worker's process.
 * Returns 0, or -ESHUTDOWN: the worker has ended, `on_done` never runs, and the memory is the caller's. (A coroutine that
 * awaits it keeps its worker from ending.)
 */
GB_API int gb_posted_finish(struct gb_posted *posted, int result);

/** Who goes first where several wait for a thread of the compute pool; among equals, who came first. None waits for ever:
 *  after eight choices that passed over normal ones that wait, respectively 32 over low ones, one of these is next. */
enum gb_priority {
	GB_PRIORITY_LOW = -1,
	GB_PRIORITY_NORMAL = 0,
	GB_PRIORITY_HIGH = 1,
};

/** A function on the compute pool. Zeroed, or with a priority, before it is begun. */
struct gb_offload {
	struct gb_operation operation;
	int (*run)(struct gb_offload *offload, void *arg);
	void *arg;
	void *job[4];
	enum gb_priority priority; /* the caller's, set before it is begun */
	bool cancelled;            /* by gb_operation_cancel: ask by gb_offload_cancelled */
};

/**
 * Run `run` on a thread of the compute pool; what it returns is the result. Without a pool (compute=inline) it runs on
 * the worker's thread, before the next wait for events.
 *
 * It sees `offload` and `arg` and nothing of the worker. Thread: the worker's. Returns the operation; a priority that is
 * none completes it with -EINVAL.
 */
GB_API struct gb_operation *gb_offload_begin(struct gb_worker *worker, struct gb_offload *offload,
	int (*run)(struct gb_offload *offload, void *arg), void *arg, gb_operation_done *on_done, void *user);

/** Inside `run`: whether its work is in vain. One that was cancelled before it began does not run. */
GB_API bool gb_offload_cancelled(const struct gb_offload *offload);

GB_END

#endif
