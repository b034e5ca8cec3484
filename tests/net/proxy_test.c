/*
 * Connections that begin with a PROXY header: wherever it is cut, what follows is delivered as without one; whatever is
 * none, and whoever is late or leaves, is dropped, counted, and nobody is told.
 */
#include "base/alloc.h"
#include "net/proxy_networks.h"
#include "rig.h"

#include <gearbox/proxy.h>

#include <errno.h>

#define V1 "PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n"
#define V2 "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x14\xc0\0\2\1\xc0\0\2\2\x12\x67\1\xbb\2\0\5there"
#define LOCAL "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"
#define HEADERS 3u

static const struct gb_bytes headers[HEADERS] = { { (const unsigned char *)V1, sizeof(V1) - 1 },
	{ (const unsigned char *)V2, sizeof(V2) - 1 }, { (const unsigned char *)LOCAL, sizeof(LOCAL) - 1 } };

/* What the handler is told of each, as an answer to a line. */
static const char *const told[HEADERS] = { "192.0.2.1:4711 -", "192.0.2.1:4711 there", "- -" };

static void tell(struct gb_conn *conn, struct gb_bytes line)
{
	struct gb_bytes authority = { (const unsigned char *)"-", 1 };
	char peer[448];

	CHECK_INT(gb_conn_peer(conn, peer, sizeof(peer)), 0);
	if (!conn->terms->proxied)
		strcpy(peer, "-"); /* of the simulated kernel's making */
	gb_conn_proxy_tlv(conn, GB_PROXY_AUTHORITY, &authority);
	gb_conn_printf(conn, "%.*s %s %.*s\n", (int)line.size, (const char *)line.data, peer,
		(int)authority.size, (const char *)authority.data);
}

static const struct gb_service forwarded = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "forwarded",
	.codec = &gb_codec_line, .on_open = count_open, .on_message = tell, .on_close = count_close };

static const struct gb__proxy_networks *trusted(const char *text)
{
	struct gb__proxy_networks *networks;

	CHECK_INT(gb__proxy_networks_parse(text, &networks, NULL), 0);
	return networks; /* they stay */
}

static const struct gb__front *front(void)
{
	static struct gb__front front;

	if (!front.proxies)
		front.proxies = trusted("any");
	return &front;
}

static uint64_t dropped(const struct rig *rig)
{
	return rig->counters.stats.closed[GB_CLOSE_PROXY_HEADER];
}

/* Two lines behind the header are answered, wherever the bytes are cut; `cut`: first there. */
static void check_served(struct rig *rig, unsigned header, size_t cut)
{
	static const char lines[] = "one\ntwo\n";
	const unsigned before = rig->closed;
	struct peer *peer = rig_peer_on(rig, &forwarded, front());
	unsigned char sent[200];
	char expected[200];
	size_t size = headers[header].size, expected_size;

	memcpy(sent, headers[header].data, size);
	memcpy(sent + size, lines, sizeof(lines) - 1);
	size += sizeof(lines) - 1;
	expected_size =
		(size_t)snprintf(expected, sizeof(expected), "one %s\ntwo %s\n", told[header], told[header]);
	peer_send(peer, sent, cut);
	rig_step(rig, peer);
	rig_step(rig, peer);
	peer_send(peer, sent + cut, size - cut);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, peer->at_end && rig->closed == before + 1);
	CHECK(!peer->was_reset);
	CHECK_INT(rig->last_reason, GB_CLOSE_EOF);
	CHECK_INT(peer->got_size, expected_size);
	CHECK(memcmp(peer->got, expected, expected_size) == 0);
	peer_close(peer);
}

NET_TEST(proxy_header_may_be_cut_anywhere)
{
	for (unsigned header = 0; header < HEADERS; header++)
		for (size_t cut = 0; cut <= headers[header].size + 8; cut++)
			if (rig->round == 0 || test_random(&rig->random) % 64 == 0)
				check_served(rig, header, cut);
	CHECK_INT(dropped(rig), 0);
}

NET_TEST(tls_may_follow_a_proxy_header_in_the_same_bytes)
{
	struct gb__front both;
	const unsigned header = rig->round % HEADERS;
	struct peer *peer;
	char expected[100];

	if (rig->round >= 6 || gb__tls_shared_size() == 0) /* built without TLS */
		return;
	both = (struct gb__front){ rig_front()->tls, front()->proxies };
	peer = rig_peer_on(rig, &forwarded, &both);
	peer_send(peer, headers[header].data, headers[header].size);
	peer_tls(peer);
	peer_send(peer, "hello\n", 6);
	snprintf(expected, sizeof(expected), "hello %s\n", told[header]);
	UNTIL(rig, peer, peer->got_size == strlen(expected));
	CHECK(memcmp(peer->got, expected, peer->got_size) == 0);
	CHECK_INT(rig->counters.tls.handshakes, 1);
	peer_shutdown(peer);
	UNTIL(rig, peer, peer->at_end && rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_EOF);
	peer_close(peer);
}

