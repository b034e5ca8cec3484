/* Ending output alone, last answers to errors, and connections that are joined. */
#include "rig.h"

static struct gb_conn *conns[2];
static unsigned conns_count, eofs;
static int reasons[2];

static int note_open(struct gb_conn *conn)
{
	if (conns_count < 2)
		conns[conns_count++] = conn;
	return count_open(conn);
}

static void note_close(struct gb_conn *conn, int reason)
{
	for (unsigned i = 0; i < 2; i++)
		if (conns[i] == conn) {
			reasons[i] = reason;
			conns[i] = NULL;
		}
	count_close(conn, reason);
}

static void forget(void)
{
	conns[0] = conns[1] = NULL;
	reasons[0] = reasons[1] = -1;
	conns_count = eofs = 0;
}

static void note_eof(struct gb_conn *conn)
{
	eofs++;
}

static unsigned messages;

static void answer_and_end(struct gb_conn *conn, struct gb_bytes message)
{
	if (messages++ == 0) {
		gb_conn_send(conn, "bye", 3);
		CHECK_INT(gb_conn_end_output(conn), 0);
		CHECK_INT(gb_conn_end_output(conn), 0);
	}
	CHECK_INT(gb_conn_send(conn, "x", 1), -EPIPE);
	CHECK_INT(gb_conn_try_send(conn, "x", 1), -EPIPE);
}

static const struct gb_service ender = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "ender",
	.codec = &gb_codec_line, .on_open = note_open, .on_message = answer_and_end, .on_eof = note_eof,
	.on_close = note_close };
static const struct gb_service brief_ender = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "brief_ender",
	.codec = &gb_codec_line, .on_open = note_open, .on_message = answer_and_end, .on_close = note_close };

static void check_end_output(struct rig *rig, const struct gb_service *service, unsigned told)
{
	struct peer *peer;

	forget();
	messages = 0;
	peer = rig_peer(rig, service);
	peer_send(peer, "one\n", 4);
	UNTIL(rig, peer, peer->at_end);
	CHECK(!peer->was_reset);
	CHECK_INT(peer->got_size, 3);
	CHECK(memcmp(peer->got, "bye", 3) == 0);
	CHECK_INT(rig->closed, 0);
	peer_send(peer, "two\nthree\n", 10); /* it still listens */
	UNTIL(rig, peer, messages == 3);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(eofs, told);
	CHECK_INT(rig->last_reason, GB_CLOSE_EOF);
	peer_close(peer);
}

NET_TEST(output_ends_alone_and_messages_go_on_coming)
{
	check_end_output(rig, &ender, 1);
}

NET_TEST(output_ends_alone_also_without_on_eof)
{
	check_end_output(rig, &brief_ender, 0);
}

static void end_output_at_eof(struct gb_conn *conn)
{
	eofs++;
	gb_conn_printf(conn, "whole answer");
	CHECK_INT(gb_conn_end_output(conn), 0);
}

static void ignore(struct gb_conn *conn, struct gb_bytes message)
{
}

static const struct gb_service late_ender = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "late_ender",
	.on_open = note_open, .on_message = ignore, .on_eof = end_output_at_eof, .on_close = note_close };

NET_TEST(who_ends_output_behind_the_peers_end_is_closed_once_it_has_left)
{
	struct peer *peer;

	forget();
	peer = rig_peer(rig, &late_ender);
	peer_send(peer, "question", 8);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, peer->at_end && rig->closed == 1);
	CHECK(!peer->was_reset);
	CHECK_INT(peer->got_size, 12);
	CHECK_INT(rig->last_reason, GB_CLOSE_EOF);
	peer_close(peer);
}

static void say_error(struct gb_conn *conn, int reason)
{
	gb_conn_printf(conn, "-%s\n", gb_close_reason_name(reason));
}

static void echo_line(struct gb_conn *conn, struct gb_bytes message)
{
	gb_conn_printf(conn, "+%.*s\n", (int)message.size, (const char *)message.data);
}

static const struct gb_limit strict_limits[] = { { GB_LIMIT_MESSAGE, 8 }, { GB_LIMIT_READ_TIMEOUT, 1000 },
	{ GB_LIMIT_IDLE_TIMEOUT, 5000 }, { GB_LIMIT_NONE, 0 } };
