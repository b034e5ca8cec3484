/*
 * The life of a connection.
 *
 * Happy path: gb__net_adopt or gb_connect creates it, gb__conn_open tells the handler and starts input,
 * input.c delivers messages, send.c queues replies, settle flushes them. The peer's FIN leads to on_eof,
 * as a rule to gb__conn_close, and that over draining and lingering to the end.
 *
 * The ways out: whatever ends a connection calls gb__conn_end, which only notes it. The turn then
 * detaches it from the engine (which may take a while: operations in flight must come back), tells the
 * handler, closes the descriptor and frees the memory. So no callback ever frees what its caller still
 * holds, and on_close is never called from inside another callback of the same connection.
 */
#include "net/conn.h"

#include "base/macros.h"
#include "net/dial.h"
#include "net/drain.h"
#include "net/outgoing.h"
#include "net/parts.h"
#include "net/produce.h"
#include "net/proxied.h"
#include "net/proxy_front.h"
#include "net/sequential.h"
#include "net/task.h"
#include "net/tell.h"
#include "net/upstream.h"

#include <gearbox/tls.h>

#include <errno.h>
#include <unistd.h>

static void on_output(struct gb__stream *stream, int error);
static void on_connected(struct gb__stream *stream, int error);
static void on_detached(struct gb__endpoint *endpoint);

#define CONN_OPS(input) \
	{ \
		.on_input = (input), .on_end = gb__conn_on_end, .on_output = on_output, \
		.on_connected = on_connected, .on_detached = on_detached \
	}
const struct gb__endpoint_ops gb__conn_plain_ops = CONN_OPS(gb__conn_on_input);
const struct gb__endpoint_ops gb__conn_coded_ops = CONN_OPS(gb__conn_on_coded_input);
const struct gb__endpoint_ops gb__conn_parts_ops = CONN_OPS(gb__parts_on_input);
const struct gb__endpoint_ops gb__conn_packet_ops = CONN_OPS(gb__conn_on_packet);
const struct gb__endpoint_ops gb__conn_front_ops = { .on_input = gb__front_on_input,
	.on_end = gb__front_on_end,
	.on_output = on_output,
	.on_connected = on_connected,
	.on_detached = on_detached };
#undef CONN_OPS

static size_t conn_size(const struct gb__terms *terms)
{
	return sizeof(struct gb_conn) + terms->state_offset + terms->service->conn_state_size;
}

static void count_closed(struct gb__net *net, int reason)
{
	gb__count(net->counters->stats.closed[reason], 1);
}

struct gb_conn *gb__conn_create(
	struct gb__net *net, int fd, const struct gb_service *service, void *user, enum gb__for who)
{
	struct gb__terms *terms = gb__terms_take(net, service, user, who);
	const bool outgoing = gb__for_one(who);
	struct gb_conn *conn;

	if (!terms)
		return NULL;
	conn = gb__slabs_take(&net->slabs, conn_size(terms));
	if (!conn) {
		gb__terms_give(net, terms);
		return NULL;
	}
	static_assert(GB__ENDPOINT_STREAM == 0 && (int)GB__ENDPOINT_PACKET == (int)GB__FOR_PACKETS,
		"who tells the kind");
	conn->stream.endpoint =
		(struct gb__endpoint){ .ops = terms->endpoint_ops, .fd = fd, .kind = who & GB__FOR_PACKETS };
	conn->net = net;
	conn->terms = terms;
	conn->flags = GB__CONN_MUTED;
	conn->further = outgoing ? GB__CONN_FURTHER_OUTGOING : 0;
	conn->active_ms = conn->progress_ms = gb__net_now(net);
	gb__wheel_node_init(&conn->deadline);
	gb__trim_later(net);
	net->connections++;
	net->outgoing += outgoing;
	gb__count(*(outgoing ? &net->counters->stats.outgoing : &net->counters->stats.connections), 1);
	return conn;
}

/* Take a place among all that are open in all workers. It comes before the worker's own count and goes after it
 * (`count_out`): a worker that is killed in between leaves the sum too high by one, never too low. */
static bool count_in(struct gb__net *net)
{
	uint64_t open = atomic_load_explicit(net->connections_total, memory_order_relaxed);

	do
		if (open >= net->limits->connections_max)
			return false;
	while (!atomic_compare_exchange_weak_explicit(
		net->connections_total, &open, open + 1, memory_order_relaxed, memory_order_relaxed));
	return true;
}

