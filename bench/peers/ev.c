/*
 * libev: one watcher a connection, for input or, while a reply could not be sent whole, for room. libev
 * brings no buffers; there is one for all input, and what could not be sent is copied.
 */
#include "../raw_listen.h"

#include <err.h>
#include <errno.h>
#include <ev.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER_SIZE = 64 * 1024 };

struct connection {
	ev_io io;
	char *rest; /* NULL while there is none */
	size_t size, sent;
};

static char buffer[BUFFER_SIZE];

static void on_readable(EV_P_ ev_io *io, int events);

static void connection_close(EV_P_ struct connection *connection)
{
	ev_io_stop(EV_A_ & connection->io);
	close(connection->io.fd);
	free(connection->rest);
	free(connection);
}

static void watch(EV_P_ struct connection *connection, void (*callback)(EV_P_ ev_io *, int), int events)
{
	ev_io_stop(EV_A_ & connection->io);
	ev_set_cb(&connection->io, callback);
	ev_io_modify(&connection->io, events);
	ev_io_start(EV_A_ & connection->io);
}

static void on_writable(EV_P_ ev_io *io, int events)
{
	struct connection *connection = (struct connection *)io;
	ssize_t sent;

	sent = send(io->fd, connection->rest + connection->sent, connection->size - connection->sent,
		MSG_NOSIGNAL);
	if (sent < 0) {
		if (errno != EAGAIN && errno != EINTR)
			connection_close(EV_A_ connection);
		return;
	}
	connection->sent += (size_t)sent;
	if (connection->sent < connection->size)
		return;
	free(connection->rest);
	connection->rest = NULL;
	watch(EV_A_ connection, on_readable, EV_READ);
}

static void keep_rest(EV_P_ struct connection *connection, const char *bytes, size_t size)
{
	connection->rest = malloc(size);
	if (!connection->rest) {
		connection_close(EV_A_ connection);
		return;
	}
	memcpy(connection->rest, bytes, size);
	connection->size = size;
	connection->sent = 0;
	watch(EV_A_ connection, on_writable, EV_WRITE);
}

static void on_readable(EV_P_ ev_io *io, int events)
{
	struct connection *connection = (struct connection *)io;
	ssize_t received, sent;

	received = recv(io->fd, buffer, sizeof buffer, 0);
	if (received <= 0) {
		if (received == 0 || (errno != EAGAIN && errno != EINTR))
			connection_close(EV_A_ connection);
		return;
	}
	sent = send(io->fd, buffer, (size_t)received, MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN && errno != EINTR) {
		connection_close(EV_A_ connection);
		return;
	}
	if (sent < 0)
		sent = 0;
	if (sent < received)
		keep_rest(EV_A_ connection, buffer + sent, (size_t)(received - sent));
}

static void on_acceptable(EV_P_ ev_io *listener, int events)
{
	struct connection *connection;
	int fd;

	while ((fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		connection = calloc(1, sizeof *connection);
		if (!connection)
			err(1, "calloc");
		ev_io_init(&connection->io, on_readable, fd, EV_READ);
		ev_io_start(EV_A_ & connection->io);
	}
}

int main(int argc, char **argv)
{
	struct ev_loop *loop = ev_default_loop(EVBACKEND_EPOLL | EVFLAG_NOENV);
	ev_io listener;
	size_t fds_max;
	int fd = raw_listen(argc, argv, SOCK_NONBLOCK, &fds_max);

	if (!loop)
		errx(1, "ev_default_loop");
	ev_io_init(&listener, on_acceptable, fd, EV_READ);
	ev_io_start(loop, &listener);
	raw_announce(fd);
	ev_run(loop, 0);
	return 0;
}
