/* What a handler may do to its connection, be it the real one or a task's facade, and look at. */
#include "base/assert.h"
#include "base/macros.h"
#include "net/packet.h"
#include "net/proxied.h"
#include "net/task.h"

#include "buffer/text.h"
#include "os/address.h"

#include <gearbox/worker.h>

#include <errno.h>

int gb__conn_queued(struct gb_conn *conn, int result, size_t size)
{
	size_t bytes;

	if (gb__unlikely(result < 0)) {
		gb__conn_end(conn, GB_CLOSE_NO_MEMORY, ENOMEM);
		return result;
	}
	conn->net->tally.bytes_out += size;
	bytes = gb__conn_output_bytes(conn);
	gb__conn_output_rose(conn, bytes);
	if (gb__unlikely(bytes > conn->terms->limits->output_bytes_max)) {
		conn->flags |= GB__CONN_RESET; /* the peer gets no orderly end of half an answer */
		gb__conn_end(conn, GB_CLOSE_OUTPUT_LIMIT, 0);
		return -GB_ELIMIT;
	}
	if (!(conn->flags & GB__CONN_DISPATCH)) {
		conn->further |= GB__CONN_FURTHER_ELSEWHERE;
		gb__conn_queue(conn);
	}
	return 0;
}

static struct gb__pool *pool_of(struct gb_conn *conn)
{
	return gb__unlikely(gb__conn_is_task(conn)) ? &gb__task_of(conn)->chunks : &conn->net->engine->pool;
}

static struct gb__replies *replies_of(struct gb_conn *conn)
{
	return gb__conn_is_task(conn) ? &gb__task_of(conn)->replies : &conn->terms->replies;
}

/* Where bytes go: behind the last of the open replies. */
static inline struct gb__output *output_of(struct gb_conn *conn)
{
	const struct gb__replies *replies;

	if (gb__likely(!(conn->flags & GB__CONN_REPLIES)))
		return gb__conn_sink(conn);
	replies = replies_of(conn);
	return replies->loose ? gb__conn_sink(conn) : &replies->last->behind;
}

/* As gb__conn_queued, for what a task collects: nothing leaves before it is back. */
static int collected(struct gb_conn *facade, int result)
{
	struct gb__task *task = gb__task_of(facade);
	const size_t bytes = facade->stream.output.bytes + task->replies.waiting;

	if (result == 0 && bytes <= gb__limit(&facade->terms->limits->output_bytes_max))
		return 0;
	task->failed = result < 0 ? GB_CLOSE_NO_MEMORY : GB_CLOSE_OUTPUT_LIMIT;
	facade->flags |= GB__CONN_RESET;
	gb__output_clear(&facade->stream.output, &task->chunks);
	return result < 0 ? result : -GB_ELIMIT;
}

/* Bytes were appended where output_of said, or not. */
static int appended(struct gb_conn *conn, int result, size_t size)
{
	if (gb__unlikely(conn->flags & GB__CONN_REPLIES) && result == 0 &&
		output_of(conn) != gb__conn_sink(conn))
		replies_of(conn)->waiting += size;
	return gb__conn_is_task(conn) ? collected(conn, result) : gb__conn_queued(conn, result, size);
}

_Noreturn void gb__conn_misused(const struct gb_conn *conn, const char *function)
{
	if (conn->state == GB__CONN_STALE)
		gb__rule_broken(31,
			"the connection that on_message got on a pool thread is used after it has returned: keep a handle",
			function);
	gb__rule_broken(15,
		"a connection is used on another thread than its worker's: post to it by a handle", function);
}

/* The same of one that has not ended, and so is no facade whose handler has returned. */
static inline void mine_in(const struct gb_conn *conn, const char *function)
{
	if (gb__unlikely(!gb__loop_here(conn->net->loop)))
		gb__conn_misused(conn, function);
}

