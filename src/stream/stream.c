/* What happens to the connection of a stream, from its opening to its end. */
#include "stream/stream.h"

#include "base/assert.h"
#include "base/macros.h"

#include <errno.h>

static const struct gb_codec_ops codec = { .name = "stream", .decode = gb__stream_decode };
static const struct gb_codec_ops packet_codec = { .name = "stream", .decode = gb__stream_decode_packet };

static struct gb_stream *stream_of(struct gb_conn *conn)
{
	return gb__conn_link(conn)->stream;
}

struct gb_conn *gb__stream_open_conn(const struct gb_stream *stream)
{
	return stream && stream->conn && !stream->over ? stream->conn : NULL;
}

int gb__stream_code(int reason, int error)
{
	switch (reason) {
	case GB_CLOSE_EOF:
	case GB_CLOSE_LOCAL:
		return -EPIPE;
	case GB_CLOSE_IDLE:
	case GB_CLOSE_READ_TIMEOUT:
	case GB_CLOSE_WRITE_TIMEOUT:
		return -ETIMEDOUT;
	case GB_CLOSE_MESSAGE_TOO_LARGE:
		return -GB_ETOOLARGE;
	case GB_CLOSE_BAD_FRAME:
		return -GB_EBADFRAME;
	case GB_CLOSE_OUTPUT_LIMIT:
	case GB_CLOSE_OVER_LIMIT:
	case GB_CLOSE_DESCRIPTOR_LIMIT:
		return -GB_ELIMIT;
	case GB_CLOSE_DRAIN:
		return -ECANCELED;
	case GB_CLOSE_RESET:
	case GB_CLOSE_RELAY:
		return -ECONNRESET;
	case GB_CLOSE_TLS_ERROR:
		return -EPROTO;
	case GB_CLOSE_TLS_TRUNCATED:
		return -GB_ETRUNCATED;
	case GB_CLOSE_NO_MEMORY:
		return -ENOMEM;
	case GB_CLOSE_CONNECT_FAILED:
		return error ? -error : -ECONNREFUSED;
	default:
		return error ? -error : -EIO;
	}
}

void gb__stream_attach(struct gb_stream *stream, struct gb_conn *conn)
{
	stream->conn = conn;
	gb__conn_ops(conn, &stream->streams->ops);
	*gb__conn_link(conn) = (struct gb__stream_link){ stream, stream->opened ? stream : NULL };
}

/* The memory is zeroed. */
static void init(struct gb_stream *stream, struct gb__streams *streams, struct gb_coro *coro)
{
	stream->streams = streams;
	stream->coro = coro;
	stream->reason = -1;
}

struct gb_stream *gb__stream_create(struct gb__streams *streams, struct gb_coro *coro)
{
	struct gb_stream *stream = gb__slabs_take(&streams->net->slabs, sizeof(*stream));

	if (!stream)
		return NULL;
	init(stream, streams, coro);
	return stream;
}

void gb__stream_destroy(struct gb_stream *stream)
{
	gb__slabs_give(&stream->streams->net->slabs, stream, sizeof(*stream));
}

/* How it ends when whoever read it is done. */
static int reason_of(const struct gb_stream *stream)
{
	if (stream->reason >= 0)
		return stream->reason;
	return stream->eof ? GB_CLOSE_EOF : GB_CLOSE_LOCAL;
}

void gb__stream_detach(struct gb_stream *stream)
{
	struct gb_conn *conn = stream->conn;

	gb__stream_drop(stream);
	gb__conn_link(conn)->stream = NULL;
	if (!stream->over)
		gb__conn_close(conn, reason_of(stream));
	if (stream->over || !(conn->flags & GB__CONN_DISPATCH))
		gb__conn_queue(conn);
	/* Whoever uses it still is told so, as long as its memory is not another one's. */
	stream->conn = NULL;
	stream->over = true;
	stream->delivering = GB__DELIVERING_NOT;
	stream->error = -ESTALE;
}

int gb__stream_left(struct gb_stream *stream, int result)
{
	if (gb__likely(!stream->closed))
		return result;
	if (!stream->reader && !stream->writer)
		gb__stream_destroy(stream);
	return result < 0 ? result : -ESTALE;
}

