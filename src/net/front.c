/*
 * The ways out: a handshake that fails, or bytes that are no TLS, close the connection in order, so that the alert (to a
 * client of HTTP: an answer) arrives; the service is told only of what it knew. An end of input without close_notify is a
 * truncation: nobody takes it for an end.
 *
 * A handshake is the work of a thousand messages. So many steps of them are done in a turn, in the order in which they
 * came; who waits keeps what has arrived, and is not read from meanwhile.
 */
#include "net/front.h"

#include "base/alloc.h"
#include "base/macros.h"
#include "net/direct.h"
#include "net/task.h"
#include "tls/tls.h"

#include <errno.h>
#include <string.h>

#define RECORD_MAX (16u << 10)  /* of plaintext (RFC 8446, 5.1) */
#define GATHER_BELOW (4u << 10) /* a shorter piece is put together with those behind it */
#define GATHER_PARTS 16u
#define ALONE_FROM (4u << 10) /* a record that is not copied to those before it */
#define AHEAD_MAX (64u << 10) /* records that wait for the kernel; what is behind them stays as it is */
#define REST_MS 250u          /* between looks at sessions that rest */
#define REST_SOON_MS 2u       /* when more of them wait than one look is for */

static_assert(GB__TLS_HEADROOM >= GB__INPUT_HEADROOM, "plaintext is delivered where it is decrypted");

static const char http_answer[] = "HTTP/1.1 400 Bad Request\r\n"
				  "Content-Type: text/plain\r\n"
				  "Connection: close\r\n"
				  "\r\n"
				  "This port speaks TLS: https, not http.\n";

static struct gb__fronted *fronted_of(const struct gb_conn *conn)
{
	return conn->terms->fronted;
}

static struct gb_tls_stats *stats_of(struct gb_conn *conn)
{
	return &conn->net->counters->tls;
}

/* Or whatever else the handshake has to say. */
static void let_tickets_go(struct gb_conn *conn)
{
	struct gb__fronted *fronted = fronted_of(conn);

	if (gb__unlikely(!gb__output_empty(&fronted->held)))
		gb__output_splice(&conn->stream.output, &fronted->held);
}

/* Of the session: records that are to be sent. A long one that waits for the kernel was written into a chunk of its own. */
static int emit(void *arg, const void *data, size_t size)
{
	struct gb__fronted *fronted = arg;
	struct gb_conn *conn = fronted->conn;
	struct gb__engine *engine = conn->net->engine;
	struct gb__chunk *chunk = fronted->record;
	ssize_t sent = 0;

	if (fronted->shaking)
		return gb__output_append(&fronted->held, &engine->pool, data, size);
	let_tickets_go(conn);
	if (chunk && chunk->data == data) {
		fronted->record = NULL;
		chunk->end = (uint32_t)size;
		gb__output_append_chunk(&conn->stream.output, chunk);
		return 0;
	}
	if (fronted->at_once && gb__output_empty(&conn->stream.output)) {
		sent = fronted->last ? gb__engine_send_last(engine, &conn->stream, data, size)
				     : gb__engine_send(engine, &conn->stream, data, size);
		if (sent < 0)
			return (int)sent;
		conn->active_ms = gb__net_now(conn->net);
	}
	return gb__output_append(
		&conn->stream.output, &engine->pool, (const unsigned char *)data + sent, size - (size_t)sent);
}

static unsigned char *room(void *arg, size_t size)
{
	struct gb__fronted *fronted = arg;
	struct gb__pool *pool = &fronted->conn->net->engine->pool;

	if (fronted->at_once || size < ALONE_FROM)
		return NULL;
	if (fronted->record && fronted->record->capacity < size) {
		gb__chunk_destroy(pool, fronted->record);
		fronted->record = NULL;
	}
	if (!fronted->record)
		fronted->record = gb__chunk_create(pool, size);
	return fronted->record ? fronted->record->data : NULL;
}

static const struct gb__tls_sink sink = { emit, room };

/* What is emitted next goes straight to the kernel: one record, with nothing before it. */
static bool leaves_at_once(const struct gb_conn *conn, size_t size)
{
	return size <= RECORD_MAX && conn->net->sends_at_once && !(conn->flags & GB__CONN_FLUSHING) &&
		gb__output_empty(&conn->stream.output);
}

/* Returns how many bytes were taken, or a negative code. */
static ssize_t encrypt(struct gb_conn *conn, const void *data, size_t size, bool at_once)
{
	struct gb__fronted *fronted = fronted_of(conn);
	ssize_t taken;

	fronted->at_once = at_once;
	taken = gb__tls_session_write(fronted->session, data, size);
	fronted->at_once = false;
	return taken;
}

