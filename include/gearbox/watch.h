/**
 * Descriptors of the program's own in a worker's loop: a pipe, an eventfd, a socket of another library, another loop.
 *
 * A watch tells of readiness, and again in each turn while it lasts (level-triggered), under every engine; the blocking
 * one waits for them beside its connection. Nothing is read or written: that is the program's, which sees to it that its
 * descriptor does not block.
 */
#ifndef GEARBOX_WATCH_H
#define GEARBOX_WATCH_H

#include <gearbox/coro.h>
#include <gearbox/error.h>
#include <gearbox/operation.h>
#include <gearbox/types.h>

GB_BEGIN

/** What a descriptor is ready for; the numbers are those of poll(2). */
enum {
	GB_READY_IN = 1u,  /* something can be read, or its end; a listening socket has a connection */
	GB_READY_OUT = 4u, /* something can be written */
	GB_READY_ERROR =
		8u, /* told whether asked for or not, where the engine can (select tells of IN or OUT) */
	GB_READY_HANGUP = 16u, /* the same */
};

struct gb_watch; /* one descriptor, watched by one worker */

/**
 * It is ready: GB_READY_… bits, of which at least one is watched for, or ERROR or HANGUP. Again in the next turn unless
 * that was handled, gb_watch_change said otherwise or it was removed, which is legal here as well.
 */
typedef void gb_watch_ready(struct gb_watch *watch, unsigned ready, void *user);

/**
 * Watch `fd`, which stays the caller's, for `ready`: GB_READY_IN, GB_READY_OUT, both, or 0 to rest. One descriptor may be
 * watched several times; one of gearbox's own (gb_conn_descriptor) may not.
 *
 * Thread: the worker's. Returns 0; -EBADF; -EPERM (a file or directory, which is always ready: files have operations of
 * their own; or what else the kernel cannot watch); -EINVAL, -ENOMEM, -EMFILE, -GB_ELIMIT (too high for select),
 * -ESHUTDOWN (the worker ends).
 */
GB_API int gb_watch_add(struct gb_worker *worker, int fd, unsigned ready, gb_watch_ready *on_ready,
	void *user, struct gb_watch **ret, struct gb_error *error);

/** Watch for something else from now on: 0 rests. Thread: the worker's. Returns 0, or as gb_watch_add; then it rests. */
GB_API int gb_watch_change(struct gb_watch *watch, unsigned ready);

/** Its descriptor, as it was given. */
GB_API int gb_watch_descriptor(const struct gb_watch *watch);

/**
 * End it: no call comes after this, and the descriptor may be closed, but not before (rule 64 of docs/lifetimes.md).
 * The kernel may keep what it stands for open until the end of the turn. NULL is fine. Thread: the worker's; the last
 * occasion is on_stop, which comes when nothing is watched any more. What was not removed by then goes by itself.
 */
GB_API void gb_watch_remove(struct gb_watch *watch);

/** Readiness as an operation: once. */
struct gb_readiness {
	struct gb_operation operation;
	struct gb_watch *watch;
};

/**
 * Begin to wait until `fd` is ready for any of `ready`, IN or OUT or both. The result is what it is ready for, as in
 * gb_watch_ready, or an error as gb_watch_add has them. The descriptor stays open until it is complete or was cancelled.
 * Thread: the worker's. Returns the operation.
 */
GB_API struct gb_operation *gb_readiness_begin(struct gb_worker *worker, struct gb_readiness *readiness,
	int fd, unsigned ready, gb_operation_done *on_done, void *user);

/** Wait until `fd` is ready for any of `ready`. Waits. Returns what it is ready for, an error as gb_watch_add has them,
 *  -ETIMEDOUT, -ECANCELED, -ESHUTDOWN. */
GB_API int gb_wait_ready(struct gb_coro *coro, int fd, unsigned ready);

GB_END

#endif
