/*
 * From bytes to messages.
 *
 * Input is parsed where it lies, in the engine's buffer; only an incomplete rest is kept, in a chunk of
 * its own. A short rest is moved in front of the next bytes (the headroom), a longer one gets them
 * appended. Delivery stops when the handler pauses, output rises above its high watermark, the
 * connection closes, or its turn is over; what is left is kept as well.
 */
#include "net/conn.h"

#include "net/task.h"

#include <errno.h>
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
	gb__count(conn->net->counters->stats.messages, 1);
	if (gb__likely(!conn->net->submit))
		conn->service->on_message(conn, message);
	else
		gb__task_submit(conn, message);
}

/* Whether the pool has no room: the connection then waits in line. */
static inline bool crowded(struct gb_conn *conn)
{
	if (gb__likely(!conn->net->submit) || conn->net->tasks < conn->net->tasks_max)
		return false;
	gb__task_park(conn);
	return true;
}

/* Returns the bytes consumed; all of them when the connection closes meanwhile. */
static size_t deliver_frames(struct gb_conn *conn, unsigned char *data, size_t size)
{
	const struct gb_service *service = conn->service;
	const struct gb__limits *limits = conn->net->limits;
	uint64_t budget = limits->turn_messages;
	void *state = gb__conn_codec_state(conn);
	size_t used = 0;

	while (used < size) {
		struct gb_frame frame;
		int found;

		if (gb__unlikely(conn->flags & GB__CONN_STOPPED) || crowded(conn))
			break;
		if (gb__unlikely(budget-- == 0)) {
			gb__conn_queue(conn);
			break;
		}
		found = service->codec->decode(service->codec_options, state,
			(struct gb_bytes){ data + used, size - used }, limits->message_bytes_max,
			&conn->scanned, &frame);
		if (found <= 0) {
			if (found < 0) {
				gb__conn_close(conn,
					found == -GB_ETOOLARGE ? GB_CLOSE_MESSAGE_TOO_LARGE
							       : GB_CLOSE_BAD_FRAME);
				return size;
			}
			if (used > 0 || !(conn->flags & GB__CONN_PARTIAL))
				conn->since_ms = gb__net_now(conn->net);
			conn->flags |= GB__CONN_PARTIAL;
			return used;
		}
		conn->scanned = 0;
		hand(conn, (struct gb_bytes){ data + used + frame.offset, frame.size });
		used += frame.consumed;
		if (gb__unlikely(gb__conn_closing(conn)))
			return size;
	}
	conn->flags &= (uint16_t)~GB__CONN_PARTIAL;
	return used;
}

static inline size_t deliver(struct gb_conn *conn, unsigned char *data, size_t size)
{
	if (conn->service->codec)
		return deliver_frames(conn, data, size);
	if (crowded(conn))
		return gb__conn_closing(conn) ? size : 0;
	hand(conn, (struct gb_bytes){ data, size });
	return size;
}

