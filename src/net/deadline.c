/*
 * Timeouts, without a cost per message.
 *
 * The wheel holds one node per connection, at or before its earliest deadline. Messages only write
 * active_ms. When the node comes up the deadlines are computed from what the connection then is; if none
 * has passed the node goes back for the earliest. A state that brings an earlier deadline (a partial
 * message, output that waits, a FIN) pulls the node forward.
 *
 * A deadline is judged by the clock, and a turn may be late: after a handler that took long, after a SIGSTOP, or
 * with more events than one wait tells. So nobody is ended for what the kernel has already: that is asked first.
 *
 * A socket is told to be writable once a third of its buffer is free, which is megabytes: a peer that takes less in a write
 * timeout takes output all the same. So half way to that deadline it is noted how much the kernel holds, and when it is due
 * a change since then is progress. Who takes nothing is ended when it is due, and so is who stopped in its first half.
 *
 * Every state has a bound. Open ones: the idle timeout (0: the user wants none), the write timeout while output
 * waits; connecting: the connect timeout (0: the kernel's); front: the handshake timeout; draining: the write timeout, else the idle timeout, else
 * STALL_MS without progress; lingering: the linger timeout since anything moved, linger-max in all.
 */
#include "base/macros.h"
#include "net/parts.h"
#include "net/proxy_front.h"

#include <errno.h>

#define STALL_MS 30000u     /* while it closes output may stand still so long where no option says */
#define RESET_LOOK_MS 1000u /* who is not read from is asked that often whether it is still there */
#define LATE_TICKS 8u       /* a look that comes so much later than it was to is late */

/* Of two that are joined neither is idle while the other moves. */
uint32_t gb__conn_idle_ms(const struct gb_conn *conn)
{
	const struct gb_conn *peer = conn->terms->peer;
	uint32_t own = gb__net_elapsed(conn->net, conn->active_ms);

	return peer ? gb__min(own, gb__net_elapsed(peer->net, peer->active_ms)) : own;
}

/* When the message under way last had its time; NULL: none is. */
static uint32_t *message_since(struct gb_conn *conn)
{
	struct gb__parts *parts;

	if (gb__conn_keeps_partial(conn))
		return &conn->input->input.since_ms;
	if (gb__likely(!(conn->further & GB__CONN_FURTHER_PARTS)))
		return NULL;
	parts = gb__parts_of(conn);
	return parts ? &parts->since_ms : NULL;
}

struct earliest {
	uint64_t left_ms;
	int reason;
};

static void consider(struct earliest *earliest, uint64_t timeout_ms, uint32_t elapsed_ms, int reason)
{
	uint64_t left_ms = elapsed_ms < timeout_ms ? timeout_ms - elapsed_ms : 0;

	if (timeout_ms && left_ms < earliest->left_ms)
		*earliest = (struct earliest){ left_ms, reason };
}

uint64_t gb__conn_stall_ms(const struct gb_conn *conn)
{
	const struct gb__limits *limits = conn->terms->limits;

	if (limits->write_timeout_ms || !gb__conn_closing(conn))
		return limits->write_timeout_ms;
	return limits->idle_timeout_ms ? limits->idle_timeout_ms : STALL_MS;
}

static struct earliest deadline_of(struct gb_conn *conn)
{
	const struct gb__limits *limits = conn->terms->limits;
	struct earliest earliest = { UINT64_MAX, 0 };
	uint32_t progress = gb__net_elapsed(conn->net, conn->progress_ms);
	const uint32_t *since_ms = message_since(conn);

	switch (conn->state) {
	case GB__CONN_CONNECTING:
		consider(&earliest, limits->connect_timeout_ms, progress, GB_CLOSE_CONNECT_FAILED);
		break;
	case GB__CONN_FRONT:
		consider(&earliest, limits->handshake_timeout_ms, progress,
			gb__proxy_awaited(conn) ? GB_CLOSE_PROXY_HEADER : GB_CLOSE_TLS_ERROR);
		break;
	case GB__CONN_LINGERING:
		consider(&earliest, gb__max(limits->linger_timeout_ms, 1),
			gb__net_elapsed(conn->net, conn->active_ms), conn->reason);
		consider(&earliest, gb__max(limits->linger_max_ms, 1), progress, conn->reason);
		break;
	case GB__CONN_OPEN:
	case GB__CONN_HALF_CLOSED:
		/* While a task runs the handler is at work. */
		if (!(conn->flags & GB__CONN_TASKED) && !conn->holds)
			consider(&earliest, limits->idle_timeout_ms, gb__conn_idle_ms(conn), GB_CLOSE_IDLE);
		/* While it is us who do not read, a message cannot be late. */
		if (since_ms && !gb__conn_stopped(conn))
			consider(&earliest, limits->read_timeout_ms, gb__net_elapsed(conn->net, *since_ms),
				GB_CLOSE_READ_TIMEOUT);
		__attribute__((fallthrough));
	case GB__CONN_DRAINING:
		if (conn->flags & GB__CONN_FLUSHING)
			consider(&earliest, gb__conn_stall_ms(conn), progress, GB_CLOSE_WRITE_TIMEOUT);
	}
	return earliest;
}

