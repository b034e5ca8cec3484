/*
 * What accept, recv, send and connect do to the sockets in memory, for the os table and for rings
 * alike. -EAGAIN says that nothing can be done yet: the os table hands it on, a ring waits.
 *
 * A scripted error that is not a mere "try again" breaks the connection for both ends, as it would.
 */
#include "base/assert.h"
#include "base/macros.h"
#include "sim/state.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

static bool is_passing(int error)
{
	return error == -EAGAIN || error == -EINTR || error == -ENOBUFS || error == -ENOMEM ||
		error == -EMSGSIZE;
}

static int drop_oldest(struct sim_socket *listener, int error)
{
	struct sim_socket *lost = sim_listener_take(listener);

	sim_socket_reset(lost);
	sim_socket_let_go(lost);
	sim_moved(listener->kernel);
	return error;
}

static int accept_fault(struct sim_kernel *kernel)
{
	const struct sim_profile *profile = &kernel->profile;

	if (sim_chance(kernel, profile->accept_emfile))
		return -EMFILE;
	if (sim_chance(kernel, profile->accept_enfile))
		return -ENFILE;
	if (sim_chance(kernel, profile->accept_aborted))
		return -ECONNABORTED;
	if (sim_chance(kernel, profile->accept_eproto))
		return -EPROTO;
	return 0;
}

int sim_stream_accept(struct sim_socket *listener, struct sim_outcome outcome)
{
	struct sim_kernel *kernel = listener->kernel;
	int error = outcome.result, fd;

	if (!listener->queued)
		return -EAGAIN;
	if (!error)
		error = accept_fault(kernel);
	if (error < 0) {
		sim_moved(kernel);
		return error == -ECONNABORTED || error == -EPROTO ? drop_oldest(listener, error) : error;
	}
	fd = sim_fd_open(kernel, listener->queue[0]);
	if (fd >= 0) {
		sim_listener_take(listener);
		sim_moved(kernel);
	}
	return fd;
}

/* Whether the call is over with a scripted error; breaks the connection if the error would. */
static bool scripted_error(struct sim_socket *socket, struct sim_outcome outcome)
{
	if (outcome.result >= 0)
		return false;
	sim_moved(socket->kernel);
	if (!is_passing(outcome.result))
		sim_socket_reset(socket);
	return true;
}

/* One packet: its size, of which more than there is room for is lost. */
static ssize_t packet_take(struct sim_socket *socket, void *data, size_t room)
{
	const size_t size = sim_packet_size(&socket->rx), taken = gb__min(size, room);

	sim_bytes_take(&socket->rx, NULL, sizeof(uint32_t));
	sim_bytes_take(&socket->rx, data, taken);
	sim_bytes_take(&socket->rx, NULL, size - taken);
	sim_moved(socket->kernel);
	return (ssize_t)size;
}

ssize_t sim_stream_recv(struct sim_socket *socket, void *data, size_t size, struct sim_outcome outcome)
{
	struct sim_kernel *kernel = socket->kernel;
	int error = socket->error;

	gb__assert(size);
	if (!(sim_socket_ready(socket) & GB__READY_IN))
		return -EAGAIN;
	if (scripted_error(socket, outcome))
		return outcome.result;
	if (!socket->connected)
		return -ENOTCONN;
	if (socket->rx.size && socket->packets)
		return packet_take(socket, data, size);
	if (socket->rx.size) { /* even when a reset came: Linux hands out what arrived before it */
		size = gb__min(size, socket->rx.size);
		if (outcome.result > 0)
			size = gb__min(size, (size_t)outcome.result);
		else
			size = sim_part(kernel, kernel->profile.recv_partial, size);
		sim_bytes_take(&socket->rx, data, size);
		sim_moved(kernel);
		return (ssize_t)size;
	}
	if (!socket->end_told)
		sim_moved(kernel);
	socket->end_told = true; /* whoever asks again and again moves nothing */
	if (socket->fin_received)
		return 0;
	socket->error = 0; /* told once, then it is the end of the stream */
	return -error;
}

/* How much of so many bytes a stream takes. */
static size_t part_sent(struct sim_socket *socket, size_t size, struct sim_outcome outcome)
{
	struct sim_kernel *kernel = socket->kernel;

	size = gb__min(size, socket->tx_max - socket->tx.size);
	return outcome.result > 0 ? gb__min(size, (size_t)outcome.result)
				  : sim_part(kernel, kernel->profile.send_partial, size);
}

ssize_t sim_stream_sendv(
	struct sim_socket *socket, const struct iovec *parts, size_t count, struct sim_outcome outcome)
{
	struct sim_kernel *kernel = socket->kernel;
	int error = socket->error;
	size_t size = 0, left;

	if (socket->connecting)
		return -EAGAIN;
	if (!socket->connected)
		return -ENOTCONN;
	for (size_t i = 0; i < count; i++)
		size += parts[i].iov_len;
	if (!size)
		sim_fail(kernel, "a send of no bytes on descriptor %d", socket->fd);
	if (socket->dead || socket->fin_queued) {
		socket->error = 0;
		return error ? -error : -EPIPE;
	}
	if (socket->tx.size >= socket->tx_max)
		return -EAGAIN;
	if (scripted_error(socket, outcome))
		return outcome.result;
	if (socket->packets) /* whole, or not at all */
		sim_packet_begin(&socket->tx, size);
	else
		size = part_sent(socket, size, outcome);
	left = size;
	for (size_t i = 0; i < count && left; i++) {
		size_t part = gb__min(left, parts[i].iov_len);

		sim_bytes_append(&socket->tx, parts[i].iov_base, part);
		left -= part;
	}
	sim_moved(kernel);
	return (ssize_t)size;
}

int sim_stream_connect(struct sim_socket *socket, const struct sockaddr *address, socklen_t size)
{
	struct sim_kernel *kernel = socket->kernel;

	if (socket->connected || socket->connecting || socket->connect_decided)
		sim_fail(kernel, "a second connect on descriptor %d", socket->fd);
	if (address->sa_family != AF_INET || size < sizeof(struct sockaddr_in))
		return -EAFNOSUPPORT;
	socket->target_port = ntohs(((const struct sockaddr_in *)(const void *)address)->sin_port);
	socket->connecting = true;
	sim_moved(kernel);
	if (!sim_chance(kernel, kernel->profile.connect_now) || !sim_socket_pump(socket))
		return -EINPROGRESS;
	return sim_stream_connect_result(socket);
}

int sim_stream_connect_result(struct sim_socket *socket)
{
	if (!socket->connect_decided)
		sim_fail(socket->kernel, "the result of a connect that is not decided (descriptor %d)",
			socket->fd);
	return -socket->connect_error;
}