/* Append to what is kept. Returns 0 or -ENOMEM. */
static int keep(struct gb_conn *conn, const unsigned char *data, size_t size)
{
	struct gb__pool *pool = &conn->net->engine->pool;
	struct gb__chunk *chunk = conn->input;

	if (!chunk || chunk->capacity - chunk->end < size) {
		size_t held = chunk ? chunk->end - chunk->begin : 0;
		/* Double, so that a long message is moved a logarithmic number of times. */
		struct gb__chunk *larger = gb__chunk_create(pool, held + gb__max(size, held));

		if (!larger)
			return -ENOMEM;
		if (chunk)
			gb__chunk_fill(larger, chunk->data + chunk->begin, held);
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
	gb__chunk_destroy(pool, chunk);
	conn->input = small;
}

static void after_delivery(struct gb_conn *conn, const unsigned char *rest, size_t size)
{
	if (size > 0 && !gb__conn_closing(conn)) {
		if (keep(conn, rest, size) < 0)
			gb__conn_end(conn, GB_CLOSE_NO_MEMORY, ENOMEM);
		else if (conn->flags & GB__CONN_PARTIAL)
			gb__conn_deadline_within(conn, conn->net->limits->read_timeout_ms);
	}
}

void gb__conn_deliver_kept(struct gb_conn *conn)
{
	struct gb__chunk *chunk = conn->input;
	size_t used;

	conn->flags |= GB__CONN_DISPATCH;
	used = deliver(conn, chunk->data + chunk->begin, chunk->end - chunk->begin);
	conn->flags &= (uint16_t)~GB__CONN_DISPATCH;
	chunk->begin += (uint32_t)used;
	if (chunk->begin == chunk->end || gb__conn_closing(conn)) {
		gb__conn_input_drop(conn);
	} else if (conn->flags & GB__CONN_PARTIAL) {
		shrink(conn);
		gb__conn_deadline_within(conn, conn->net->limits->read_timeout_ms);
	}
}

static void input_slow(struct gb_conn *conn, unsigned char *data, size_t size)
{
	bool wait = (conn->flags & GB__CONN_STOPPED) || gb__conn_backlog(conn);
	size_t held, used;

	if (gb__conn_closing(conn))
		return; /* discarded */
	held = conn->flags & GB__CONN_KEPT ? conn->input->end - conn->input->begin : 0;
	if (wait || held > GB__INPUT_HEADROOM) {
		if (keep(conn, data, size) < 0) {
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
		gb__conn_input_drop(conn);
		if (partial)
			conn->flags |= GB__CONN_PARTIAL;
	}
	conn->flags |= GB__CONN_DISPATCH;
	used = deliver(conn, data, size);
	conn->flags &= (uint16_t)~GB__CONN_DISPATCH;
	after_delivery(conn, data + used, size - used);
}

/* What was sent meanwhile leaves now; what the kernel does not take is queued. */
static void burst_end(struct gb_conn *conn)
{
	struct gb__net *net = conn->net;
	struct gb__engine *engine = net->engine;
	size_t size = net->burst.size;
	ssize_t sent;

	net->burst.conn = NULL;
	net->burst.size = 0;
	if (gb__unlikely(conn->state >= GB__CONN_ENDED))
		return;
	sent = engine->ops->send(engine, &conn->stream, net->burst.data, size);
	if (gb__unlikely(sent < 0)) {
		gb__conn_end(conn, gb__conn_reason_of((int)sent), (int)-sent);
		return;
	}
	gb__count(net->counters->stats.bytes_out, sent);
	if (gb__likely(sent == (ssize_t)size))
		return;
	size -= (size_t)sent;
	if (gb__output_append(&conn->stream.output, &engine->pool, net->burst.data + sent, size) < 0)
		gb__conn_end(conn, GB_CLOSE_NO_MEMORY, ENOMEM);
	else
		gb__count(net->counters->stats.bytes_out, size);
}

void gb__conn_on_input(struct gb__stream *stream, unsigned char *data, size_t size)
{
	struct gb_conn *conn = gb__conn_of(stream);
	struct gb__net *net = conn->net;

	conn->active_ms = gb__net_now(net);
	if (gb__unlikely(net->draining))
		conn->idle_turns = 0;
	gb__count(net->counters->stats.bytes_in, size);
	if (gb__likely(!(conn->flags & GB__CONN_SLOW_INPUT)) && gb__likely(conn->state == GB__CONN_OPEN)) {
		size_t used;

		conn->flags |= GB__CONN_DISPATCH;
		if (net->engine->ops->send && gb__output_empty(&stream->output)) {
			net->burst.conn = conn;
			net->burst.input = data;
			net->burst.input_size = size;
			used = deliver(conn, data, size);
			if (gb__likely(net->burst.size > 0))
				burst_end(conn);
			else
				net->burst.conn = NULL;
		} else {
			used = deliver(conn, data, size);
		}
		conn->flags &= (uint16_t)~GB__CONN_DISPATCH;
		if (gb__unlikely(used < size))
			after_delivery(conn, data + used, size - used);
	} else {
		input_slow(conn, data, size);
	}
	gb__conn_settle(conn);
}