static void check_dropped(struct rig *rig, const void *data, size_t size, const struct gb__front *on)
{
	const uint64_t before = dropped(rig);
	struct peer *peer = rig_peer_on(rig, &forwarded, on);

	sim_client_send(peer->client, data, size);
	UNTIL(rig, peer, peer->was_reset && rig->net.connections == 0);
	CHECK_INT(dropped(rig), before + 1);
	CHECK_INT(peer->got_size, 0);
	CHECK_INT(rig->opened + rig->closed, 0);
	peer_close(peer);
}

NET_TEST(what_is_no_proxy_header_is_dropped_and_nobody_is_told)
{
	static struct gb__front elsewhere;

	if (!elsewhere.proxies)
		elsewhere.proxies = trusted("255.255.255.255,unix");
	check_dropped(rig, "hello\n", 6, front());
	check_dropped(rig, V1 "x", 20, &elsewhere);
	check_dropped(rig, "PROXY TCP4 1 2 3 4\r\n", 20, front());
}

NET_TEST(proxy_header_that_is_late_or_cut_short_is_dropped)
{
	struct peer *slow = rig_peer_on(rig, &forwarded, front()), *left, *silent;

	rig_calm(rig);
	sim_client_send(slow->client, V1, 10);
	rig_step(rig, slow);
	rig_pass(rig, rig->limits.handshake_timeout_ms - 200);
	CHECK_INT(rig->net.connections, 1);
	sim_client_send(slow->client, &V1[10], 1); /* gains nothing */
	rig_step(rig, slow);
	rig_pass(rig, 400);
	UNTIL(rig, slow, slow->was_reset && rig->net.connections == 0);
	CHECK_INT(dropped(rig), 1);
	left = rig_peer_on(rig, &forwarded, front());
	sim_client_send(left->client, V1, 10);
	sim_client_shutdown(left->client);
	UNTIL(rig, left, left->was_reset && rig->net.connections == 0);
	CHECK_INT(dropped(rig), 2);
	silent = rig_peer_on(rig, &forwarded, front());
	sim_client_shutdown(silent->client);
	UNTIL(rig, silent, silent->at_end && rig->net.connections == 0);
	CHECK(!silent->was_reset);
	CHECK_INT(dropped(rig), 2);
	CHECK_INT(rig->counters.stats.closed[GB_CLOSE_EOF], 1);
	CHECK_INT(rig->opened, 0);
	peer_close(slow);
	peer_close(left);
	peer_close(silent);
}

NET_TEST(drain_waits_for_a_proxy_header_that_has_begun)
{
	struct peer *begun = rig_peer_on(rig, &forwarded, front()), *silent;

	rig_calm(rig);
	if (strcmp(rig->net.engine->ops->name, "blocking") == 0) { /* it has one connection */
		peer_close(begun);
		return;
	}
	silent = rig_peer_on(rig, &forwarded, front());
	sim_client_send(begun->client, V1, 10);
	rig_step(rig, begun);
	gb__net_drain(&rig->net);
	rig_pass(rig, 1000);
	UNTIL(rig, silent, silent->at_end && rig->net.connections == 1);
	CHECK_INT(rig->counters.stats.closed[GB_CLOSE_DRAIN], 1);
	sim_client_send(begun->client, &(V1 "hello\n")[10], sizeof(V1 "hello\n") - 11);
	UNTIL(rig, begun, begun->got_size == 23 && begun->at_end);
	sim_client_shutdown(begun->client);
	UNTIL(rig, begun, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_DRAIN);
	peer_close(begun);
	peer_close(silent);
}

NET_TEST(proxy_header_without_memory_ends_its_connection_alone)
{
	for (unsigned n = 1; n <= 6; n++) {
		struct peer *peer = rig_peer_on(rig, &forwarded, front());

		rig_calm(rig);
		gb__alloc_fail_at(n);
		sim_client_send(peer->client, V2, 20);
		rig_step(rig, peer);
		sim_client_send(peer->client, &(V2 "hello\n")[20], sizeof(V2 "hello\n") - 21);
		for (unsigned i = 0; i < 4; i++)
			rig_step(rig, peer);
		gb__alloc_fail_at(0);
		sim_client_shutdown(peer->client);
		UNTIL(rig, peer, (peer->at_end || peer->was_reset) && rig->net.connections == 0);
		CHECK_INT(rig->opened, rig->closed);
		peer_close(peer);
	}
	CHECK_INT(dropped(rig), 0);
}
