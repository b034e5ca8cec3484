/* TLS of connections made by handlers, whose peers are sessions of ours. */
#include "net/outgoing.h"
#include "rig.h"

#include <gearbox/tls.h>

#define ROUNDS 6u /* of each case: handshakes take their time */

static const struct gb_service plain = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "caller",
	.on_open = count_open, .on_close = count_close };

/* As if others had used up what a turn has time for. */
static void keep_busy(struct rig *rig)
{
	rig->net.fronts.turn = rig->net.engine->stats.waits + 1;
	rig->net.fronts.steps = GB__FRONT_STEPS_MAX;
}

NET_TEST(tls_what_was_sent_leaves_though_it_is_closed_while_it_waits_in_line)
{
	static const struct gb_tls_client_options options = { .insecure_accept_any_server = true };
	static struct gb_tls_client *client;
	static struct gb_service caller;
	struct gb__socket_options socket_options = { 0 };
	struct gb__address address = { .size = sizeof(address.v4) };
	struct peer *peer;
	struct gb_conn *conn;
	int listener;

	if (rig->round >= ROUNDS)
		return;
	rig_calm(rig);
	if (!client)
		CHECK_INT(gb_tls_client_create(&options, &client, NULL), 0);
	caller = plain;
	caller.tls = client;
	listener = sim_listen(rig->sim, 0, 4);
	CHECK(listener >= 0);
	address.v4 = sim_address(rig->sim, listener);
	CHECK_INT(
		gb__net_connect(&rig->net, &address, &socket_options, &caller, NULL, GB__FOR_HANDLER, &conn),
		0);
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
