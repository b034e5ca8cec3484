#include "net/outgoing.h"

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