bool gb__conn_ended(struct gb_conn *conn)
{
	if (gb__unlikely(conn->flags & GB__CONN_OUTPUT_END))
		return true;
	if (gb__likely(!gb__conn_closing(conn)))
		return false;
	if (gb__unlikely(conn->state == GB__CONN_STALE))
		gb__conn_misused(conn, "gb_conn_send");
	return !gb__conn_is_task(conn) || gb__task_ended(gb__task_of(conn));
}

int gb__conn_spill(struct gb_conn *conn)
{
	struct gb__burst *burst = &conn->net->burst;
	struct gb__engine *engine = conn->net->engine;
	struct gb__chunk *chunk = NULL;
	size_t size = burst->size;

	if (burst->conn != conn)
		return 0;
	burst->conn = NULL;
	burst->size = 0;
	if (size == 0)
		return 0;
	if (engine->ops->borrow && gb__output_empty(&conn->stream.output) &&
		gb__likely(!(conn->flags & GB__CONN_FRONTED)))
		chunk = engine->ops->borrow(engine, burst->data, size);
	if (chunk)
		gb__output_append_chunk(&conn->stream.output, chunk);
	return gb__conn_queued(conn,
		chunk ? 0 : gb__output_append(gb__conn_sink(conn), &engine->pool, burst->data, size), size);
}

/* Of `data` or of a buffer. */
static __attribute__((noinline)) int send_packet(
	struct gb_conn *conn, const void *data, size_t size, struct gb_buffer *buffer)
{
	int result = gb__packet_check(size);

	if (result < 0)
		return result;
	return appended(conn, gb__output_append_packet(output_of(conn), pool_of(conn), data, size, buffer),
		GB__PACKET_HEADER + size);
}

static __attribute__((noinline)) int send_rest(struct gb_conn *conn, const void *data, size_t size)
{
	int result;

	if (conn->state == GB__CONN_OPEN && conn->net->burst.conn == conn &&
		(conn->net->sends_at_once ? gb__burst_add(&conn->net->burst, data, size)
					  : gb__burst_extend(&conn->net->burst, data, size)))
		return 0;
	if (gb__unlikely(gb__conn_ended(conn)))
		return -EPIPE;
	if (gb__likely(!gb__conn_is_task(conn))) {
		mine_in(conn, "gb_conn_send");
		result = gb__conn_spill(conn);
		if (result < 0)
			return result;
	}
	if (gb__unlikely(gb__conn_has_packets(conn)))
		return send_packet(conn, data, size, NULL);
	return appended(conn, gb__output_append(output_of(conn), pool_of(conn), data, size), size);
}

int gb_conn_send(struct gb_conn *conn, const void *data, size_t size)
{
	/* The state first: a pool thread must not look at the burst. */
	if (gb__likely(conn->state == GB__CONN_OPEN) && gb__likely(conn->net->burst.conn == conn) &&
		gb__likely(gb__burst_begin(&conn->net->burst, data, size)))
		return 0;
	return send_rest(conn, data, size);
}

int gb_conn_send_ref(struct gb_conn *conn, struct gb_buffer *buffer)
{
	size_t size;
	int result;

	if (gb__conn_ended(conn))
		return -EPIPE;
	if (!gb__conn_is_task(conn)) {
		gb__conn_mine(conn);
		result = gb__conn_spill(conn);
		if (result < 0)
			return result;
	}
	gb__buffer_bytes(buffer, &size);
	if (gb__unlikely(gb__conn_has_packets(conn)))
		return send_packet(conn, NULL, size, buffer);
	return appended(conn, gb__output_append_shared(output_of(conn), pool_of(conn), buffer), size);
}

void gb__conn_take_output(struct gb_conn *conn, struct gb__output *output)
{
	size_t size = output->bytes;

	if (gb__output_empty(output))
		return;
	gb__output_splice(output_of(conn), output);
	conn->flags |= GB__CONN_DISPATCH; /* it is the answer to its message */
	appended(conn, 0, size);
	conn->flags &= (uint16_t)~GB__CONN_DISPATCH;
}

