/*
 * Sockets and descriptors in memory.
 *
 * A stream is one end of a pair. What it sends lies in `tx` until a turn moves it into the other
 * end's `rx`; FIN follows the last byte, RST overtakes everything. An end that was closed stays until
 * the other one goes as well, because it still answers: bytes that reach it are answered by RST, as
 * TCP does.
 */
#include "base/assert.h"
#include "base/macros.h"
#include "sim/state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void sim_bytes_append(struct sim_bytes *bytes, const void *data, size_t size)
{
	if (bytes->begin + bytes->size + size > bytes->capacity) {
		size_t capacity = gb__max(2 * bytes->capacity, bytes->size + size);
		unsigned char *grown = sim_alloc(capacity);

		if (bytes->size)
			memcpy(grown, bytes->data + bytes->begin, bytes->size);
		free(bytes->data);
		*bytes = (struct sim_bytes){ grown, 0, bytes->size, capacity };
	}
	if (size)
		memcpy(bytes->data + bytes->begin + bytes->size, data, size);
	bytes->size += size;
}

void sim_bytes_take(struct sim_bytes *bytes, void *data, size_t size)
{
	gb__assert(size <= bytes->size);
	if (data && size)
		memcpy(data, bytes->data + bytes->begin, size);
	bytes->begin += size;
	bytes->size -= size;
	if (!bytes->size)
		bytes->begin = 0;
}

void sim_bytes_clear(struct sim_bytes *bytes)
{
	free(bytes->data);
	*bytes = (struct sim_bytes){ 0 };
}

size_t sim_packet_size(const struct sim_bytes *bytes)
{
	uint32_t size;

	gb__assert(bytes->size >= sizeof(size));
	memcpy(&size, bytes->data + bytes->begin, sizeof(size));
	return size;
}

void sim_packet_begin(struct sim_bytes *bytes, size_t size)
{
	sim_bytes_append(bytes, &(uint32_t){ (uint32_t)size }, sizeof(uint32_t));
}

struct sim_socket *sim_socket_create(struct sim_kernel *kernel, enum sim_kind kind)
{
	struct sim_socket *socket = sim_alloc(sizeof(*socket));

	socket->kernel = kernel;
	socket->kind = kind;
	socket->serial = ++kernel->serials;
	socket->fd = -1;
	socket->held = true;
	socket->rx_max = kernel->profile.rx_max;
	socket->tx_max = kernel->profile.tx_max;
	gb__list_append(&kernel->sockets, &socket->link);
	return socket;
}

static void destroy(struct sim_socket *socket)
{
	if (socket->peer)
		socket->peer->peer = NULL;
	gb__list_remove(&socket->link);
	sim_bytes_clear(&socket->rx);
	sim_bytes_clear(&socket->tx);
	for (unsigned i = 0; i < SIM_CALLS; i++)
		free(socket->scripts[i].outcomes);
	if (socket->file)
		sim_file_let_go(socket->file);
	free(socket->queue);
	free(socket);
}

int sim_fd_open(struct sim_kernel *kernel, struct sim_socket *socket)
{
	unsigned number = 0;

	if (kernel->fds_limit && kernel->fds_open >= kernel->fds_limit)
		return -EMFILE;
	while (number < kernel->fds_size && kernel->fds[number])
		number++;
	if (number == kernel->fds_size) {
		unsigned size = kernel->fds_size ? 2 * kernel->fds_size : 64;
		struct sim_socket **fds = sim_alloc(size * sizeof(struct sim_socket *));

		if (kernel->fds_size)
			memcpy(fds, kernel->fds, kernel->fds_size * sizeof(struct sim_socket *));
		free(kernel->fds);
		kernel->fds = fds;
		kernel->fds_size = size;
	}
	kernel->fds[number] = socket;
	kernel->fds_open++;
	socket->fd = SIM_FD_FIRST + (int)number;
	return socket->fd;
}

struct sim_socket *sim_fd_get(struct sim_kernel *kernel, int fd, const char *call)
{
	unsigned number = (unsigned)(fd - SIM_FD_FIRST);

	if (fd < SIM_FD_FIRST || number >= kernel->fds_size || !kernel->fds[number])
		sim_fail(kernel, "%s on descriptor %d, which is not open", call, fd);
	return kernel->fds[number];
}

