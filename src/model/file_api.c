/* Operations on files, for who has a worker or a coroutine. */
#include "base/macros.h"
#include "file/appender.h"
#include "file/load.h"
#include "file/threads.h"
#include "model/worker.h"
#include "stream/stream.h"

#include <errno.h>

/* Made by whichever worker needs them first. */
static struct gb__file_threads *threads_of(struct gb_server *server)
{
	struct gb__file_threads *threads = atomic_load(&server->file_threads), *made;

	if (threads)
		return threads;
	made = gb__file_threads_create(server->model.stack);
	if (made && !atomic_compare_exchange_strong(&server->file_threads, &threads, made)) {
		gb__file_threads_destroy(made);
		return threads;
	}
	return made;
}

static int submit(void *arg, struct gb__file_job *job)
{
	struct gb_worker *worker = arg;
	struct gb__file_threads *threads = threads_of(worker->server);

	return threads ? gb__file_threads_submit(threads, job) : -ENOMEM;
}

void gb__worker_files_init(struct gb_worker *worker)
{
	worker->files = (struct gb__files){ .loop = &worker->loop, .worker = worker };
	worker->net.files = &worker->files;
	/* Who serves one client has nobody else to wait for. */
	if (!(worker->loop.engine->ops->caps & GB__ENGINE_ONE_STREAM)) {
		worker->files.submit = submit;
		worker->files.submit_arg = worker;
	}
}

/* Begun on its thread. */
static struct gb__files *files_of(struct gb_worker *worker, const char *function)
{
	gb__rule_in(function, 49, gb__loop_here(&worker->loop),
		"an operation is begun on another thread than its worker's");
	return &worker->files;
}

struct gb_operation *gb_file_open_begin(struct gb_worker *worker, struct gb_file_operation *file,
	const char *path, int flags, unsigned mode, gb_operation_done *on_done, void *user)
{
	return gb__file_open(files_of(worker, __func__), file, path, flags, mode, on_done, user);
}

struct gb_operation *gb_file_read_begin(struct gb_worker *worker, struct gb_file_operation *file, int fd,
	void *data, size_t size, int64_t offset, gb_operation_done *on_done, void *user)
{
	return gb__file_read(files_of(worker, __func__), file, fd, data, size, offset, on_done, user);
}

struct gb_operation *gb_file_write_begin(struct gb_worker *worker, struct gb_file_operation *file, int fd,
	const void *data, size_t size, int64_t offset, gb_operation_done *on_done, void *user)
{
	return gb__file_write(files_of(worker, __func__), file, fd, data, size, offset, on_done, user);
}

struct gb_operation *gb_file_sync_begin(struct gb_worker *worker, struct gb_file_operation *file, int fd,
	bool data_only, gb_operation_done *on_done, void *user)
{
	return gb__file_sync(files_of(worker, __func__), file, fd, data_only, on_done, user);
}

struct gb_operation *gb_file_stat_begin(struct gb_worker *worker, struct gb_file_operation *file,
	const char *path, int fd, struct gb_file_stat *ret, gb_operation_done *on_done, void *user)
{
	return gb__file_stat(files_of(worker, __func__), file, path, fd, ret, on_done, user);
}

struct gb_operation *gb_file_close_begin(struct gb_worker *worker, struct gb_file_operation *file, int fd,
	gb_operation_done *on_done, void *user)
{
	return gb__file_close(files_of(worker, __func__), file, fd, on_done, user);
}

struct gb_operation *gb_file_rename_begin(struct gb_worker *worker, struct gb_file_operation *file,
	const char *from, const char *to, gb_operation_done *on_done, void *user)
{
	return gb__file_rename(files_of(worker, __func__), file, from, to, on_done, user);
}

struct gb_operation *gb_file_unlink_begin(struct gb_worker *worker, struct gb_file_operation *file,
	const char *path, gb_operation_done *on_done, void *user)
{
	return gb__file_unlink(files_of(worker, __func__), file, path, on_done, user);
}

