/*
 * Writing: as by callbacks, but whoever writes above the high watermark waits until output is below the low one, and
 * what is larger than that is queued piece by piece.
 */
#include "base/alloc.h"
#include "base/macros.h"
#include "buffer/text.h"
#include "file/file.h"
#include "net/packet.h"
#include "stream/stream.h"

#include <errno.h>

/* Why nothing can be written, or 0. */
static int blocked(const struct gb_stream *stream)
{
	const struct gb_conn *conn = stream->conn;

	if (gb__unlikely(stream->over))
		return stream->error;
	if (gb__unlikely(gb__conn_closing(conn)))
		return gb__stream_code(conn->reason, gb__conn_errno(conn));
	if (gb__unlikely(conn->flags & GB__CONN_OUTPUT_END))
		return -EPIPE;
	if (gb__unlikely(conn->terms->relayed))
		return -EBUSY;
	return 0;
}

/* Wait for on_writable. Returns 0 when it has come, or what ends the wait. */
static int await_writable(struct gb_stream *stream, struct gb_coro *coro)
{
	struct gb_conn *conn = stream->conn;
	int result;

	conn->flags |= GB__CONN_REFUSED_TRY;
	if (!(conn->flags & GB__CONN_DISPATCH))
		gb__conn_queue(conn);
	stream->writer = coro;
	result = gb__coro_wait(coro);
	stream->writer = NULL;
	return gb__stream_left(stream, result < 0 ? result : blocked(stream));
}

/* Until output is below the low watermark. */
static __attribute__((noinline)) int await_room(struct gb_stream *stream)
{
	struct gb_coro *coro = stream->streams->running;
	int result = 0;

	if (!coro)
		return -GB_ENOCORO;
	while (result == 0 && gb_conn_output_size(stream->conn) > stream->conn->terms->limits->output_low)
		result = await_writable(stream, coro);
	return result;
}

/* Nothing comes in between what another coroutine is about to write: not even a word of its own. */
static int begin(const struct gb_stream *stream)
{
	const struct gb_coro *coro;

	if (gb__unlikely(!stream->conn))
		return -ESTALE;
	gb__stream_mine_in(stream, "gb_write");
	coro = stream->streams->running;
	if (coro && gb__unlikely(coro->cancelled))
		return coro->cancelled;
	return gb__unlikely(stream->writer) ? -EBUSY : blocked(stream);
}

/* Nothing can be written, whoever runs. */
static __attribute__((noinline)) int failed(const struct gb_stream *stream, int result)
{
	struct gb_coro *coro = stream->streams->running;

	return coro ? gb__coro_failed(coro, result) : result;
}

/* While the engine's buffer still holds the message, what is sent of it goes from there. */
static inline const unsigned char *where_it_lies(const struct gb_stream *stream, const unsigned char *data)
{
	size_t offset = (size_t)(data - stream->message.data);

	return stream->original && offset < stream->message.size ? stream->original + offset : data;
}

/* All that was read goes back as it came, and nothing was written before: an echo. Who was given it runs. */
static inline bool goes_back(const struct gb_stream *stream, const unsigned char *data, size_t size)
{
	struct gb_conn *conn = stream->conn;

	return gb__likely(stream->original) && gb__likely(data == stream->message.data) &&
		gb__likely(size == stream->message.size) && gb__likely(conn->state == GB__CONN_OPEN) &&
		gb__likely(!stream->streams->running->cancelled) &&
		gb__likely(conn->net->burst.conn == conn) &&
		gb__likely(gb__burst_begin(&conn->net->burst, stream->original, size));
}

static inline bool is_high(const struct gb_stream *stream)
{
	return gb__unlikely(gb__conn_output_bytes(stream->conn) > stream->conn->terms->limits->output_high);
}

/* More than fits below the high watermark at once. */
static __attribute__((noinline)) int write_pieces(
	struct gb_stream *stream, const unsigned char *data, size_t size)
{
	const size_t piece_max = stream->conn->terms->limits->output_high;
	int result = 0;

	while (result == 0 && size > 0) {
		size_t piece = gb__min(size, piece_max);

		result = await_room(stream);
		if (result == 0)
			result = gb_conn_send(stream->conn, data, piece);
		data += piece;
		size -= piece;
	}
	return result == 0 && is_high(stream) ? await_room(stream) : result;
}

ssize_t gb_write(struct gb_stream *stream, const void *data, size_t size)
{
	int result;

	if (goes_back(stream, data, size))
		return (ssize_t)size;
	result = begin(stream);
	if (gb__unlikely(result < 0))
		return failed(stream, result);
	if (gb__unlikely(size > stream->conn->terms->limits->output_high) &&
		!gb__conn_has_packets(stream->conn))
		result = write_pieces(stream, data, size);
	else {
		result = gb_conn_send(stream->conn, where_it_lies(stream, data), size);
		if (result == 0 && is_high(stream))
			result = await_room(stream);
	}
	return gb__likely(result == 0) ? (ssize_t)size : result;
}