void gb__conn_deadline_within(struct gb_conn *conn, uint64_t timeout_ms)
{
	struct gb__wheel *wheel = &conn->net->loop->wheel;
	uint64_t due_ms = gb__add_capped(gb__loop_now_ms(conn->net->loop), timeout_ms);

	if (!timeout_ms)
		return;
	if (gb__conn_due_by(conn, due_ms))
		return;
	gb__wheel_remove(wheel, &conn->deadline);
	gb__wheel_add(wheel, &conn->deadline, due_ms);
}

/* Without a write timeout nobody has noted until now what the peer takes: it is judged by what it does from here on. A
 * connect or a handshake that is under way keeps its time. */
void gb__conn_bound_output(struct gb_conn *conn)
{
	if (!conn->terms->limits->write_timeout_ms && conn->state == GB__CONN_DRAINING)
		conn->progress_ms = gb__net_now(conn->net);
	gb__conn_deadline_within(conn, (gb__conn_stall_ms(conn) + 1) / 2);
}

void gb__conn_read_anew(struct gb_conn *conn)
{
	uint32_t *since_ms = message_since(conn);

	if (!since_ms)
		return;
	*since_ms = gb__net_now(conn->net);
	gb__conn_deadline_within(conn, conn->terms->limits->read_timeout_ms);
}

/* Whether what the deadline waits for, of `of`, has happened in the kernel, and we are late to see it. */
static bool has_come(const struct gb_conn *conn, unsigned of)
{
	unsigned wanted = 0;

	if (!(conn->flags & GB__CONN_MUTED))
		wanted |= of & GB__READY_IN;
	if ((conn->flags & GB__CONN_FLUSHING) || conn->state == GB__CONN_CONNECTING)
		wanted |= of & GB__READY_OUT;
	return wanted && (gb__engine_ready(conn->net->engine, &conn->stream, wanted) & wanted);
}

/* A message of which bytes are there has its time once more, but once only: who sends them one by one gains no more. */
static bool message_goes_on(struct gb_conn *conn)
{
	uint32_t *since_ms = message_since(conn);

	if (!since_ms || !has_come(conn, GB__READY_IN))
		return false;
	if (!(conn->further & GB__CONN_FURTHER_LATE)) {
		conn->further |= GB__CONN_FURTHER_LATE;
		*since_ms = gb__net_now(conn->net);
		return true;
	}
	/* Nothing was read since that time was over as well. */
	return (int32_t)(conn->active_ms - *since_ms) < (int32_t)conn->terms->limits->read_timeout_ms;
}

/* What of its output the kernel holds, cut to 16 bits so that any piece that leaves changes it. */
static uint16_t unsent_now(const struct gb_conn *conn)
{
	struct gb__os *os = conn->net->loop->os;
	size_t bytes = os->ops->unsent(os, conn->stream.endpoint.fd);

	return (uint16_t)(bytes ^ bytes >> 16);
}

/* The same, never 0. */
static uint16_t held_now(const struct gb_conn *conn)
{
	uint16_t unsent = unsent_now(conn);

	return unsent ? unsent : 1;
}

static bool awaits_room(const struct gb_conn *conn)
{
	return (conn->flags & GB__CONN_FLUSHING) &&
		(conn->state == GB__CONN_OPEN || conn->state == GB__CONN_HALF_CLOSED ||
			conn->state == GB__CONN_DRAINING);
}

static bool looks_late(const struct gb_conn *conn)
{
	uint32_t now = (uint32_t)(gb__loop_now_ms(conn->net->loop) / GB__WHEEL_TICK_MS);

	return (int32_t)(now - conn->deadline.due) > (int32_t)LATE_TICKS;
}

/* Before the write timeout is over. Returns when to look again: half way, then at its end. What was noted half way stays,
 * whatever else looks after that; but a look that is late may be the first since another flush. */
static uint64_t note_held(struct gb_conn *conn)
{
	uint64_t stall_ms = gb__conn_stall_ms(conn),
		 elapsed_ms = gb__net_elapsed(conn->net, conn->progress_ms);

	if (!stall_ms || elapsed_ms >= stall_ms)
		return UINT64_MAX;
	if (elapsed_ms < stall_ms / 2 + 2 * LATE_TICKS * GB__WHEEL_TICK_MS || looks_late(conn))
		conn->held = held_now(conn);
	return elapsed_ms < stall_ms / 2 ? stall_ms / 2 - elapsed_ms : stall_ms - elapsed_ms;
}