/* It no longer takes the place of another one. */
static void count_out(struct gb_conn *conn)
{
	struct gb__net *net = conn->net;

	if (conn->further & GB__CONN_FURTHER_OUTGOING) {
		gb__count(net->counters->stats.outgoing, -1);
		return;
	}
	gb__count(net->counters->stats.connections, -1);
	atomic_fetch_sub_explicit(net->connections_total, 1, memory_order_relaxed);
}

/* The memory goes; the descriptor must be closed or nobody's any more. */
static void conn_destroy(struct gb_conn *conn)
{
	const size_t size = conn_size(conn->terms);
	const bool outgoing = conn->further & GB__CONN_FURTHER_OUTGOING;
	struct gb__net *net = conn->net;

	gb__wheel_remove(&net->loop->wheel, &conn->deadline);
	if (conn->input)
		gb__conn_input_drop(conn);
	net->tally.bytes_out -= conn->stream.output.bytes; /* modulo 2^64, as sums are */
	gb__output_clear(&conn->stream.output, &net->engine->pool);
	gb__terms_give(net, conn->terms);
	gb__slabs_give(&net->slabs, conn, size);
	net->connections--;
	net->trim.gone++;
	gb__trim_later(net);
	net->outgoing -= outgoing;
	if (net->draining && !outgoing && net->connections == net->outgoing)
		gb__net_drain_outgoing(net);
	if (net->on_gone)
		net->on_gone(net, net->arg);
}

void gb__conn_discard(struct gb_conn *conn)
{
	struct gb__engine *engine = conn->net->engine;
	int fd = conn->stream.endpoint.fd;

	gb__fronted_destroy(conn);
	count_out(conn);
	conn_destroy(conn);
	if (fd >= 0)
		gb__engine_close(engine, fd);
}

int gb__conn_reason_of(int error)
{
	switch (-error) {
	case GB_ELIMIT:
		return GB_CLOSE_DESCRIPTOR_LIMIT;
	case ENOMEM:
	case ENOBUFS:
		return GB_CLOSE_NO_MEMORY;
	case ECONNRESET:
	case EPIPE:
		return GB_CLOSE_RESET;
	case EMSGSIZE:
		return GB_CLOSE_MESSAGE_TOO_LARGE;
	default:
		return GB_CLOSE_KERNEL_ERROR;
	}
}

void gb__conn_established(struct gb_conn *conn)
{
	if (gb__unlikely(conn->flags & GB__CONN_FRONTED))
		gb__front_established(conn);
	else if (gb__unlikely(gb__conn_closing(conn)))
		conn->state = GB__CONN_DRAINING; /* nobody is told that it opened */
	else
		gb__conn_open(conn);
	gb__conn_settle(conn);
}

static inline __attribute__((always_inline)) void adopt(struct gb__net *net, int fd,
	const struct gb_service *service, void *user, const struct gb__front *front)
{
	const char *problem = NULL;
	struct gb_conn *conn;
	int result, reason;

	gb__count(net->counters->stats.accepted, 1);
	if (front && front->proxies) {
		reason = gb__proxy_admit(net, fd, front, &problem);
		if (reason >= 0)
			goto refuse;
	}
	if (!count_in(net)) {
		reason = GB_CLOSE_OVER_LIMIT;
		goto refuse;
	}
	conn = gb__conn_create(
		net, fd, service, user, front && front->packets ? GB__FOR_PACKETS : GB__FOR_CLIENT);
	if (!conn) {
		atomic_fetch_sub_explicit(net->connections_total, 1, memory_order_relaxed);
		reason = GB_CLOSE_NO_MEMORY;
		goto refuse;
	}
	result = front && front->tls ? gb__front_begin(conn, front, NULL) : 0;
	if (gb__likely(result == 0))
		result = net->engine->ops->attach(net->engine, &conn->stream.endpoint);
	if (gb__likely(result == 0)) {
		result = net->engine->ops->input_start(net->engine, &conn->stream.endpoint);
		if (gb__likely(result == 0)) {
			conn->flags &= (uint16_t)~GB__CONN_MUTED;
			if (front && front->proxies) {
				gb__proxy_await(conn);
			} else if (front) {
				gb__conn_established(conn);
			} else {
				gb__conn_open(conn);
				gb__conn_settle(conn);
			}
			return;
		}
		conn->stream.endpoint.wants |= GB__WANT_CLOSE;
		net->engine->ops->detach(net->engine, &conn->stream.endpoint);
	}
	reason = gb__conn_reason_of(result);
	gb__fronted_destroy(conn);
	count_out(conn);
	conn_destroy(conn);
refuse:
	count_closed(net, reason);
	if (!net->engine->os->simulated)
		gb__tell_refused(net->loop->os, fd, service, reason, problem);
	if (reason == GB_CLOSE_PROXY_HEADER) /* behind what is told: its address goes with it */
		net->engine->os->ops->reset_on_close(net->engine->os, fd);
	gb__engine_close(net->engine, fd);
}

