#include "sim/client.h"
#include "base/assert.h"
#include "base/macros.h"

#include "sim/state.h"

#include <stdlib.h>

static struct sim_client *client_of(struct sim_socket *socket)
{
	struct sim_client *client = sim_alloc(sizeof(*client));

	client->socket = socket;
	return client;
}

struct sim_client *sim_client_connect(struct sim_kernel *kernel, uint16_t port)
{
	struct sim_socket *listener = sim_listener_find(kernel, port), *socket;

	if (!listener)
		return NULL;
	socket = sim_socket_create(kernel, SIM_STREAM);
	if (!sim_listener_offer(listener, socket)) {
		sim_socket_let_go(socket);
		return NULL;
	}
	return client_of(socket);
}

struct sim_client *sim_client_pair(struct sim_kernel *kernel, int *ret_fd)
{
	struct sim_socket *mine = sim_socket_create(kernel, SIM_STREAM);
	struct sim_socket *theirs = sim_socket_create(kernel, SIM_STREAM);

	sim_socket_connect_pair(mine, theirs);
	*ret_fd = sim_fd_open(kernel, theirs);
	if (*ret_fd < 0)
		sim_fail(kernel, "no descriptor is left for a pair");
	return client_of(mine);
}

struct sim_client *sim_client_accept(struct sim_kernel *kernel, int listener)
{
	struct sim_socket *socket = sim_fd_get(kernel, listener, "accept by a client");

	if (socket->kind != SIM_LISTENER)
		sim_fail(kernel, "descriptor %d does not listen", listener);
	if (!socket->queued)
		return NULL;
	sim_moved(kernel);
	return client_of(sim_listener_take(socket));
}

void sim_client_close(struct sim_client *client)
{
	if (!client)
		return;
	sim_moved(client->socket->kernel);
	sim_socket_let_go(client->socket);
	free(client);
}

void sim_client_set_packets(struct sim_client *client)
{
	client->socket->packets = client->socket->peer->packets = true;
}

size_t sim_client_send(struct sim_client *client, const void *data, size_t size)
{
	struct sim_socket *socket = client->socket;

	if (socket->dead || socket->fin_queued)
		return 0;
	if (socket->tx.size >= socket->tx_max)
		return 0;
	if (socket->packets)
		sim_packet_begin(&socket->tx, size);
	else
		size = gb__min(size, socket->tx_max - socket->tx.size);
	sim_bytes_append(&socket->tx, data, size);
	if (size)
		sim_moved(socket->kernel);
	return size;
}

size_t sim_client_read(struct sim_client *client, void *data, size_t size)
{
	struct sim_socket *socket = client->socket;

	if (socket->packets && socket->rx.size)
		return (size_t)sim_stream_recv(socket, data, size, (struct sim_outcome){ 0 });
	size = gb__min(size, socket->rx.size);
	sim_bytes_take(&socket->rx, data, size);
	if (size)
		sim_moved(socket->kernel);
	return size;
}

size_t sim_client_pending(const struct sim_client *client)
{
	return client->socket->rx.size;
}

size_t sim_client_unsent(const struct sim_client *client)
{
	return client->socket->tx.size;
}

void sim_client_shutdown(struct sim_client *client)
{
	sim_socket_shutdown(client->socket, SHUT_WR);
}

void sim_client_reset(struct sim_client *client)
{
	sim_socket_reset(client->socket);
}

bool sim_client_at_end(const struct sim_client *client)
{
	return client->socket->fin_received && !client->socket->rx.size;
}

bool sim_client_was_reset(const struct sim_client *client)
{
	return client->socket->was_reset;
}

void sim_client_set_window(struct sim_client *client, size_t bytes)
{
	gb__assert(bytes);
	client->socket->rx_max = bytes;
	sim_moved(client->socket->kernel);
}