static const struct gb_service strict = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "strict",
	.codec = &gb_codec_line, .limits = strict_limits, .on_open = note_open, .on_message = echo_line,
	.on_error = say_error, .on_close = note_close };

static void check_last_answer(struct rig *rig, struct peer *peer, const char *expected, int reason)
{
	UNTIL(rig, peer, peer->at_end);
	CHECK(!peer->was_reset);
	CHECK_INT(peer->got_size, strlen(expected));
	CHECK(memcmp(peer->got, expected, peer->got_size) == 0);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, reason);
	peer_close(peer);
}

NET_TEST(a_message_too_large_gets_a_last_answer_behind_those_before_it)
{
	struct peer *peer;

	forget();
	peer = rig_peer(rig, &strict);
	peer_send(peer, "one\ntwo\nmuch too long\nthree\n", 29);
	check_last_answer(rig, peer, "+one\n+two\n-message_too_large\n", GB_CLOSE_MESSAGE_TOO_LARGE);
}

NET_TEST(a_message_that_is_not_complete_in_time_gets_a_last_answer)
{
	struct peer *peer;

	forget();
	peer = rig_peer(rig, &strict);
	peer_send(peer, "one\ntw", 6);
	/* What the engine has not told of a send yet gives the message its time once more. */
	UNTIL(rig, peer,
		peer->got_size == 5 && rig->counters.stats.bytes_in == 6 &&
			!(conns[0]->flags & GB__CONN_FLUSHING));
	rig_pass(rig, 1200);
	check_last_answer(rig, peer, "+one\n-read_timeout\n", GB_CLOSE_READ_TIMEOUT);
}

NET_TEST(who_is_idle_gets_a_last_answer)
{
	struct peer *peer;

	forget();
	peer = rig_peer(rig, &strict);
	rig_pass(rig, 5200);
	check_last_answer(rig, peer, "-idle\n", GB_CLOSE_IDLE);
}

/* Joins the second connection with the first when its first message comes: what is behind that goes through. */
static void join_at_first_line(struct gb_conn *conn, struct gb_bytes message)
{
	if (conn != conns[1])
		return;
	CHECK_INT(gb_relay(conn, conn), -EINVAL);
	CHECK_INT(gb_relay(conns[0], conn), 0);
	CHECK_INT(gb_relay(conns[0], conn), -EBUSY);
	gb_conn_resume(conn); /* as one does who paused it until it could be joined */
}

static void never_told(struct gb_conn *conn)
{
	test_fail(__FILE__, __LINE__, "told although relayed");
}

static const struct gb_service side = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "side",
	.codec = &gb_codec_line, .on_open = note_open, .on_message = join_at_first_line,
	.on_writable = never_told, .on_eof = never_told, .on_drain = never_told, .on_close = note_close };

static void joined(struct rig *rig, struct peer *ret[2])
{
	forget();
	ret[0] = rig_peer(rig, &side);
	ret[1] = rig_peer(rig, &side);
	UNTIL(rig, NULL, conns_count == 2);
	peer_send(ret[0], "par", 3); /* half a line of the codec that no longer counts */
	peer_send(ret[1], "join\nhe\nlo", 10);
	UNTIL(rig, ret[0], ret[0]->got_size == 5);
	CHECK(memcmp(ret[0]->got, "he\nlo", 5) == 0);
	UNTIL(rig, ret[1], ret[1]->got_size == 3);
	CHECK(memcmp(ret[1]->got, "par", 3) == 0);
}

#define LONG 600000u