/* The handler of a connection, with its coroutine. */
struct served {
	struct gb_coro coro;
	struct gb_stream stream;
};

static void serve(struct gb_stream *stream)
{
	stream->conn->terms->service->serve(stream);
	gb__rule_in("serve", 48, !stream->reader && !stream->writer,
		"it returned while another coroutine waits for its stream");
	gb__stream_detach(stream);
}

static void serve_entry(struct gb_coro *coro)
{
	serve(coro->stream);
	gb__coro_over(coro);
}

static bool natively(const struct gb__streams *streams, const struct gb_conn *conn)
{
	return streams->turn && !streams->native && !(conn->further & GB__CONN_FURTHER_OUTGOING) &&
		(streams->net->engine->ops->caps & GB__ENGINE_ONE_STREAM);
}

static struct gb_stream *serve_prepare(struct served *served, struct gb_conn *conn)
{
	struct gb_stream *stream = &served->stream;

	served->coro.stream = stream;
	init(stream, conn->net->streams, &served->coro);
	gb__stream_attach(stream, conn);
	return stream;
}

/* It begins when the turn is over. */
static int serve_natively(struct gb_conn *conn)
{
	struct gb__streams *streams = conn->net->streams;
	struct served *served = gb__slabs_take(&conn->net->slabs, sizeof(*served));

	if (!served)
		return -ENOMEM;
	gb__coro_join(streams, &served->coro, conn->terms->service->name);
	gb__stream_rest(serve_prepare(served, conn));
	streams->native = &served->coro;
	streams->net->native = conn;
	streams->on_change(streams->arg);
	return 0;
}

void gb__streams_serve(struct gb__streams *streams)
{
	struct gb_coro *coro = streams->native;
	struct gb_conn *conn = gb__stream_open_conn(coro->stream);

	coro->waiting = false;
	coro->woken = false;
	streams->running = coro;
	if (conn)
		gb__conn_enter(conn);
	conn = coro->stream->conn; /* it stays until the handler is done, and then until the turn's end */
	serve(coro->stream);
	gb__coro_over(coro);
	streams->net->native = NULL;
	gb__conn_leave(conn);
	streams->native = NULL;
	gb__slabs_give(&streams->net->slabs, coro, sizeof(struct served));
}

static int on_open(struct gb_conn *conn)
{
	struct gb__streams *streams = conn->net->streams;
	struct gb_stream *stream = stream_of(conn);
	struct gb_coro *coro;
	int result;

	if (stream) { /* of gb_stream_connect: who waits for that is told, and reads later */
		gb__stream_rest(stream);
		return 0;
	}
	if (natively(streams, conn))
		return serve_natively(conn);
	result = gb__coro_make(streams, sizeof(struct served) - sizeof(*coro), serve_entry,
		conn->terms->service->name, &coro);
	if (result < 0)
		return result;
	serve_prepare((struct served *)coro, conn);
	gb__coro_enter(streams, coro);
	stream = stream_of(conn);
	if (stream && stream->want.kind == GB__WANT_NOTHING)
		gb__stream_rest(stream);
	return 0;
}

static void on_writable(struct gb_conn *conn)
{
	struct gb_stream *stream = stream_of(conn);

	if (stream && stream->writer)
		gb__coro_wake(stream->writer);
}

static void on_eof(struct gb_conn *conn)
{
	struct gb_stream *stream = stream_of(conn);

	if (!stream)
		return;
	stream->eof = true;
	stream->cut = conn->past & GB__CONN_PAST_CUT;
	if (stream->reader)
		gb__coro_wake(stream->reader);
}

static bool on_error(struct gb_conn *conn, int reason)
{
	struct gb_stream *stream = stream_of(conn);

	if (!stream || stream->error || conn->terms->relayed || gb__conn_closing(conn))
		return false;
	stream->error = gb__stream_code(reason, 0);
	stream->reason = (int16_t)reason;
	stream->want.kind = GB__WANT_NOTHING;
	if (!(conn->flags & GB__CONN_DISPATCH))
		gb__conn_input_drop(conn);
	gb__stream_rest(stream);
	if (stream->reader)
		gb__coro_wake(stream->reader);
	return true;
}