static __attribute__((noinline)) void adopt_fronted(struct gb__net *net, int fd,
	const struct gb_service *service, void *user, const struct gb__front *front)
{
	adopt(net, fd, service, user, front);
}

void gb__net_adopt(struct gb__net *net, int fd, const struct gb_service *service, void *user,
	const struct gb__front *front)
{
	if (gb__unlikely(front != NULL))
		adopt_fronted(net, fd, service, user, front);
	else
		adopt(net, fd, service, user, NULL);
}

void gb__conn_open(struct gb_conn *conn)
{
	conn->state = GB__CONN_OPEN;
	conn->past |= GB__CONN_PAST_OPENED;
	conn->active_ms = gb__net_now(conn->net) - 1; /* whatever moves from here on is later: see `silent` */
	conn->opened_ms = (uint8_t)conn->active_ms;
	if (gb__unlikely(conn->terms->connecting)) {
		gb__connect_complete(conn);
		if (gb__conn_closing(conn))
			return; /* who was told wants it no more */
	}
	gb__conn_deadline_within(conn, conn->terms->limits->idle_timeout_ms);
	if (conn->terms->calls->on_open) {
		int result;

		conn->flags |= GB__CONN_DISPATCH;
		result = conn->terms->calls->on_open(conn);
		conn->flags &= (uint16_t)~GB__CONN_DISPATCH;
		if (result < 0)
			gb__conn_close(conn, result == -ENOMEM ? GB_CLOSE_NO_MEMORY : GB_CLOSE_REFUSED);
	}
}

/* Whoever is on the list of the turn is attached, so that a slot names it. */
static struct gb_conn *conn_in_line(const struct gb__net *net, uint32_t link)
{
	return (struct gb_conn *)net->engine->slots[link - 1];
}

void gb__conn_queue(struct gb_conn *conn)
{
	struct gb__net *net = conn->net;

	/* Once it is being detached it only waits for that: on_close, and others meanwhile, change nothing. */
	if ((conn->further & GB__CONN_FURTHER_QUEUED) || conn->state == GB__CONN_DETACHING)
		return;
	conn->further |= GB__CONN_FURTHER_QUEUED;
	conn->turn_next = 0;
	if (net->turn_last)
		conn_in_line(net, net->turn_last)->turn_next = conn->stream.endpoint.slot + 1;
	else
		net->turn_first = conn->stream.endpoint.slot + 1;
	net->turn_last = conn->stream.endpoint.slot + 1;
}

void gb__conn_end(struct gb_conn *conn, int reason, int error)
{
	if (conn->state >= GB__CONN_ENDED)
		return;
	if (gb__unlikely(conn->terms->peer))
		gb__relay_cut(conn, reason == GB_CLOSE_EOF ? GB__RELAY_OVER : GB__RELAY_CUT);
	if (conn->state != GB__CONN_LINGERING) {
		conn->reason = (uint8_t)reason;
		conn->error = (int16_t)error;
	}
	conn->state = GB__CONN_ENDED;
	conn->flags |= GB__CONN_CLOSING;
	gb__conn_queue(conn);
}

/* Once, and before the peer's address goes with the connection. */
static void log_end(struct gb_conn *conn)
{
	struct gb__os *os = conn->net->loop->os;
	const char *problem = conn->net->problem;
	char name[GB__ADDRESS_TEXT];

	if (os->simulated || (conn->past & GB__CONN_PAST_LOGGED))
		return;
	conn->past |= GB__CONN_PAST_LOGGED;
	/* The session keeps it, whoever ends the connection, and when. */
	if (!problem && conn->reason == GB_CLOSE_TLS_ERROR)
		problem = gb_conn_tls_problem(conn);
	if (!problem && gb__conn_errno(conn) == EMSGSIZE)
		problem = "a packet does not fit into the send buffer: see sndbuf";
	gb__tell_closed(os, conn->stream.endpoint.fd, gb__proxied_end(conn, true), conn->terms->service,
		conn->further & GB__CONN_FURTHER_OUTGOING, conn->reason, gb__conn_errno(conn), problem,
		gb__dial_name(conn, name, sizeof(name)) ? name : NULL);
}

