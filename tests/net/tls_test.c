/*
 * Connections with TLS in front, whose peers are sessions of ours: the same cases as without, in short, and what TLS alone
 * has: handshakes, ends, truncations, bytes that are no TLS.
 */
#include "net/task.h"
#include "rig.h"
#include "tls/session.h"

#include <gearbox/stream.h>
#include <gearbox/tls.h>

#include <errno.h>

#define ROUNDS 6u /* of each case: handshakes take their time */

static unsigned messages, eofs, errors, served;
static int error_reason;

static void echo_message(struct gb_conn *conn, struct gb_bytes message)
{
	messages++;
	gb_conn_send(conn, message.data, message.size);
}

/* A line, in three pieces. */
static void echo_line(struct gb_conn *conn, struct gb_bytes message)
{
	messages++;
	gb_conn_send(conn, "<", 1);
	gb_conn_send(conn, message.data, message.size);
	gb_conn_send(conn, ">\n", 2);
}

static void note_eof(struct gb_conn *conn)
{
	eofs++;
	gb_conn_close(conn);
}

static void note_error(struct gb_conn *conn, int reason)
{
	errors++;
	error_reason = reason;
}

static const struct gb_service echo = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "echo",
	.on_open = count_open, .on_message = echo_message, .on_close = count_close };
static const struct gb_service lines = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "lines",
	.codec = &gb_codec_line, .on_open = count_open, .on_message = echo_line, .on_eof = note_eof,
	.on_error = note_error, .on_close = count_close };

static bool begins(const struct rig *rig)
{
	messages = eofs = errors = served = 0;
	error_reason = -1;
	return rig->round < ROUNDS;
}

#define TLS_TEST(name) \
	static void name##_begun(struct rig *rig); \
	NET_TEST(name) \
	{ \
		if (begins(rig)) \
			name##_begun(rig); \
	} \
	static void name##_begun(struct rig *rig)

TLS_TEST(tls_echo_returns_all_bytes_in_order)
{
	rig_tls_echo(rig, &echo);
}

TLS_TEST(tls_small_sends_of_a_dispatch_are_one_record)
{
	struct peer *peer;

	rig_calm(rig);
	peer = rig_tls_peer(rig, &lines);
	peer_send(peer, "a\nb\nc\n", 6);
	UNTIL(rig, peer, peer->got_size == 12);
	CHECK(memcmp(peer->got, "<a>\n<b>\n<c>\n", 12) == 0);
	CHECK_INT(messages, 3);
	CHECK_INT(rig->counters.tls.handshakes, 1);
	CHECK_INT(rig->counters.tls.under_way, 0);
	peer_shutdown(peer);
	UNTIL(rig, peer, rig->closed == 1 && peer->ended);
	CHECK_INT(eofs, 1);
	CHECK_INT(errors, 0);
	CHECK_INT(rig->last_reason, GB_CLOSE_LOCAL);
	peer_close(peer);
}

static void ask_message(struct gb_conn *conn, struct gb_bytes message)
{
	messages++;
}

static const struct gb_service asked = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "asked",
	.codec = &gb_codec_line, .on_open = count_open, .on_message = ask_message, .on_close = count_close };

static bool holds_tickets(const struct gb_conn *conn)
{
	return !gb__output_empty(&conn->terms->fronted->held);
}

/* Of who asks at once; who says more without an answer may go on like that, and has his tickets then. */
TLS_TEST(tls_tickets_leave_with_the_answer_or_when_more_is_said)
{
	struct peer *peers[3];

	rig_calm(rig);
	for (unsigned i = 0; i < 3; i++) {
		struct peer *peer = peers[i] = rig_tls_peer(rig, &asked);

		messages = 0;
		peer_send(peer, "ask\n", 4);
		UNTIL(rig, peer, messages == 1);
		CHECK(holds_tickets(rig->current));
		CHECK_INT(gb_conn_output_size(rig->current), 0);
		if (i == 0) {
			gb_conn_send(rig->current, "answer", 6);
			UNTIL(rig, peer, peer->got_size == 6);
			CHECK(!holds_tickets(rig->current));
		} else if (i == 1) {
			peer_send(peer, "more\n", 5);
			UNTIL(rig, peer, messages == 2);
			CHECK(!holds_tickets(rig->current));
			CHECK_INT(peer->got_size, 0);
		}
		peer_shutdown(peer);
		UNTIL(rig, peer, rig->closed == i + 1 && peer->ended);
	}
	for (unsigned i = 0; i < 3; i++)
		peer_close(peers[i]);
}