int gb_write_format(struct gb_stream *stream, const char *format, ...)
{
	struct gb__pool *pool = &stream->streams->net->engine->pool;
	struct gb__text text;
	va_list arguments;
	int result;

	va_start(arguments, format);
	result = gb__text_format(&text, pool, format, arguments);
	va_end(arguments);
	if (gb__unlikely(result < 0))
		return result;
	result = (int)gb_write(stream, text.data, text.size);
	gb__text_give(&text, pool);
	return result;
}

int gb_write_buffer(struct gb_stream *stream, struct gb_buffer *buffer)
{
	int result = begin(stream);

	if (result == 0)
		result = gb_conn_send_ref(stream->conn, buffer);
	return result == 0 && is_high(stream) ? await_room(stream) : result;
}

/* What is to come behind an open reply is not waited for. */
static size_t unsent(const struct gb_conn *conn)
{
	return gb__conn_next_bytes(conn) + (conn->net->burst.conn == conn ? conn->net->burst.size : 0);
}

int gb_flush(struct gb_stream *stream)
{
	struct gb_coro *coro;
	int result = begin(stream);

	if (result < 0)
		return result;
	coro = stream->streams->running;
	if (!coro)
		return -GB_ENOCORO;
	while (result == 0 && unsent(stream->conn) > 0) {
		gb__conn_push(stream->conn);
		if (unsent(stream->conn) == 0)
			break;
		stream->writer = coro;
		stream->flushes = true;
		result = gb__coro_wait(coro);
		stream->writer = NULL;
		stream->flushes = false;
		result = gb__stream_left(stream, result < 0 ? result : blocked(stream));
	}
	return result;
}

int gb_end_output(struct gb_stream *stream)
{
	int result = begin(stream);

	if (result == -EPIPE && (stream->conn->flags & GB__CONN_OUTPUT_END) &&
		!gb__conn_closing(stream->conn))
		return 0;
	return result == 0 ? gb_conn_end_output(stream->conn) : result;
}

static void rejoin(struct gb_stream *stream)
{
	gb__stream_drop(stream);
	if (stream->away) {
		stream->away = false;
		gb__conn_hold(stream->conn, -1);
	}
}

/* Its own side of a relay: nothing of it was cut. */
static int outcome(const struct gb_stream *stream)
{
	if (!stream->conn)
		return -ESTALE; /* it was closed meanwhile */
	return stream->conn->reason == GB_CLOSE_EOF
		? 0
		: gb__stream_code(stream->conn->reason, gb__conn_errno(stream->conn));
}

int gb_stream_relay(struct gb_stream *a, struct gb_stream *b)
{
	struct gb_coro *coro;
	int result = begin(a);

	if (result == 0)
		result = begin(b);
	if (result < 0)
		return result;
	coro = a->streams->running;
	if (!coro)
		return -GB_ENOCORO;
	result = a->reader || b->reader ? -EBUSY : 0;
	if (result == 0)
		result = gb_relay(a->conn, b->conn);
	if (result < 0)
		return result;
	rejoin(a);
	rejoin(b);
	a->reader = b->reader = coro;
	while (result == 0 && !(a->over && b->over))
		result = gb__coro_wait(coro);
	a->reader = b->reader = NULL;
	if (result < 0) {
		gb_stream_abort(a);
		gb_stream_abort(b);
	} else {
		result = outcome(a);
		result = result < 0 ? result : outcome(b);
	}
	result = gb__stream_left(a, result);
	return gb__stream_left(b, result);
}

#define FILE_PAGE (64u << 10)

int64_t gb_write_file(struct gb_stream *stream, int fd, int64_t offset, uint64_t size)
{
	struct gb_coro *coro = gb_stream_coro(stream);
	struct gb_file_operation file;
	unsigned char *page;
	uint64_t written = 0;
	ssize_t result;

	if (stream->conn && gb__conn_has_packets(stream->conn))
		return -EOPNOTSUPP; /* where it would fall into packets nobody could tell */
	page = gb__alloc(FILE_PAGE);
	result = page ? 1 : -ENOMEM;

	while (result > 0 && written < size) {
		result = gb__coro_may_wait(coro, __func__);
		if (result < 0)
			break;
		result = gb_await(coro,
			gb__file_read(stream->streams->net->files, &file, fd, page,
				gb__min(size - written, FILE_PAGE), offset + (int64_t)written, NULL, NULL));
		if (result > 0)
			result = gb_write(stream, page, (size_t)result);
		if (result > 0)
			written += (uint64_t)result;
	}
	gb__free(page);
	return result < 0 ? result : (int64_t)written;
}