void gb__conn_drop(struct gb_conn *conn, int reason, const char *problem)
{
	conn->flags |= GB__CONN_RESET;
	gb__conn_end(conn, reason, 0);
	conn->net->problem = problem;
	log_end(conn);
	conn->net->problem = NULL;
}

static inline __attribute__((always_inline)) void close_begun(struct gb_conn *conn, int reason)
{
	conn->flags |= GB__CONN_CLOSING;
	conn->reason = (uint8_t)reason;
	if (gb__unlikely(!gb__reason_ordinary(reason)))
		log_end(conn);
	if (conn->flags & GB__CONN_FLUSHING)
		gb__conn_bound_output(conn);
	/* Replies that need not wait for one another were not overtaken by the end: they are awaited. */
	if ((conn->flags & GB__CONN_TASKED) && !conn->terms->replies.loose)
		gb__task_cancel(conn);
	if (conn->flags & (GB__CONN_REPLIES | GB__CONN_TASKED))
		gb__conn_listen_for_reset(conn);
	/* Inside a callback the bytes being looked at may lie in this chunk: whoever called drops it. What waits for a step of
	 * the handshake is not for the handler, and what is to be sent yet needs it. */
	if (!(conn->flags & GB__CONN_DISPATCH) && conn->state != GB__CONN_FRONT)
		gb__conn_input_drop(conn);
}

void gb__conn_close(struct gb_conn *conn, int reason)
{
	if (gb__conn_closing(conn))
		return;
	if (gb__unlikely(conn->terms->peer))
		gb__relay_cut(conn, GB__RELAY_IN_ORDER);
	if (conn->state < GB__CONN_OPEN) {
		if (gb__conn_next_empty(conn) && !(conn->flags & GB__CONN_REPLIES)) {
			gb__conn_end(conn, reason, 0);
			return;
		}
		/* It is to arrive: gb__conn_established goes on, or its front. */
	} else {
		conn->state = GB__CONN_DRAINING;
	}
	close_begun(conn, reason);
}

void gb__conn_close_front(struct gb_conn *conn, int reason)
{
	conn->state = GB__CONN_DRAINING;
	close_begun(conn, reason);
}

void gb__conn_close_for_error(struct gb_conn *conn, int reason)
{
	uint16_t inside = conn->flags & GB__CONN_DISPATCH;

	if (conn->terms->sequential && conn->net->sequential->on_error(conn, reason))
		return;
	if ((conn->terms->calls->on_error || conn->terms->parts) && !gb__conn_closing(conn) &&
		!conn->terms->relayed && (!(conn->flags & GB__CONN_TASKED) || conn->terms->replies.loose)) {
		conn->flags |= GB__CONN_DISPATCH;
		if (!conn->terms->part_away)
			gb__parts_cut(conn, reason);
		if (conn->terms->calls->on_error)
			conn->terms->calls->on_error(conn, reason);
		conn->flags = (uint16_t)((conn->flags & ~GB__CONN_DISPATCH) | inside);
		if (conn->state == GB__CONN_DRAINING) { /* that it closed as well tells less */
			conn->reason = (uint8_t)reason;
			if (!gb__reason_ordinary(reason))
				log_end(conn);
		}
	}
	gb__conn_close(conn, reason);
}

void gb__conn_on_end(struct gb__stream *stream, int error)
{
	struct gb_conn *conn = gb__conn_of(stream);

	conn->flags |= GB__CONN_MUTED;
	if (error < 0) {
		gb__conn_end(conn, gb__conn_reason_of(error), -error);
		return;
	}
	conn->flags |= GB__CONN_EOF;
	if (conn->state == GB__CONN_LINGERING) {
		gb__conn_end(conn, conn->reason, 0);
		return;
	}
	gb__conn_settle(conn);
	if (gb__unlikely(conn->state < GB__CONN_ENDED))
		gb__conn_listen_for_reset(conn);
}

static __attribute__((noinline)) void tell_flushed(struct gb_conn *conn)
{
	if (conn->terms->sequential)
		conn->net->sequential->on_flushed(conn);
	if (conn->terms->pooled)
		gb__upstream_flushed(conn);
	gb__conn_settle(conn);
}

static void on_output(struct gb__stream *stream, int error)
{
	struct gb_conn *conn = gb__conn_of(stream);

	if (error < 0) {
		conn->flags &= (uint16_t)~GB__CONN_FLUSHING;
		gb__conn_end(conn, gb__conn_reason_of(error), -error);
		return;
	}
	conn->active_ms = conn->progress_ms = gb__net_now(conn->net);
	if (gb__output_empty(&stream->output)) {
		conn->flags &= (uint16_t)~GB__CONN_FLUSHING;
		if (gb__unlikely(conn->terms->flush_told)) {
			tell_flushed(conn); /* and nothing else: who has none to tell saves no registers */
			return;
		}
		gb__conn_left(conn);
	}
	gb__conn_settle(conn); /* of who has ended there is nothing to settle */
}