/* A FIN without close_notify: what came before it is answered, and nobody takes it for an end. */
TLS_TEST(tls_truncation_is_no_end)
{
	struct peer *peer;

	peer = rig_tls_peer(rig, &lines);
	peer_send(peer, "a\nhalf", 6);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_TLS_TRUNCATED);
	CHECK_INT(eofs, 0);
	CHECK_INT(errors, 1);
	CHECK_INT(error_reason, GB_CLOSE_TLS_TRUNCATED);
	CHECK_INT(messages, 1);
	peer_close(peer);
}

static void closes_when_asked(struct gb_conn *conn, struct gb_bytes message)
{
	gb_conn_send(conn, message.data, message.size);
	gb_conn_close(conn);
}

static const struct gb_service once = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "once",
	.codec = &gb_codec_line, .on_open = count_open, .on_message = closes_when_asked,
	.on_close = count_close };

TLS_TEST(tls_close_says_so_behind_the_last_answer)
{
	struct peer *peer;

	peer = rig_tls_peer(rig, &once);
	peer_send(peer, "last\n", 5);
	UNTIL(rig, peer, peer->at_end);
	CHECK(peer->ended && peer->got_size == 4 && !peer->was_reset);
	peer_shutdown(peer);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_LOCAL);
	peer_close(peer);
}

static void ends_output(struct gb_conn *conn, struct gb_bytes message)
{
	messages++;
	if (messages > 1)
		return;
	gb_conn_send(conn, message.data, message.size);
	CHECK_INT(gb_conn_end_output(conn), 0);
}

static const struct gb_service half = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "half",
	.codec = &gb_codec_line, .on_open = count_open, .on_message = ends_output, .on_close = count_close };

TLS_TEST(tls_end_of_output_leaves_the_other_direction_open)
{
	struct peer *peer;

	peer = rig_tls_peer(rig, &half);
	peer_send(peer, "first\n", 6);
	UNTIL(rig, peer, peer->ended);
	CHECK_INT(peer->got_size, 5);
	CHECK_INT(rig->closed, 0);
	peer_send(peer, "second\n", 7);
	UNTIL(rig, peer, messages == 2);
	peer_shutdown(peer);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_EOF);
	peer_close(peer);
}

/* Records that came while the handler paused are delivered when it goes on. */
static void pauses(struct gb_conn *conn, struct gb_bytes message)
{
	messages++;
	gb_conn_send(conn, message.data, message.size);
	gb_conn_pause(conn);
}

static const struct gb_service pausing = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "pausing",
	.codec = &gb_codec_line, .on_open = count_open, .on_message = pauses, .on_close = count_close };

TLS_TEST(tls_input_waits_while_the_handler_pauses)
{
	struct peer *peer;

	peer = rig_tls_peer(rig, &pausing);
	for (unsigned i = 0; i < 5; i++)
		peer_send(peer, "line\n", 5);
	for (unsigned i = 1; i <= 5; i++) {
		UNTIL(rig, peer, messages == i);
		rig_step(rig, peer);
		CHECK_INT(messages, i);
		gb_conn_resume(rig->current);
	}
	peer_shutdown(peer);
	UNTIL(rig, peer, rig->closed == 1 && peer->ended);
	CHECK_INT(peer->got_size, 20);
	CHECK_INT(rig->last_reason, GB_CLOSE_EOF);
	peer_close(peer);
}

static void sends_much(struct gb_conn *conn, struct gb_bytes message)
{
	static unsigned char data[300000];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = pattern_at(i);
	messages++;
	CHECK_INT(gb_conn_send(conn, data, sizeof(data)), 0);
}

static const struct gb_service much = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "much",
	.codec = &gb_codec_line, .on_open = count_open, .on_message = sends_much, .on_close = count_close };

