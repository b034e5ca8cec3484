/* TLS of connections made by handlers, whose peers are sessions of ours. */
#include "net/outgoing.h"
#include "net/secure.h"
#include "rig.h"
#include "tls/session.h"

#include <gearbox/tls.h>

#include <errno.h>

#define ROUNDS 6u /* of each case: handshakes take their time */

static void ignore(struct gb_conn *conn, struct gb_bytes message)
{
	(void)conn, (void)message;
}

static const struct gb_service plain = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "caller",
	.on_open = count_open, .on_message = ignore, .on_close = count_close };

/* As if others had used up what a turn has time for. */
static void keep_busy(struct rig *rig)
{
	rig->net.fronts.turn = rig->net.engine->stats.waits + 1;
	rig->net.fronts.steps = GB__FRONT_STEPS_MAX;
}

/* A connection that is under way to a listener, which is the caller's to close. */
static struct gb_conn *call(struct rig *rig, int *ret_listener)
{
	static const struct gb_tls_client_options options = { .insecure_accept_any_server = true };
	static struct gb_tls_client *client;
	static struct gb_service caller;
	struct gb__socket_options socket_options = { 0 };
	struct gb__address address = { .size = sizeof(address.v4) };
	struct gb_conn *conn;

	if (!client)
		CHECK_INT(gb_tls_client_create(&options, &client, NULL), 0);
	caller = plain;
	caller.tls = client;
	*ret_listener = sim_listen(rig->sim, 0, 4);
	CHECK(*ret_listener >= 0);
	address.v4 = sim_address(rig->sim, *ret_listener);
	CHECK_INT(
		gb__net_connect(&rig->net, &address, &socket_options, &caller, NULL, GB__FOR_HANDLER, &conn),
		0);
	return conn;
}

NET_TEST(tls_what_was_sent_leaves_though_it_is_closed_while_it_waits_in_line)
{
	struct peer *peer;
	struct gb_conn *conn;
	int listener;

	if (rig->round >= ROUNDS)
		return;
	rig_calm(rig);
	conn = call(rig, &listener);
	peer = rig_tls_taken(rig, listener);
	for (unsigned i = 0; !(conn->flags & GB__CONN_KEPT); i++) {
		CHECK(i < 1000 && conn->state <= GB__CONN_FRONT);
		peer_read(peer);
		keep_busy(rig);
		rig_step(rig, NULL);
	}
	CHECK_INT(gb_conn_send(conn, "last", 4), 0);
	gb_conn_close(conn);
	UNTIL(rig, peer, peer->ended);
	CHECK(peer->got_size == 4 && memcmp(peer->got, "last", 4) == 0);
	peer_shutdown(peer);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_LOCAL);
	CHECK_INT(rig->net.fronts.waiting, 0);
	rig->opened = rig->closed; /* nobody was told */
	peer_close(peer);
	sim_os(rig->sim)->ops->close(sim_os(rig->sim), listener);
}

/* A server's tickets come with its first answer at the latest, and OpenSSL is to have them. */
NET_TEST(tls_a_client_is_handed_over_once_it_was_answered)
{
	struct peer *peer;
	struct gb_conn *conn;
	int listener;

	if (rig->round >= ROUNDS)
		return;
	rig_calm(rig);
	conn = call(rig, &listener);
	peer = rig_tls_taken(rig, listener);
	UNTIL(rig, peer, rig->opened == 1);
	CHECK_INT(gb_conn_send(conn, "asked", 5), 0);
	UNTIL(rig, peer, peer->got_size == 5);
	for (unsigned i = 0; i < 20; i++)
		rig_pass(rig, 100);
	CHECK(conn->terms->fronted->session->ssl);
	peer_send(peer, "answer", 6);
	for (unsigned i = 0; conn->terms->fronted->session->ssl; i++) {
		CHECK(i < 20);
		rig_pass(rig, 100);
	}
	CHECK_INT(gb_conn_send(conn, " again", 6), 0);
	UNTIL(rig, peer, peer->got_size == 11);
	CHECK(memcmp(peer->got, "asked again", 11) == 0);
	gb_conn_close(conn);
	UNTIL(rig, peer, peer->ended);
	peer_shutdown(peer);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_LOCAL);
	peer_close(peer);
	sim_os(rig->sim)->ops->close(sim_os(rig->sim), listener);
}

