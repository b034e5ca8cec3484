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
	before = coro->priority;
	coro->priority = route->priority;
	result = route->serve(stream, message);
	coro->priority = before;
	return result;
}

void gb_serve_routes(struct gb_stream *stream)
{
	struct gb_bytes message;
	int result = 0;

	while (result >= 0 && gb_read_message(stream, &message) > 0)
		result = gb_stream_dispatch(stream, message);
	if (result == -ENOENT)
		gb_stream_fail(stream, GB_CLOSE_BAD_FRAME);
}