TLS_TEST(tls_much_output_arrives_as_the_peer_takes_it)
{
	struct peer *peer;

	peer = rig_tls_peer(rig, &much);
	peer_send(peer, "go\n", 3);
	peer->read_max = peer->got_size;
	UNTIL(rig, peer, messages == 1);
	for (unsigned i = 0; i < 50; i++)
		rig_step(rig, peer);
	CHECK(rig->current);
	/* Behind what the kernel has waits little that is encrypted. */
	CHECK(rig->current->stream.output.bytes < 100000);
	peer->read_max = PEER_BYTES_MAX;
	UNTIL(rig, peer, peer->got_size == 300000);
	for (size_t i = 0; i < 300000; i++)
		CHECK_INT(peer->got[i], pattern_at(i));
	peer_shutdown(peer);
	UNTIL(rig, peer, rig->closed == 1);
	peer_close(peer);
}

static void expect_refused(struct rig *rig, const void *data, size_t size, const char *answer)
{
	struct peer *peer = rig_peer_on(rig, &echo, rig_front());

	peer_send(peer, data, size);
	UNTIL(rig, peer, peer->at_end || peer->was_reset);
	if (answer)
		CHECK(peer->got_size > strlen(answer) && memcmp(peer->got, answer, strlen(answer)) == 0);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->net.connections == 0);
	CHECK_INT(rig->opened, 0);
	CHECK_INT(rig->counters.stats.closed[GB_CLOSE_TLS_ERROR], 1);
	CHECK_INT(rig->counters.tls.failed, 1);
	CHECK_INT(rig->counters.tls.under_way, 0);
	peer_close(peer);
}

TLS_TEST(tls_a_plain_client_is_refused_and_counted)
{
	expect_refused(rig, "hello there, this is plain\n", 27, NULL);
}

TLS_TEST(tls_a_client_of_http_is_told)
{
	expect_refused(rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27, "HTTP/1.1 400 ");
}

TLS_TEST(tls_who_only_looks_is_no_failure)
{
	struct peer *peer;

	peer = rig_peer_on(rig, &echo, rig_front());
	rig_step(rig, peer);
	CHECK_INT(rig->counters.tls.under_way, 1);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->net.connections == 0);
	CHECK_INT(rig->counters.tls.failed, 0);
	CHECK_INT(rig->counters.tls.under_way, 0);
	CHECK_INT(rig->counters.stats.closed[GB_CLOSE_EOF], 1);
	CHECK_INT(rig->opened, 0);
	peer_close(peer);
}

TLS_TEST(tls_a_handshake_has_its_deadline)
{
	struct peer *peer;

	rig_calm(rig);
	rig->limits.handshake_timeout_ms = 3000;
	peer = rig_peer_on(rig, &echo, rig_front());
	peer_send(peer, "\x16\x03\x01", 3);
	rig_pass(rig, 2900);
	CHECK_INT(rig->net.connections, 1);
	for (unsigned i = 0; rig->net.connections > 0; i++) {
		CHECK(i < 100);
		rig_pass(rig, 100);
	}
	CHECK_INT(rig->counters.stats.closed[GB_CLOSE_TLS_ERROR], 1);
	CHECK_INT(rig->counters.tls.failed, 1);
	CHECK_INT(rig->opened, 0);
	peer_close(peer);
}

/* So many steps a turn: the others wait, and nobody is forgotten. */
TLS_TEST(tls_a_flood_of_handshakes_does_not_stop_the_loop)
{
	static struct peer *peers[60];
	const unsigned count = sizeof(peers) / sizeof(*peers);
	uint64_t done = 0;

	if (rig->round > 1)
		return;
	for (unsigned i = 0; i < count; i++) {
		peers[i] = rig_tls_peer(rig, &lines);
		peer_read(peers[i]);
	}
	for (unsigned steps = 0; rig->counters.tls.handshakes < count; steps++) {
		CHECK(steps < 20000);
		for (unsigned i = 0; i < count; i++)
			peer_read(peers[i]);
		rig_step(rig, NULL);
		CHECK(rig->counters.tls.handshakes - done <= GB__FRONT_STEPS_MAX);
		done = rig->counters.tls.handshakes;
	}
	CHECK_INT(rig->net.fronts.waiting, 0);
	for (unsigned i = 0; i < count; i++) {
		peer_send(peers[i], "x\n", 2);
		UNTIL(rig, peers[i], peers[i]->got_size == 4);
		peer_close(peers[i]);
	}
}

