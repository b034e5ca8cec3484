/*
 * From bytes to messages.
 *
 * Input is parsed where it lies, in the engine's buffer; only an incomplete rest is kept, in a chunk of
 * its own. A short rest is moved in front of the next bytes (the headroom), a longer one gets them
 * appended. Delivery stops when the handler pauses, output rises above its high watermark, the
 * connection closes, or its turn is over; what is left is kept as well.
 */
#include "base/macros.h"
#include "net/direct.h"
#include "net/packet.h"

#include "net/task.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

void gb__conn_input_drop(struct gb_conn *conn)
{
	gb__chunk_destroy(&conn->net->engine->pool, conn->input);
	conn->input = NULL;
	conn->flags &= (uint16_t) ~(GB__CONN_KEPT | GB__CONN_PARTIAL);
}

/* One message to the handler, here or on the pool. */
static inline void hand(struct gb_conn *conn, struct gb_bytes message)
{
	conn->net->tally.messages++;
	if (gb__unlikely(conn->net->tracing.on))
		gb__ledger_hand(conn, message);
	else if (gb__likely(!conn->net->submit) || conn->terms->here)
		conn->terms->on_message(conn, message);
	else
		gb__task_submit(conn, message);
}

/* Whether the pool has no room: the connection then waits in line. */
static inline bool crowded(struct gb_conn *conn)
{
	if (gb__likely(!conn->net->submit) || conn->net->tasks < conn->net->tasks_max || conn->terms->here)
		return false;
	gb__task_park(conn);
	return true;
}

/* What it finds is net->message.frame. */
static inline int decode(struct gb__net *net, struct gb_conn *conn, const unsigned char *data, size_t size)
{
	const struct gb__terms *terms = conn->terms;

	return terms->codec->decode(terms->codec_options, gb__conn_codec_state(conn),
		(struct gb_bytes){ data, size }, terms->limits->message_bytes_max, &net->message.scanned,
		&net->message.frame);
}

void gb__conn_refuse_input(struct gb_conn *conn, int found, const char *problem)
{
	struct gb__net *net = conn->net;

	if (gb__unlikely(conn->terms->tasks > 0)) {
		/* Any of them may end the connection before. */
		conn->terms->refused = found;
		conn->terms->problem = problem;
		conn->flags &= (uint16_t)~GB__CONN_PARTIAL;
		return;
	}
	net->problem = net->message.frame.problem = problem;
	gb__conn_close_for_error(
		conn, found == -GB_ETOOLARGE ? GB_CLOSE_MESSAGE_TOO_LARGE : GB_CLOSE_BAD_FRAME);
	net->problem = net->message.frame.problem = NULL;
}

/* No whole message is left. Returns the bytes of it that are dropped: all, or none. */
static size_t frame_incomplete(struct gb_conn *conn, int found, size_t used, size_t size)
{
	if (found < 0) {
		gb__conn_refuse_input(conn, found, conn->net->message.frame.problem);
		return size;
	}
	if (used > 0 || !(conn->flags & GB__CONN_PARTIAL)) {
		conn->net->message.since_ms = gb__net_now(conn->net);
		conn->further &= (uint8_t)~GB__CONN_FURTHER_LATE;
	}
	conn->flags |= GB__CONN_PARTIAL;
	return used;
}

/*
 * The net's `message` says what is known of the first one. Returns the bytes consumed; all of them when the
 * connection closes meanwhile.
 */
static size_t deliver_frames(struct gb_conn *conn, unsigned char *data, size_t size, int found)
{
	const struct gb_frame *frame = &conn->net->message.frame;
	uint64_t budget = conn->terms->limits->turn_messages;
	size_t used = 0;

	while (used < size) {
		size_t consumed;

		if (gb__unlikely(gb__conn_stopped(conn)) || crowded(conn))
			break;
		if (gb__unlikely(budget-- == 0)) {
			gb__conn_queue(conn);
			break;
		}
		if (found == GB__NOT_ASKED) /* or one with a state would be asked twice */
			found = decode(conn->net, conn, data + used, size - used);
		if (gb__unlikely(found <= 0))
			return frame_incomplete(conn, found, used, size);
		conn->net->message.scanned = 0;
		consumed = frame->consumed;
		hand(conn, (struct gb_bytes){ data + used + frame->offset, frame->size });
		used += consumed;
		found = GB__NOT_ASKED;
		if (gb__unlikely(gb__conn_closing(conn)))
			return size;
	}
	conn->flags &= (uint16_t)~GB__CONN_PARTIAL;
	return used;
}

