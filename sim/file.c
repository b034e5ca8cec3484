/*
 * Files in memory. A file lives as long as a name or a descriptor leads to it; what was synced of it is what a crash would
 * leave. Disks fill up, fail and take their time.
 */
#include "base/libc.h"
#include "base/macros.h"
#include "sim/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct sim_file {
	struct gb__list link; /* of kernel->files */
	char *path;           /* NULL: it was unlinked */
	unsigned char *data;
	size_t size, capacity, synced;
	unsigned opens;
	uint64_t inode;
};

static struct sim_file *find(struct sim_kernel *kernel, const char *path)
{
	for (struct gb__list *node = kernel->files.next; node != &kernel->files; node = node->next) {
		struct sim_file *file = gb__container_of(node, struct sim_file, link);

		if (file->path && strcmp(file->path, path) == 0)
			return file;
	}
	return NULL;
}

static void release(struct sim_file *file)
{
	if (file->path || file->opens)
		return;
	gb__list_remove(&file->link);
	free(file->data);
	free(file);
}

static void unname(struct sim_file *file)
{
	free(file->path);
	file->path = NULL;
	release(file);
}

void sim_file_let_go(struct sim_file *file)
{
	file->opens--;
	release(file);
}

void sim_files_finish(struct sim_kernel *kernel)
{
	while (!gb__list_empty(&kernel->files))
		unname(gb__container_of(kernel->files.next, struct sim_file, link));
}

static char *copy_of(const char *path)
{
	const size_t size = strlen(path) + 1;
	char *copy = sim_alloc(size);

	memcpy(copy, path, size);
	return copy;
}

static int open_file(struct sim_kernel *kernel, const struct gb__file_call *call)
{
	struct sim_file *file = find(kernel, call->path);
	struct sim_socket *socket;
	int fd;

	if (file ? (call->flags & O_CREAT) && (call->flags & O_EXCL) : !(call->flags & O_CREAT))
		return file ? -EEXIST : -ENOENT;
	socket = sim_socket_create(kernel, SIM_FILE);
	fd = sim_fd_open(kernel, socket);
	if (fd < 0) {
		sim_socket_let_go(socket);
		return fd;
	}
	if (!file) {
		file = sim_alloc(sizeof(*file));
		file->path = copy_of(call->path);
		file->inode = ++kernel->serials;
		gb__list_append(&kernel->files, &file->link);
	}
	if (call->flags & O_TRUNC)
		file->size = file->synced = 0;
	file->opens++;
	socket->file = file;
	socket->appends = call->flags & O_APPEND;
	return fd;
}

/* The place of a read or write that begins now. */
static size_t place(const struct sim_socket *socket, const struct gb__file_call *call)
{
	if (call->verb == GB__FILE_WRITE && socket->appends)
		return socket->file->size;
	return call->offset == GB__FILE_HERE ? socket->position : (size_t)call->offset;
}

static void room(struct sim_file *file, size_t size)
{
	unsigned char *grown;

	if (size <= file->capacity)
		return;
	file->capacity = gb__max(size, 2 * file->capacity);
	grown = sim_alloc(file->capacity);
	if (file->size)
		memcpy(grown, file->data, file->size);
	free(file->data);
	file->data = grown;
}

static size_t size_of(const struct gb__file_call *call)
{
	size_t size = 0;

	if (!call->vector)
		return call->size;
	for (uint32_t i = 0; i < call->size; i++)
		size += call->parts[i].iov_len;
	return size;
}

/* `size` bytes between the file and what the call names, from its beginning on. */
static void move(struct sim_file *file, size_t at, const struct gb__file_call *call, size_t size)
{
	const struct iovec whole = { call->data, call->size };
	const struct iovec *parts = call->vector ? call->parts : &whole;
	const size_t count = call->vector ? call->size : 1;

	for (size_t i = 0; i < count && size > 0; i++) {
		const size_t part = gb__min(size, parts[i].iov_len);

		if (part && call->verb == GB__FILE_WRITE)
			memcpy(file->data + at, parts[i].iov_base, part);
		else if (part)
			memcpy(parts[i].iov_base, file->data + at, part);
		at += part;
		size -= part;
	}
}