TLS_TEST(tls_a_record_that_was_changed_ends_the_connection)
{
	struct peer *peer;

	peer = rig_tls_peer(rig, &lines);
	peer_send(peer, "good\n", 5);
	UNTIL(rig, peer, peer->got_size == 7);
	CHECK_INT(sim_client_send(peer->client, "\x17\x03\x03\x00\x14xxxxxxxxxxxxxxxxxxxx", 25), 25);
	UNTIL(rig, peer, peer->failed || peer->at_end || peer->was_reset);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_TLS_ERROR);
	CHECK_INT(errors, 1);
	CHECK_INT(eofs, 0);
	peer_close(peer);
}

TLS_TEST(tls_an_abort_says_nothing_more)
{
	struct peer *peer;

	peer = rig_tls_peer(rig, &lines);
	peer_send(peer, "a\n", 2);
	UNTIL(rig, peer, peer->got_size == 4);
	gb_conn_abort(rig->current);
	UNTIL(rig, peer, peer->was_reset);
	CHECK(!peer->ended);
	CHECK_INT(rig->closed, 1);
	peer_close(peer);
}

TLS_TEST(tls_handlers_see_what_was_agreed_on)
{
	struct gb_tls_info info;
	struct peer *peer;

	peer = rig_tls_peer(rig, &lines);
	peer_send(peer, "a\n", 2);
	UNTIL(rig, peer, peer->got_size == 4);
	CHECK_INT(gb_conn_tls(rig->current, &info), 0);
	CHECK(strcmp(info.version, "TLSv1.3") == 0);
	peer_close(peer);
	UNTIL(rig, NULL, rig->closed == 1);
	peer = rig_peer(rig, &lines);
	rig_step(rig, peer);
	CHECK_INT(gb_conn_tls(rig->current, &info), -ENOENT);
	peer_close(peer);
}

/* From OpenSSL to records of ours (src/tls/handover.c); what was under way goes on. */
TLS_TEST(tls_who_rests_or_speaks_again_is_handed_over)
{
	struct peer *peers[2];

	for (unsigned i = 0; i < 2; i++) {
		peers[i] = rig_tls_peer(rig, &lines);
		peer_send(peers[i], "a\n", 2);
		UNTIL(rig, peers[i], peers[i]->got_size == 4);
		CHECK(rig->current->terms->fronted->session->ssl);
		for (unsigned steps = 0; i == 0 && rig->current->terms->fronted->session->ssl; steps++) {
			CHECK(steps < 20);
			rig_pass(rig, 100);
		}
		peer_send(peers[i], "b\nc", 3);
		UNTIL(rig, peers[i], peers[i]->got_size == 8);
		CHECK(!rig->current->terms->fronted->session->ssl);
		peer_send(peers[i], "d\n", 2);
		UNTIL(rig, peers[i], peers[i]->got_size == 13);
		CHECK(memcmp(peers[i]->got, "<a>\n<b>\n<cd>\n", 13) == 0);
	}
	for (unsigned i = 0; i < 2; i++) {
		peer_shutdown(peers[i]);
		UNTIL(rig, peers[i], peers[i]->ended && rig->closed == i + 1);
		CHECK_INT(rig->last_reason, GB_CLOSE_LOCAL);
		peer_close(peers[i]);
	}
	CHECK_INT(eofs, 2);
}

/* What is idle holds nothing but its session. */
TLS_TEST(tls_an_idle_connection_holds_no_chunk)
{
	struct peer *peer;

	peer = rig_tls_peer(rig, &lines);
	peer_send(peer, "a\n", 2);
	UNTIL(rig, peer, peer->got_size == 4);
	/* That its send is done the engine may hear later than the peer has the bytes. */
	UNTIL(rig, peer, gb__output_empty(&rig->current->stream.output));
	CHECK(!rig->current->input && gb__output_empty(&rig->current->terms->fronted->plain));
	CHECK_INT(rig->net.engine->pool.in_use, 0);
	peer_close(peer);
}