static void plain_drop(struct gb_conn *conn)
{
	struct gb__output *plain = &fronted_of(conn)->plain;

	conn->net->tally.bytes_out -= plain->bytes; /* modulo 2^64, as sums are */
	gb__output_clear(plain, &conn->net->engine->pool);
}

/* Nothing can be encrypted any more, or sent. */
static void cannot_send(struct gb_conn *conn, int error)
{
	plain_drop(conn);
	if (fronted_of(conn)->failed)
		return; /* it is being closed for that */
	if (fronted_of(conn)->reading && error == -GB_EBADFRAME)
		return; /* what was wrong came behind what is answered: it is told next, in order */
	if (error == -GB_EBADFRAME)
		gb__conn_end(conn, GB_CLOSE_TLS_ERROR, 0);
	else
		gb__conn_end(conn, gb__conn_reason_of(error), -error);
}

/* Short pieces make one record. Returns a chunk of their bytes, or NULL: the first piece is one by itself. */
static struct gb__chunk *gather(struct gb_conn *conn)
{
	const struct gb__output *plain = &fronted_of(conn)->plain;
	struct gb__chunk *chunk;
	struct iovec parts[GATHER_PARTS];
	unsigned count;

	if (gb__output_front(plain).iov_len >= GATHER_BELOW || plain->tail->next == plain->tail)
		return NULL;
	chunk = gb__chunk_create(&conn->net->engine->pool, RECORD_MAX);
	if (!chunk)
		return NULL;
	count = gb__output_vector(plain, parts, GATHER_PARTS);
	for (unsigned i = 0; i < count && chunk->end < RECORD_MAX; i++)
		gb__chunk_fill(
			chunk, parts[i].iov_base, gb__min(parts[i].iov_len, (size_t)RECORD_MAX - chunk->end));
	return chunk;
}

/* One write of what comes next. Returns whether another may follow. */
static bool encrypt_next(struct gb_conn *conn)
{
	struct gb__output *plain = &fronted_of(conn)->plain;
	struct gb__pool *pool = &conn->net->engine->pool;
	struct gb__chunk *gathered = gather(conn);
	struct iovec front = gb__output_front(plain);
	ssize_t taken;

	if (gathered)
		front = (struct iovec){ gathered->data, gathered->end };
	taken = encrypt(conn, front.iov_base, front.iov_len, leaves_at_once(conn, plain->bytes));
	gb__chunk_destroy(pool, gathered);
	if (taken < 0) {
		cannot_send(conn, (int)taken);
		return false;
	}
	gb__output_consume(plain, pool, (size_t)taken);
	if ((size_t)taken == front.iov_len)
		return true;
	if (gb__conn_closing(conn)) /* it waits for a word of the peer, who is not heard any more */
		gb__conn_end(conn, GB_CLOSE_TLS_ERROR, 0);
	return false;
}

bool gb__front_encrypt(struct gb_conn *conn)
{
	const struct gb__output *plain = &fronted_of(conn)->plain;

	if (conn->state >= GB__CONN_OPEN)
		while (!gb__output_empty(plain) && conn->stream.output.bytes < AHEAD_MAX)
			if (!encrypt_next(conn))
				break;
	return conn->state < GB__CONN_ENDED;
}

/* From where they lie, if nothing is before them. Returns how many were taken, or a negative code. */
static ssize_t encrypt_now(struct gb_conn *conn, const void *data, size_t size)
{
	const struct gb__fronted *fronted = fronted_of(conn);

	if (conn->state < GB__CONN_OPEN || !gb__output_empty(&fronted->plain) ||
		conn->stream.output.bytes >= AHEAD_MAX)
		return 0;
	return encrypt(conn, data, size, leaves_at_once(conn, size));
}

void gb__front_burst(struct gb_conn *conn)
{
	struct gb__net *net = conn->net;
	struct gb__burst *burst = &net->burst;
	const size_t size = burst->size;
	ssize_t taken;

	if (burst->conn != conn)
		return;
	burst->conn = NULL;
	burst->size = 0;
	if (size == 0 || conn->state >= GB__CONN_ENDED)
		return;
	taken = encrypt_now(conn, burst->data, size);
	if (taken < 0) {
		cannot_send(conn, (int)taken);
		return;
	}
	if ((size_t)taken < size &&
		gb__output_append(&fronted_of(conn)->plain, &net->engine->pool, burst->data + taken,
			size - (size_t)taken) < 0) {
		gb__conn_end(conn, GB_CLOSE_NO_MEMORY, ENOMEM);
		return;
	}
	net->tally.bytes_out += size;
	gb__conn_output_rose(conn, gb__conn_output_bytes(conn));
}

