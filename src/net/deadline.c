/*
 * Timeouts, without a cost per message.
 *
 * The wheel holds one node per connection, at or before its earliest deadline. Messages only write
 * active_ms. When the node comes up the deadlines are computed from what the connection then is; if none
 * has passed the node goes back for the earliest. A state that brings an earlier deadline (a partial
 * message, output that waits, a FIN) pulls the node forward.
 */
#include "base/macros.h"
#include "net/conn.h"

#include <errno.h>

/* All stamps are 32 bits of milliseconds; the options limit timeouts to a week. */
static uint32_t elapsed(const struct gb__net *net, uint32_t since)
{
	int32_t passed = (int32_t)(gb__net_now(net) - since);

	return passed > 0 ? (uint32_t)passed : 0;
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

static struct earliest deadline_of(const struct gb_conn *conn)
{
	const struct gb__limits *limits = conn->terms->limits;
	struct earliest earliest = { UINT64_MAX, 0 };
	uint32_t progress = elapsed(conn->net, conn->progress_ms);

	switch (conn->state) {
	case GB__CONN_CONNECTING:
		consider(&earliest, limits->connect_timeout_ms, progress, GB_CLOSE_CONNECT_FAILED);
		break;
	case GB__CONN_LINGERING:
		consider(&earliest, gb__max(limits->linger_timeout_ms, 1), progress, conn->reason);
		break;
	case GB__CONN_OPEN:
	case GB__CONN_HALF_CLOSED:
		/* While a task runs the handler is at work. */
		if (!(conn->flags & GB__CONN_TASKED))
			consider(&earliest, limits->idle_timeout_ms, elapsed(conn->net, conn->active_ms),
				GB_CLOSE_IDLE);
		/* While output keeps us from reading, a message cannot be late. */
		if (gb__conn_keeps_partial(conn) && !(conn->flags & GB__CONN_HIGH))
			consider(&earliest, limits->read_timeout_ms,
				elapsed(conn->net, conn->input->input.since_ms), GB_CLOSE_READ_TIMEOUT);
		__attribute__((fallthrough));
	case GB__CONN_DRAINING:
		if (conn->flags & GB__CONN_FLUSHING)
			consider(&earliest, limits->write_timeout_ms, progress, GB_CLOSE_WRITE_TIMEOUT);
	}
	return earliest;
}

void gb__conn_deadline_within(struct gb_conn *conn, uint64_t timeout_ms)
{
	struct gb__wheel *wheel = &conn->net->loop->wheel;
	uint64_t due_ms = gb__loop_now_ms(conn->net->loop) + timeout_ms;

	if (!timeout_ms)
		return;
	if (gb__wheel_pending(&conn->deadline)) {
		if ((int32_t)(conn->deadline.due - (uint32_t)(due_ms / GB__WHEEL_TICK_MS)) <= 1)
			return;
		gb__wheel_remove(wheel, &conn->deadline);
	}
	gb__wheel_add(wheel, &conn->deadline, due_ms);
}

void gb__conn_on_deadline(struct gb__wheel_node *node, void *arg)
{
	struct gb_conn *conn = gb__container_of(node, struct gb_conn, deadline);
	struct earliest earliest = deadline_of(conn);

	if (conn->net->draining && conn->state < GB__CONN_ENDED)
		gb__conn_queue(conn); /* its grace may be over */
	if (earliest.left_ms == UINT64_MAX)
		return;
	if (earliest.left_ms > 0) {
		gb__conn_deadline_within(conn, earliest.left_ms);
		return;
	}
	switch (conn->state) {
	case GB__CONN_OPEN:
	case GB__CONN_HALF_CLOSED:
		if (earliest.reason != GB_CLOSE_WRITE_TIMEOUT) {
			gb__conn_close(conn, earliest.reason);
			gb__conn_queue(conn);
			/* What output still waits keeps its own deadline, though the node is off the wheel. */
			earliest = deadline_of(conn);
			if (earliest.left_ms != UINT64_MAX)
				gb__conn_deadline_within(conn, gb__max(earliest.left_ms, 1));
			return;
		}
		__attribute__((fallthrough));
	case GB__CONN_DRAINING:
		conn->flags |=
			GB__CONN_RESET; /* what is queued cannot be delivered: do not pretend an orderly end */
		__attribute__((fallthrough));
	default:
		gb__conn_end(
			conn, earliest.reason, earliest.reason == GB_CLOSE_CONNECT_FAILED ? ETIMEDOUT : 0);
	}
}