int gb_conn_try_send(struct gb_conn *conn, const void *data, size_t size)
{
	if (gb__conn_ended(conn))
		return -EPIPE;
	if (!gb__conn_is_task(conn))
		gb__conn_mine(conn);
	/* Up to the low watermark anything is taken, so that after on_writable there is room for any piece. */
	if (gb_conn_output_size(conn) > gb__limit(&conn->terms->limits->output_low) &&
		gb_conn_output_size(conn) + size > gb__limit(&conn->terms->limits->output_high)) {
		conn->flags |= GB__CONN_REFUSED_TRY;
		if (!gb__conn_is_task(conn) && !(conn->flags & GB__CONN_DISPATCH))
			gb__conn_queue(conn);
		return -EAGAIN;
	}
	return gb_conn_send(conn, data, size);
}

int gb_conn_printf(struct gb_conn *conn, const char *format, ...)
{
	struct gb__text text;
	va_list arguments;
	int result;

	if (gb__unlikely(gb__conn_ended(conn)))
		return -EPIPE;
	if (!gb__conn_is_task(conn))
		gb__conn_mine(conn); /* before its memory is used */
	va_start(arguments, format);
	result = gb__text_format(&text, pool_of(conn), format, arguments);
	va_end(arguments);
	if (gb__unlikely(result == -ENOMEM))
		return appended(conn, -ENOMEM, 0);
	if (gb__unlikely(result < 0))
		return result;
	result = gb_conn_send(conn, text.data, text.size);
	gb__text_give(&text, pool_of(conn));
	return result;
}

static void fail_in(struct gb_conn *conn, int reason, const char *function)
{
	if (gb__conn_is_task(conn)) {
		struct gb__task *task = gb__task_of(conn);

		if (!gb__task_ended(task))
			task->failed = reason;
		return;
	}
	gb__conn_mine_in(conn, function);
	gb__conn_close(conn, reason);
	if (!(conn->flags & GB__CONN_DISPATCH))
		gb__conn_queue(conn);
}

void gb_conn_close(struct gb_conn *conn)
{
	fail_in(conn, GB_CLOSE_LOCAL, __func__);
}

void gb_conn_fail(struct gb_conn *conn, int reason)
{
	gb__assert(reason >= 0 && reason < GB_CLOSE_REASON_COUNT);
	fail_in(conn, reason, __func__);
}

void gb_conn_abort(struct gb_conn *conn)
{
	if (gb__conn_is_task(conn)) {
		gb__task_of(conn)->aborted = true;
		conn->flags |= GB__CONN_RESET;
		return;
	}
	gb__conn_mine(conn);
	if (conn->state >= GB__CONN_ENDED)
		return;
	conn->flags |= GB__CONN_RESET;
	gb__conn_end(conn, GB_CLOSE_LOCAL, 0);
}

int gb_conn_end_output(struct gb_conn *conn)
{
	int result;

	if (gb__conn_ended(conn))
		return conn->flags & GB__CONN_OUTPUT_END ? 0 : -EPIPE;
	if (!gb__conn_is_task(conn)) {
		gb__conn_mine(conn);
		result = gb__conn_spill(conn);
		if (result < 0)
			return result;
		if (!(conn->flags & GB__CONN_DISPATCH))
			gb__conn_queue(conn);
	}
	conn->flags |= GB__CONN_OUTPUT_END;
	return 0;
}

/* A stream pauses its connection itself whenever nobody reads. */
static bool pauses_itself(const struct gb_conn *conn)
{
	return conn->terms->sequential && !conn->terms->relayed;
}

void gb_conn_pause(struct gb_conn *conn)
{
	if (gb__conn_is_task(conn)) {
		gb__task_of(conn)->paused = 1;
		return;
	}
	gb__conn_mine(conn);
	if (gb__unlikely(pauses_itself(conn)))
		return;
	if (gb__unlikely(conn->flags & GB__CONN_TASKED))
		gb__task_forget_pause(conn);
	conn->flags |= GB__CONN_PAUSED;
	if (!(conn->flags & GB__CONN_DISPATCH))
		gb__conn_queue(conn);
}