static int transfer(struct sim_socket *socket, const struct gb__file_call *call, struct sim_outcome outcome)
{
	struct sim_kernel *kernel = socket->kernel;
	struct sim_file *file = socket->file;
	size_t at = place(socket, call), size = size_of(call);

	if (call->verb == GB__FILE_READ)
		size = at < file->size ? gb__min(size, file->size - at) : 0;
	if (size > 0 && outcome.result > 0)
		size = gb__min(size, (size_t)outcome.result);
	else if (size > 0)
		size = sim_part(kernel, kernel->profile.file_partial, size);
	if (call->verb == GB__FILE_WRITE && at + size > file->size) {
		size_t grows = at + size - file->size;

		if (size > 0 && kernel->space == 0)
			return -ENOSPC;
		if (grows > kernel->space)
			size -= grows - kernel->space;
		kernel->space -= gb__min(grows, kernel->space);
		room(file, at + size);
		file->size = gb__max(file->size, at + size);
	}
	move(file, at, call, size);
	if (call->offset == GB__FILE_HERE)
		socket->position = at + size;
	sim_moved(kernel);
	return (int)size;
}

static int stat_file(struct sim_file *file, void *ret)
{
	struct statx stat = { .stx_mode = S_IFREG | 0600, .stx_nlink = 1 };

	if (!file)
		return -ENOENT;
	stat.stx_size = file->size;
	stat.stx_ino = file->inode;
	memcpy(ret, &stat, sizeof(stat));
	return 0;
}

static int rename_file(struct sim_kernel *kernel, const struct gb__file_call *call)
{
	struct sim_file *file = find(kernel, call->path), *other = find(kernel, call->to);

	if (!file)
		return -ENOENT;
	if (other && other != file)
		unname(other);
	free(file->path);
	file->path = copy_of(call->to);
	return 0;
}

static int unlink_file(struct sim_kernel *kernel, const char *path)
{
	struct sim_file *file = find(kernel, path);

	if (!file)
		return -ENOENT;
	unname(file);
	return 0;
}

/* What goes wrong with a call that could be carried out, or 0. */
static int fault(struct sim_kernel *kernel, const struct gb__file_call *call)
{
	const struct sim_profile *profile = &kernel->profile;
	bool moves = call->verb == GB__FILE_READ || call->verb == GB__FILE_WRITE;

	if (sim_chance(kernel, profile->file_eintr))
		return -EINTR;
	if ((moves || call->verb == GB__FILE_SYNC) && sim_chance(kernel, profile->file_eio))
		return -EIO;
	if (call->verb == GB__FILE_WRITE && sim_chance(kernel, profile->file_enospc))
		return -ENOSPC;
	return 0;
}

static int perform(struct sim_kernel *kernel, struct sim_socket *socket, const struct gb__file_call *call)
{
	struct sim_outcome outcome = { 0 };

	sim_moved(kernel);
	if (socket && socket->scripts[SIM_FILE_CALL].count)
		outcome = sim_script_next(socket, SIM_FILE_CALL);
	else
		outcome.result = fault(kernel, call);
	if (call->verb == GB__FILE_CLOSE) { /* it is closed whatever it says */
		sim_fd_close(socket);
		return outcome.result;
	}
	if (outcome.result < 0)
		return outcome.result;
	switch ((enum gb__file_verb)call->verb) {
	case GB__FILE_OPEN:
		return open_file(kernel, call);
	case GB__FILE_READ:
	case GB__FILE_WRITE:
		return transfer(socket, call, outcome);
	case GB__FILE_SYNC:
		socket->file->synced = socket->file->size;
		return 0;
	case GB__FILE_STAT:
		return stat_file(call->path ? find(kernel, call->path) : socket->file, call->stat);
	case GB__FILE_RENAME:
		return rename_file(kernel, call);
	case GB__FILE_UNLINK:
		return unlink_file(kernel, call->path);
	case GB__FILE_CLOSE:
		break;
	}
	return -EINVAL;
}

int sim_file_perform(struct sim_kernel *kernel, const struct gb__file_call *call)
{
	static const char *const verbs[] = { "open", "read", "write", "sync", "stat", "close", "rename",
		"unlink" };
	struct sim_socket *socket = NULL;
	int result;

	if (call->fd >= 0)
		socket = sim_fd_get(kernel, call->fd, verbs[call->verb]);
	if (socket && socket->kind != SIM_FILE)
		sim_fail(kernel, "%s on descriptor %d, which is something else", verbs[call->verb], call->fd);
	result = perform(kernel, socket, call);
	sim_trace(kernel, "%s(%d) = %d", verbs[call->verb], call->fd, result);
	return result;
}

const unsigned char *sim_file_data(struct sim_kernel *kernel, const char *path, size_t *ret_size)
{
	const struct sim_file *file = find(kernel, path);

	if (!file)
		sim_fail(kernel, "there is no file %s", path);
	*ret_size = file->size;
	return file->data;
}

size_t sim_file_synced(struct sim_kernel *kernel, const char *path)
{
	const struct sim_file *file = find(kernel, path);

	return file ? file->synced : 0;
}

void sim_file_space(struct sim_kernel *kernel, size_t bytes)
{
	kernel->space = bytes;
	sim_moved(kernel);
}
