/**
 * Input that is one whole message for a handler that runs here, on a connection of which nothing waits: it is handed over
 * in place, between gb__direct_begin and gb__direct_end. Whatever is different goes the long way, which comes to the
 * same: the invariant is in ARCHITECTURE.md, "The three ways of input".
 */
#ifndef NET_DIRECT_H
#define NET_DIRECT_H

#include "net/conn.h"

#include <limits.h>

/** The long way. `found`: what the codec said of its front, or GB__NOT_ASKED. */
void gb__conn_input_any(struct gb_conn *conn, unsigned char *data, size_t size, int found);
#define GB__NOT_ASKED INT_MAX

/** The handler did more than to answer, or the kernel did not take all of it. */
void gb__conn_direct_rest(struct gb_conn *conn);
void gb__conn_direct_sent(struct gb_conn *conn, ssize_t sent);

static inline bool gb__is_direct(const struct gb__net *net, const struct gb_conn *conn)
{
	return gb__likely(net->direct) && gb__likely(!(conn->flags & GB__CONN_SLOW_INPUT)) &&
		gb__likely(gb__output_empty(&conn->stream.output));
}

static inline __attribute__((always_inline)) void gb__direct_begin(struct gb__net *net, struct gb_conn *conn)
{
	net->burst.conn = conn;
	conn->flags |= GB__CONN_DISPATCH;
	net->tally.messages++;
}

/* The burst leaves with an engine that does not send at once: as by gb__conn_spill and `flush`. */
static inline __attribute__((always_inline)) void gb__direct_leaves(struct gb__net *net, struct gb_conn *conn)
{
	struct gb__engine *engine = net->engine;
	struct gb__burst *burst = &net->burst;

	if (gb__unlikely(burst->size > conn->terms->limits->output_high) ||
		gb__unlikely(!engine->ops->send_delivered(engine, &conn->stream, burst->data, burst->size))) {
		gb__conn_direct_rest(conn);
		return;
	}
	net = conn->net; /* looked up again over a call, it need not be saved */
	net->tally.bytes_out += net->burst.size;
	net->burst.conn = NULL;
	net->burst.size = 0;
	conn->flags &= (uint16_t)~GB__CONN_DISPATCH;
	gb__conn_flushing(conn, conn->terms->limits->write_timeout_ms);
}

static inline __attribute__((always_inline)) void gb__direct_end(struct gb__net *net, struct gb_conn *conn)
{
	struct gb__burst *burst = &net->burst;
	ssize_t sent;

	/* While the burst is there, as it is when it has bytes, nothing is queued and it holds all that was sent. */
	if (gb__unlikely(conn->flags & GB__CONN_SLOW_SETTLE) ||
		gb__unlikely(burst->size == 0 && burst->conn != conn)) {
		gb__conn_direct_rest(conn);
		return;
	}
	if (gb__likely(burst->size > 0)) {
		if (!net->sends_at_once) {
			gb__direct_leaves(net, conn);
			return;
		}
		burst->conn = NULL;
		sent = gb__engine_try_send(net->engine, &conn->stream, burst->data, burst->size);
		net = conn->net;
		if (gb__unlikely(sent != (ssize_t)net->burst.size)) {
			gb__conn_direct_sent(conn, sent);
			return;
		}
		net->tally.bytes_out += (size_t)sent;
		net->burst.size = 0;
	} else {
		burst->conn = NULL;
		conn->further |= GB__CONN_FURTHER_ELSEWHERE;
	}
	conn->flags &= (uint16_t)~GB__CONN_DISPATCH;
}

#endif
