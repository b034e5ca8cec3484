/**
 * Routes: which handler gets a message, by what the message begins with, holds at some offset, or a function says.
 *
 *	static const struct gb_route table[] = {
 *		{ "get", .text = "get", .on_message = get },
 *		{ "report", .text = "report", .on_message = report, .traits = GB_TRAIT_HEAVY_COMPUTE,
 *			.priority = GB_PRIORITY_LOW },
 *		{ "unknown", .otherwise = true, .on_message = complain },
 *		{ NULL },
 *	};
 *	static const struct gb_routes routes = { .by = GB_ROUTE_BY_WORD, .ignore_case = true, .table = table };
 *	static const struct gb_service service = { GB_SERVICE_INIT, .name = "store", .codec = &gb_codec_line,
 *		.state = GB_STATE_NONE, .routes = &routes };
 *
 * Above any codec, under every model. With a compute pool a route whose traits say that it blocks or computes for long
 * runs in the pool, the others on the worker's thread; the replies of one connection keep the order of its messages. The
 * table is looked at when the server is told to listen: one that is empty or ambiguous is refused there.
 */
#ifndef GEARBOX_ROUTE_H
#define GEARBOX_ROUTE_H

#include <gearbox/codec.h>
#include <gearbox/operation.h>
#include <gearbox/types.h>

GB_BEGIN

/** What of a message is looked up. */
enum gb_route_by {
	GB_ROUTE_BY_BYTE = 1, /* the byte at `offset` */
	GB_ROUTE_BY_INTEGER,  /* the unsigned number of `width` bytes at `offset` */
	GB_ROUTE_BY_KEY,      /* the `key` that the codec gave the frame */
	GB_ROUTE_BY_WORD,     /* the first word: up to the first blank or control character, or the end */
	GB_ROUTE_BY_PREFIX,   /* the longest text of the table that it begins with */
	GB_ROUTE_BY_FUNCTION, /* the number that `choose` returns */
};

/** One route. The row behind the last has no name. */
struct gb_route {
	const char *name; /* for counters and messages; no two of a table have the same */
	uint64_t key;     /* by byte, integer, key or function: the number */
	const char *text; /* by word or prefix: that, at least one character */
	bool otherwise;   /* the default, in place of key and text: what no other row takes */
	/** As of a service, whose on_message is NULL then. NULL where `serve` handles. */
	void (*on_message)(struct gb_conn *conn, struct gb_bytes message);
	/** As of a service: parts of a message that is larger than max-message, by the route of the first; and without
	 *  on_message of all. NULL: such a message is refused. The service's on_cut tells of one that does not go on. */
	void (*on_part)(struct gb_conn *conn, const struct gb_part *part);
	/** Its message where a straight-line handler reads (gb_stream_dispatch). 0 or more: go on; negative: an end. */
	int (*serve)(struct gb_stream *stream, struct gb_bytes message);
	/** Of `serve`: it takes messages larger than max-message as well, of which it gets the first part, and reads on by
	 *  gb_read_part. What it leaves is skipped. */
	bool parts;
	/** GB_TRAIT_MAY_BLOCK, GB_TRAIT_HEAVY_COMPUTE: with compute=threads or processes on_message runs in the pool, with either; else
	 *  it runs on the worker's thread. `serve` always does, and uses the pool by gb_offload. */
	unsigned traits;
	enum gb_priority
		priority; /* in the pool: of on_message, and of what `serve` offloads by gb_offload */
};

/** The routes of a service. They outlive the servers that use it. */
struct gb_routes {
	enum gb_route_by by;
	size_t offset;      /* by byte or integer, in the message; one that is too short takes the default */
	unsigned width;     /* by integer: bytes, 1 to 8; 0 means 4 */
	bool little_endian; /* by integer: the lowest byte comes first; else the highest, as networks have it */
	bool ignore_case;   /* by word or prefix: ASCII letters */
	/** By function. `frame` is what the codec said of the message, on which the result depends alone, and on the state of
	 *  the connection. Thread: the worker's, also where the route's handler runs in the pool then. */
	uint64_t (*choose)(struct gb_conn *conn, const struct gb_frame *frame, struct gb_bytes message);
	const struct gb_route *table; /* at least one row */
};

/*
 * Without a default row, a message that no route takes is an error of the peer: on_error is told GB_CLOSE_BAD_FRAME, with
 * the reason as `problem` of gb_conn_frame, and the connection is closed.
 */

/** Inside on_message of a route: that row. One handler may have several. */
GB_API const struct gb_route *gb_conn_route(const struct gb_conn *conn);

/** Find and count the route of a message that a straight-line handler has read last. NULL: none takes it. */
GB_API const struct gb_route *gb_route_find(struct gb_stream *stream, struct gb_bytes message);

/**
 * Find the route of the message read last and run its `serve`. Returns what that returned, or -ENOENT: no route takes it.
 */
GB_API int gb_stream_dispatch(struct gb_stream *stream, struct gb_bytes message);

/**
 * A whole straight-line handler, for `serve` of a service: reads message after message and dispatches each, until the peer
 * ends, a read fails or a route returns a negative number. What no route takes ends it as a frame that is bad.
 */
GB_API void gb_serve_routes(struct gb_stream *stream);

GB_END

#endif