static inline size_t deliver(struct gb_conn *conn, unsigned char *data, size_t size, int found)
{
	if (conn->terms->codec)
		return deliver_frames(conn, data, size, found);
	if (gb__unlikely(!conn->net->plain) && crowded(conn))
		return gb__conn_closing(conn) ? size : 0;
	hand(conn, (struct gb_bytes){ data, size });
	return size;
}

/* What is known of the message under way, between the calls that decode it. */
static inline void message_keep(const struct gb__net *net, struct gb__chunk *chunk)
{
	chunk->input.scanned = net->message.scanned;
	chunk->input.since_ms = net->message.since_ms;
}

static inline void message_take(struct gb__net *net, const struct gb__chunk *chunk)
{
	net->message.scanned = chunk->input.scanned;
	net->message.since_ms = chunk->input.since_ms;
}

int gb__conn_keep(struct gb_conn *conn, const unsigned char *data, size_t size)
{
	struct gb__pool *pool = &conn->net->engine->pool;
	struct gb__chunk *chunk = conn->input;

	if (!chunk || chunk->capacity - chunk->end < size) {
		size_t held = chunk ? chunk->end - chunk->begin : 0;
		/* Double, so that a long message is moved a logarithmic number of times. */
		struct gb__chunk *larger = gb__chunk_create(pool, held + gb__max(size, held));

		if (!larger)
			return -ENOMEM;
		if (chunk) {
			gb__chunk_fill(larger, chunk->data + chunk->begin, held);
			larger->input = chunk->input;
		} else {
			message_keep(conn->net, larger);
		}
		gb__chunk_destroy(pool, chunk);
		conn->input = chunk = larger;
	}
	gb__chunk_fill(chunk, data, size);
	conn->flags |= GB__CONN_KEPT;
	return 0;
}

/* A few bytes of the next message must not hold on to the memory of a long one until that is complete. */
static void shrink(struct gb_conn *conn)
{
	struct gb__pool *pool = &conn->net->engine->pool;
	struct gb__chunk *chunk = conn->input, *small;
	size_t size = chunk->end - chunk->begin;

	if (size > GB__INPUT_HEADROOM || chunk->size_class == 0)
		return;
	small = gb__chunk_create(pool, size);
	if (!small)
		return;
	gb__chunk_fill(small, chunk->data + chunk->begin, size);
	small->input = chunk->input;
	gb__chunk_destroy(pool, chunk);
	conn->input = small;
}

static void after_delivery(struct gb_conn *conn, const unsigned char *rest, size_t size)
{
	if (size > 0 && !gb__conn_closing(conn)) {
		if (gb__conn_keep(conn, rest, size) < 0)
			gb__conn_end(conn, GB_CLOSE_NO_MEMORY, ENOMEM);
		else if (conn->flags & GB__CONN_PARTIAL)
			gb__conn_deadline_within(conn, conn->terms->limits->read_timeout_ms);
	}
}

/* Messages were handed to the handler and it sent nothing: its answer, if there is to be one, comes from elsewhere. */
static void note_unanswered(struct gb_conn *conn, uint64_t messages, size_t output)
{
	if (conn->net->tally.messages != messages && gb__conn_next_bytes(conn) == output &&
		!(conn->flags & GB__CONN_TASKED))
		conn->further |= GB__CONN_FURTHER_ELSEWHERE;
}

void gb__conn_deliver_kept(struct gb_conn *conn)
{
	const uint64_t messages = conn->net->tally.messages;
	const size_t output = gb__conn_next_bytes(conn);
	struct gb__chunk *chunk = conn->input;
	size_t used;

	message_take(conn->net, chunk);
	conn->flags |= GB__CONN_DISPATCH;
	conn->net->delivering = conn;
	used = deliver(conn, chunk->data + chunk->begin, chunk->end - chunk->begin, GB__NOT_ASKED);
	conn->net->delivering = NULL;
	note_unanswered(conn, messages, output);
	conn->flags &= (uint16_t)~GB__CONN_DISPATCH;
	chunk->begin += (uint32_t)used;
	message_keep(conn->net, chunk);
	if (chunk->begin == chunk->end || gb__conn_closing(conn)) {
		gb__conn_input_drop(conn);
	} else if (conn->flags & GB__CONN_PARTIAL) {
		shrink(conn);
		gb__conn_deadline_within(conn, conn->terms->limits->read_timeout_ms);
	}
}