/* A handler that waits where it stands. */
static void serve_lines(struct gb_stream *stream)
{
	struct gb_bytes line;
	int result;

	while ((result = gb_read_message(stream, &line)) > 0) {
		messages++;
		CHECK(gb_write(stream, "<", 1) == 1);
		if (gb_write(stream, line.data, line.size) < 0 || gb_write(stream, ">\n", 2) < 0)
			break;
	}
	errors = result < 0;
	served = 1;
}

static const struct gb_service straight = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "straight",
	.codec = &gb_codec_line, .serve = serve_lines };

TLS_TEST(tls_streams_read_and_write)
{
	struct peer *peer;

	peer = rig_tls_peer(rig, &straight);
	peer_send(peer, "a\nb\n", 4);
	UNTIL(rig, peer, peer->got_size == 8);
	CHECK(memcmp(peer->got, "<a>\n<b>\n", 8) == 0);
	peer_shutdown(peer);
	UNTIL(rig, peer, served == 1 && peer->ended);
	CHECK_INT(errors, 0);
	peer_close(peer);
}

TLS_TEST(tls_a_stream_sees_a_truncation_as_an_error)
{
	struct peer *peer;

	peer = rig_tls_peer(rig, &straight);
	peer_send(peer, "a\n", 2);
	UNTIL(rig, peer, peer->got_size == 4);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, served == 1 && rig->net.connections == 0);
	CHECK_INT(errors, 1);
	CHECK_INT(rig->counters.stats.closed[GB_CLOSE_TLS_TRUNCATED], 1);
	peer_close(peer);
}

/* Joins the two that ask for it. */
static struct gb_conn *first;

static void join_message(struct gb_conn *conn, struct gb_bytes message)
{
	if (!first) {
		first = conn;
		return;
	}
	CHECK_INT(gb_relay(first, conn), 0);
	first = NULL;
}

static const struct gb_service joining = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "joining",
	.codec = &gb_codec_line, .on_open = count_open, .on_message = join_message, .on_close = count_close };

static void relay_both_ways(struct rig *rig, struct peer *a, struct peer *b)
{
	static unsigned char data[100000];

	first = NULL;
	a->beside = b; /* what one cannot send for want of room waits for the other one to read */
	b->beside = a;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = pattern_at(i);
	peer_send(a, "join\n", 5);
	UNTIL(rig, a, first);
	peer_send(b, "join\n", 5);
	UNTIL(rig, b, !first);
	for (size_t sent = 0; sent < sizeof(data); sent += 10000) {
		peer_send(a, data + sent, 10000);
		peer_send(b, data + sent, 10000);
	}
	UNTIL(rig, a, a->got_size == sizeof(data) && b->got_size == sizeof(data));
	CHECK(memcmp(a->got, data, sizeof(data)) == 0 && memcmp(b->got, data, sizeof(data)) == 0);
	peer_shutdown(a);
	UNTIL(rig, b, b->at_end);
	CHECK(!b->was_reset && (!b->session || b->ended));
	peer_shutdown(b);
	UNTIL(rig, a, rig->closed == 2);
	peer_close(a);
	peer_close(b);
}

TLS_TEST(tls_a_relay_to_plain_and_back)
{
	relay_both_ways(rig, rig_tls_peer(rig, &joining), rig_peer(rig, &joining));
}

TLS_TEST(tls_a_relay_between_two)
{
	relay_both_ways(rig, rig_tls_peer(rig, &joining), rig_tls_peer(rig, &joining));
}

/* The other side must not take what was cut for all. */
TLS_TEST(tls_a_relay_passes_on_a_truncation_as_a_reset)
{
	struct peer *a, *b;

	first = NULL;
	a = rig_tls_peer(rig, &joining);
	b = rig_peer(rig, &joining);
	peer_send(a, "join\n", 5);
	UNTIL(rig, a, first);
	peer_send(b, "join\n", 5);
	UNTIL(rig, b, !first);
	peer_send(a, "x", 1);
	UNTIL(rig, b, b->got_size == 1);
	sim_client_shutdown(a->client);
	UNTIL(rig, b, b->was_reset || b->at_end);
	CHECK(b->was_reset);
	peer_close(a);
	peer_close(b);
}