void sim_fd_close(struct sim_socket *socket)
{
	struct sim_kernel *kernel = socket->kernel;

	/* A poll keeps what it looks at until it has come back; whoever asked for it heeds it no more. */
	if (socket->operations && socket->kind != SIM_EVENT)
		sim_fail(kernel, "close of descriptor %d with %u operations in flight", socket->fd,
			socket->operations);
	if (socket->pollers && (socket->kind != SIM_STREAM || sim_pollers_remember(kernel, socket)))
		sim_fail(kernel, "close of descriptor %d while a poller knows it", socket->fd);
	kernel->fds[socket->fd - SIM_FD_FIRST] = NULL;
	kernel->fds_open--;
	socket->fd = -1;
	sim_moved(kernel);
	if (socket->pollers && sim_chance(kernel, kernel->profile.copied)) {
		socket->copied_until = kernel->turns + 1 + sim_random(kernel, kernel->profile.copied_max);
		return;
	}
	sim_pollers_forget(kernel, socket);
	if (!socket->operations)
		sim_socket_let_go(socket);
}

void sim_socket_copy_close(struct sim_socket *socket)
{
	socket->copied_until = 0;
	sim_moved(socket->kernel);
	sim_pollers_forget(socket->kernel, socket);
	sim_socket_let_go(socket);
}

void sim_socket_let_go(struct sim_socket *socket)
{
	gb__assert(socket->held);
	socket->held = false;
	while (socket->queued) {
		struct sim_socket *waiting = sim_listener_take(socket);

		sim_socket_reset(waiting);
		sim_socket_let_go(waiting);
	}
	if (socket->connected && !socket->dead) {
		/* RFC 1122, 4.2.2.13: unread bytes make it a reset */
		if (socket->reset_on_close || socket->rx.size)
			sim_socket_reset(socket);
		else
			socket->fin_queued = true;
	}
	if (socket->peer && !socket->peer->held)
		destroy(socket->peer);
	if (!socket->peer || socket->dead)
		destroy(socket);
}

void sim_socket_connect_pair(struct sim_socket *one, struct sim_socket *other)
{
	one->peer = other;
	other->peer = one;
	one->connected = other->connected = true;
}

struct sim_socket *sim_listener_find(struct sim_kernel *kernel, uint16_t port)
{
	for (struct gb__list *node = kernel->sockets.next; node != &kernel->sockets; node = node->next) {
		struct sim_socket *socket = gb__container_of(node, struct sim_socket, link);

		if (socket->kind == SIM_LISTENER && socket->port == port)
			return socket;
	}
	return NULL;
}

struct sim_socket *sim_listener_take(struct sim_socket *listener)
{
	struct sim_socket *oldest = listener->queue[0];

	memmove(listener->queue, listener->queue + 1, --listener->queued * sizeof(struct sim_socket *));
	return oldest;
}

bool sim_listener_offer(struct sim_socket *listener, struct sim_socket *from)
{
	struct sim_socket *arrived;

	if (listener->queued == listener->backlog)
		return false;
	arrived = sim_socket_create(listener->kernel, SIM_STREAM);
	arrived->packets = from->packets;
	sim_socket_connect_pair(arrived, from);
	listener->queue[listener->queued++] = arrived;
	sim_moved(listener->kernel);
	return true;
}

unsigned sim_socket_ready(const struct sim_socket *socket)
{
	bool no_more_input = socket->fin_received || socket->read_shut;
	unsigned ready = 0;

	if (socket->kind == SIM_LISTENER)
		return socket->queued ? GB__READY_IN : 0;
	if (socket->kind != SIM_STREAM)
		return socket->signalled ? GB__READY_IN : 0;
	if (socket->connecting)
		return 0;
	if (socket->connect_decided && socket->connect_error)
		return GB__READY_IN | GB__READY_OUT | GB__READY_ERROR | GB__READY_HANGUP;
	if (!socket->connected)
		return GB__READY_OUT | GB__READY_HANGUP;
	if (socket->rx.size || no_more_input || socket->dead)
		ready |= GB__READY_IN;
	/* Linux says writable from a third of the buffer on (sk_stream_is_writeable), and with packets once a quarter is
	 * used at most (unix_writable); the last packet may go beyond the buffer. */
	if (socket->packets ? socket->dead || socket->fin_queued || 4 * socket->tx.size <= socket->tx_max
			    : socket->dead || socket->fin_queued ||
				3 * (socket->tx_max - socket->tx.size) >= socket->tx_max)
		ready |= GB__READY_OUT;
	if (socket->error)
		ready |= GB__READY_ERROR;
	if (socket->dead || (no_more_input && socket->fin_queued))
		ready |= GB__READY_HANGUP;
	return ready;
}