static void input_slow(struct gb_conn *conn, unsigned char *data, size_t size)
{
	bool wait = gb__conn_stopped(conn) || gb__conn_backlog(conn);
	const uint64_t messages = conn->net->tally.messages;
	const size_t output = gb__conn_next_bytes(conn);
	size_t held, used;

	if (gb__conn_closing(conn))
		return; /* discarded */
	held = conn->flags & GB__CONN_KEPT ? conn->input->end - conn->input->begin : 0;
	conn->net->message.scanned = 0;
	conn->net->message.since_ms = gb__net_now(conn->net);
	if (wait || held > GB__INPUT_HEADROOM) {
		if (gb__conn_keep(conn, data, size) < 0) {
			gb__conn_end(conn, GB_CLOSE_NO_MEMORY, ENOMEM);
			return;
		}
		if (wait)
			conn->flags &= (uint16_t)~GB__CONN_PARTIAL; /* it may be complete by now */
		else
			gb__conn_deliver_kept(conn);
		return;
	}
	if (held > 0) {
		bool partial = conn->flags & GB__CONN_PARTIAL;

		data -= held;
		size += held;
		memcpy(data, conn->input->data + conn->input->begin, held);
		message_take(conn->net, conn->input);
		gb__conn_input_drop(conn);
		if (partial)
			conn->flags |= GB__CONN_PARTIAL;
	}
	conn->flags |= GB__CONN_DISPATCH;
	used = deliver(conn, data, size, GB__NOT_ASKED);
	note_unanswered(conn, messages, output);
	conn->flags &= (uint16_t)~GB__CONN_DISPATCH;
	after_delivery(conn, data + used, size - used);
}

/* What was sent meanwhile leaves now; what the kernel does not take is queued. */
static void burst_sent(struct gb_conn *conn, ssize_t sent)
{
	struct gb__net *net = conn->net;
	struct gb__burst *burst = &net->burst;
	const size_t size = burst->size;

	burst->size = 0;
	if (gb__unlikely(sent < 0))
		gb__conn_end(conn, gb__conn_reason_of((int)sent), (int)-sent);
	else if (gb__unlikely(sent < (ssize_t)size) &&
		gb__output_append(&conn->stream.output, &net->engine->pool, burst->data + sent,
			size - (size_t)sent) < 0) {
		gb__conn_end(conn, GB_CLOSE_NO_MEMORY, ENOMEM);
		net->tally.bytes_out += (size_t)sent;
	} else {
		net->tally.bytes_out += size;
		gb__conn_output_rose(conn, conn->stream.output.bytes);
	}
}

static inline __attribute__((always_inline)) void burst_end(struct gb_conn *conn)
{
	struct gb__net *net = conn->net;
	struct gb__burst *burst = &net->burst;

	if (gb__unlikely(conn->flags & GB__CONN_FRONTED)) {
		gb__front_burst(conn);
		return;
	}
	if (!net->sends_at_once) {
		gb__conn_spill(conn);
		return;
	}
	burst->conn = NULL;
	if (gb__unlikely(conn->state >= GB__CONN_ENDED))
		burst->size = 0;
	if (burst->size > 0)
		burst_sent(conn, gb__engine_send(net->engine, &conn->stream, burst->data, burst->size));
}

static inline void burst_start(struct gb__net *net, struct gb_conn *conn, unsigned char *data, size_t size)
{
	net->burst.conn = conn;
	net->burst.input = data;
	net->burst.input_size = gb__likely(size <= net->burst.size_max) ? size : 0;
}

void gb__conn_enter(struct gb_conn *conn)
{
	if (conn->flags & GB__CONN_DISPATCH)
		return;
	conn->flags |= GB__CONN_DISPATCH;
	if (gb__output_empty(&conn->stream.output) && conn->state == GB__CONN_OPEN &&
		!(conn->flags & GB__CONN_REPLIES) && !conn->net->burst.conn && !gb__conn_has_packets(conn))
		burst_start(conn->net, conn, NULL, 0);
}

void gb__conn_push(struct gb_conn *conn)
{
	struct gb__burst *burst = &conn->net->burst;
	const bool collects = burst->conn == conn;

	if (collects)
		burst_end(conn);
	gb__conn_flush(conn);
	/* Only in front of nothing: what collects leaves before what is queued. */
	if (collects && conn->state == GB__CONN_OPEN && gb__output_empty(&conn->stream.output))
		burst->conn = conn;
}

void gb__conn_leave(struct gb_conn *conn)
{
	if (!(conn->flags & GB__CONN_DISPATCH))
		return;
	if (conn->net->burst.conn == conn)
		burst_end(conn);
	conn->flags &= (uint16_t)~GB__CONN_DISPATCH;
	if (gb__conn_closing(conn))
		gb__conn_input_drop(conn);
	gb__conn_settle(conn);
}

