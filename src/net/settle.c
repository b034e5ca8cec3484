/*
 * What follows on any callback of a connection: what was sent leaves, and whatever else has become due by that, by what
 * has arrived, or by what the handler did.
 */
#include "base/macros.h"
#include "net/drain.h"
#include "net/parts.h"
#include "net/produce.h"
#include "net/task.h"

#include <errno.h>

/* What was queued is gone, and gb_conn_end_output asked for a FIN behind it. */
static void end_output(struct gb_conn *conn)
{
	struct gb__os *os = conn->net->loop->os;

	if (conn->past & GB__CONN_PAST_OUTPUT_ENDED)
		return;
	if (os->ops->shutdown(os, conn->stream.endpoint.fd, SHUT_WR) < 0)
		gb__conn_end(conn, GB_CLOSE_RESET, 0);
	else
		conn->past |= GB__CONN_PAST_OUTPUT_ENDED;
}

/* All output is gone: say so to the peer and wait for its FIN, or end when that has come. */
static void half_close(struct gb_conn *conn)
{
	struct gb__net *net = conn->net;

	if ((conn->flags & GB__CONN_EOF) ||
		net->loop->os->ops->shutdown(net->loop->os, conn->stream.endpoint.fd, SHUT_WR) < 0) {
		gb__conn_end(conn, conn->reason, 0);
		return;
	}
	conn->state = GB__CONN_LINGERING;
	conn->progress_ms = conn->active_ms = gb__net_now(net);
	conn->unsent = 0;
	conn->held = 0;
	gb__conn_deadline_within(conn, gb__max(conn->terms->limits->linger_timeout_ms, 1));
}

/* Have the engine deliver input, or not, as the connection's state wants it. */
static void input_gate(struct gb_conn *conn)
{
	struct gb__net *net = conn->net;
	bool want;

	switch (conn->state) {
	case GB__CONN_FRONT:
		want = !(conn->flags & (GB__CONN_EOF | GB__CONN_KEPT));
		break;
	case GB__CONN_OPEN:
		want = !gb__conn_stopped(conn) && !(conn->flags & GB__CONN_EOF) && !gb__conn_backlog(conn);
		break;
	case GB__CONN_DRAINING: /* a peer that sends before it reads must not wait for us */
	case GB__CONN_LINGERING:
		want = !(conn->flags & GB__CONN_EOF);
		break;
	default:
		want = false;
	}
	if (want != !!(conn->flags & GB__CONN_MUTED))
		return;
	conn->flags ^= GB__CONN_MUTED;
	if (want) {
		int result = net->engine->ops->input_start(net->engine, &conn->stream.endpoint);

		if (result < 0) {
			conn->flags |= GB__CONN_MUTED;
			gb__conn_end(conn, gb__conn_reason_of(result), -result);
		}
	} else {
		net->engine->ops->input_stop(net->engine, &conn->stream.endpoint);
		/* Who runs between turns does so himself, if he waits for something else: mostly he reads on at once. */
		if (conn != net->native)
			gb__conn_listen_for_reset(conn);
	}
}

static void flush(struct gb_conn *conn)
{
	struct gb__engine *engine = conn->net->engine;
	int result = engine->ops->flush(engine, &conn->stream);

	if (gb__likely(result == 0)) {
		conn->active_ms = gb__net_now(conn->net);
		return;
	}
	if (result < 0) {
		gb__conn_end(conn, gb__conn_reason_of(result), -result);
		return;
	}
	gb__conn_flushing(conn, gb__conn_stall_ms(conn));
}

/* Whether on_writable has become due; a task's return comes first. */
static inline bool output_has_fallen(const struct gb_conn *conn)
{
	return (conn->flags & (GB__CONN_HIGH | GB__CONN_REFUSED_TRY)) && !(conn->flags & GB__CONN_TASKED) &&
		gb__conn_output_bytes(conn) <= conn->terms->limits->output_low && !gb__replies_many(conn);
}

