/* The os table of a simulated kernel. */
#include "base/macros.h"
#include "os/address.h"
#include "sim/state.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static struct sim_socket *get(struct gb__os *os, int fd, const char *call)
{
	return sim_fd_get(sim_kernel_of(os), fd, call);
}

static struct sim_socket *get_kind(struct gb__os *os, int fd, enum sim_kind kind, const char *call)
{
	struct sim_socket *socket = get(os, fd, call);

	if (socket->kind != kind)
		sim_fail(socket->kernel, "%s on descriptor %d, which is something else", call, fd);
	return socket;
}

/*
 * The outcome of a call that could do something: scripted, or by chance "try again", or as it comes.
 * Returns 0 when the call goes on.
 */
static int decide(struct sim_socket *socket, enum sim_call call, struct sim_outcome *ret)
{
	struct sim_kernel *kernel = socket->kernel;

	if (socket->scripts[call].count) {
		*ret = sim_script_next(socket, call);
		return 0;
	}
	*ret = (struct sim_outcome){ 0 };
	if (sim_chance(kernel, kernel->profile.eagain)) {
		sim_moved(kernel); /* a fault, not a spin */
		return -EAGAIN;
	}
	if (sim_chance(kernel, kernel->profile.eintr)) {
		sim_moved(kernel);
		return -EINTR;
	}
	return 0;
}

static int os_accept(struct gb__os *os, int fd)
{
	struct sim_socket *listener = get_kind(os, fd, SIM_LISTENER, "accept");
	struct sim_outcome outcome;
	int result = -EAGAIN;

	if (listener->queued) {
		result = decide(listener, SIM_ACCEPT, &outcome);
		if (!result)
			result = sim_stream_accept(listener, outcome);
	}
	sim_trace(listener->kernel, "accept(%d) = %d", fd, result);
	return result;
}

static int os_socket(struct gb__os *os, int family, int type)
{
	struct sim_kernel *kernel = sim_kernel_of(os);
	struct sim_socket *socket;
	int fd;

	if (family != AF_INET)
		return -EAFNOSUPPORT;
	socket = sim_socket_create(kernel, SIM_STREAM);
	socket->packets = type == SOCK_SEQPACKET;
	fd = sim_fd_open(kernel, socket);
	if (fd < 0)
		sim_socket_let_go(socket);
	return fd;
}

static int os_connect(struct gb__os *os, int fd, const struct sockaddr *address, socklen_t size)
{
	struct sim_socket *socket = get_kind(os, fd, SIM_STREAM, "connect");
	int result = sim_stream_connect(socket, address, size);

	sim_trace(socket->kernel, "connect(%d) = %d", fd, result);
	return result;
}

static int os_connect_result(struct gb__os *os, int fd)
{
	return sim_stream_connect_result(get_kind(os, fd, SIM_STREAM, "connect_result"));
}

static ssize_t os_recv(struct gb__os *os, int fd, void *data, size_t size)
{
	struct sim_socket *socket = get_kind(os, fd, SIM_STREAM, "recv");
	struct sim_outcome outcome;
	ssize_t result = -EAGAIN;

	if (socket->receiving)
		sim_fail(socket->kernel, "recv on descriptor %d while a ring receives on it", fd);
	if (sim_socket_ready(socket) & GB__READY_IN) {
		result = decide(socket, SIM_RECV, &outcome);
		if (!result)
			result = sim_stream_recv(socket, data, size, outcome);
	}
	sim_trace(socket->kernel, "recv(%d, %zu) = %zd", fd, size, result);
	return result;
}

static ssize_t os_sendv(struct gb__os *os, int fd, const struct iovec *parts, unsigned count)
{
	struct sim_socket *socket = get_kind(os, fd, SIM_STREAM, "send");
	struct sim_outcome outcome = { 0 };
	ssize_t result = 0;

	if (socket->sending)
		sim_fail(socket->kernel, "send on descriptor %d while a ring sends on it", fd);
	if (socket->connected && !socket->dead && socket->tx.size < socket->tx_max)
		result = decide(socket, SIM_SEND, &outcome);
	if (!result)
		result = sim_stream_sendv(socket, parts, count, outcome);
	sim_trace(socket->kernel, "send(%d) = %zd", fd, result);
	return result;
}

static ssize_t os_send(struct gb__os *os, int fd, const void *data, size_t size)
{
	struct iovec part = { (void *)(uintptr_t)data, size };

	return os_sendv(os, fd, &part, 1);
}

static int os_error(struct gb__os *os, int fd)
{
	struct sim_socket *socket = get_kind(os, fd, SIM_STREAM, "error");
	int error = socket->error;

	socket->error = 0;
	return -error;
}

static unsigned os_ready(struct gb__os *os, int fd, unsigned ready)
{
	return sim_socket_ready(get_kind(os, fd, SIM_STREAM, "ready")) &
		(ready | GB__READY_ERROR | GB__READY_HANGUP);
}