static bool on_quiet(struct gb_conn *conn)
{
	struct gb_stream *stream = stream_of(conn);

	if (!stream || conn->terms->relayed)
		return false;
	if (stream->quiet == GB__QUIET_NO && stream->reader) {
		stream->quiet = GB__QUIET_TOLD;
		gb__coro_wake(stream->reader);
	}
	return true;
}

static bool on_ended(struct gb_conn *conn)
{
	struct gb_stream *stream = stream_of(conn);

	if (!stream)
		return false;
	if (stream->over)
		return true;
	stream->over = true;
	stream->error = gb__stream_code(conn->reason, gb__conn_errno(conn));
	if (stream->reader)
		gb__coro_wake(stream->reader);
	if (stream->writer)
		gb__coro_wake(stream->writer);
	return true;
}

static void on_close(struct gb_conn *conn, int reason)
{
	const struct gb_service *service = conn->terms->service;

	if (service->on_close && !gb__conn_link(conn)->opened)
		service->on_close(conn, reason);
}

static void on_flushed(struct gb_conn *conn)
{
	struct gb_stream *stream = stream_of(conn);

	if (stream && stream->flushes)
		gb__coro_wake(stream->writer);
}

static struct gb__parts *parts_of(struct gb_conn *conn)
{
	struct gb_stream *stream = stream_of(conn);

	return stream ? &stream->parts : NULL;
}

static const struct gb_service calls = {
	GB_SERVICE_INIT,
	.name = "stream",
	.on_open = on_open,
	.on_message = gb__stream_on_message,
	.on_writable = on_writable,
	.on_eof = on_eof,
	.on_close = on_close,
};

static void adapt(struct gb__terms *terms)
{
	terms->calls = &calls;
	terms->on_message = gb__stream_on_message;
	terms->codec = terms->packets ? &packet_codec : &codec;
	terms->codec_options = NULL;
	terms->sequential = terms->here = terms->flush_told = true;
	terms->reads_on = true; /* whoever writes waits for room, whoever reads does not */
	terms->state_offset = (uint16_t)(terms->state_offset + sizeof(struct gb__stream_link));
}

const struct gb__sequential gb__sequential = {
	.adapt = adapt,
	.on_error = on_error,
	.on_quiet = on_quiet,
	.on_ended = on_ended,
	.on_flushed = on_flushed,
	.parts = parts_of,
	.run = gb__coro_run_ready,
	.trim = gb__coro_trim,
	.drain = gb__coro_drain_all,
	.cancel = gb__coro_cancel_all,
};

struct gb_coro *gb_stream_coro(const struct gb_stream *stream)
{
	return stream->coro;
}

struct gb_conn *gb_stream_conn(const struct gb_stream *stream)
{
	return stream->conn;
}

void *gb_stream_user(const struct gb_stream *stream)
{
	return stream->conn ? gb_conn_user(stream->conn) : NULL;
}

void *gb_stream_state(const struct gb_stream *stream)
{
	return stream->conn ? gb_conn_state(stream->conn) : NULL;
}

bool gb_stream_draining(const struct gb_stream *stream)
{
	return stream->streams->net->draining;
}

int gb_stream_error(const struct gb_stream *stream)
{
	return stream->error;
}

void gb_stream_abort(struct gb_stream *stream)
{
	if (stream->conn)
		gb_conn_abort(stream->conn);
}

void gb_stream_fail(struct gb_stream *stream, int reason)
{
	gb__assert(reason >= 0 && reason < GB_CLOSE_REASON_COUNT);
	stream->reason = (int16_t)reason;
}

void gb_stream_close(struct gb_stream *stream)
{
	if (!stream)
		return;
	gb__rule(48, stream->opened, "the stream that serve was given ends when serve returns");
	stream->coro->opened--;
	gb__stream_detach(stream);
	if (gb__likely(!stream->reader && !stream->writer)) {
		gb__stream_destroy(stream);
		return;
	}
	stream->closed = true;
	stream->came = false;
	if (stream->reader)
		gb__coro_wake(stream->reader);
	if (stream->writer)
		gb__coro_wake(stream->writer);
}