void gb_conn_resume(struct gb_conn *conn)
{
	if (gb__conn_is_task(conn)) {
		gb__task_of(conn)->paused = -1;
		return;
	}
	gb__conn_mine(conn);
	if (gb__unlikely(pauses_itself(conn)))
		return;
	if (gb__unlikely(conn->flags & GB__CONN_TASKED))
		gb__task_forget_pause(conn);
	/* Of one that was joined in this turn the pause ends with it. */
	if (!(conn->flags & GB__CONN_PAUSED) || (conn->further & GB__CONN_FURTHER_JOINED))
		return;
	conn->flags &= (uint16_t)~GB__CONN_PAUSED;
	gb__conn_read_anew(conn);
	gb__conn_queue(conn);
}

bool gb_conn_cancelled(const struct gb_conn *conn)
{
	if (gb__conn_is_task(conn)) {
		const struct gb__task *task = (const struct gb__task *)conn;

		return atomic_load_explicit(&task->cancelled, memory_order_relaxed) ||
			(task->cancelled_there &&
				atomic_load_explicit(task->cancelled_there, memory_order_relaxed));
	}
	return gb__conn_closing(conn);
}

size_t gb_conn_output_size(const struct gb_conn *conn)
{
	size_t size;

	if (gb__conn_is_task(conn))
		return conn->stream.output.bytes + ((const struct gb__task *)conn)->replies.waiting;
	size = gb__conn_output_bytes(conn);
	return conn->net->burst.conn == conn ? size + conn->net->burst.size : size;
}

const struct gb_frame *gb_conn_frame(const struct gb_conn *conn)
{
	if (gb__conn_is_task(conn))
		return &((const struct gb__task *)conn)->frame;
	return &conn->net->message.frame;
}

struct gb_bytes gb_conn_rest(const struct gb_conn *conn)
{
	const struct gb__chunk *chunk = gb__conn_is_task(conn) ? NULL : conn->input;

	return chunk ? (struct gb_bytes){ chunk->data + chunk->begin, chunk->end - chunk->begin }
		     : (struct gb_bytes){ NULL, 0 };
}

void *gb_conn_user(const struct gb_conn *conn)
{
	return conn->terms->user;
}

struct gb_worker *gb_conn_worker(const struct gb_conn *conn)
{
	return conn->net->worker;
}

int gb_conn_descriptor(const struct gb_conn *conn)
{
	return conn->stream.endpoint.fd;
}

int gb_conn_error(const struct gb_conn *conn)
{
	return gb__conn_errno(conn);
}

static int describe(const struct gb_conn *conn, bool peer, char *text, size_t size)
{
	struct gb__os *os = conn->net->loop->os;
	const struct gb__address *told;
	struct gb__address address;
	int result;

	if (conn->stream.endpoint.fd < 0 && gb__conn_is_task(conn))
		return -EOPNOTSUPP; /* a process of the pool has no connections */
	told = gb__proxied_end(conn, peer);
	if (told)
		return gb__address_format(told, text, size);
	result = os->ops->address(os, conn->stream.endpoint.fd, peer, &address);
	return result < 0 ? result : gb__address_format(&address, text, size);
}

int gb_conn_peer(const struct gb_conn *conn, char *text, size_t size)
{
	return describe(conn, true, text, size);
}

int gb_conn_local(const struct gb_conn *conn, char *text, size_t size)
{
	return describe(conn, false, text, size);
}

void *gb_conn_state(struct gb_conn *conn)
{
	/* The connection may be given terms of its own meanwhile; those that the facade has say the same of this. */
	const size_t offset = conn->terms->state_offset;

	/* The handler has the state for itself while the task runs. */
	if (gb__unlikely(gb__conn_is_task(conn)))
		conn = gb__task_of(conn)->conn;
	return (unsigned char *)(conn + 1) + offset;
}

struct gb_handle gb_conn_handle(const struct gb_conn *conn)
{
	return (struct gb_handle){ conn->net->worker, conn->stream.endpoint.slot,
		conn->stream.endpoint.generation };
}