static struct gb_conn *held;

static int hold(struct gb_conn *conn)
{
	held = conn;
	gb_conn_hold(conn);
	return count_open(conn);
}

static const struct gb_service holding = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "holding",
	.on_open = hold, .on_close = count_close };

/* Whoever serves a client to its end while the server drains may need an upstream for it. */
NET_TEST(tls_connects_while_it_drains_as_long_as_a_client_is_there)
{
	struct peer *client, *peer;
	struct gb_conn *conn;
	int listener;

	if (rig->round >= ROUNDS)
		return;
	rig_calm(rig);
	client = rig_peer(rig, &holding);
	UNTIL(rig, client, rig->opened == 1);
	gb__net_drain(&rig->net);
	for (unsigned i = 0; i < 10; i++)
		rig_pass(rig, 100);
	CHECK_INT(rig->closed, 0);
	conn = call(rig, &listener);
	peer = rig_tls_taken(rig, listener);
	for (unsigned i = 0; i < 10; i++)
		rig_pass(rig, 100); /* its server is slow */
	CHECK_INT(rig->closed, 0);
	UNTIL(rig, peer, rig->opened == 2);
	CHECK_INT(gb_conn_send(conn, "asked", 5), 0);
	UNTIL(rig, peer, peer->got_size == 5);
	CHECK_INT(rig->closed, 0);
	gb_conn_release(held);
	for (unsigned i = 0; !peer->ended; i++) {
		CHECK(i < 100);
		rig_pass(rig, 100);
		peer_read(client);
		peer_read(peer);
		if (client->at_end)
			sim_client_shutdown(client->client);
	}
	peer_shutdown(peer);
	UNTIL(rig, peer, rig->closed == 2);
	CHECK_INT(rig->counters.stats.closed[GB_CLOSE_DRAIN], 2);
	peer_close(client);
	peer_close(peer);
	sim_os(rig->sim)->ops->close(sim_os(rig->sim), listener);
}

static int outcome;

static char words[128];

static void note_outcome(struct gb_operation *operation, void *user)
{
	const struct gb__net *net = user;

	outcome = operation->result;
	snprintf(words, sizeof(words), "%s", gb__net_noted(net, operation, outcome));
}

/* What a server does within the handshake; none of it is a cancellation, after which whoever has other addresses would not
 * try them. */
enum way { RESETS, LEAVES, SAYS_NOTHING, WAYS };

static void fail_by(struct rig *rig, enum way way)
{
	static const struct {
		int code;
		const char *words;
	} expected[WAYS] = {
		[RESETS] = { -ECONNRESET, "the server reset the connection within the TLS handshake" },
		[LEAVES] = { -EPROTO, "the server left within the TLS handshake" },
		[SAYS_NOTHING] = { -ETIMEDOUT, "the TLS handshake was not complete in time" },
	};
	struct gb_connecting connecting = { 0 };
	const unsigned closed = rig->closed;
	struct peer *peer;
	int listener;

	outcome = 0;
	gb__connect_begin(call(rig, &listener), &connecting, note_outcome, &rig->net);
	peer = rig_tls_taken(rig, listener);
	UNTIL(rig, NULL, sim_client_pending(peer->client) > 0);
	if (way == RESETS)
		sim_client_reset(peer->client);
	else if (way == LEAVES)
		sim_client_shutdown(peer->client);
	for (unsigned i = 0; rig->closed == closed; i++) {
		CHECK(i < 1000);
		rig_pass(rig, way == SAYS_NOTHING ? rig->limits.handshake_timeout_ms / 2 : 1);
	}
	CHECK_INT(outcome, expected[way].code);
	CHECK_STR(words, expected[way].words);
	rig->opened = rig->closed; /* nobody was told */
	peer_close(peer);
	sim_os(rig->sim)->ops->close(sim_os(rig->sim), listener);
}

NET_TEST(tls_server_that_fails_within_the_handshake_is_told_of_as_what_it_did)
{
	if (rig->round >= ROUNDS)
		return;
	rig_calm(rig);
	for (enum way way = RESETS; way < WAYS; way++)
		fail_by(rig, way);
	CHECK_INT(rig->counters.tls.failed, WAYS);
	CHECK_INT(rig->counters.tls.under_way, 0);
}
