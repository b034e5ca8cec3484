/**
 * Files that never stop a loop: opening, reading, writing and the rest as operations, appends in order, whole files.
 *
 * A proactor has the kernel carry them out (io_uring); under a reactor some threads of the process do, made when first
 * needed; the blocking engine's thread, which has one client, does it itself. So one call serves every model. The result
 * is what the system call returns, or a negative errno (-ENOSPC, -EIO, -ENOENT, …).
 *
 * What an operation names (its memory, the bytes, the paths) stays as it is until it is complete, also after
 * gb_operation_cancel: a disk that is at it is not called off. (So it is not in the state of a connection, which goes when
 * its peer resets it.) Two that are under way at once may be done in either order;
 * begin the second when the first is complete, or append (struct gb_appender). A drain does not know of them: in callback
 * style gb_conn_hold the connection that waits for one, a straight-line handler holds its own. A worker that ends waits for
 * all that it has under way. on_stop is too late for them: it uses the plain calls.
 *
 * These are for files. What may take for ever, as a FIFO that nobody writes to, takes a thread for as long.
 *
 * Thread: the worker's, for all here. (A handler in the compute pool uses the plain calls: it may block.)
 */
#ifndef GEARBOX_FILE_H
#define GEARBOX_FILE_H

#include <gearbox/operation.h>
#include <gearbox/reply.h>
#include <gearbox/types.h>

GB_BEGIN

struct gb__files;

/** An operation on a file. Zeroed, or any that is complete: it may be begun again. */
struct gb_file_operation {
	struct gb_operation operation;
	size_t done; /* gb_file_write_begin: how many bytes were written, also where it failed */
	struct gb_file_stat *stat;
	void *state[14]; /* gearbox's own */
};

/** What gb_file_stat tells. */
struct gb_file_stat {
	uint64_t size;
	int64_t modified_ns;    /* since 1970 */
	uint64_t inode, device; /* of two paths the same: the same file */
	uint32_t mode, links;
	uint64_t kernel[32]; /* gearbox's own */
};

/** An offset: where the descriptor stands, or the end of the file that was opened with O_APPEND. */
#define GB_FILE_HERE (-1)

/** open(2), with O_CLOEXEC. The result is the descriptor; one that was cancelled leaves none. All return the operation. */
GB_API struct gb_operation *gb_file_open_begin(struct gb_worker *worker, struct gb_file_operation *file,
	const char *path, int flags, unsigned mode, gb_operation_done *on_done, void *user);
/** pread(2): the result is how many bytes came, at most 1 GiB; 0 at the end of the file. */
GB_API struct gb_operation *gb_file_read_begin(struct gb_worker *worker, struct gb_file_operation *file,
	int fd, void *data, size_t size, int64_t offset, gb_operation_done *on_done, void *user);
/**
 * Write all of it: a short write is continued. The result is `size`, at most 1 GiB (else -EINVAL), or an error; what was
 * written by then is in `done`.
 */
GB_API struct gb_operation *gb_file_write_begin(struct gb_worker *worker, struct gb_file_operation *file,
	int fd, const void *data, size_t size, int64_t offset, gb_operation_done *on_done, void *user);
/** fsync(2), or fdatasync(2). After an error nothing is known of what was written before. */
GB_API struct gb_operation *gb_file_sync_begin(struct gb_worker *worker, struct gb_file_operation *file,
	int fd, bool data_only, gb_operation_done *on_done, void *user);
/** stat(2) of a path, or with NULL of a descriptor. */
GB_API struct gb_operation *gb_file_stat_begin(struct gb_worker *worker, struct gb_file_operation *file,
	const char *path, int fd, struct gb_file_stat *ret, gb_operation_done *on_done, void *user);
/** close(2). It is never cancelled, and whatever it says the descriptor is gone. */
GB_API struct gb_operation *gb_file_close_begin(struct gb_worker *worker, struct gb_file_operation *file,
	int fd, gb_operation_done *on_done, void *user);
/** rename(2). */
GB_API struct gb_operation *gb_file_rename_begin(struct gb_worker *worker, struct gb_file_operation *file,
	const char *from, const char *to, gb_operation_done *on_done, void *user);
/** unlink(2). */
GB_API struct gb_operation *gb_file_unlink_begin(struct gb_worker *worker, struct gb_file_operation *file,
	const char *path, gb_operation_done *on_done, void *user);

/*
 * The same for straight-line handlers. All wait; what ends the wait early (-ETIMEDOUT, -ECANCELED, -ESHUTDOWN) cancels the
 * operation and waits for its end.
 */
GB_API int gb_file_open(struct gb_coro *coro, const char *path, int flags, unsigned mode);
GB_API int gb_file_read(struct gb_coro *coro, int fd, void *data, size_t size, int64_t offset);
GB_API int gb_file_write(struct gb_coro *coro, int fd, const void *data, size_t size, int64_t offset);
GB_API int gb_file_sync(struct gb_coro *coro, int fd, bool data_only);
GB_API int gb_file_stat(struct gb_coro *coro, const char *path, int fd, struct gb_file_stat *ret);
GB_API int gb_file_rename(struct gb_coro *coro, const char *from, const char *to);
GB_API int gb_file_unlink(struct gb_coro *coro, const char *path);
/** It closes, and waits for that, whatever ends waits by then: the result is that of close(2). */
GB_API int gb_file_close(struct gb_coro *coro, int fd);

/** A whole file in memory. */
struct gb_file_load {
	struct gb_operation operation;
	unsigned char *data; /* with a 0 behind it; NULL unless it succeeded */
	size_t size;
	struct gb_file_operation step; /* from here on gearbox's own */
	struct gb_file_stat stat;
	struct gb__files *files;
	size_t size_max, room;
	int fd, result;
	bool cancelled;
};