ssize_t gb__front_forward(struct gb_conn *conn, struct gb_bytes bytes)
{
	ssize_t taken = encrypt_now(conn, bytes.data, bytes.size);

	if (taken > 0 && !gb__output_empty(&conn->stream.output)) {
		gb__conn_output_rose(conn, gb__conn_output_bytes(conn));
		gb__conn_queue(conn);
	}
	return taken;
}

void gb__front_end(struct gb_conn *conn)
{
	struct gb__fronted *fronted = fronted_of(conn);

	if (!fronted->session)
		return;
	fronted->at_once = leaves_at_once(conn, 0);
	fronted->last = true;
	gb__tls_session_close(fronted->session);
	fronted->at_once = fronted->last = false;
}

/* It is no handshake that is under way any more. */
static void uncount(struct gb_conn *conn, bool failed)
{
	struct gb__fronted *fronted = fronted_of(conn);

	if (!fronted->counted)
		return;
	fronted->counted = false;
	gb__count(stats_of(conn)->under_way, -1);
	if (failed)
		gb__count(stats_of(conn)->failed, 1);
}

/* Out of the line of those who wait for a step. */
static void leave_line(struct gb_conn *conn)
{
	if (!fronted_of(conn)->in_line)
		return;
	fronted_of(conn)->in_line = false;
	conn->net->fronts.waiting--;
}

/* Before it was open. The service knows of it only if it is an outgoing one, whose end is not to wait. `left`: the peer is not
 * there to be answered, which is said so; NULL: the log has what the session says. */
static void refuse(struct gb_conn *conn, const char *left)
{
	struct gb__net *net = conn->net;
	struct gb__fronted *fronted = fronted_of(conn);

	uncount(conn, true);
	if (fronted->session && gb__tls_session_met_http(fronted->session))
		(void)gb__output_append(
			&conn->stream.output, &net->engine->pool, http_answer, sizeof(http_answer) - 1);
	conn->past &= (uint8_t)~GB__CONN_PAST_LOGGED; /* not even an attempt's failure is for nobody */
	net->problem = left;
	gb__conn_close_front(conn, GB_CLOSE_TLS_ERROR);
	net->problem = NULL;
	gb__conn_flush(conn);
	if (left || (conn->further & GB__CONN_FURTHER_OUTGOING))
		gb__conn_end(conn, GB_CLOSE_TLS_ERROR, 0);
	gb__conn_settle(conn);
}

/* The session has failed; what it has to say of that is in the output. */
static void fail(struct gb_conn *conn)
{
	struct gb__fronted *fronted = fronted_of(conn);

	fronted->failed = fronted->truncated = true;
	plain_drop(conn);
	if (conn->state == GB__CONN_FRONT) {
		refuse(conn, NULL);
		return;
	}
	if (conn->terms->relayed)
		gb__conn_end(conn, GB_CLOSE_TLS_ERROR, 0); /* the other side must not take it for an end */
	else
		gb__conn_close_for_error(conn, GB_CLOSE_TLS_ERROR);
	gb__conn_settle(conn);
}

void gb__front_truncated(struct gb_conn *conn)
{
	const int reason = fronted_of(conn)->failed ? GB_CLOSE_TLS_ERROR : GB_CLOSE_TLS_TRUNCATED;

	conn->state = GB__CONN_HALF_CLOSED; /* it is told once */
	if (conn->terms->relayed)
		gb__conn_end(conn, reason, 0);
	else
		gb__conn_close_for_error(conn, reason);
}

static void rest_later(struct gb__net *net, uint64_t later_ms)
{
	if (!gb__wheel_pending(&net->fronts.node))
		gb__wheel_add(&net->loop->wheel, &net->fronts.node, gb__loop_now_ms(net->loop) + later_ms);
}

void gb__fronts_look(struct gb__net *net)
{
	const int found = gb__tls_pool_rest(net->fronts.pool);

	if (found != GB__TLS_REST_NONE)
		rest_later(net, found == GB__TLS_REST_MORE ? REST_SOON_MS : REST_MS);
}

void gb__fronts_init(struct gb__net *net)
{
	gb__wheel_node_init(&net->fronts.node);
}