/* Nothing is kept and nothing stops the delivery. */
static void input_fast(struct gb_conn *conn, unsigned char *data, size_t size, int found)
{
	struct gb__net *net = conn->net;
	const uint64_t messages = net->tally.messages;
	size_t used;

	if (found == GB__NOT_ASKED)
		net->message.scanned = 0;
	conn->flags |= GB__CONN_DISPATCH;
	if (gb__output_empty(&conn->stream.output)) {
		burst_start(net, conn, data, size);
		used = deliver(conn, data, size, found);
		if (gb__unlikely(net->burst.conn == conn && net->burst.size == 0))
			note_unanswered(conn, messages, 0);
		burst_end(conn);
	} else {
		used = deliver(conn, data, size, found);
	}
	conn->flags &= (uint16_t)~GB__CONN_DISPATCH;
	if (gb__unlikely(used < size))
		after_delivery(conn, data + used, size - used);
}

__attribute__((noinline)) void gb__conn_input_any(
	struct gb_conn *conn, unsigned char *data, size_t size, int found)
{
	if (gb__unlikely(conn->net->draining) && !gb__conn_closing(conn))
		conn->idle_turns = 0;
	conn->net->delivering = conn;
	if (gb__likely(!(conn->flags & GB__CONN_SLOW_INPUT)))
		input_fast(conn, data, size, found);
	else
		input_slow(conn, data, size);
	conn->net->delivering = NULL;
	gb__conn_settle(conn);
	gb__conn_left(conn);
}

__attribute__((noinline)) void gb__conn_direct_rest(struct gb_conn *conn)
{
	burst_end(conn);
	conn->flags &= (uint16_t)~GB__CONN_DISPATCH;
	gb__conn_settle(conn);
}

__attribute__((noinline)) void gb__conn_direct_sent(struct gb_conn *conn, ssize_t sent)
{
	burst_sent(conn, gb__engine_sent(conn->net->engine, sent));
	gb__conn_direct_rest(conn);
}

/* Whole packets: what there is of them is never a part of a message, and each answer is queued as one. */
void gb__conn_on_packet(struct gb__stream *stream, unsigned char *data, size_t size)
{
	struct gb_conn *conn = gb__conn_of(stream);
	struct gb__net *net = conn->net;

	conn->active_ms = gb__net_now(net);
	net->tally.bytes_in += size;
	if (net->draining && !gb__conn_closing(conn))
		conn->idle_turns = 0;
	net->delivering = conn;
	input_slow(conn, data, size);
	net->delivering = NULL;
	gb__conn_settle(conn);
	gb__conn_left(conn);
}

/* Nearly all input is such a message, with an answer. */
static inline __attribute__((always_inline)) void input_direct(
	struct gb__net *net, struct gb_conn *conn, struct gb_bytes message)
{
	gb__direct_begin(net, conn);
	conn->terms->on_message(conn, message);
	gb__direct_end(conn->net, conn); /* looked up again, `net` need not be saved over the call */
}

void gb__conn_on_input(struct gb__stream *stream, unsigned char *data, size_t size)
{
	struct gb_conn *conn = gb__conn_of(stream);
	struct gb__net *net = conn->net;

	conn->active_ms = gb__net_now(net);
	net->tally.bytes_in += size;
	if (!gb__is_direct(net, conn)) {
		gb__conn_input_any(conn, data, size, GB__NOT_ASKED);
		return;
	}
	net->burst.input = data;
	net->burst.input_size = size;
	input_direct(net, conn, (struct gb_bytes){ data, size });
}

void gb__conn_on_coded_input(struct gb__stream *stream, unsigned char *data, size_t size)
{
	struct gb_conn *conn = gb__conn_of(stream);
	struct gb__net *net = conn->net;
	struct gb__burst *burst = &net->burst;
	const struct gb_frame *frame = &net->message.frame;
	int found;

	conn->active_ms = gb__net_now(net);
	net->tally.bytes_in += size;
	if (!gb__is_direct(net, conn)) {
		gb__conn_input_any(conn, data, size, GB__NOT_ASKED);
		return;
	}
	/* The burst remembers them over the call: registers that outlive it would have to be saved first. */
	burst->input = data;
	burst->input_size = size;
	net->message.scanned = 0;
	found = decode(net, conn, data, size);
	if (gb__likely(found > 0) && gb__likely(frame->consumed == burst->input_size))
		input_direct(net, conn, (struct gb_bytes){ burst->input + frame->offset, frame->size });
	else
		gb__conn_input_any(conn, burst->input, burst->input_size, found);
}
