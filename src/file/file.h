/**
 * Operations on files of one worker.
 *
 * Who carries them out: the engine where it can (a proactor), else threads where there are any (a reactor), else the
 * loop's own thread, inside the begin. In each case the operation is told of by the loop.
 */
#ifndef FILE_FILE_H
#define FILE_FILE_H

#include "engine/engine.h"
#include "loop/operation.h"

#include <gearbox/file.h>

/** What a thread runs. */
struct gb__file_job {
	struct gb__file_job *next;
	void (*run)(struct gb__file_job *job);
};

struct gb__files {
	struct gb__loop *loop;
	struct gb_worker *worker; /* of the operations; the loop knows none */
	size_t under_way;         /* operations: the loop ends behind them */
	/** Have a thread run it. Returns 0, or a negative errno: there is none. NULL: likewise. */
	int (*submit)(void *arg, struct gb__file_job *job);
	void *submit_arg;
};

/* As the functions of <gearbox/file.h>. */
struct gb_operation *gb__file_open(struct gb__files *files, struct gb_file_operation *file, const char *path,
	int flags, unsigned mode, gb_operation_done *on_done, void *user);
struct gb_operation *gb__file_read(struct gb__files *files, struct gb_file_operation *file, int fd,
	void *data, size_t size, int64_t offset, gb_operation_done *on_done, void *user);
struct gb_operation *gb__file_write(struct gb__files *files, struct gb_file_operation *file, int fd,
	const void *data, size_t size, int64_t offset, gb_operation_done *on_done, void *user);
struct gb_operation *gb__file_sync(struct gb__files *files, struct gb_file_operation *file, int fd,
	bool data_only, gb_operation_done *on_done, void *user);
struct gb_operation *gb__file_stat(struct gb__files *files, struct gb_file_operation *file, const char *path,
	int fd, struct gb_file_stat *ret, gb_operation_done *on_done, void *user);
struct gb_operation *gb__file_close(struct gb__files *files, struct gb_file_operation *file, int fd,
	gb_operation_done *on_done, void *user);
struct gb_operation *gb__file_rename(struct gb__files *files, struct gb_file_operation *file,
	const char *from, const char *to, gb_operation_done *on_done, void *user);
struct gb_operation *gb__file_unlink(struct gb__files *files, struct gb_file_operation *file,
	const char *path, gb_operation_done *on_done, void *user);
/** Write several parts with one call, once: what was not written is the caller's to continue. */
struct gb_operation *gb__file_write_parts(struct gb__files *files, struct gb_file_operation *file, int fd,
	const struct iovec *parts, unsigned count, gb_operation_done *on_done, void *user);

#endif
