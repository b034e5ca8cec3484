/*
 * The ways out: a byte that no header has there, an end within one, and too late an end of it drop the connection, by a
 * reset, so that the proxy notices (proxy-protocol.txt, 2.1); so does whoever is not trusted, before anything is read.
 * Nobody is told of such a connection but the counters and the log. Whoever goes before he has said anything was no proxy's
 * client that got lost, but somebody who looked whether the port is open.
 *
 * What has come of a header lies in `input`, without GB__CONN_KEPT: nothing of it is for anybody else.
 */
#include "net/proxy_front.h"

#include "base/macros.h"
#include "net/proxied.h"
#include "net/proxy_networks.h"

#include <errno.h>

static void on_input(struct gb__stream *stream, unsigned char *data, size_t size);
static void on_end(struct gb__stream *stream, int error);
static void on_output(struct gb__stream *stream, int error);
static void on_detached(struct gb__endpoint *endpoint);

static const struct gb__endpoint_ops await_ops = {
	.on_input = on_input,
	.on_end = on_end,
	.on_output = on_output,
	.on_detached = on_detached,
};

bool gb__proxy_awaited(const struct gb_conn *conn)
{
	return conn->stream.endpoint.ops == &await_ops;
}

int gb__proxy_admit(struct gb__net *net, int fd, const struct gb__front *front, const char **ret_problem)
{
	struct gb__os *os = net->loop->os;
	struct gb__address peer;
	int result = os->ops->address(os, fd, true, &peer);

	if (result == 0 && gb__proxy_networks_have(front->proxies, &peer))
		return -1;
	*ret_problem = result < 0 ? NULL : "its network is not one of proxy-protocol";
	return result < 0 ? GB_CLOSE_RESET : GB_CLOSE_PROXY_HEADER; /* or it has gone */
}

void gb__proxy_await(struct gb_conn *conn)
{
	conn->state = GB__CONN_FRONT;
	conn->stream.endpoint.ops = &await_ops;
	gb__conn_deadline_within(conn, conn->terms->limits->handshake_timeout_ms);
}

/* Keep the beginning of a header, with room for all of it. Returns 0 or -ENOMEM. */
static int keep(struct gb_conn *conn, const unsigned char *data, size_t size)
{
	if (!conn->input)
		conn->input = gb__chunk_create(&conn->net->engine->pool, GB__PROXY_HEADER_MAX);
	if (!conn->input)
		return -ENOMEM;
	gb__chunk_fill(conn->input, data, size);
	return 0;
}

/* The header is there: as if it had been established now. */
static void begin(struct gb_conn *conn, const struct gb__proxy_header *header)
{
	int result = gb__proxied_keep(conn, header);

	gb__conn_input_drop(conn);
	conn->stream.endpoint.ops =
		conn->flags & GB__CONN_FRONTED ? &gb__conn_front_ops : conn->terms->endpoint_ops;
	if (result < 0)
		gb__conn_end(conn, GB_CLOSE_NO_MEMORY, ENOMEM);
	else
		gb__conn_established(conn);
}

static void on_input(struct gb__stream *stream, unsigned char *data, size_t size)
{
	struct gb_conn *conn = gb__conn_of(stream);
	const size_t held = conn->input ? conn->input->end - conn->input->begin : 0;
	const size_t taken = gb__min(size, (size_t)GB__PROXY_HEADER_MAX - held);
	const unsigned char *begun = data;
	struct gb__proxy_header header;
	const char *problem;
	int result;

	if (conn->state != GB__CONN_FRONT)
		return;
	if (held > 0) {
		keep(conn, data, taken); /* there is room */
		begun = conn->input->data + conn->input->begin;
	}
	result = gb__proxy_parse(begun, held + taken, &header, &problem);
	if (result < 0) {
		gb__conn_drop(conn, GB_CLOSE_PROXY_HEADER, problem);
		return;
	}
	conn->net->tally.bytes_in += result ? header.size - held : size;
	if (result == 0) {
		if (held == 0 && keep(conn, data, taken) < 0)
			gb__conn_end(conn, GB_CLOSE_NO_MEMORY, ENOMEM);
		return;
	}
	begin(conn, &header);
	data += header.size - held;
	size -= header.size - held;
	if (size > 0)
		stream->endpoint.ops->on_input(stream, data, size);
}

static void on_end(struct gb__stream *stream, int error)
{
	struct gb_conn *conn = gb__conn_of(stream);

	conn->flags |= GB__CONN_MUTED;
	if (error < 0)
		gb__conn_end(conn, gb__conn_reason_of(error), -error);
	else if (conn->input)
		gb__conn_drop(conn, GB_CLOSE_PROXY_HEADER, "it ended within its PROXY header");
	else
		gb__conn_end(conn, GB_CLOSE_EOF, 0);
}

/* Nothing is sent before. */
static void on_output(struct gb__stream *stream, int error)
{
	(void)stream;
	(void)error;
	gb__assert(false);
}

static void on_detached(struct gb__endpoint *endpoint)
{
	gb__conn_plain_ops.on_detached(endpoint);
}