void gb__fronts_finish(struct gb__net *net)
{
	gb__wheel_remove(&net->loop->wheel, &net->fronts.node);
	gb__tls_pool_destroy(net->fronts.pool);
}

void gb__fronts_trim(struct gb__net *net)
{
	if (net->fronts.pool)
		gb__tls_pool_trim(net->fronts.pool);
}

static void complete(struct gb_conn *conn)
{
	struct gb__fronted *fronted = fronted_of(conn);
	/* What it has said is answered soon, and nothing but tickets is to be said before. */
	const bool follows =
		gb__tls_session_unread(fronted->session) && !gb__tls_session_ends_last(fronted->session);

	uncount(conn, false);
	if (gb__tls_session_rests(fronted->session))
		rest_later(conn->net, REST_MS);
	gb__count(stats_of(conn)->handshakes, 1);
	if (gb__tls_session_resumed(fronted->session))
		gb__count(stats_of(conn)->resumed, 1);
	/* A server's tickets leave with the answer to what has come with the end of the handshake, be it that this takes
	 * long, and a client's end of it with its first message. Else they leave before anybody counts what moves. */
	if (!follows || (conn->further & GB__CONN_FURTHER_OUTGOING))
		let_tickets_go(conn);
	if (!follows && !(conn->further & GB__CONN_FURTHER_OUTGOING))
		gb__conn_flush(conn);
	if (conn->state >= GB__CONN_ENDED)
		return;
	if (gb__conn_closing(conn))
		conn->state = GB__CONN_DRAINING; /* nobody is told that it opened */
	else
		gb__conn_open(conn);
	if (!follows || conn->state != GB__CONN_OPEN)
		gb__conn_settle(conn); /* else whoever reads what follows does */
}

/* The peer has said that nothing follows. Its FIN may, or not: nobody waits for it. */
static void peer_ended(struct gb_conn *conn)
{
	struct gb__engine *engine = conn->net->engine;

	if (!(conn->flags & GB__CONN_MUTED))
		engine->ops->input_stop(engine, &conn->stream.endpoint);
	gb__conn_on_end(&conn->stream, 0);
}

static void deliver(struct gb_conn *conn, unsigned char *data, size_t size)
{
	const unsigned elsewhere = conn->further & GB__CONN_FURTHER_ELSEWHERE;

	conn->active_ms = gb__net_now(conn->net);
	conn->net->tally.bytes_in += size;
	gb__conn_input_any(conn, data, size, GB__NOT_ASKED);
	/* That a part is not answered says nothing of where its message's answer comes from. */
	if ((conn->further & GB__CONN_FURTHER_PARTS) && !elsewhere)
		conn->further &= (uint8_t)~GB__CONN_FURTHER_ELSEWHERE;
}

/* What the session says by itself, as to each try to renegotiate, is output like any other: who does not read it is not
 * heard any longer. */
static void answered_by_itself(struct gb_conn *conn)
{
	const size_t bytes = gb__conn_output_bytes(conn);

	gb__conn_output_rose(conn, bytes);
	if (bytes > conn->terms->limits->output_bytes_max) {
		conn->flags |= GB__CONN_RESET;
		gb__conn_end(conn, GB_CLOSE_OUTPUT_LIMIT, 0);
	}
	gb__conn_settle(conn);
}

/* Decrypt what has arrived, and deliver it, as far as it is wanted. */
static void read_on(struct gb_conn *conn)
{
	struct gb__fronted *fronted = fronted_of(conn);
	struct gb__tls_session *session = fronted->session;
	unsigned char *data;
	ssize_t size;

	fronted->reading = true;
	do {
		size = gb__tls_session_read(session, &data);
		if (size > 0)
			deliver(conn, data, (size_t)size);
	} while (size > 0 && !gb__conn_closing(conn));
	fronted->reading = false;
	if (gb__unlikely(gb__tls_session_rests(session)))
		rest_later(conn->net, REST_MS);
	if (gb__conn_closing(conn))
		return;
	if (size < 0)
		fail(conn);
	else if (gb__tls_session_ended(session))
		peer_ended(conn);
	else if (!gb__output_empty(&conn->stream.output))
		answered_by_itself(conn);
}

/* Go on with the handshake, with what has arrived. */
static void shake(struct gb_conn *conn)
{
	struct gb__fronted *fronted = fronted_of(conn);
	int result;

	conn->net->fronts.steps++;
	fronted->shaking = true;
	result = gb__tls_session_handshake(fronted->session);
	fronted->shaking = false;
	if (result > 0) {
		complete(conn);
		return;
	}
	let_tickets_go(conn);
	if (result < 0)
		fail(conn);
	else
		gb__conn_settle(conn);
}

