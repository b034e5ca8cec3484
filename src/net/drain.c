#include "net/drain.h"

#include "base/assert.h"
#include "base/macros.h"
#include "net/proxy_front.h"
#include "net/sequential.h"
#include "net/task.h"

#define COUNT_MS 100u /* between two counts of what is still there */

static bool moves(const struct gb_conn *conn)
{
	const struct gb_conn *peer = conn->terms->peer;

	return (conn->flags & (GB__CONN_FLUSHING | GB__CONN_HIGH | GB__CONN_REFUSED_TRY)) ||
		!gb__conn_next_empty(conn) || (peer && !gb__conn_next_empty(peer));
}

/* Whoever ends it has something to do first, and will. */
static bool is_held(const struct gb_conn *conn)
{
	if (gb__conn_closing(conn))
		return conn->flags & (GB__CONN_REPLIES | GB__CONN_TASKED);
	return conn->holds || (conn->flags & GB__CONN_PAUSED) || conn->state == GB__CONN_HALF_CLOSED;
}

static bool is_pooled(const struct gb_conn *conn)
{
	return conn->flags & (GB__CONN_TASKED | GB__CONN_PARKED);
}

/* Nothing has moved since it was opened (one in 256 is taken for such a one): its request may be on its way. */
static bool is_silent(const struct gb_conn *conn)
{
	return (uint8_t)conn->active_ms == conn->opened_ms;
}

static void tell(struct gb_conn *conn)
{
	const struct gb_service *calls = conn->terms->calls;

	conn->past |= GB__CONN_PAST_DRAIN_TOLD;
	if (!calls->on_drain || conn->terms->relayed)
		return;
	conn->flags |= GB__CONN_DISPATCH;
	calls->on_drain(conn);
	conn->flags &= (uint16_t)~GB__CONN_DISPATCH;
	if (gb__conn_closing(conn))
		gb__conn_input_drop(conn);
}

/* How long it is to be left alone still: until its first request has come, or until it is quiet. */
static uint64_t patience_ms(const struct gb_conn *conn)
{
	const struct gb__net *net = conn->net;
	uint64_t now_ms = gb__loop_now_ms(net->loop);
	uint32_t quiet_ms = gb__conn_idle_ms(conn);

	if (now_ms < net->grace_end_ms && is_silent(conn))
		return net->grace_end_ms - now_ms;
	if (((conn->further & GB__CONN_FURTHER_ELSEWHERE) || conn->terms->peer) &&
		quiet_ms < GB__DRAIN_QUIET_MS)
		return GB__DRAIN_QUIET_MS - quiet_ms;
	return 0;
}

/* What has begun goes on until it is complete, or its time is over; what has not, does not once its beginning would have
 * come. */
static void drain_front(struct gb_conn *conn)
{
	const struct gb__net *net = conn->net;
	uint64_t now_ms = gb__loop_now_ms(net->loop);

	if (conn->further & GB__CONN_FURTHER_OUTGOING)
		return; /* it is as one that connects: it has its own timeout, and whoever made it waits */
	if (gb__proxy_awaited(conn) ? conn->input != NULL : conn->terms->fronted->begun)
		return;
	if (now_ms < net->grace_end_ms)
		gb__conn_deadline_within(conn, net->grace_end_ms - now_ms);
	else
		gb__conn_end(conn, GB_CLOSE_DRAIN, 0);
}

void gb__conn_drain(struct gb_conn *conn)
{
	const struct gb__net *net = conn->net;
	uint64_t left_ms;

	if (conn->state == GB__CONN_FRONT) {
		drain_front(conn);
		return;
	}
	if ((conn->state != GB__CONN_OPEN && conn->state != GB__CONN_HALF_CLOSED) ||
		(conn->flags & GB__CONN_TASKED))
		return;
	if (!(conn->past & GB__CONN_PAST_DRAIN_TOLD))
		tell(conn);
	if (gb__conn_closing(conn) || moves(conn) || is_held(conn) || is_pooled(conn) ||
		gb__conn_within_message(conn))
		return;
	if ((conn->further & GB__CONN_FURTHER_OUTGOING) && net->connections > net->outgoing)
		return;
	left_ms = patience_ms(conn);
	/* It seems idle, but a request may wait in the kernel, unread because input was off for a reply, a pause or
	 * a task: some turns with input on tell. */
	if (left_ms > 0) {
		conn->idle_turns = 0;
		gb__conn_deadline_within(conn, left_ms);
	} else if (conn->idle_turns == GB__DRAIN_TURNS) {
		if (!conn->terms->sequential || !net->sequential->on_quiet(conn))
			gb__conn_close(conn, GB_CLOSE_DRAIN);
	} else if (!(conn->further & GB__CONN_FURTHER_QUEUED)) {
		conn->idle_turns++;
		gb__conn_queue(conn);
	}
}