/* The write timeout is over: whether the peer took something since half of it was. */
static bool takes_on(struct gb_conn *conn)
{
	uint16_t before = conn->held;

	conn->held = held_now(conn);
	if (before == 0 || before == conn->held)
		return false;
	conn->progress_ms = gb__net_now(conn->net);
	return true;
}

/* Our FIN is out: bytes on their way in either direction extend the time for the peer's. */
static bool lingers_on(struct gb_conn *conn)
{
	uint16_t unsent;

	if (gb__net_elapsed(conn->net, conn->progress_ms) >= conn->terms->limits->linger_max_ms)
		return false;
	unsent = unsent_now(conn);
	if (unsent == conn->unsent && !has_come(conn, GB__READY_IN | GB__READY_OUT))
		return false;
	conn->unsent = unsent;
	conn->active_ms = gb__net_now(conn->net);
	return true;
}

/* Whether a deadline that is due ends nothing: what it waits for moves. */
static bool goes_on(struct gb_conn *conn, int reason)
{
	if (conn->state == GB__CONN_LINGERING)
		return lingers_on(conn);
	if (conn->state == GB__CONN_FRONT && (conn->flags & GB__CONN_KEPT))
		return true; /* it waits for us */
	if (reason == GB_CLOSE_READ_TIMEOUT)
		return message_goes_on(conn);
	return has_come(conn, GB__READY_IN | GB__READY_OUT) ||
		(reason == GB_CLOSE_WRITE_TIMEOUT && takes_on(conn));
}

/* Nothing that is asked of the engine for it would tell of a reset, or not for long: output may leave at once. */
static bool is_deaf(const struct gb_conn *conn)
{
	return (conn->state == GB__CONN_OPEN || conn->state == GB__CONN_HALF_CLOSED ||
		       (conn->state == GB__CONN_DRAINING &&
			       (conn->flags & (GB__CONN_REPLIES | GB__CONN_TASKED)))) &&
		(conn->flags & GB__CONN_MUTED);
}

void gb__conn_listen_for_reset(struct gb_conn *conn)
{
	if (is_deaf(conn))
		gb__conn_deadline_within(conn, RESET_LOOK_MS);
}

/* Returns whether it was reset. */
static bool look_for_reset(struct gb_conn *conn)
{
	int error = gb__engine_error(conn->net->engine, &conn->stream);

	if (error == 0)
		return false;
	gb__conn_end(conn, gb__conn_reason_of(error), -error);
	return true;
}

static void expired(struct gb_conn *conn, int reason)
{
	if (gb__unlikely(reason == GB_CLOSE_PROXY_HEADER)) {
		gb__conn_drop(conn, reason, "it was not complete in time");
		return;
	}
	switch (conn->state) {
	case GB__CONN_OPEN:
	case GB__CONN_HALF_CLOSED:
		if (reason != GB_CLOSE_WRITE_TIMEOUT) {
			struct earliest next;

			gb__conn_close_for_error(conn, reason);
			gb__conn_queue(conn);
			/* What output still waits keeps its own deadline, though the node is off the wheel. */
			next = deadline_of(conn);
			if (next.left_ms != UINT64_MAX)
				gb__conn_deadline_within(conn, gb__max(next.left_ms, 1));
			return;
		}
		__attribute__((fallthrough));
	case GB__CONN_DRAINING:
		conn->flags |=
			GB__CONN_RESET; /* what is queued cannot be delivered: do not pretend an orderly end */
		__attribute__((fallthrough));
	default:
		gb__conn_end(conn, reason,
			reason == GB_CLOSE_CONNECT_FAILED || reason == GB_CLOSE_TLS_ERROR ? ETIMEDOUT : 0);
	}
}

void gb__conn_on_deadline(struct gb__wheel_node *node, void *arg)
{
	struct gb_conn *conn = gb__container_of(node, struct gb_conn, deadline);
	struct earliest earliest = deadline_of(conn);
	bool deaf = is_deaf(conn);

	if (conn->net->draining && conn->state < GB__CONN_ENDED)
		gb__conn_queue(conn); /* its grace may be over */
	if (deaf && look_for_reset(conn))
		return;
	if (earliest.left_ms == 0) {
		if (!goes_on(conn, earliest.reason)) {
			expired(conn, earliest.reason);
			return;
		}
		earliest.left_ms = 1; /* it is seen by then, or asked about again */
	} else if (awaits_room(conn)) {
		earliest.left_ms = gb__min(earliest.left_ms, note_held(conn));
	}
	if (deaf)
		earliest.left_ms = gb__min(earliest.left_ms, RESET_LOOK_MS);
	if (earliest.left_ms != UINT64_MAX)
		gb__conn_deadline_within(conn, earliest.left_ms);
}