/* Output fell: end a pause and tell the handler once. */
static void output_fell(struct gb_conn *conn)
{
	const struct gb_service *calls = conn->terms->calls;

	if (!output_has_fallen(conn))
		return;
	if (conn->terms->peer)
		gb__relay_output_fell(conn);
	conn->flags &= (uint16_t) ~(GB__CONN_HIGH | GB__CONN_REFUSED_TRY);
	gb__conn_read_anew(conn); /* the peer can go on with its message only now */
	if ((calls->on_writable || conn->net->on_room) && !gb__conn_closing(conn) && !conn->terms->relayed) {
		conn->flags |= GB__CONN_DISPATCH;
		if (conn->net->on_room)
			conn->net->on_room(conn, conn->net->arg);
		if (calls->on_writable && !gb__conn_closing(conn))
			calls->on_writable(conn);
		conn->flags &= (uint16_t)~GB__CONN_DISPATCH;
		if (gb__conn_closing(conn))
			gb__conn_input_drop(conn);
	}
}

/* The rest of a message will never come; what is kept of it is for gb_conn_rest alone. Returns whether on_cut has closed. */
static bool tell_cut(struct gb_conn *conn)
{
	conn->past |= GB__CONN_PAST_CUT;
	conn->flags &= (uint16_t) ~(GB__CONN_KEPT | GB__CONN_PARTIAL);
	if (conn->further & GB__CONN_FURTHER_PARTS) {
		conn->further &= (uint8_t)~GB__CONN_FURTHER_PARTS;
		conn->flags |= GB__CONN_DISPATCH;
		gb__parts_cut(conn, GB_CLOSE_EOF);
		conn->flags &= (uint16_t)~GB__CONN_DISPATCH;
	}
	return gb__conn_closing(conn);
}

/* Whether this is no end in order, which is told here then. */
static __attribute__((noinline)) bool is_cut(struct gb_conn *conn)
{
	if (gb__conn_within_message(conn) && tell_cut(conn))
		return true;
	if (!(conn->flags & GB__CONN_FRONTED) || !conn->terms->fronted->truncated)
		return false;
	gb__front_truncated(conn);
	return true;
}

/* The peer's FIN, once nothing is left to deliver before it. */
static void tell_eof(struct gb_conn *conn)
{
	if (conn->state != GB__CONN_OPEN || !(conn->flags & GB__CONN_EOF) ||
		(conn->flags & GB__CONN_STOPPED) || gb__conn_backlog(conn))
		return;
	if (gb__unlikely((conn->flags & (GB__CONN_KEPT | GB__CONN_FRONTED)) ||
		    (conn->further & GB__CONN_FURTHER_PARTS)) &&
		is_cut(conn)) {
		/* and nothing more is told */
	} else if (conn->terms->relayed) {
		conn->state = GB__CONN_HALF_CLOSED;
		gb_conn_end_output(conn->terms->peer);
	} else if (conn->terms->calls->on_eof) {
		conn->state = GB__CONN_HALF_CLOSED;
		conn->flags |= GB__CONN_DISPATCH;
		conn->terms->calls->on_eof(conn);
		conn->flags &= (uint16_t)~GB__CONN_DISPATCH;
	} else {
		gb__conn_close(conn, GB_CLOSE_EOF);
	}
	if (conn->input)
		gb__conn_input_drop(conn);
}

/* What the kernel takes at once nobody tells of: then more is encrypted here. */
static __attribute__((noinline)) void flush_fronted(struct gb_conn *conn)
{
	const struct gb__output *plain = &conn->terms->fronted->plain;
	size_t bytes;

	do {
		bytes = plain->bytes;
		if (!gb__front_encrypt(conn))
			return;
		if (!gb__output_empty(&conn->stream.output) && !(conn->flags & GB__CONN_FLUSHING))
			flush(conn);
	} while (plain->bytes < bytes && plain->bytes > 0 && gb__output_empty(&conn->stream.output) &&
		conn->state < GB__CONN_ENDED);
}

static inline void flush_queued(struct gb_conn *conn)
{
	if (gb__unlikely(conn->flags & GB__CONN_FRONTED)) {
		flush_fronted(conn);
		return;
	}
	if (!gb__output_empty(&conn->stream.output) && !(conn->flags & GB__CONN_FLUSHING))
		flush(conn);
}