/* Linux: bytes that arrived before the reset stay readable; after a FIN the error is EPIPE (tcp_reset). */
static void receive_reset(struct sim_socket *socket)
{
	socket->dead = socket->was_reset = true;
	socket->error = socket->fin_received ? EPIPE : ECONNRESET;
	sim_bytes_clear(&socket->tx);
	sim_trace(socket->kernel, "%d is reset", socket->fd);
	sim_moved(socket->kernel);
}

void sim_socket_reset(struct sim_socket *socket)
{
	if (socket->dead || !socket->connected)
		return;
	socket->dead = true;
	sim_bytes_clear(&socket->tx);
	if (socket->peer)
		receive_reset(socket->peer);
	sim_moved(socket->kernel);
}

void sim_socket_shutdown(struct sim_socket *socket, int how)
{
	if (how == SHUT_RD || how == SHUT_RDWR)
		socket->read_shut = true;
	if ((how == SHUT_WR || how == SHUT_RDWR) && !socket->dead)
		socket->fin_queued = true;
	sim_moved(socket->kernel);
}

static bool connect_pump(struct sim_socket *socket)
{
	struct sim_socket *listener = sim_listener_find(socket->kernel, socket->target_port);
	struct sim_outcome outcome = { 0 };

	if (socket->scripts[SIM_CONNECT].count)
		outcome = sim_script_next(socket, SIM_CONNECT);
	if (outcome.result < 0)
		socket->connect_error = -outcome.result;
	else if (!listener)
		socket->connect_error = ECONNREFUSED;
	else if (!sim_listener_offer(listener, socket))
		return false; /* a full backlog drops the handshake, which is tried again later */
	socket->connecting = false;
	socket->connect_decided = true;
	sim_moved(socket->kernel);
	return true;
}

bool sim_socket_pumpable(const struct sim_socket *socket)
{
	const struct sim_socket *peer = socket->peer;

	if (socket->connecting) {
		const struct sim_socket *listener = sim_listener_find(socket->kernel, socket->target_port);

		return !listener || socket->scripts[SIM_CONNECT].count ||
			listener->queued < listener->backlog;
	}
	if (!socket->connected || socket->dead || !peer)
		return false;
	if (socket->tx.size)
		return !peer->held || peer->rx.size < peer->rx_max;
	return socket->fin_queued && !socket->fin_sent;
}

bool sim_socket_pump(struct sim_socket *socket)
{
	struct sim_kernel *kernel = socket->kernel;
	size_t size;

	if (!sim_socket_pumpable(socket))
		return false;
	if (sim_chance(kernel, kernel->profile.wire_slow) && sim_random(kernel, 2))
		return false;
	if (socket->connecting)
		return connect_pump(socket);
	if (socket->tx.size && !socket->peer->held) {
		receive_reset(socket);
		return true;
	}
	if (socket->tx.size) {
		if (socket->packets) {
			size = sizeof(uint32_t) + sim_packet_size(&socket->tx); /* it arrives as a whole */
		} else {
			size = gb__min(socket->tx.size, socket->peer->rx_max - socket->peer->rx.size);
			size = sim_part(kernel, kernel->profile.wire_slow, size);
		}
		sim_bytes_append(&socket->peer->rx, socket->tx.data + socket->tx.begin, size);
		sim_bytes_take(&socket->tx, NULL, size);
	}
	if (!socket->tx.size && socket->fin_queued && !socket->fin_sent)
		socket->fin_sent = socket->peer->fin_received = true;
	sim_moved(kernel);
	return true;
}

void sim_script(struct sim_kernel *kernel, int fd, enum sim_call call, struct sim_outcome outcome)
{
	struct sim_script *script = &sim_fd_get(kernel, fd, "script")->scripts[call];
	struct sim_outcome *grown = sim_alloc((script->count + 1) * sizeof(*grown));

	if (script->count)
		memcpy(grown, script->outcomes + script->first, script->count * sizeof(*grown));
	free(script->outcomes);
	grown[script->count] = outcome;
	*script = (struct sim_script){ grown, 0, script->count + 1 };
}

unsigned sim_script_left(struct sim_kernel *kernel, int fd, enum sim_call call)
{
	return (unsigned)sim_fd_get(kernel, fd, "script")->scripts[call].count;
}

struct sim_outcome sim_script_next(struct sim_socket *socket, enum sim_call call)
{
	struct sim_script *script = &socket->scripts[call];

	if (!script->count)
		return (struct sim_outcome){ 0 };
	script->count--;
	return script->outcomes[script->first++];
}