int gb_file_open(struct gb_coro *coro, const char *path, int flags, unsigned mode)
{
	struct gb_file_operation file;
	int result = gb__coro_may_wait(coro, __func__);

	return result < 0
		? result
		: gb_await(coro,
			  gb_file_open_begin(gb_coro_worker(coro), &file, path, flags, mode, NULL, NULL));
}

int gb_file_read(struct gb_coro *coro, int fd, void *data, size_t size, int64_t offset)
{
	struct gb_file_operation file;
	int result = gb__coro_may_wait(coro, __func__);

	return result < 0 ? result
			  : gb_await(coro,
				    gb_file_read_begin(
					    gb_coro_worker(coro), &file, fd, data, size, offset, NULL, NULL));
}

int gb_file_write(struct gb_coro *coro, int fd, const void *data, size_t size, int64_t offset)
{
	struct gb_file_operation file;
	int result = gb__coro_may_wait(coro, __func__);

	return result < 0 ? result
			  : gb_await(coro,
				    gb_file_write_begin(
					    gb_coro_worker(coro), &file, fd, data, size, offset, NULL, NULL));
}

int gb_file_sync(struct gb_coro *coro, int fd, bool data_only)
{
	struct gb_file_operation file;
	int result = gb__coro_may_wait(coro, __func__);

	return result < 0
		? result
		: gb_await(coro, gb_file_sync_begin(gb_coro_worker(coro), &file, fd, data_only, NULL, NULL));
}

int gb_file_stat(struct gb_coro *coro, const char *path, int fd, struct gb_file_stat *ret)
{
	struct gb_file_operation file;
	int result = gb__coro_may_wait(coro, __func__);

	return result < 0
		? result
		: gb_await(coro, gb_file_stat_begin(gb_coro_worker(coro), &file, path, fd, ret, NULL, NULL));
}

int gb_file_rename(struct gb_coro *coro, const char *from, const char *to)
{
	struct gb_file_operation file;
	int result = gb__coro_may_wait(coro, __func__);

	return result < 0
		? result
		: gb_await(coro, gb_file_rename_begin(gb_coro_worker(coro), &file, from, to, NULL, NULL));
}

int gb_file_unlink(struct gb_coro *coro, const char *path)
{
	struct gb_file_operation file;
	int result = gb__coro_may_wait(coro, __func__);

	return result < 0
		? result
		: gb_await(coro, gb_file_unlink_begin(gb_coro_worker(coro), &file, path, NULL, NULL));
}

/* Whoever was interrupted closes what it has, so it does not ask. */
int gb_file_close(struct gb_coro *coro, int fd)
{
	struct gb_file_operation file;
	int result;

	if (!gb__coro_runs(coro, __func__))
		return -GB_ENOCORO;
	result = gb_await(coro, gb_file_close_begin(gb_coro_worker(coro), &file, fd, NULL, NULL));
	gb__coro_untold(coro, result);
	return gb_operation_result(&file.operation);
}

int gb_appender_create(struct gb_worker *worker, int fd, unsigned flags, struct gb_appender **ret)
{
	if (worker->apart)
		return -EOPNOTSUPP;
	return gb__appender_create(files_of(worker, __func__), fd, flags, ret);
}

int gb_append(struct gb_coro *coro, struct gb_appender *appender, const void *data, size_t size)
{
	struct gb_append append;
	int result = gb__coro_may_wait(coro, __func__);

	return result < 0 ? result
			  : gb_await(coro, gb_append_begin(appender, &append, data, size, NULL, NULL));
}

struct gb_operation *gb_file_load_begin(struct gb_worker *worker, struct gb_file_load *load, const char *path,
	size_t size_max, gb_operation_done *on_done, void *user)
{
	return gb__file_load(files_of(worker, __func__), load, path, size_max, on_done, user);
}

int gb_file_load(struct gb_coro *coro, const char *path, size_t size_max, struct gb_file_load *ret)
{
	int result = gb__coro_may_wait(coro, __func__);

	if (result < 0)
		return result;
	result = gb_await(coro, gb_file_load_begin(gb_coro_worker(coro), ret, path, size_max, NULL, NULL));
	if (result < 0)
		gb_file_load_free(ret);
	return result;
}
