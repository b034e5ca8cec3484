/*
 * The yardstick for the reactor: one thread, level-triggered epoll, one recv an event into one static
 * buffer, the reply sent at once. Nothing else: no timeouts, no limits, no codec, no statistics.
 *
 * A connection has memory only while a reply could not be sent whole. Then the rest waits here, the
 * connection is watched for room instead of input (which pushes back on a peer that does not read), and
 * reading goes on when the rest is gone.
 */
#include "raw_listen.h"

#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	EVENTS = 512,
	BUFFER_SIZE = 64 * 1024,
	ACCEPTS = 16, /* an event, so that a burst of newcomers does not cost an epoll_wait each */
};

struct rest {
	size_t size, sent;
	unsigned char bytes[];
};

static unsigned char buffer[BUFFER_SIZE];
static struct rest **rests; /* by descriptor; mostly NULL */
static int epoll, listener;
static bool accepting;

static void watch(int operation, int fd, unsigned interest)
{
	struct epoll_event event = { .events = interest, .data.fd = fd };

	if (epoll_ctl(epoll, operation, fd, &event) < 0)
		err(1, "epoll_ctl");
}

static void connection_close(int fd)
{
	free(rests[fd]);
	rests[fd] = NULL;
	close(fd);
	if (!accepting) {
		accepting = true;
		watch(EPOLL_CTL_ADD, listener, EPOLLIN);
	}
}

static void on_acceptable(void)
{
	for (int i = 0; i < ACCEPTS; i++) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			watch(EPOLL_CTL_ADD, fd, EPOLLIN);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE) {
			/* Level-triggered, it would be reported for ever: until somebody leaves. */
			accepting = false;
			watch(EPOLL_CTL_DEL, listener, 0);
		}
		return;
	}
}

static void keep_rest(int fd, const unsigned char *bytes, size_t size)
{
	struct rest *rest = malloc(sizeof *rest + size);

	if (!rest) {
		connection_close(fd);
		return;
	}
	rest->size = size;
	rest->sent = 0;
	memcpy(rest->bytes, bytes, size);
	rests[fd] = rest;
	watch(EPOLL_CTL_MOD, fd, EPOLLOUT);
}

static void on_readable(int fd)
{
	ssize_t received, sent;

	received = recv(fd, buffer, sizeof buffer, 0);
	if (received <= 0) {
		if (received == 0 || (errno != EAGAIN && errno != EINTR))
			connection_close(fd);
		return;
	}
	sent = send(fd, buffer, (size_t)received, MSG_NOSIGNAL);
	if (sent == received)
		return;
	if (sent < 0) {
		if (errno != EAGAIN && errno != EINTR) {
			connection_close(fd);
			return;
		}
		sent = 0;
	}
	keep_rest(fd, buffer + sent, (size_t)(received - sent));
}

static void on_writable(int fd)
{
	struct rest *rest = rests[fd];
	ssize_t sent;

	sent = send(fd, rest->bytes + rest->sent, rest->size - rest->sent, MSG_NOSIGNAL);
	if (sent < 0) {
		if (errno != EAGAIN && errno != EINTR)
			connection_close(fd);
		return;
	}
	rest->sent += (size_t)sent;
	if (rest->sent < rest->size)
		return;
	free(rest);
	rests[fd] = NULL;
	watch(EPOLL_CTL_MOD, fd, EPOLLIN);
}

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS];
	size_t fds_max;

	listener = raw_listen(argc, argv, SOCK_NONBLOCK, &fds_max);
	rests = calloc(fds_max, sizeof(struct rest *));
	if (!rests)
		err(1, "calloc");
	epoll = epoll_create1(EPOLL_CLOEXEC);
	if (epoll < 0)
		err(1, "epoll_create1");
	accepting = true;
	watch(EPOLL_CTL_ADD, listener, EPOLLIN);
	raw_announce(listener);

	for (;;) {
		int count = epoll_wait(epoll, events, EVENTS, -1);

		if (count < 0 && errno != EINTR)
			err(1, "epoll_wait");
		for (int i = 0; i < count; i++) {
			int fd = events[i].data.fd;

			if (fd == listener)
				on_acceptable();
			else if (rests[fd])
				on_writable(fd);
			else
				on_readable(fd);
		}
	}
}