static void on_connected(struct gb__stream *stream, int error)
{
	struct gb_conn *conn = gb__conn_of(stream);
	struct gb__engine *engine = conn->net->engine;

	if (conn->state != GB__CONN_CONNECTING)
		return;
	if (error == 0)
		error = engine->ops->input_start(engine, &stream->endpoint);
	if (error < 0) {
		gb__conn_end(conn, GB_CLOSE_CONNECT_FAILED, -error);
		return;
	}
	conn->flags &= (uint16_t)~GB__CONN_MUTED;
	gb__conn_established(conn);
}

/* Nothing is in flight any more: tell the handler, close, free. */
static void finish(struct gb_conn *conn)
{
	struct gb__engine *engine = conn->net->engine;
	int fd = conn->stream.endpoint.fd;

	if ((conn->past & GB__CONN_PAST_OPENED) || (conn->further & GB__CONN_FURTHER_OUTGOING)) {
		if (gb__unlikely(conn->terms->parts))
			gb__parts_cut(conn, conn->reason);
		if (conn->terms->calls->on_close)
			conn->terms->calls->on_close(conn, conn->reason);
	}
	count_closed(conn->net, conn->reason); /* behind it: or one that crashes there would count twice */
	if (gb__unlikely(conn->terms->pooled))
		gb__upstream_gone(conn);
	if (gb__tells(conn->reason))
		log_end(conn);
	if (conn->terms->one) {
		if (conn->flags & GB__CONN_FRONTED)
			gb__fronted_destroy(conn);
		if (conn->terms->dial)
			gb__dial_drop(conn);
	}
	/* Half an answer must not look like a whole one. */
	if ((conn->flags & GB__CONN_RESET) || conn->reason == GB_CLOSE_NO_MEMORY ||
		!gb__output_empty(&conn->stream.output))
		engine->os->ops->reset_on_close(engine->os, fd);
	count_out(conn); /* first: who sees it closed may come again at once */
	if (gb__likely(fd >= 0))
		gb__engine_close(engine, fd);
	conn_destroy(conn);
}

static void on_detached(struct gb__endpoint *endpoint)
{
	finish(gb__conn_of((struct gb__stream *)endpoint));
}

static inline void go_on(struct gb_conn *conn)
{
	if (gb__unlikely(conn->further & GB__CONN_FURTHER_JOINED))
		gb__relay_begin(conn);
	if (gb__unlikely(conn->state == GB__CONN_FRONT) && (conn->flags & GB__CONN_KEPT))
		gb__front_go_on(conn);
	if (gb__conn_backlog(conn) && !gb__conn_stopped(conn) && conn->state == GB__CONN_OPEN)
		gb__conn_deliver_kept(conn);
	gb__conn_settle(conn);
}

void gb__conn_go_on(struct gb_conn *conn)
{
	go_on(conn);
}

/* The list may take a connection back meanwhile (queued by itself or others): it waits for the next turn. */
__attribute__((noinline)) void gb__conn_turn(struct gb__net *net)
{
	uint32_t link = net->turn_first;

	net->turn_first = net->turn_last = 0;
	while (link) {
		struct gb_conn *conn = conn_in_line(net, link);

		link = conn->turn_next;
		conn->further &= (uint8_t)~GB__CONN_FURTHER_QUEUED;
		if (conn->state == GB__CONN_ENDED) {
			if (conn->flags & GB__CONN_TASKED) {
				gb__task_cancel(conn); /* its return queues the connection again */
				continue;
			}
			if (conn->terms->connecting)
				gb__connect_complete(conn);
			if (gb__unlikely(conn->flags & GB__CONN_REPLIES))
				gb__replies_cancel(conn); /* first: a coroutine may await one */
			if (conn->terms->sequential && net->sequential->on_ended(conn))
				continue; /* as does the end of its stream */
			if (gb__unlikely(conn->further & GB__CONN_FURTHER_QUEUED))
				continue; /* whoever was told just now did something with it: the next turn ends it */
			conn->state = GB__CONN_DETACHING;
			conn->stream.endpoint.wants |= GB__WANT_CLOSE;
			if (net->engine->ops->detach(net->engine, &conn->stream.endpoint) == 0)
				finish(conn);
		} else {
			go_on(conn);
			gb__conn_left(conn);
		}
	}
}
