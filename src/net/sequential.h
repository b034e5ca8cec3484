/**
 * What connections call where a straight-line handler reads them: the seam to src/stream, which lies above.
 *
 * Its handler is a coroutine, which net knows nothing of: to net it is a set of callbacks (`calls` of the terms) and
 * what is below. Of a connection that a stream reads, the link lies before the codec's state.
 */
#ifndef NET_SEQUENTIAL_H
#define NET_SEQUENTIAL_H

#include "net/conn.h"

struct gb_stream;

struct gb__stream_link {
	struct gb_stream *stream; /* NULL once nobody reads it any more */
	void *opened;             /* not NULL: by gb_stream_connect; nobody else is told of it */
};

struct gb__sequential {
	/** Have a stream's callbacks and codec take the place of the service's. */
	void (*adapt)(struct gb__terms *terms);
	/** An error that on_error is for. Returns whether it was told to a handler, who ends the connection. */
	bool (*on_error)(struct gb_conn *conn, int reason);
	/** A drain finds it idle. Returns whether its handler was told, who ends it, or goes on. */
	bool (*on_quiet)(struct gb_conn *conn);
	/** It has ended. Returns whether it has to wait for who reads it, who queues it again. */
	bool (*on_ended)(struct gb_conn *conn);
	/** All of its output is with the kernel. */
	void (*on_flushed)(struct gb_conn *conn);
	/** What is known of the message that it reads in parts; NULL: nobody reads it any more. */
	struct gb__parts *(*parts)(struct gb_conn *conn);
	/** Run those that are ready, and become so meanwhile, up to a bound; `ready` of the net says whether any is left. */
	void (*run)(struct gb__net *net);
	/** Give back what a burst has left behind. Returns whether that was all (trim.h). */
	bool (*trim)(struct gb__net *net);
	/** The net drains and no client is left: tell who waits without a connection. */
	void (*drain)(struct gb__net *net);
	/** The net ends: each wait of each coroutine fails from now on. */
	void (*cancel)(struct gb__net *net);
};

static inline struct gb__stream_link *gb__conn_link(struct gb_conn *conn)
{
	return (struct gb__stream_link *)gb__conn_codec_state(conn);
}

#endif
