#include "net/outgoing.h"

#include "base/macros.h"
#include "loop/operation.h"
#include "net/conn.h"

#include <errno.h>

int gb__net_connect(struct gb__net *net, const struct gb__address *address,
	const struct gb__socket_options *options, const struct gb_service *service, void *user,
	enum gb__for who, struct gb_conn **ret_conn)
{
	struct gb__os *os = net->loop->os;
	int fd = os->ops->socket(os, address->any.sa_family), result;
	struct gb_conn *conn;

	if (fd < 0)
		return fd;
	os->ops->tune(os, fd, options);
	conn = gb__conn_create(net, fd, service, user, who);
	if (!conn) {
		os->ops->close(os, fd);
		return -ENOMEM;
	}
	conn->state = GB__CONN_CONNECTING;
	result = net->engine->ops->attach(net->engine, &conn->stream.endpoint);
	if (result < 0) {
		gb__conn_discard(conn);
		return result;
	}
	gb__count(net->counters->stats.connected, 1);
	gb__conn_deadline_within(conn, conn->terms->limits->connect_timeout_ms);
	/* A failure that is known at once is told as a later one would be: one path for the caller. */
	result = net->engine->ops->connect(net->engine, &conn->stream, &address->any, address->size);
	if (result < 0)
		gb__conn_end(conn, GB_CLOSE_CONNECT_FAILED, -result);
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
	if (conn->reason != GB_CLOSE_CONNECT_FAILED)
		return -ECANCELED;
	return conn->error ? -conn->error : -ECONNREFUSED;
}

void gb__connect_complete(struct gb_conn *conn)
{
	struct gb_operation *operation = conn->terms->connecting;

	conn->terms->connecting = NULL;
	gb__operation_complete(operation, outcome(conn));
}
