/* Messages to the straight-line handlers of their routes. */
#include "base/macros.h"
#include "net/route.h"
#include "stream/stream.h"

#include <gearbox/route.h>

#include <errno.h>

static const struct gb_route *find(struct gb_stream *stream, struct gb_bytes message, const char *function)
{
	const struct gb_conn *conn = stream->conn;
	const struct gb__route_entry *entry;

	gb__stream_mine_in(stream, function);
	if (gb__unlikely(!conn) || gb__unlikely(!conn->terms->router))
		return NULL;
	entry = gb__route_find(conn->terms, stream->conn, &stream->frame, message);
	gb__count(conn->terms->route_counts[entry->index], 1);
	return entry->row;
}

const struct gb_route *gb_route_find(struct gb_stream *stream, struct gb_bytes message)
{
	return find(stream, message, __func__);
}

int gb_stream_dispatch(struct gb_stream *stream, struct gb_bytes message)
{
	const struct gb_route *route = find(stream, message, __func__);
	struct gb_coro *coro = stream->streams->running;
	enum gb_priority before;
	int result;

	if (gb__unlikely(!route) || gb__unlikely(!route->serve))
		return -ENOENT;
	if (gb__unlikely(!coro))
		return -GB_ENOCORO;
	if (gb__unlikely(stream->parts.progress.begun) && !route->parts)
		return -GB_ETOOLARGE;
	before = coro->priority;
	coro->priority = route->priority;
	result = route->serve(stream, message);
	coro->priority = before;
	return result;
}

/* Whether any of its routes takes messages in parts. */
static bool takes_parts(const struct gb_stream *stream)
{
	const struct gb_routes *routes = stream->conn->terms->service->routes;

	for (const struct gb_route *row = routes ? routes->table : NULL; row && row->name; row++)
		if (row->parts)
			return true;
	return false;
}

/* A whole message, or the first part of one. */
static int read_front(struct gb_stream *stream, bool parts, struct gb_bytes *ret)
{
	struct gb_part part;
	int result;

	if (!parts)
		return gb_read_message(stream, ret);
	result = gb_skip_message(stream);
	if (result > 0)
		result = gb_read_part(stream, &part);
	if (result > 0)
		*ret = part.bytes;
	return result;
}

void gb_serve_routes(struct gb_stream *stream)
{
	const bool parts = stream->conn && takes_parts(stream);
	struct gb_bytes message;
	int result = 0;

	while (result >= 0 && read_front(stream, parts, &message) > 0)
		result = gb_stream_dispatch(stream, message);
	if (result == -ENOENT)
		gb_stream_fail(stream, GB_CLOSE_BAD_FRAME);
	if (result == -GB_ETOOLARGE)
		gb_stream_fail(stream, GB_CLOSE_MESSAGE_TOO_LARGE);
}