/**
 * Read all of a file of at most `size_max` bytes, 1 GiB at most. The result is its size, -EFBIG, -ENOMEM, …. When it
 * succeeded, gb_file_load_free gives the memory back. Returns the operation.
 */
GB_API struct gb_operation *gb_file_load_begin(struct gb_worker *worker, struct gb_file_load *load,
	const char *path, size_t size_max, gb_operation_done *on_done, void *user);
/** Free `data`. One that failed, or zeroed memory, is fine. */
GB_API void gb_file_load_free(struct gb_file_load *load);
/** gb_file_load_begin for straight-line handlers. Waits. Unless it returns the size, there is nothing to free. */
GB_API int gb_file_load(struct gb_coro *coro, const char *path, size_t size_max, struct gb_file_load *ret);

/** A file on its way to a peer. */
struct gb_file_sending {
	struct gb_operation operation;
	uint64_t sent;                 /* bytes that were queued so far */
	struct gb_file_operation step; /* from here on gearbox's own */
	struct gb_reply reply;
	struct gb__files *files;
	struct gb_conn *conn;
	struct gb_file_sending *next;
	unsigned char *page;
	int64_t offset;
	uint64_t left;
	int fd;
	bool reading, cancelled;
};

/**
 * Send `size` bytes of a file from `offset` on (UINT64_MAX: to its end), as the reply to the message that is handled: it
 * takes a place as gb_conn_defer does, and what is sent later comes behind it. A page of it is in memory at a time; the
 * next one is read when output is below the low watermark.
 *
 * The result is 0 when all is queued: the descriptor is of no more use then. Else nothing more of it is sent and the
 * connection ends, by a reset if a part has left, so that nobody takes that for the whole: -EPIPE (the connection has
 * ended), -ENODATA (the file is shorter), -ECANCELED, or an error of the file. Where there was no place for it (what
 * gb_conn_defer returns, -ENOMEM, -EOPNOTSUPP with GB_TRAIT_UNORDERED) the connection goes on. The memory of the operation is not in the connection's state, which
 * goes with the connection. Returns the operation.
 */
GB_API struct gb_operation *gb_conn_send_file_begin(struct gb_conn *conn, struct gb_file_sending *sending,
	int fd, int64_t offset, uint64_t size, gb_operation_done *on_done, void *user);
/**
 * The same for straight-line handlers. Waits. Returns how many bytes were written, fewer than `size` when the file is
 * shorter; or an error, with any part written.
 */
GB_API int64_t gb_write_file(struct gb_stream *stream, int fd, int64_t offset, uint64_t size);

/**
 * Appends to one file in the order of their calls, from as many connections of a worker as like.
 *
 * One write is under way at a time; what is appended meanwhile goes with the next one. An append is complete when all of
 * its bytes are written (and on the disk, with GB_APPENDER_SYNC), or with the error that kept some of them from it: nothing
 * is called written that was not. A short write is continued. When a write fails, the append that it stopped in and all
 * that wait behind it fail with its error, up to a gb_append_switch_begin: so whoever tries again does so in order.
 *
 * Several workers that append to one file have an appender each, on a descriptor with O_APPEND each: every write of theirs
 * lands whole at the end, but for what a full disk cuts.
 */
struct gb_appender;

enum { GB_APPENDER_SYNC = 1u << 0 /* fdatasync(2) behind every write, which serves all appends in it */ };

/** The most that goes with one write: more waits for the next. */
#define GB_APPENDER_PARTS 64u

/** An append, or what takes its turn among them. Zeroed, or any that is complete. */
struct gb_append {
	struct gb_operation operation;
	size_t written; /* so many bytes of it are in the file, also where it failed: the rest may be appended later */
	const void *data;
	size_t size;
	void *state[4]; /* gearbox's own */
};

/** `fd` is open for writing, with O_APPEND as a rule, and stays the caller's. `flags`: GB_APPENDER_…. Returns 0, -ENOMEM,
 *  -EOPNOTSUPP (gb_worker_computes). */
GB_API int gb_appender_create(struct gb_worker *worker, int fd, unsigned flags, struct gb_appender **ret);
/** Nothing of it is under way. NULL is fine. */
GB_API void gb_appender_destroy(struct gb_appender *appender);
/** Bytes that were appended and are not complete: what is to be bounded when the disk is slow, by not reading on. */
GB_API size_t gb_appender_waiting(const struct gb_appender *appender);
/** The descriptor that it appends to at the moment. */
GB_API int gb_appender_fd(const struct gb_appender *appender);

/**
 * Append. Borrows `data` until it is complete. The result is `size`, at most 1 GiB (else -EINVAL), or an error. One that is
 * cancelled is not written if none of it was yet. Returns the operation.
 */
GB_API struct gb_operation *gb_append_begin(struct gb_appender *appender, struct gb_append *append,
	const void *data, size_t size, gb_operation_done *on_done, void *user);
/** Have what was appended before on the disk: fdatasync(2) when its turn comes. The result is 0 or an error. */
GB_API struct gb_operation *gb_append_sync_begin(
	struct gb_appender *appender, struct gb_append *append, gb_operation_done *on_done, void *user);
/** Append to `fd` from here on, as after a rotation. The result is the descriptor before, which everything that was
 *  appended earlier has gone to, or failed for. */
GB_API struct gb_operation *gb_append_switch_begin(struct gb_appender *appender, struct gb_append *append,
	int fd, gb_operation_done *on_done, void *user);
/** gb_append_begin for straight-line handlers. Waits. */
GB_API int gb_append(struct gb_coro *coro, struct gb_appender *appender, const void *data, size_t size);

GB_END

#endif
