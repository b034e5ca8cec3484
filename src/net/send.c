/* What a handler may do to its connection's output, and look at. */
#include "net/conn.h"

#include "os/socket.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define FORMAT_SIZE 512u /* most lines fit; longer ones are formatted a second time */

/* After bytes were queued: limits, and whoever is not in a callback of this connection needs a turn. */
static inline int queued(struct gb_conn *conn, int result, size_t size)
{
	const struct gb__limits *limits = conn->net->limits;
	size_t bytes = conn->stream.output.bytes;

	if (gb__unlikely(result < 0)) {
		gb__conn_end(conn, GB_CLOSE_NO_MEMORY, ENOMEM);
		return result;
	}
	gb__count(conn->net->counters->stats.bytes_out, size);
	if (gb__unlikely(bytes > limits->output_high)) {
		conn->flags |= GB__CONN_HIGH;
		if (bytes > limits->output_bytes_max) {
			conn->flags |= GB__CONN_RESET; /* the peer gets no orderly end of half an answer */
			gb__conn_end(conn, GB_CLOSE_OUTPUT_LIMIT, 0);
			return -GB_ELIMIT;
		}
	}
	if (!(conn->flags & GB__CONN_DISPATCH))
		gb__conn_queue(conn);
	return 0;
}

int gb_conn_send(struct gb_conn *conn, const void *data, size_t size)
{
	if (gb__unlikely(gb__conn_closing(conn)))
		return -EPIPE;
	return queued(
		conn, gb__output_append(&conn->stream.output, &conn->net->engine->pool, data, size), size);
}

int gb_conn_send_ref(struct gb_conn *conn, struct gb_buffer *buffer)
{
	size_t size;

	if (gb__conn_closing(conn))
		return -EPIPE;
	gb__buffer_bytes(buffer, &size);
	return queued(
		conn, gb__output_append_shared(&conn->stream.output, &conn->net->engine->pool, buffer), size);
}

int gb_conn_try_send(struct gb_conn *conn, const void *data, size_t size)
{
	if (gb__conn_closing(conn))
		return -EPIPE;
	/* An empty queue takes anything: a message above the watermark could else never be sent. */
	if (!gb__output_empty(&conn->stream.output) &&
		conn->stream.output.bytes + size > conn->net->limits->output_high) {
		conn->flags |= GB__CONN_REFUSED_TRY;
		if (!(conn->flags & GB__CONN_DISPATCH))
			gb__conn_queue(conn);
		return -EAGAIN;
	}
	return gb_conn_send(conn, data, size);
}

int gb_conn_printf(struct gb_conn *conn, const char *format, ...)
{
	char text[FORMAT_SIZE];
	va_list arguments;
	int length, result;

	va_start(arguments, format);
	length = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (length < 0)
		return -EINVAL;
	if ((size_t)length >= sizeof(text)) {
		struct gb__chunk *chunk = gb__chunk_create(&conn->net->engine->pool, (size_t)length + 1);

		if (!chunk) {
			gb__conn_end(conn, GB_CLOSE_NO_MEMORY, ENOMEM);
			return -ENOMEM;
		}
		va_start(arguments, format);
		vsnprintf((char *)chunk->data, (size_t)length + 1, format, arguments);
		va_end(arguments);
		result = gb_conn_send(conn, chunk->data, (size_t)length);
		gb__chunk_destroy(&conn->net->engine->pool, chunk);
		return result;
	}
	return gb_conn_send(conn, text, (size_t)length);
}

size_t gb_conn_output_size(const struct gb_conn *conn)
{
	return conn->stream.output.bytes;
}

void *gb_conn_user(const struct gb_conn *conn)
{
	return conn->user;
}

struct gb_worker *gb_conn_worker(const struct gb_conn *conn)
{
	return conn->net->worker;
}

int gb_conn_descriptor(const struct gb_conn *conn)
{
	return conn->stream.endpoint.fd;
}

int gb_conn_error(const struct gb_conn *conn)
{
	return conn->error;
}

static int describe(
	const struct gb_conn *conn, int (*get)(int fd, struct gb__address *ret), char *text, size_t size)
{
	struct gb__address address;
	int result = get(conn->stream.endpoint.fd, &address);

	return result < 0 ? result : gb__address_format(&address, text, size);
}

int gb_conn_peer(const struct gb_conn *conn, char *text, size_t size)
{
	return describe(conn, gb__socket_peer, text, size);
}

int gb_conn_local(const struct gb_conn *conn, char *text, size_t size)
{
	return describe(conn, gb__socket_local, text, size);
}
