/*
 * One operation on a file, from its begin to its end.
 *
 * Happy path: the call is noted as a value and given to the engine, to a thread, or carried out at once; its result comes
 * back to the loop, which tells. On the way: a write that was short goes on with the rest, a call that a signal interrupted
 * is made again, a cancelled one that succeeded all the same says so, but an open leaves no descriptor behind. Whoever
 * carries it out alone touches the call meanwhile; only `cancelled` is written by the loop and read by a thread.
 */
#include "file/file.h"

#include "base/assert.h"
#include "base/libc.h"
#include "base/macros.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

struct state {
	struct gb__file file;
	struct gb__files *files;
	bool cancelled;
};

static_assert(sizeof(struct state) <= sizeof(((struct gb_file_operation *)NULL)->state), "it has room");
static_assert(sizeof(((struct gb_file_stat *)NULL)->kernel) == GB__FILE_STAT_SIZE, "it has room");
static_assert(sizeof(struct gb__file_job) == sizeof(struct gb__post) &&
		sizeof(struct gb__post) == sizeof(((struct gb_operation *)NULL)->link),
	"it waits for a thread as a job, and for its loop as a post");
static_assert(GB_FILE_HERE == GB__FILE_HERE, "the same");

static struct state *state_of(struct gb_file_operation *operation)
{
	return (struct state *)operation->state;
}

static bool cancelled(const struct state *state)
{
	return __atomic_load_n(&state->cancelled, __ATOMIC_RELAXED);
}

/* A part was written: the call is for the rest from now on. Returns whether there is none. */
static bool written(struct gb_file_operation *operation, struct gb__file_call *call, unsigned size)
{
	operation->done += size;
	call->data = (char *)call->data + size;
	call->size -= size;
	if (call->offset != GB__FILE_HERE)
		call->offset += size;
	return call->size == 0;
}

/* Behind a call: whether it was the last one, and what all came to. */
static bool is_over(struct gb_file_operation *operation, int result, int *ret)
{
	struct state *state = state_of(operation);
	struct gb__file_call *call = &state->file.call;

	*ret = result;
	if (call->verb == GB__FILE_CLOSE) { /* on Linux it is closed even then */
		*ret = result == -EINTR ? 0 : result;
		return true;
	}
	if (result == -EINTR) {
		*ret = -ECANCELED;
		return cancelled(state);
	}
	if (call->verb != GB__FILE_WRITE || call->vector || result < 0)
		return true;
	if (result == 0 && call->size > 0) {
		*ret = -EIO; /* nothing says why, and nothing says that it will ever go on */
		return true;
	}
	if (written(operation, call, (unsigned)result)) {
		*ret = (int)operation->done;
		return true;
	}
	*ret = -ECANCELED;
	return cancelled(state);
}

static void stat_tell(struct gb_file_stat *stat)
{
	struct statx kernel;

	memcpy(&kernel, stat->kernel, sizeof(kernel));
	stat->size = kernel.stx_size;
	stat->modified_ns = kernel.stx_mtime.tv_sec * 1000000000 + kernel.stx_mtime.tv_nsec;
	stat->inode = kernel.stx_ino;
	stat->device = (uint64_t)kernel.stx_dev_major << 32 | kernel.stx_dev_minor;
	stat->mode = kernel.stx_mode;
	stat->links = kernel.stx_nlink;
}

/* On the loop's thread, in the loop. */
static void end(struct gb_file_operation *operation, int result)
{
	struct state *state = state_of(operation);
	struct gb__files *files = state->files;

	if (state->file.call.verb == GB__FILE_OPEN && result >= 0 && state->cancelled) {
		gb__engine_close(files->loop->engine, result);
		result = -ECANCELED;
	}
	if (state->file.call.verb == GB__FILE_STAT && result == 0)
		stat_tell(operation->stat);
	files->under_way--;
	gb__operation_complete(&operation->operation, result);
}

static void back(struct gb__post *post, bool alive)
{
	struct gb_operation *operation = gb__container_of((void **)post, struct gb_operation, link[0]);

	(void)alive; /* when it ends, somebody has begun it in on_stop; he is told */
	end(gb__container_of(operation, struct gb_file_operation, operation), operation->result);
}

/* Whoever does it, and may wait for a disk. */
static void perform(struct gb_file_operation *operation)
{
	struct state *state = state_of(operation);
	struct gb__os *os = state->files->loop->os;
	struct gb__post *post = (struct gb__post *)operation->operation.link;
	int result;

	if (state->file.call.verb != GB__FILE_CLOSE && cancelled(state))
		result = -ECANCELED;
	else
		while (!is_over(operation, os->ops->file(os, &state->file.call), &result))
			;
	operation->operation.result = result;
	post->run = back;
	gb__assert(gb__loop_post(state->files->loop, post) == 0); /* it ends behind all that is under way */
}

static void job_run(struct gb__file_job *job)
{
	struct gb_operation *operation = gb__container_of((void **)job, struct gb_operation, link[0]);

	perform(gb__container_of(operation, struct gb_file_operation, operation));
}

static int engine_begin(struct gb__files *files, struct state *state)
{
	struct gb__engine *engine = files->loop->engine;

	return engine->ops->file(engine, &state->file);
}

static void on_file(struct gb__file *file, int result)
{
	struct state *state = gb__container_of(file, struct state, file);
	struct gb_file_operation *operation =
		gb__container_of((void **)state, struct gb_file_operation, state[0]);

	if (!is_over(operation, result, &result)) {
		result = engine_begin(state->files, state);
		if (result == 0)
			return;
	}
	end(operation, result);
}

