#include "net/outgoing.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/macros.h"
#include "loop/operation.h"
#include "net/conn.h"
#include "net/secure.h"

#include <errno.h>

int gb__net_connect(struct gb__net *net, const struct gb__address *address,
	const struct gb__socket_options *options, const struct gb_service *service, void *user,
	enum gb__for who, struct gb_conn **ret_conn)
{
	struct gb__os *os = net->loop->os;
	int fd = os->ops->socket(os, address->any.sa_family, gb__address_type(address)), tuned, result;
	struct gb_conn *conn;

	if (fd < 0)
		return fd;
	tuned = os->ops->tune(os, fd, address->any.sa_family, options);
	conn = gb__conn_create(net, fd, service, user, who | (address->packets ? GB__FOR_PACKETS : 0));
	if (!conn) {
		os->ops->close(os, fd);
		return -ENOMEM;
	}
	conn->state = GB__CONN_CONNECTING;
	result = gb__conn_secure(conn, address, NULL);
	if (result == 0)
		result = net->engine->ops->attach(net->engine, &conn->stream.endpoint);
	if (result < 0) {
		gb__conn_discard(conn);
		return result;
	}
	gb__count(net->counters->stats.connected, 1);
	gb__conn_deadline_within(conn, conn->terms->limits->connect_timeout_ms);
	/* A failure that is known at once is told as a later one would be: one path for the caller. */
	result = tuned;
	if (result == 0)
		result = net->engine->ops->connect(net->engine, &conn->stream, &address->any, address->size);
	if (result < 0)
		gb__conn_end(conn, GB_CLOSE_CONNECT_FAILED, -result);
	*ret_conn = conn;
	return 0;
}

struct join {
	struct gb__post post;
	struct gb__net *net;
	uint32_t slot, generation; /* it may have ended meanwhile */
};

static void joined(struct gb__post *post, bool alive)
{
	const struct join join = *gb__container_of(post, struct join, post);
	struct gb__endpoint *endpoint;

	gb__free(post);
	endpoint = alive ? gb__engine_find(join.net->engine, join.slot, join.generation) : NULL;
	if (endpoint)
		endpoint->ops->on_connected(gb__container_of(endpoint, struct gb__stream, endpoint), 0);
}

int gb__net_join(struct gb__net *net, int fd, const struct gb_service *service, void *user, enum gb__for who,
	struct gb_conn **ret_conn)
{
	struct join *join = gb__alloc(sizeof(*join));
	struct gb_conn *conn = join ? gb__conn_create(net, fd, service, user, who) : NULL;
	int result;

	if (!conn) {
		gb__free(join);
		gb__engine_close(net->engine, fd);
		return -ENOMEM;
	}
	conn->state = GB__CONN_CONNECTING;
	result = net->engine->ops->attach(net->engine, &conn->stream.endpoint);
	if (result < 0) {
		gb__conn_discard(conn);
		gb__free(join);
		return result;
	}
	gb__count(net->counters->stats.connected, 1);
	*join = (struct join){ { .run = joined }, net, conn->stream.endpoint.slot,
		conn->stream.endpoint.generation };
	gb__assert(gb__loop_post(net->loop, &join->post) == 0); /* its thread is here */
	*ret_conn = conn;
	return 0;
}

static void connect_cancel(struct gb_operation *operation)
{
	gb_conn_abort(gb__container_of(operation, struct gb_connecting, operation)->conn);
}

static const struct gb__operation_kind connect_kind = { "connect", connect_cancel };

void gb__connect_begin(
	struct gb_conn *conn, struct gb_connecting *connecting, gb_operation_done *on_done, void *user)
{
	gb__operation_begin(&connecting->operation, &connect_kind, conn->net->worker, on_done, user);
	connecting->conn = conn;
	conn->terms->connecting = &connecting->operation;
}

static int outcome(const struct gb_conn *conn)
{
	if (conn->state == GB__CONN_OPEN)
		return 0;
	if (gb__conn_errno(conn))
		return -gb__conn_errno(
			conn); /* be it that the server resets it within the handshake of TLS */
	if (conn->reason == GB_CLOSE_TLS_ERROR)
		return -EPROTO;
	return conn->reason == GB_CLOSE_CONNECT_FAILED ? -ECONNREFUSED : -ECANCELED;
}

void gb__connect_complete(struct gb_conn *conn)
{
	struct gb_operation *operation = conn->terms->connecting;
	const int code = outcome(conn);

	conn->terms->connecting = NULL;
	gb__net_note(conn->net, conn, operation, code);
	gb__operation_complete(operation, code);
}
