/*
 * Two connections as one.
 *
 * Happy path: bytes that arrive on one are sent on the other at once, from where they lie; what the kernel does not
 * take is queued there. Above that one's high watermark the first is paused, below the low one it is read again. Its
 * end of input becomes the other's end of output, and when both have ended so does the pair.
 *
 * The ways out: whatever ends one first takes the link from both, so that neither ever points to one that is gone, and
 * ends the other: in order if nothing was cut, else by a reset.
 */
#include "net/packet.h"
#include "net/task.h"

#include "base/macros.h"

#include <errno.h>

/* As much as leaves at once. Returns how much that was, or a negative errno. */
static ssize_t forward(struct gb_conn *from, struct gb_conn *to, struct gb_bytes bytes)
{
	struct gb__net *net = to->net;
	const struct gb__burst *burst = &net->burst;
	bool at_hand = burst->conn == from && burst->input == bytes.data && burst->input_size >= bytes.size &&
		!(from->flags & GB__CONN_FRONTED);
	struct gb__chunk *chunk;

	if (gb__unlikely(to->flags & GB__CONN_FRONTED))
		return gb__front_forward(to, bytes);
	if (!gb__output_empty(&to->stream.output) || to->state == GB__CONN_CONNECTING)
		return 0;
	if (net->sends_at_once)
		return gb__engine_send(net->engine, &to->stream, bytes.data, bytes.size);
	if (!at_hand || !net->engine->ops->borrow)
		return 0;
	chunk = net->engine->ops->borrow(net->engine, bytes.data, bytes.size);
	if (!chunk)
		return 0;
	gb__output_append_chunk(&to->stream.output, chunk);
	gb__conn_output_rose(to, to->stream.output.bytes);
	gb__conn_queue(to);
	return (ssize_t)bytes.size;
}

static void relay_message(struct gb_conn *conn, struct gb_bytes bytes)
{
	struct gb_conn *to = conn->terms->peer;
	ssize_t sent = forward(conn, to, bytes);

	if (gb__unlikely(sent < 0)) {
		gb__conn_end(to, gb__conn_reason_of((int)sent), (int)-sent);
		return;
	}
	to->active_ms = gb__net_now(to->net); /* neither is idle while the other moves */
	to->net->tally.bytes_out += (size_t)sent;
	if ((size_t)sent < bytes.size && gb_conn_send(to, bytes.data + sent, bytes.size - (size_t)sent) < 0)
		return; /* it has ended, and this one with it */
	if (gb__conn_next_bytes(to) > to->terms->limits->output_high)
		gb_conn_pause(conn);
}

void gb__relay_output_fell(struct gb_conn *conn)
{
	gb_conn_resume(conn->terms->peer);
}

void gb__relay_begin(struct gb_conn *conn)
{
	conn->further &= (uint16_t)~GB__CONN_FURTHER_JOINED;
	conn->flags &= (uint16_t)~GB__CONN_PAUSED;
}

static int check(const struct gb_conn *conn)
{
	if (gb__conn_is_task(conn))
		return -EWOULDBLOCK;
	gb__conn_mine(conn);
	if (gb__conn_closing(conn) || (conn->flags & GB__CONN_OUTPUT_END))
		return -EPIPE;
	if (gb__conn_has_packets(conn))
		return -EOPNOTSUPP;
	return conn->terms->peer || (conn->flags & (GB__CONN_TASKED | GB__CONN_REPLIES)) ? -EBUSY : 0;
}

static void join(struct gb_conn *conn, struct gb_conn *peer)
{
	struct gb__terms *terms = conn->terms;

	terms->peer = peer;
	terms->relayed = terms->here = true;
	terms->codec = NULL;
	terms->on_message = relay_message;
	conn->further &= (uint8_t)~GB__CONN_FURTHER_PARTS;
	terms->reads_on = true;
	gb__conn_ops(conn, &gb__conn_plain_ops);
	/* What the codec or the handler waits for no longer counts; a pause ends the delivery that may be under way. */
	conn->flags &= (uint16_t) ~(GB__CONN_HIGH | GB__CONN_PARTIAL | GB__CONN_PARKED);
	conn->flags |= GB__CONN_PAUSED;
	conn->further |= GB__CONN_FURTHER_JOINED;
	gb__conn_output_rose(conn, gb__conn_next_bytes(conn));
	if (conn->state == GB__CONN_HALF_CLOSED)
		gb_conn_end_output(peer);
	gb__conn_queue(conn);
}

int gb_relay(struct gb_conn *a, struct gb_conn *b)
{
	int result = check(a);

	if (result == 0)
		result = check(b);
	if (result < 0)
		return result;
	if (a == b || a->net != b->net)
		return -EINVAL;
	if (gb__conn_spill(a) < 0 || gb__conn_spill(b) < 0 || !gb__terms_own(a) || !gb__terms_own(b))
		return -ENOMEM;
	join(a, b);
	join(b, a);
	return 0;
}

void gb__relay_cut(struct gb_conn *conn, enum gb__relay_end end)
{
	struct gb_conn *peer = conn->terms->peer;

	conn->terms->peer = peer->terms->peer = NULL;
	if (end == GB__RELAY_OVER && peer->state == GB__CONN_HALF_CLOSED)
		return; /* it has been told all there is, and ends once that has left */
	if (end != GB__RELAY_CUT && !(conn->flags & GB__CONN_KEPT)) {
		gb__conn_close(peer, GB_CLOSE_RELAY);
	} else {
		peer->flags |= GB__CONN_RESET;
		gb__conn_end(peer, GB_CLOSE_RELAY, 0);
	}
	gb__conn_queue(peer);
}