static const struct gb__endpoint_ops file_ops = { .on_file = on_file };

static void cancel(struct gb_operation *pending)
{
	struct gb_file_operation *operation = gb__container_of(pending, struct gb_file_operation, operation);
	struct state *state = state_of(operation);
	struct gb__engine *engine = state->files->loop->engine;

	if (state->file.call.verb == GB__FILE_CLOSE || state->cancelled)
		return;
	__atomic_store_n(&state->cancelled, true, __ATOMIC_RELAXED);
	if (engine->ops->file_cancel && state->file.endpoint.generation)
		engine->ops->file_cancel(engine, &state->file);
}

static const struct gb__operation_kind file_kind = { "file", cancel };

static struct gb_operation *begin(struct gb__files *files, struct gb_file_operation *operation,
	const struct gb__file_call *call, gb_operation_done *on_done, void *user)
{
	struct state *state = state_of(operation);
	struct gb__file_job *job = (struct gb__file_job *)operation->operation.link;
	int result = -ENOMEM;

	gb__operation_begin(&operation->operation, &file_kind, files->worker, on_done, user);
	*state = (struct state){ .file = { .endpoint.ops = &file_ops, .call = *call }, .files = files };
	operation->done = 0;
	if (call->size > GB__FILE_SIZE_MAX) {
		gb__assert(gb__operation_complete_later(files->loop, &operation->operation, -EINVAL) == 0);
		return &operation->operation;
	}
	files->under_way++;
	if (files->loop->engine->ops->file) {
		result = engine_begin(files, state);
	} else if (files->submit) {
		job->run = job_run;
		result = files->submit(files->submit_arg, job);
	}
	if (result < 0)
		perform(operation);
	return &operation->operation;
}

struct gb_operation *gb__file_open(struct gb__files *files, struct gb_file_operation *file, const char *path,
	int flags, unsigned mode, gb_operation_done *on_done, void *user)
{
	const struct gb__file_call call = {
		.verb = GB__FILE_OPEN, .fd = -1, .path = path, .flags = flags | O_CLOEXEC, .mode = mode
	};

	return begin(files, file, &call, on_done, user);
}

struct gb_operation *gb__file_read(struct gb__files *files, struct gb_file_operation *file, int fd,
	void *data, size_t size, int64_t offset, gb_operation_done *on_done, void *user)
{
	const struct gb__file_call call = { .verb = GB__FILE_READ,
		.fd = fd,
		.data = data,
		.size = (uint32_t)gb__min(size, GB__FILE_SIZE_MAX),
		.offset = offset };

	return begin(files, file, &call, on_done, user);
}

struct gb_operation *gb__file_write(struct gb__files *files, struct gb_file_operation *file, int fd,
	const void *data, size_t size, int64_t offset, gb_operation_done *on_done, void *user)
{
	const struct gb__file_call call = { .verb = GB__FILE_WRITE,
		.fd = fd,
		.data = (void *)(uintptr_t)data,
		.size = (uint32_t)gb__min(size, GB__FILE_SIZE_MAX + 1u),
		.offset = offset };

	return begin(files, file, &call, on_done, user);
}

struct gb_operation *gb__file_write_parts(struct gb__files *files, struct gb_file_operation *file, int fd,
	const struct iovec *parts, unsigned count, gb_operation_done *on_done, void *user)
{
	const struct gb__file_call call = { .verb = GB__FILE_WRITE,
		.vector = true,
		.fd = fd,
		.parts = parts,
		.size = count,
		.offset = GB__FILE_HERE };

	return begin(files, file, &call, on_done, user);
}

struct gb_operation *gb__file_sync(struct gb__files *files, struct gb_file_operation *file, int fd,
	bool data_only, gb_operation_done *on_done, void *user)
{
	const struct gb__file_call call = { .verb = GB__FILE_SYNC, .fd = fd, .data_only = data_only };

	return begin(files, file, &call, on_done, user);
}

struct gb_operation *gb__file_stat(struct gb__files *files, struct gb_file_operation *file, const char *path,
	int fd, struct gb_file_stat *ret, gb_operation_done *on_done, void *user)
{
	const struct gb__file_call call = {
		.verb = GB__FILE_STAT, .fd = path ? -1 : fd, .path = path, .stat = ret->kernel
	};

	file->stat = ret;
	return begin(files, file, &call, on_done, user);
}

struct gb_operation *gb__file_close(struct gb__files *files, struct gb_file_operation *file, int fd,
	gb_operation_done *on_done, void *user)
{
	const struct gb__file_call call = { .verb = GB__FILE_CLOSE, .fd = fd };

	return begin(files, file, &call, on_done, user);
}

struct gb_operation *gb__file_rename(struct gb__files *files, struct gb_file_operation *file,
	const char *from, const char *to, gb_operation_done *on_done, void *user)
{
	const struct gb__file_call call = { .verb = GB__FILE_RENAME, .fd = -1, .path = from, .to = to };

	return begin(files, file, &call, on_done, user);
}

struct gb_operation *gb__file_unlink(struct gb__files *files, struct gb_file_operation *file,
	const char *path, gb_operation_done *on_done, void *user)
{
	const struct gb__file_call call = { .verb = GB__FILE_UNLINK, .fd = -1, .path = path };

	return begin(files, file, &call, on_done, user);
}