void gb__net_drain(struct gb__net *net)
{
	if (net->draining)
		return;
	net->draining = true;
	net->plain = net->direct = false;
	net->drain_turns = GB__DRAIN_TURNS;
	net->grace_end_ms = gb__loop_now_ms(net->loop) + GB__DRAIN_GRACE_MS;
	net->census_ms = gb__loop_now_ms(net->loop) - COUNT_MS;
}

void gb__net_drain_outgoing(struct gb__net *net)
{
	net->drain_turns = gb__max(net->drain_turns, 1u); /* behind it all are looked at */
}

static void count(struct gb_conn *conn, int argument)
{
	struct gb__census *census = &conn->net->census;

	(void)argument;
	census->connections++;
	if (moves(conn))
		census->output++;
	else if (is_pooled(conn))
		census->pooled++;
	else if (gb__conn_within_message(conn))
		census->message++;
	else if (is_held(conn))
		census->held++;
}

void gb__net_census_publish(struct gb__net *net)
{
	struct gb__census *published = &net->counters->census;

	__atomic_store_n(&published->connections, net->census.connections, __ATOMIC_RELAXED);
	__atomic_store_n(&published->output, net->census.output, __ATOMIC_RELAXED);
	__atomic_store_n(&published->pooled, net->census.pooled, __ATOMIC_RELAXED);
	__atomic_store_n(&published->message, net->census.message, __ATOMIC_RELAXED);
	__atomic_store_n(&published->held, net->census.held, __ATOMIC_RELAXED);
}

int64_t gb__net_drain_count(struct gb__net *net, int64_t timeout_ns)
{
	uint64_t now_ms = gb__loop_now_ms(net->loop);

	/* What happens in the turn to come is counted at the latest so long after it. */
	if (now_ms - net->census_ms < COUNT_MS)
		return timeout_ns < 0 ? COUNT_MS * 1000000 : gb__min(timeout_ns, COUNT_MS * 1000000);
	net->census_ms = now_ms;
	net->census = (struct gb__census){ 0 };
	gb__net_each(net, count, 0);
	gb__net_census_publish(net);
	return timeout_ns;
}

void gb_conn_hold(struct gb_conn *conn)
{
	if (gb__conn_is_task(conn)) {
		gb__task_of(conn)->holds++;
		return;
	}
	gb__conn_mine(conn);
	gb__conn_hold(conn, 1);
}

void gb_conn_release(struct gb_conn *conn)
{
	if (gb__conn_is_task(conn)) {
		gb__task_of(conn)->holds--;
		return;
	}
	gb__conn_mine(conn);
	gb__conn_hold(conn, -1);
}

void gb__conn_hold(struct gb_conn *conn, int change)
{
	if (gb__conn_closing(conn) || change == 0)
		return;
	gb__rule_in("gb_conn_release", 45, (int)conn->holds + change >= 0,
		"it is released more often than it was held");
	gb__assert((int)conn->holds + change < UINT16_MAX);
	conn->holds = (uint16_t)(conn->holds + change);
	if (conn->holds)
		return;
	/* From here on as if it had just moved; and who holds says when it is done, so that nobody has to guess. */
	conn->active_ms = gb__net_now(conn->net);
	conn->further &= (uint8_t)~GB__CONN_FURTHER_ELSEWHERE;
	gb__conn_deadline_within(conn, conn->terms->limits->idle_timeout_ms);
	if (!(conn->flags & GB__CONN_DISPATCH))
		gb__conn_queue(conn);
}