/* What the handlers of this settling sent. While draining nothing else may tell that it has all left. */
static void flush_late(struct gb_conn *conn)
{
	bool waits = !gb__conn_next_empty(conn);

	flush_queued(conn);
	if (waits && conn->net->draining && gb__conn_next_empty(conn))
		gb__conn_queue(conn);
}

void gb__conn_flush(struct gb_conn *conn)
{
	if (conn->state < GB__CONN_ENDED)
		flush_queued(conn);
}

/* What replies are to come is output that waits. */
static bool all_sent(const struct gb_conn *conn)
{
	if (!gb__output_empty(&conn->stream.output))
		return false;
	if (gb__likely(!(conn->flags & (GB__CONN_REPLIES | GB__CONN_TASKED | GB__CONN_FRONTED))))
		return true;
	if (!gb__conn_next_empty(conn))
		return false;
	if (!(conn->flags & (GB__CONN_REPLIES | GB__CONN_TASKED)))
		return true;
	return !(conn->flags & GB__CONN_REPLIES) && !conn->terms->replies.loose;
}

/* Behind all that it sends comes the end that its front has for it. */
static void end_fronted(struct gb_conn *conn)
{
	if ((conn->state != GB__CONN_DRAINING &&
		    (!(conn->flags & GB__CONN_OUTPUT_END) || conn->state >= GB__CONN_ENDED)) ||
		!all_sent(conn))
		return;
	gb__front_end(conn);
	flush_queued(conn);
}

static __attribute__((noinline)) void settle_further(struct gb_conn *conn)
{
	if (conn->flags & GB__CONN_REPLIES)
		gb__feeds_settle(conn);
	if ((conn->flags & GB__CONN_FRONTED) && conn->state < GB__CONN_ENDED)
		end_fronted(conn);
}

/* Nobody is told of it before it is open. */
static void settle_front(struct gb_conn *conn)
{
	if (conn->net->draining && !conn->net->drain_turns)
		gb__conn_drain(conn);
	flush_queued(conn);
	if (conn->state == GB__CONN_FRONT)
		input_gate(conn);
}

static void settle_slow(struct gb_conn *conn)
{
	output_fell(conn);
	tell_eof(conn);
	if (conn->net->draining && !conn->net->drain_turns)
		gb__conn_drain(conn);
	if (conn->state < GB__CONN_ENDED)
		flush_late(conn);
	if (gb__unlikely(conn->flags & (GB__CONN_REPLIES | GB__CONN_FRONTED)) && conn->state < GB__CONN_ENDED)
		settle_further(conn);
	if (conn->state == GB__CONN_DRAINING && all_sent(conn))
		half_close(conn);
	if ((conn->flags & GB__CONN_OUTPUT_END) && all_sent(conn) &&
		(conn->state == GB__CONN_OPEN || conn->state == GB__CONN_HALF_CLOSED)) {
		if (conn->state == GB__CONN_HALF_CLOSED && !(conn->flags & GB__CONN_TASKED))
			gb__conn_end(conn, GB_CLOSE_EOF, 0); /* both have said all: closing says so */
		else
			end_output(conn);
	}
	if (output_has_fallen(conn))
		gb__conn_queue(
			conn); /* on_writable filled it and the kernel took it all: its next call waits a turn */
	if (gb__conn_backlog(conn) && !gb__conn_stopped(conn))
		gb__conn_queue(conn);
	if (conn->state < GB__CONN_ENDED)
		input_gate(conn);
}

void gb__conn_settle_rest(struct gb_conn *conn)
{
	if (gb__likely(conn->state == GB__CONN_OPEN)) {
		flush_queued(conn);
		if (gb__unlikely(conn->flags & (GB__CONN_SLOW_SETTLE & ~GB__CONN_FRONTED)) ||
			gb__unlikely(conn->net->draining))
			settle_slow(conn);
	} else if (conn->state > GB__CONN_OPEN && conn->state < GB__CONN_ENDED) {
		flush_queued(conn);
		settle_slow(conn);
	} else if (conn->state == GB__CONN_FRONT) {
		settle_front(conn);
	}
}