static struct gb__tls_session *session_create(struct gb_conn *conn)
{
	struct gb__net *net = conn->net;
	const struct gb__fronted *fronted = fronted_of(conn);
	struct gb__tls_session *session = NULL;

	if (net->fronts.pool || gb__tls_pool_create(&net->fronts.pool) == 0)
		session = gb__slabs_take(&net->slabs, gb__tls_session_size());
	if (session &&
		gb__tls_session_init(session, fronted->tls, net->fronts.pool, fronted->name, &sink,
			fronted_of(conn)) < 0) {
		gb__slabs_give(&net->slabs, session, gb__tls_session_size());
		session = NULL;
	}
	return session;
}

static bool has_session(struct gb_conn *conn)
{
	struct gb__fronted *fronted = fronted_of(conn);

	if (!fronted->session)
		fronted->session = session_create(conn);
	if (!fronted->session)
		gb__conn_end(conn, GB_CLOSE_NO_MEMORY, ENOMEM);
	return fronted->session;
}

static void arrived(struct gb_conn *conn, unsigned char *data, size_t size)
{
	struct gb__fronted *fronted = fronted_of(conn);
	const bool shakes = conn->state == GB__CONN_FRONT;

	if (!has_session(conn))
		return;
	gb__tls_session_input(fronted->session, data, size);
	if (shakes)
		shake(conn);
	if (conn->state == GB__CONN_OPEN && !fronted->failed)
		read_on(conn);
	gb__tls_session_input(fronted->session, NULL, 0);
	if (shakes && conn->state == GB__CONN_OPEN)
		gb__conn_settle(conn); /* what has followed may have been nothing to the service */
}

/* Whether this turn has time for another step. */
static bool has_time(struct gb__net *net)
{
	struct gb__fronts *fronts = &net->fronts;

	if (fronts->turn != net->engine->stats.waits) {
		fronts->turn = net->engine->stats.waits;
		fronts->steps = 0;
	}
	return fronts->steps < GB__FRONT_STEPS_MAX;
}

/* Keep what has arrived until it is this one's turn. */
static void wait_in_line(struct gb_conn *conn, const unsigned char *data, size_t size)
{
	if (gb__conn_keep(conn, data, size) < 0) {
		gb__conn_end(conn, GB_CLOSE_NO_MEMORY, ENOMEM);
		return;
	}
	if (!fronted_of(conn)->in_line) {
		fronted_of(conn)->in_line = true;
		conn->net->fronts.waiting++;
	}
	gb__conn_queue(conn);
	gb__conn_settle(conn);
}

void gb__front_go_on(struct gb_conn *conn)
{
	struct gb__pool *pool = &conn->net->engine->pool;
	struct gb__chunk *kept = conn->input, *chunk;
	const size_t size = kept->end - kept->begin;

	if (!has_time(conn->net)) {
		gb__conn_queue(conn);
		return;
	}
	leave_line(conn);
	conn->input = NULL;
	conn->flags &= (uint16_t)~GB__CONN_KEPT;
	/* As from the engine: what is delivered of it has room before it. */
	chunk = gb__chunk_create(pool, GB__INPUT_HEADROOM + size);
	if (chunk) {
		memcpy(chunk->data + GB__INPUT_HEADROOM, kept->data + kept->begin, size);
		arrived(conn, chunk->data + GB__INPUT_HEADROOM, size);
	} else {
		gb__conn_end(conn, GB_CLOSE_NO_MEMORY, ENOMEM);
	}
	gb__chunk_destroy(pool, chunk);
	gb__chunk_destroy(pool, kept);
}

void gb__front_on_input(struct gb__stream *stream, unsigned char *data, size_t size)
{
	struct gb_conn *conn = gb__conn_of(stream);
	struct gb__net *net = conn->net;

	/* A record that comes byte by byte is nothing to the service, whose timeouts count: it is idle meanwhile. */
	if (conn->state != GB__CONN_OPEN)
		conn->active_ms = gb__net_now(net);
	if ((conn->flags & GB__CONN_EOF) || (conn->state != GB__CONN_FRONT && gb__conn_closing(conn)))
		return; /* discarded */
	fronted_of(conn)->begun = true;
	if (gb__unlikely(!gb__output_empty(&fronted_of(conn)->held))) {
		/* It says more before it was answered, and may go on like that. */
		let_tickets_go(conn);
		gb__conn_flush(conn);
		if (conn->state >= GB__CONN_ENDED)
			return;
	}
	if (conn->state == GB__CONN_FRONT &&
		((conn->flags & GB__CONN_KEPT) || !has_time(net) || net->fronts.waiting > 0))
		wait_in_line(conn, data, size);
	else
		arrived(conn, data, size);
}

