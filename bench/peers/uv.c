/*
 * libuv. Input comes into one buffer that all connections share. The reply is tried at once; what the socket
 * does not take is copied and queued, and nothing more is read until it has gone.
 */
#include "../raw_listen.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { BUFFER_SIZE = 64 * 1024 };

struct rest {
	uv_write_t request;
	char bytes[];
};

static char buffer[BUFFER_SIZE];

static void check(int result, const char *what)
{
	if (result < 0)
		errx(1, "%s: %s", what, uv_strerror(result));
}

static void on_closed(uv_handle_t *handle)
{
	free(handle);
}

static void connection_close(uv_stream_t *stream)
{
	if (!uv_is_closing((uv_handle_t *)stream))
		uv_close((uv_handle_t *)stream, on_closed);
}

static void on_alloc(uv_handle_t *handle, size_t suggested_size, uv_buf_t *ret)
{
	*ret = uv_buf_init(buffer, sizeof buffer);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf);

static void on_written(uv_write_t *request, int status)
{
	uv_stream_t *stream = request->handle;

	free(request); /* the first member of the rest */
	if (status < 0 || uv_read_start(stream, on_alloc, on_read) < 0)
		connection_close(stream);
}

static void write_rest(uv_stream_t *stream, const char *bytes, size_t size)
{
	struct rest *rest = malloc(sizeof *rest + size);
	uv_buf_t data;

	if (!rest) {
		connection_close(stream);
		return;
	}
	memcpy(rest->bytes, bytes, size);
	data = uv_buf_init(rest->bytes, (unsigned)size);
	uv_read_stop(stream);
	if (uv_write(&rest->request, stream, &data, 1, on_written) < 0) {
		free(rest);
		connection_close(stream);
	}
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
	uv_buf_t reply;
	int written;

	if (size <= 0) {
		if (size < 0)
			connection_close(stream);
		return;
	}
	reply = uv_buf_init(buf->base, (unsigned)size);
	written = uv_try_write(stream, &reply, 1);
	if (written == UV_EAGAIN)
		written = 0;
	if (written < 0)
		connection_close(stream);
	else if (written < size)
		write_rest(stream, buf->base + written, (size_t)(size - written));
}

static void on_connection(uv_stream_t *listener, int status)
{
	uv_tcp_t *connection;

	if (status < 0)
		return;
	connection = malloc(sizeof *connection);
	if (!connection)
		err(1, "malloc");
	check(uv_tcp_init(listener->loop, connection), "uv_tcp_init");
	if (uv_accept(listener, (uv_stream_t *)connection) < 0 ||
		uv_read_start((uv_stream_t *)connection, on_alloc, on_read) < 0)
		connection_close((uv_stream_t *)connection);
}

int main(int argc, char **argv)
{
	uv_loop_t *loop = uv_default_loop();
	uv_tcp_t listener;
	size_t fds_max;
	int fd = raw_listen(argc, argv, 0, &fds_max);

	check(uv_tcp_init(loop, &listener), "uv_tcp_init");
	check(uv_tcp_open(&listener, fd), "uv_tcp_open");
	check(uv_listen((uv_stream_t *)&listener, BACKLOG, on_connection), "uv_listen");
	raw_announce(fd);
	return uv_run(loop, UV_RUN_DEFAULT);
}
