#include "os/file.h"
#include "base/libc.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static_assert(sizeof(struct statx) <= GB__FILE_STAT_SIZE, "there is room for what the kernel tells");

static ssize_t perform_read(const struct gb__file_call *call)
{
	if (call->offset == GB__FILE_HERE)
		return read(call->fd, call->data, call->size);
	return pread(call->fd, call->data, call->size, call->offset);
}

static ssize_t perform_write(const struct gb__file_call *call)
{
	if (call->vector)
		return pwritev2(call->fd, call->parts, (int)call->size, call->offset, 0);
	if (call->offset == GB__FILE_HERE)
		return write(call->fd, call->data, call->size);
	return pwrite(call->fd, call->data, call->size, call->offset);
}

static ssize_t perform(const struct gb__file_call *call)
{
	switch ((enum gb__file_verb)call->verb) {
	case GB__FILE_OPEN:
		return open(call->path, call->flags, call->mode);
	case GB__FILE_READ:
		return perform_read(call);
	case GB__FILE_WRITE:
		return perform_write(call);
	case GB__FILE_SYNC:
		return call->data_only ? fdatasync(call->fd) : fsync(call->fd);
	case GB__FILE_STAT:
		return statx(call->path ? AT_FDCWD : call->fd, call->path ? call->path : "",
			call->path ? 0 : AT_EMPTY_PATH, STATX_BASIC_STATS, call->stat);
	case GB__FILE_CLOSE:
		return close(call->fd);
	case GB__FILE_RENAME:
		return rename(call->path, call->to);
	case GB__FILE_UNLINK:
		return unlink(call->path);
	}
	errno = EINVAL;
	return -1;
}

int gb__file_perform(const struct gb__file_call *call)
{
	ssize_t result = perform(call);

	return result < 0 ? -errno : (int)result;
}
