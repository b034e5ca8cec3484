/*
 * Each kind of file has its own way of being written to without waiting that leaves the open file description alone,
 * since the shell and other programs hold it as well. A pipe of a recent kernel takes RWF_NOWAIT (Linux 6.4), a
 * socket MSG_DONTWAIT. Older pipes and terminals are opened anew: that makes a description of our own. Where it
 * cannot be opened (no descriptor left, no /proc, another user's), a pipe is given a page of our own by vmsplice(2),
 * which may say SPLICE_F_NONBLOCK; only a terminal is then asked for room and trusted to have it.
 */
#include "base/stderr.h"
#include "base/libc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 0x00000008
#endif

static ssize_t result_of(ssize_t written)
{
	return written >= 0 ? written : -errno;
}

static ssize_t give_page(const char *line, size_t size)
{
	struct iovec part = { NULL, size };
	ssize_t result;

	part.iov_base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (part.iov_base == MAP_FAILED)
		return -errno;
	memcpy(part.iov_base, line, size);
	result = result_of(vmsplice(STDERR_FILENO, &part, 1, SPLICE_F_NONBLOCK));
	munmap(part.iov_base, size); /* the pipe keeps the page */
	return result;
}

static ssize_t write_if_room(const char *line, size_t size)
{
	struct pollfd room = { .fd = STDERR_FILENO, .events = POLLOUT };

	if (poll(&room, 1, 0) <= 0 || !(room.revents & POLLOUT))
		return -EAGAIN;
	return result_of(write(STDERR_FILENO, line, size));
}

/* As /dev/fd/2 the file itself is opened, whatever its name is by now. */
static ssize_t write_anew(const char *line, size_t size, bool is_pipe)
{
	int fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	ssize_t result;

	if (fd < 0 && errno == ENXIO)
		return -EPIPE; /* nobody has it open for reading */
	if (fd < 0)
		return is_pipe ? give_page(line, size) : write_if_room(line, size);
	result = result_of(write(fd, line, size));
	close(fd);
	return result;
}

static ssize_t write_once(const char *line, size_t size)
{
	const struct iovec part = { (void *)(size_t)line, size };
	struct stat file;
	ssize_t result;

	if (fstat(STDERR_FILENO, &file) < 0)
		return -errno;
	if (S_ISSOCK(file.st_mode))
		return result_of(send(STDERR_FILENO, line, size, MSG_DONTWAIT | MSG_NOSIGNAL));
	if (!S_ISFIFO(file.st_mode) && !S_ISCHR(file.st_mode))
		return result_of(write(STDERR_FILENO, line, size));
	if (S_ISFIFO(file.st_mode)) {
		result = result_of(pwritev2(STDERR_FILENO, &part, 1, -1, RWF_NOWAIT));
		if (result != -EOPNOTSUPP && result != -ENOSYS && result != -EINVAL)
			return result;
	}
	return write_anew(line, size, S_ISFIFO(file.st_mode));
}

int gb__stderr_write(const char *line, size_t size)
{
	const struct timespec at_once = { 0, 0 };
	sigset_t pipe_signal, pending, before;
	int saved_errno = errno;
	ssize_t result;

	/* A program may have left SIGPIPE at its default, which ends it: this one is kept from it. */
	sigemptyset(&pipe_signal);
	sigaddset(&pipe_signal, SIGPIPE);
	sigpending(&pending);
	pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
	do {
		result = write_once(line, size);
		if (result > 0) {
			line += result;
			size -= (size_t)result;
		}
	} while (result == -EINTR || (result > 0 && size > 0));
	if (result == -EPIPE && !sigismember(&pending, SIGPIPE))
		while (sigtimedwait(&pipe_signal, NULL, &at_once) < 0 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = saved_errno;
	return result < 0 ? (int)result : 0;
}
