/*
 * The yardstick for the reactor on poll(2): one thread, one dense array of descriptors, one recv an event into
 * one static buffer, the reply sent at once. Nothing else: no timeouts, no limits, no codec, no statistics.
 *
 * A connection has memory beyond its place in the array only while a reply could not be sent whole. Then
 * the rest waits here, the connection is watched for room instead of input (which pushes back on a peer that
 * does not read), and reading goes on when the rest is gone.
 */
#include "raw_listen.h"

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	LISTENER = 0, /* its place */
	BUFFER_SIZE = 64 * 1024,
	ACCEPTS = 16, /* an event, so that a burst of newcomers does not cost a poll each */
};

struct rest {
	size_t size, sent;
	unsigned char bytes[];
};

static unsigned char buffer[BUFFER_SIZE];
static struct pollfd *polled; /* the listener, then the connections, without gaps */
static nfds_t polled_count;
static struct rest **rests; /* by descriptor; mostly NULL */

static void watch(int fd)
{
	polled[polled_count++] = (struct pollfd){ .fd = fd, .events = POLLIN };
}

/* The last one moves to the place. The array is walked backwards, so that it has had its turn already. */
static void connection_close(nfds_t place)
{
	int fd = polled[place].fd;

	free(rests[fd]);
	rests[fd] = NULL;
	close(fd);
	polled[place] = polled[--polled_count];
	polled[LISTENER].events = POLLIN;
}

static void on_acceptable(void)
{
	for (int i = 0; i < ACCEPTS; i++) {
		int fd = accept4(polled[LISTENER].fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			watch(fd);
			continue;
		}
		/* Reported again and again, it would be for ever: until somebody leaves. */
		if (errno == EMFILE || errno == ENFILE)
			polled[LISTENER].events = 0;
		return;
	}
}

static void keep_rest(nfds_t place, const unsigned char *bytes, size_t size)
{
	struct rest *rest = malloc(sizeof *rest + size);

	if (!rest) {
		connection_close(place);
		return;
	}
	rest->size = size;
	rest->sent = 0;
	memcpy(rest->bytes, bytes, size);
	rests[polled[place].fd] = rest;
	polled[place].events = POLLOUT;
}

static void on_readable(nfds_t place)
{
	int fd = polled[place].fd;
	ssize_t received, sent;

	received = recv(fd, buffer, sizeof buffer, 0);
	if (received <= 0) {
		if (received == 0 || (errno != EAGAIN && errno != EINTR))
			connection_close(place);
		return;
	}
	sent = send(fd, buffer, (size_t)received, MSG_NOSIGNAL);
	if (sent == received)
		return;
	if (sent < 0) {
		if (errno != EAGAIN && errno != EINTR) {
			connection_close(place);
			return;
		}
		sent = 0;
	}
	keep_rest(place, buffer + sent, (size_t)(received - sent));
}

static void on_writable(nfds_t place)
{
	int fd = polled[place].fd;
	struct rest *rest = rests[fd];
	ssize_t sent;

	sent = send(fd, rest->bytes + rest->sent, rest->size - rest->sent, MSG_NOSIGNAL);
	if (sent < 0) {
		if (errno != EAGAIN && errno != EINTR)
			connection_close(place);
		return;
	}
	rest->sent += (size_t)sent;
	if (rest->sent < rest->size)
		return;
	free(rest);
	rests[fd] = NULL;
	polled[place].events = POLLIN;
}

int main(int argc, char **argv)
{
	size_t fds_max;
	int listener;

	listener = raw_listen(argc, argv, SOCK_NONBLOCK, &fds_max);
	polled = calloc(fds_max, sizeof *polled);
	rests = calloc(fds_max, sizeof(struct rest *));
	if (!polled || !rests)
		err(1, "calloc");
	watch(listener);
	raw_announce(listener);

	for (;;) {
		int events = poll(polled, polled_count, -1);

		if (events < 0 && errno != EINTR)
			err(1, "poll");
		for (nfds_t place = polled_count; place-- > 0 && events > 0;) {
			if (!polled[place].revents)
				continue;
			events--;
			if (place == LISTENER)
				on_acceptable();
			else if (rests[polled[place].fd])
				on_writable(place);
			else
				on_readable(place);
		}
	}
}