/* Both send a lot and end; each reads slowly. Everything arrives, then the end. */
NET_TEST(joined_connections_pass_everything_both_ways_and_then_the_ends)
{
	struct peer *peers[2];
	static unsigned char data[2][LONG];
	size_t sent[2] = { 0 };

	joined(rig, peers);
	for (size_t i = 0; i < LONG; i++) {
		data[0][i] = pattern_at(i);
		data[1][i] = pattern_at(i * 7 + 3);
	}
	for (unsigned steps = 0; sent[0] < LONG || sent[1] < LONG; steps++) {
		CHECK(steps < 2000000);
		for (unsigned i = 0; i < 2; i++) {
			struct gb_conn *other = conns[!i];

			sent[i] += sim_client_send(peers[i]->client, data[i] + sent[i], LONG - sent[i]);
			if (test_random(&rig->random) % 3 == 0)
				peer_read(peers[i]);
			CHECK(other && gb_conn_output_size(other) <= rig->limits.output_high + GB__INPUT_MAX);
		}
		rig_step(rig, NULL);
	}
	sim_client_shutdown(peers[0]->client);
	UNTIL(rig, peers[1], peers[1]->at_end);
	CHECK_INT(peers[1]->got_size, LONG + 3);
	CHECK(memcmp(peers[1]->got + 3, data[0], LONG) == 0);
	CHECK_INT(rig->closed, 0); /* the other direction is open */
	UNTIL(rig, peers[0], peers[0]->got_size == LONG + 5);
	CHECK(memcmp(peers[0]->got + 5, data[1], LONG) == 0);
	sim_client_shutdown(peers[1]->client);
	UNTIL(rig, peers[0], peers[0]->at_end && rig->closed == 2);
	CHECK(!peers[0]->was_reset && !peers[1]->was_reset);
	CHECK_INT(reasons[0], GB_CLOSE_EOF);
	CHECK_INT(reasons[1], GB_CLOSE_EOF);
	peer_close(peers[0]);
	peer_close(peers[1]);
}

NET_TEST(a_reset_of_one_resets_the_one_it_is_joined_with)
{
	struct peer *peers[2];

	joined(rig, peers);
	sim_client_reset(peers[0]->client);
	UNTIL(rig, peers[1], rig->closed == 2 && peers[1]->was_reset);
	CHECK_INT(reasons[0], GB_CLOSE_RESET);
	CHECK_INT(reasons[1], GB_CLOSE_RELAY);
	peer_close(peers[0]);
	peer_close(peers[1]);
}

NET_TEST(closing_one_closes_the_one_it_is_joined_with_behind_what_it_was_sent)
{
	struct peer *peers[2];

	joined(rig, peers);
	peer_send(peers[0], "last words", 10);
	UNTIL(rig, peers[1], peers[1]->got_size == 13);
	gb_conn_close(conns[0]);
	UNTIL(rig, peers[1], peers[1]->at_end);
	UNTIL(rig, peers[0], peers[0]->at_end);
	CHECK(!peers[0]->was_reset && !peers[1]->was_reset);
	sim_client_shutdown(peers[0]->client);
	sim_client_shutdown(peers[1]->client);
	UNTIL(rig, NULL, rig->closed == 2);
	CHECK_INT(reasons[0], GB_CLOSE_LOCAL);
	CHECK_INT(reasons[1], GB_CLOSE_RELAY);
	peer_close(peers[0]);
	peer_close(peers[1]);
}

NET_TEST(neither_of_two_joined_connections_is_idle_while_the_other_moves)
{
	struct peer *peers[2];

	rig->limits.idle_timeout_ms = 3000;
	joined(rig, peers);
	for (unsigned i = 0; i < 4; i++) {
		rig_pass(rig, 2000);
		peer_send(peers[i % 2], ".", 1);
		UNTIL(rig, peers[!(i % 2)], peers[!(i % 2)]->got_size == (i % 2 ? 6 : 4) + i / 2);
	}
	CHECK_INT(rig->closed, 0);
	rig_pass(rig, 4000); /* a completion that came late counts as a movement */
	rig_pass(rig, 4000);
	UNTIL(rig, peers[1], peers[1]->at_end);
	peer_close(peers[0]);
	peer_close(peers[1]);
}

NET_TEST(joined_connections_that_are_quiet_end_together_in_a_drain)
{
	struct peer *peers[2];

	joined(rig, peers);
	rig_calm(rig); /* a completion that comes late counts as a movement: none is held back from here on */
	for (unsigned i = 0; i < 100; i++)
		rig_step(rig, NULL);
	gb__net_drain(&rig->net);
	rig_pass(rig, 1200);
	rig_pass(rig, 1200);
	UNTIL(rig, peers[0], peers[0]->at_end);
	UNTIL(rig, peers[1], peers[1]->at_end);
	CHECK(!peers[0]->was_reset && !peers[1]->was_reset);
	CHECK_INT(peers[0]->got_size, 5);
	CHECK_INT(peers[1]->got_size, 3);
	peer_close(peers[0]);
	peer_close(peers[1]);
	UNTIL(rig, NULL, rig->closed == 2);
}
