/*
 * Connections of a pool as streams. An idle one keeps its stream, which nobody has: it wants whatever comes, and that
 * goes to the pool in place of the stream's callbacks.
 */
#include "net/upstream.h"

#include "base/assert.h"
#include "stream/stream.h"

#include <errno.h>

static void want_anything(struct gb_stream *stream)
{
	stream->coro = NULL;
	stream->want = (struct gb__want){ .kind = GB__WANT_SOME, .size = SIZE_MAX };
}

static void *begin(struct gb_conn *conn)
{
	struct gb_stream *stream = gb__stream_create(conn->net->streams, NULL);

	if (!stream)
		return NULL;
	stream->opened = true;
	gb__stream_attach(stream, conn);
	want_anything(stream);
	return stream;
}

static void lend(void *reader, void *taker)
{
	struct gb_stream *stream = reader;

	stream->coro = taker;
	stream->coro->opened++;
	stream->want = (struct gb__want){ 0 };
	stream->got = 0;
	stream->came = false;
	stream->quiet = GB__QUIET_NO;
	stream->in_a_row = 0;
	gb__stream_rest(stream);
}

static void gone(void *reader)
{
	gb__stream_destroy(reader);
}

const struct gb__upstream_style gb__upstream_streams = { begin, lend, gone };

/* Somebody else may destroy the pool meanwhile. */
static int wait_for(
	struct gb_coro *coro, struct gb_upstream *upstream, struct gb_conn **ret, struct gb_error *error)
{
	struct gb_error refusal; /* half a kilobyte: with nothing in it where nothing is refused */
	const int refused = gb__upstream_refusal(upstream, &refusal);
	struct gb_taking taking;
	int result;

	gb__upstream_hold(upstream);
	result = gb_await(coro, gb__upstream_take_begin(upstream, &taking, NULL, coro, NULL, NULL));
	if (result < 0 && result == refused)
		gb_error_set(error, result, "%s", refusal.text);
	else if (result < 0)
		gb__upstream_explain(upstream, result, error);
	else
		*ret = taking.conn;
	gb__upstream_release(upstream);
	return result;
}

int gb_upstream_take(
	struct gb_coro *coro, struct gb_upstream *upstream, struct gb_stream **ret, struct gb_error *error)
{
	struct gb_conn *conn;
	int result = gb__coro_may_wait(coro, __func__);

	if (result == 0 && !gb__upstream_has_streams(upstream))
		return gb_error_set(error, -EINVAL,
			"this pool is not of streams: take from it by gb_upstream_take_begin, or set `streams`");
	if (result < 0)
		return gb__upstream_explain(upstream, result, error);
	conn = gb__upstream_try_take(upstream, NULL, coro);
	if (!conn)
		result = wait_for(coro, upstream, &conn, error);
	if (result == 0)
		*ret = gb__conn_link(conn)->stream;
	return result;
}

int gb_upstream_give_stream(struct gb_stream *stream, bool good)
{
	struct gb_conn *conn = stream->conn;
	struct gb__pooled *pooled = conn ? conn->terms->pooled : NULL;

	gb__stream_mine_in(stream, __func__);
	if (!pooled || !pooled->lent)
		return -EINVAL;
	if (stream->reader || stream->writer)
		return -EBUSY;
	if (stream->over || stream->error) { /* how it ended tells the pool more */
		gb_stream_close(stream);
		return 0;
	}
	gb__stream_drop(stream);
	stream->coro->opened--;
	if (stream->away) {
		stream->away = false;
		gb__conn_hold(conn, -1);
		conn->flags &= (uint16_t)~GB__CONN_PAUSED;
	}
	want_anything(stream);
	if (conn->flags & GB__CONN_MUTED)
		gb__conn_queue(conn);
	gb__upstream_take_back(pooled, good);
	return 0;
}