/* Replies in order, the later one first. */
static struct gb_reply replies[2];
static unsigned deferred;

static void defers(struct gb_conn *conn, struct gb_bytes message)
{
	CHECK_INT(gb_conn_defer(conn, &replies[deferred++]), 0);
	gb_conn_send(conn, "|", 1);
}

static const struct gb_service later = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "later",
	.codec = &gb_codec_line, .on_open = count_open, .on_message = defers, .on_close = count_close };

TLS_TEST(tls_replies_leave_in_order)
{
	struct peer *peer;

	deferred = 0;
	peer = rig_tls_peer(rig, &later);
	peer_send(peer, "1\n2\n", 4);
	UNTIL(rig, peer, deferred == 2);
	CHECK_INT(gb_reply_finish(replies[1], "two", 3), 0);
	for (unsigned i = 0; i < 5; i++)
		rig_step(rig, peer);
	CHECK_INT(peer->got_size, 0);
	CHECK_INT(gb_reply_send(replies[0], "o", 1), 0);
	UNTIL(rig, peer, peer->got_size == 1);
	CHECK_INT(gb_reply_finish(replies[0], "ne", 2), 0);
	UNTIL(rig, peer, peer->got_size == 8);
	CHECK(memcmp(peer->got, "one|two|", 8) == 0);
	peer_shutdown(peer);
	UNTIL(rig, peer, rig->closed == 1);
	peer_close(peer);
}

static size_t produced;

static int64_t produce(void *user, void *room, size_t size)
{
	size = size < 100000 - produced ? size : 100000 - produced;
	for (size_t i = 0; i < size; i++)
		((unsigned char *)room)[i] = pattern_at(produced + i);
	produced += size;
	return (int64_t)size;
}

static struct gb_producer producer;

static void makes(struct gb_conn *conn, struct gb_bytes message)
{
	gb_conn_produce_begin(conn, &producer, produce, NULL, NULL);
}

static const struct gb_service making = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "making",
	.codec = &gb_codec_line, .on_open = count_open, .on_message = makes, .on_close = count_close };

TLS_TEST(tls_a_reply_in_parts_arrives_whole)
{
	struct peer *peer;

	produced = 0;
	peer = rig_tls_peer(rig, &making);
	peer_send(peer, "go\n", 3);
	UNTIL(rig, peer, peer->got_size == 100000);
	for (size_t i = 0; i < 100000; i++)
		CHECK_INT(peer->got[i], pattern_at(i));
	peer_shutdown(peer);
	UNTIL(rig, peer, rig->closed == 1);
	peer_close(peer);
}

/* A drain leaves a handshake that has begun its time, and ends who is idle by close_notify. */
TLS_TEST(tls_a_drain_waits_for_handshakes_and_closes_in_order)
{
	struct peer *idle, *silent, *begun;

	rig_calm(rig);
	idle = rig_tls_peer(rig, &lines);
	peer_send(idle, "a\n", 2);
	UNTIL(rig, idle, idle->got_size == 4);
	silent = rig_peer_on(rig, &lines, rig_front());
	begun = rig_peer_on(rig, &lines, rig_front());
	CHECK_INT(sim_client_send(begun->client, "\x16\x03\x01", 3), 3);
	rig_step(rig, NULL);
	rig_step(rig, NULL);
	gb__net_drain(&rig->net);
	for (unsigned i = 0; !(idle->ended && silent->at_end); i++) {
		CHECK(i < 100);
		rig_pass(rig, 100);
		peer_read(idle);
		peer_read(silent);
	}
	CHECK(rig->net.connections > 0);
	CHECK_INT(rig->counters.tls.under_way, 1);
	peer_shutdown(idle);
	for (unsigned i = 0; rig->net.connections > 0; i++) {
		CHECK(i < 200);
		rig_pass(rig, 100);
	}
	CHECK_INT(rig->counters.stats.closed[GB_CLOSE_DRAIN], 2);
	CHECK_INT(rig->counters.stats.closed[GB_CLOSE_TLS_ERROR], 1);
	peer_close(idle);
	peer_close(silent);
	peer_close(begun);
}