static size_t os_unsent(struct gb__os *os, int fd)
{
	const struct sim_socket *socket = get_kind(os, fd, SIM_STREAM, "unsent");

	return socket->dead ? 0 : socket->tx.size;
}

static int os_waited_ms(struct gb__os *os, int fd)
{
	(void)get_kind(os, fd, SIM_STREAM, "waited_ms");
	return -1;
}

static int os_shutdown(struct gb__os *os, int fd, int how)
{
	struct sim_socket *socket = get_kind(os, fd, SIM_STREAM, "shutdown");

	sim_trace(socket->kernel, "shutdown(%d, %d)", fd, how);
	if (!socket->connected || socket->dead)
		return -ENOTCONN;
	sim_socket_shutdown(socket, how);
	return 0;
}

static int os_reset_on_close(struct gb__os *os, int fd)
{
	get_kind(os, fd, SIM_STREAM, "reset_on_close")->reset_on_close = true;
	return 0;
}

static int os_tune(struct gb__os *os, int fd, int family, const struct gb__socket_options *options)
{
	get_kind(os, fd, SIM_STREAM, "tune");
	return 0;
}

/* Ports are descriptors: what is not the same does not look so. */
static int os_address(struct gb__os *os, int fd, bool peer, struct gb__address *ret)
{
	const struct sim_socket *socket = get_kind(os, fd, SIM_STREAM, "address");

	if (peer && (!socket->connected || socket->dead))
		return -ENOTCONN;
	*ret = (struct gb__address){
		.v4 = { .sin_family = AF_INET,
			.sin_port = htons((uint16_t)(fd + (peer ? 20000 : 10000))),
			.sin_addr.s_addr = htonl(INADDR_LOOPBACK) },
		.size = sizeof(ret->v4),
	};
	return 0;
}

static int os_close(struct gb__os *os, int fd)
{
	struct sim_socket *socket = get(os, fd, "close");

	sim_trace(socket->kernel, "close(%d)", fd);
	sim_fd_close(socket);
	return 0;
}

static int os_copy(struct gb__os *os, int fd)
{
	(void)get(os, fd, "copy");
	return -EMFILE;
}

static uint64_t os_now_ns(struct gb__os *os)
{
	return sim_kernel_of(os)->now_ns;
}

static uint64_t os_now_ms(struct gb__os *os)
{
	return sim_kernel_of(os)->now_ns / 1000000u;
}

static int os_event_create(struct gb__os *os)
{
	struct sim_kernel *kernel = sim_kernel_of(os);
	struct sim_socket *socket = sim_socket_create(kernel, SIM_EVENT);
	int fd = sim_fd_open(kernel, socket);

	if (fd < 0)
		sim_socket_let_go(socket);
	return fd;
}

static void os_event_signal(struct gb__os *os, int fd)
{
	struct sim_socket *event = get_kind(os, fd, SIM_EVENT, "event_signal");

	event->signalled = true;
	event->signals++;
	sim_moved(event->kernel);
}

static void os_event_clear(struct gb__os *os, int fd)
{
	get_kind(os, fd, SIM_EVENT, "event_clear")->signalled = false;
}

static int os_file(struct gb__os *os, const struct gb__file_call *call)
{
	return sim_file_perform(sim_kernel_of(os), call);
}

const struct gb__os_ops sim_os_ops = {
	.name = "simulated",
	.accept = os_accept,
	.socket = os_socket,
	.tune = os_tune,
	.address = os_address,
	.connect = os_connect,
	.connect_result = os_connect_result,
	.recv = os_recv,
	.send = os_send,
	.sendv = os_sendv,
	.error = os_error,
	.ready = os_ready,
	.unsent = os_unsent,
	.waited_ms = os_waited_ms,
	.shutdown = os_shutdown,
	.reset_on_close = os_reset_on_close,
	.close = os_close,
	.copy = os_copy,
	.now_ns = os_now_ns,
	.now_ms = os_now_ms,
	.event_create = os_event_create,
	.event_signal = os_event_signal,
	.event_clear = os_event_clear,
	.file = os_file,
};

int sim_listen(struct sim_kernel *kernel, uint16_t port, unsigned backlog)
{
	struct sim_socket *listener;

	if (!port)
		port = kernel->port_next++;
	if (sim_listener_find(kernel, port))
		return -EADDRINUSE;
	listener = sim_socket_create(kernel, SIM_LISTENER);
	listener->port = port;
	listener->backlog = gb__max(backlog, 1u);
	listener->queue = sim_alloc(listener->backlog * sizeof(struct sim_socket *));
	if (sim_fd_open(kernel, listener) < 0) {
		sim_socket_let_go(listener);
		return -EMFILE;
	}
	return listener->fd;
}

struct sockaddr_in sim_address(struct sim_kernel *kernel, int listener)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(get_kind(&kernel->os, listener, SIM_LISTENER, "address")->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}