/* The peer has left before it was open. */
static void left(struct gb_conn *conn)
{
	conn->flags |= GB__CONN_MUTED | GB__CONN_EOF;
	if (fronted_of(conn)->begun || (conn->further & GB__CONN_FURTHER_OUTGOING)) {
		refuse(conn, "the peer left within the handshake");
		return;
	}
	uncount(conn, false); /* it only looked whether somebody is there */
	gb__conn_end(conn, GB_CLOSE_EOF, 0);
}

void gb__front_on_end(struct gb__stream *stream, int error)
{
	struct gb_conn *conn = gb__conn_of(stream);

	if (error == 0 && conn->state == GB__CONN_FRONT) {
		left(conn);
		return;
	}
	if (error == 0 && (conn->state == GB__CONN_OPEN || conn->state == GB__CONN_HALF_CLOSED)) {
		conn->flags |= GB__CONN_MUTED;
		if (conn->flags & GB__CONN_EOF)
			return; /* it was told, by close_notify */
		fronted_of(conn)->truncated = true;
	}
	gb__conn_on_end(stream, error);
}

int gb__front_begin(struct gb_conn *conn, const struct gb__front *front, const char *name)
{
	struct gb__terms *terms = gb__terms_own(conn);
	struct gb__fronted *fronted = terms ? gb__slabs_take(&conn->net->slabs, sizeof(*fronted)) : NULL;

	if (!fronted)
		return -ENOMEM;
	fronted->conn = conn;
	fronted->tls = front->tls;
	fronted->name = name ? gb__strdup(name) : NULL;
	if (name && !fronted->name) {
		gb__slabs_give(&conn->net->slabs, fronted, sizeof(*fronted));
		return -ENOMEM;
	}
	terms->fronted = fronted;
	conn->flags |= GB__CONN_FRONTED;
	conn->stream.endpoint.ops = &gb__conn_front_ops;
	return 0;
}

void gb__front_established(struct gb_conn *conn)
{
	struct gb__net *net = conn->net;

	conn->state = GB__CONN_FRONT;
	conn->progress_ms = gb__net_now(net);
	gb__conn_deadline_within(conn, conn->terms->limits->handshake_timeout_ms);
	fronted_of(conn)->counted = true;
	gb__count(stats_of(conn)->under_way, 1);
	if ((conn->further & GB__CONN_FURTHER_OUTGOING) && has_session(conn))
		shake(conn); /* a client speaks first */
}

void gb__fronted_destroy(struct gb_conn *conn)
{
	struct gb__fronted *fronted;

	if (!(conn->flags & GB__CONN_FRONTED))
		return;
	fronted = fronted_of(conn);
	if (!gb__output_empty(&fronted->plain))
		conn->flags |= GB__CONN_RESET;
	plain_drop(conn);
	gb__output_clear(&fronted->held, &conn->net->engine->pool);
	conn->net->tally.bytes_out += conn->stream.output.bytes; /* these were never counted */
	uncount(conn, fronted->begun || (conn->further & GB__CONN_FURTHER_OUTGOING));
	leave_line(conn);
	if (fronted->session) {
		gb__tls_session_finish(fronted->session);
		gb__slabs_give(&conn->net->slabs, fronted->session, gb__tls_session_size());
	}
	gb__chunk_destroy(&conn->net->engine->pool, fronted->record);
	gb__free(fronted->name);
	gb__slabs_give(&conn->net->slabs, fronted, sizeof(*fronted));
	conn->terms->fronted = NULL;
	conn->flags &= (uint16_t)~GB__CONN_FRONTED;
}

int gb_conn_tls(struct gb_conn *conn, struct gb_tls_info *ret)
{
	if (gb__conn_is_task(conn))
		return -EWOULDBLOCK;
	gb__conn_mine(conn);
	if (!(conn->flags & GB__CONN_FRONTED) || conn->state == GB__CONN_CONNECTING ||
		conn->state == GB__CONN_FRONT || !fronted_of(conn)->session)
		return -ENOENT;
	return gb__tls_session_info(fronted_of(conn)->session, ret);
}
