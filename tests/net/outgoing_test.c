/* Connections made by handlers: established, refused, timed out, closed meanwhile. */
#include "rig.h"

#include "net/outgoing.h"

#include "base/macros.h"
#include "os/socket.h"

#include <gearbox/proxy.h>

#include <errno.h>

static struct gb_conn *current, *served;
static int last_error;

static int note_open(struct gb_conn *conn)
{
	served = conn->further & GB__CONN_FURTHER_OUTGOING ? served : conn;
	return count_open(conn);
}

static void note_close(struct gb_conn *conn, int reason)
{
	current = NULL;
	last_error = gb_conn_error(conn);
	count_close(conn, reason);
}

static void echo(struct gb_conn *conn, struct gb_bytes message)
{
	gb_conn_send(conn, message.data, message.size);
}

static const struct gb_service service = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "outgoing",
	.on_open = note_open, .on_message = echo, .on_close = note_close };

static void dial_for(struct rig *rig, struct sockaddr_in to, const struct gb_service *whom)
{
	struct gb__address address = { .size = sizeof(to) };
	struct gb__socket_options options = { 0 };

	memcpy(&address.any, &to, sizeof(to));
	CHECK_INT(gb__net_connect(&rig->net, &address, &options, whom, NULL, GB__FOR_HANDLER, &current), 0);
	CHECK_INT(rig->net.outgoing, 1);
}

static void dial(struct rig *rig, struct sockaddr_in to)
{
	dial_for(rig, to, &service);
}

static struct sockaddr_in listening(struct rig *rig, unsigned backlog, int *ret_fd)
{
	*ret_fd = sim_listen(rig->sim, 0, backlog);
	CHECK(*ret_fd >= 0);
	return sim_address(rig->sim, *ret_fd);
}

static void stop_listening(struct rig *rig, int fd)
{
	struct gb__os *os = sim_os(rig->sim);

	os->ops->close(os, fd);
}

/* The other end, once it has come. */
static void taken(struct rig *rig, int fd, struct peer *ret)
{
	*ret = (struct peer){ .rig = rig, .got = malloc(PEER_BYTES_MAX), .read_max = PEER_BYTES_MAX };
	CHECK(ret->got);
	UNTIL(rig, NULL, (ret->client = sim_client_accept(rig->sim, fd)) != NULL);
}

static void let_go(struct peer *peer)
{
	sim_client_close(peer->client);
	free(peer->got);
}

/* It never opened: the rig's count of openings must not miss it. */
static void check_failed(struct rig *rig, int error)
{
	CHECK_INT(rig->opened, 0);
	CHECK_INT(rig->closed, 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_CONNECT_FAILED);
	CHECK_INT(last_error, error);
	CHECK_INT(rig->counters.stats.closed[GB_CLOSE_CONNECT_FAILED], 1);
	CHECK_INT(rig->net.outgoing, 0);
	rig->opened = rig->closed;
}

NET_TEST(what_is_sent_while_it_connects_arrives_and_is_answered)
{
	struct peer peer;
	int fd;

	dial(rig, listening(rig, 4, &fd));
	CHECK_INT(gb_conn_send(current, "early", 5), 0);
	taken(rig, fd, &peer);
	UNTIL(rig, &peer, peer.got_size == 5);
	CHECK_INT(rig->opened, 1);
	peer_send(&peer, "echo", 4);
	UNTIL(rig, &peer, peer.got_size == 9);
	CHECK(memcmp(peer.got, "earlyecho", 9) == 0);
	let_go(&peer);
	UNTIL(rig, NULL, rig->closed == 1);
	CHECK_INT(rig->net.outgoing, 0);
	stop_listening(rig, fd);
}

/* A header leaves first, once, and only before anything else: the peer cannot be told later whom it is for. */
NET_TEST(proxy_header_leaves_before_what_was_sent_while_it_connects)
{
	static const char line[] = "PROXY UNKNOWN\r\nearly";
	struct peer peer;
	int fd;

	dial(rig, listening(rig, 4, &fd));
	CHECK_INT(gb_conn_send_proxy(current, NULL, GB_PROXY_NONE), -EINVAL);
	CHECK_INT(gb_conn_send_proxy(current, NULL, GB_PROXY_V1), 0);
	CHECK_INT(gb_conn_send_proxy(current, NULL, GB_PROXY_V1), -EISCONN);
	CHECK_INT(gb_conn_send(current, "early", 5), 0);
	taken(rig, fd, &peer);
	UNTIL(rig, &peer, peer.got_size == sizeof(line) - 1 && rig->opened == 1);
	CHECK(memcmp(peer.got, line, sizeof(line) - 1) == 0);
	CHECK_INT(gb_conn_send_proxy(current, NULL, GB_PROXY_V1), -EISCONN);
	let_go(&peer);
	UNTIL(rig, NULL, rig->closed == 1);
	stop_listening(rig, fd);
}

NET_TEST(a_refused_connection_is_told_as_connect_failed)
{
	struct sockaddr_in address;
	int fd;

	address = listening(rig, 1, &fd);
	stop_listening(rig, fd);
	dial(rig, address);
	UNTIL(rig, NULL, rig->closed == 1);
	check_failed(rig, ECONNREFUSED);
}

/* A full backlog drops what comes: nobody answers. */
NET_TEST(a_connection_that_nobody_answers_fails_at_its_timeout_and_not_before)
{
	struct sockaddr_in address;
	struct sim_client *other;
	int fd;

	rig_calm(rig);
	rig->limits.connect_timeout_ms = 1000;
	address = listening(rig, 1, &fd);
	other = sim_client_connect(rig->sim, ntohs(address.sin_port));
	CHECK(other);
	dial(rig, address);
	CHECK_INT(gb_conn_send(current, "in vain", 7), 0);
	rig_pass(rig, 900);
	CHECK_INT(rig->closed, 0);
	rig_pass(rig, 200);
	UNTIL(rig, NULL, rig->closed == 1);
	check_failed(rig, ETIMEDOUT);
	sim_client_close(other);
	stop_listening(rig, fd);
}

/* Established at the last moment; the turn that would see it comes late. */
NET_TEST(a_connection_that_is_there_beats_its_timeout)
{
	struct peer peer;
	int fd;

	rig_calm(rig);
	rig->limits.connect_timeout_ms = 1000;
	dial(rig, listening(rig, 4, &fd));
	sim_turn(rig->sim);
	rig_pass(rig, 5000);
	UNTIL(rig, NULL, rig->opened == 1);
	taken(rig, fd, &peer);
	CHECK_INT(rig->closed, 0);
	let_go(&peer);
	stop_listening(rig, fd);
}

/* docs/lifetimes.md: an orderly end sends what is queued first. */
NET_TEST(closing_while_it_connects_sends_what_is_queued)
{
	struct peer peer;
	int fd;

	dial(rig, listening(rig, 4, &fd));
	CHECK_INT(gb_conn_send(current, "last words", 10), 0);
	gb_conn_close(current);
	CHECK_INT(gb_conn_send(current, "more", 4), -EPIPE);
	taken(rig, fd, &peer);
	UNTIL(rig, &peer, peer.at_end);
	CHECK_INT(peer.got_size, 10);
	CHECK(memcmp(peer.got, "last words", 10) == 0);
	CHECK(!peer.was_reset);
	let_go(&peer);
	UNTIL(rig, NULL, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_LOCAL);
	CHECK_INT(rig->opened, 0); /* on_close only */
	rig->opened = rig->closed;
	stop_listening(rig, fd);
}

NET_TEST(closing_while_it_connects_ends_at_the_connect_timeout)
{
	struct sockaddr_in address;
	struct sim_client *other;
	int fd;

	rig_calm(rig);
	rig->limits.connect_timeout_ms = 1000;
	address = listening(rig, 1, &fd);
	other = sim_client_connect(rig->sim, ntohs(address.sin_port));
	dial(rig, address);
	CHECK_INT(gb_conn_send(current, "in vain", 7), 0);
	gb_conn_close(current);
	rig_pass(rig, 1200);
	UNTIL(rig, NULL, rig->closed == 1);
	check_failed(rig, ETIMEDOUT);
	sim_client_close(other);
	stop_listening(rig, fd);
}

NET_TEST(closing_while_it_connects_with_nothing_queued_ends_at_once)
{
	int fd;

	dial(rig, listening(rig, 4, &fd));
	gb_conn_close(current);
	UNTIL(rig, NULL, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_LOCAL);
	rig->opened = rig->closed;
	stop_listening(rig, fd);
}

NET_TEST(aborting_while_it_connects_ends_at_once)
{
	int fd;

	dial(rig, listening(rig, 4, &fd));
	CHECK_INT(gb_conn_send(current, "lost", 4), 0);
	gb_conn_abort(current);
	UNTIL(rig, NULL, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_LOCAL);
	rig->opened = rig->closed;
	stop_listening(rig, fd);
}

/* Whoever is served may live on it: it goes after the last of those. */
NET_TEST(a_drain_ends_it_after_those_who_are_served)
{
	struct peer *client = rig_peer(rig, &service), peer;
	int fd;

	dial(rig, listening(rig, 4, &fd));
	taken(rig, fd, &peer);
	UNTIL(rig, NULL, rig->opened == 2);
	rig_calm(rig);
	peer_send(client, "x", 1);
	UNTIL(rig, client, client->got_size == 1);
	gb_conn_hold(served);
	gb__net_drain(&rig->net);
	for (unsigned i = 0; i < 30; i++)
		rig_pass(rig, 100);
	peer_read(&peer);
	CHECK(!peer.at_end && !peer.was_reset);
	CHECK_INT(rig->closed, 0);
	gb_conn_release(served);
	UNTIL(rig, client, client->at_end);
	sim_client_shutdown(client->client);
	for (unsigned i = 0; i < 30 && !peer.at_end; i++) {
		rig_pass(rig, 100);
		peer_read(&peer);
	}
	CHECK(peer.at_end && !peer.was_reset);
	let_go(&peer);
	peer_close(client);
	UNTIL(rig, NULL, rig->closed == 2);
	stop_listening(rig, fd);
}

/* A socket that is connected already: one end of a child's. */
static void join(struct rig *rig, struct peer *ret)
{
	int fd;

	*ret = (struct peer){ .rig = rig, .got = malloc(PEER_BYTES_MAX), .read_max = PEER_BYTES_MAX };
	CHECK(ret->got);
	ret->client = sim_client_pair(rig->sim, &fd);
	CHECK(ret->client);
	CHECK_INT(gb__net_join(&rig->net, fd, &service, NULL, GB__FOR_HANDLER, &current), 0);
	CHECK_INT(rig->net.outgoing, 1);
	CHECK_INT(rig->opened, 0); /* no function calls a handler */
}

NET_TEST(a_socket_that_joins_is_served_as_one_that_has_connected)
{
	struct peer peer;

	join(rig, &peer);
	CHECK_INT(gb_conn_send(current, "early", 5), 0);
	UNTIL(rig, &peer, peer.got_size == 5);
	CHECK_INT(rig->opened, 1);
	peer_send(&peer, "echo", 4);
	UNTIL(rig, &peer, peer.got_size == 9);
	CHECK(memcmp(peer.got, "earlyecho", 9) == 0);
	let_go(&peer);
	UNTIL(rig, NULL, rig->closed == 1);
	CHECK_INT(rig->net.outgoing, 0);
}

NET_TEST(a_socket_that_joins_and_is_closed_at_once_never_opens)
{
	struct peer peer;

	join(rig, &peer);
	gb_conn_close(current);
	UNTIL(rig, &peer, rig->closed == 1);
	CHECK_INT(rig->opened, 0);
	rig->opened = rig->closed;
	let_go(&peer);
}

NET_TEST(a_socket_that_joins_and_is_closed_sends_what_is_queued)
{
	struct peer peer;

	join(rig, &peer);
	CHECK_INT(gb_conn_send(current, "last words", 10), 0);
	gb_conn_close(current);
	UNTIL(rig, &peer, peer.at_end);
	CHECK_INT(peer.got_size, 10);
	let_go(&peer);
	UNTIL(rig, NULL, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_LOCAL);
	CHECK_INT(rig->opened, 0);
	rig->opened = rig->closed;
}

NET_TEST(a_connection_that_was_made_may_have_limits_of_its_own)
{
	struct peer peer;

	rig_calm(rig);
	rig->limits.idle_timeout_ms = 1000;
	join(rig, &peer);
	CHECK_INT(gb_conn_set(current, GB_LIMIT_IDLE_TIMEOUT, 0), 0);
	UNTIL(rig, &peer, rig->opened == 1);
	rig_pass(rig, 5000);
	rig_step(rig, &peer);
	CHECK(!peer.at_end);
	CHECK_INT(gb_conn_set(current, GB_LIMIT_IDLE_TIMEOUT, 10000), 0);
	rig_pass(rig, 10000);
	UNTIL(rig, &peer, peer.at_end);
	let_go(&peer);
	UNTIL(rig, NULL, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_IDLE);
}

static size_t arrived;

static void count_bytes(struct gb_conn *conn, struct gb_bytes message)
{
	arrived += message.size;
}

/* What is sent there is no answer to what arrives: who answers while he reads would wait for ever. */
NET_TEST(a_connection_that_was_made_reads_on_while_its_output_is_high)
{
	static const struct gb_service reader = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "reader",
		.on_open = note_open, .on_message = count_bytes, .on_close = note_close };
	static const char much[900000];
	struct peer peer;
	int fd;

	arrived = 0;
	dial_for(rig, listening(rig, 4, &fd), &reader);
	taken(rig, fd, &peer);
	UNTIL(rig, NULL, rig->opened == 1);
	peer.read_max = 0;
	sim_client_set_window(peer.client, 1000);
	CHECK_INT(gb_conn_send(current, much, sizeof(much)), 0);
	rig_step(rig, NULL);
	CHECK(gb_conn_output_size(current) > rig->limits.output_high);
	peer_send(&peer, "answer", 6);
	UNTIL(rig, NULL, arrived == 6);
	CHECK(gb_conn_output_size(current) > rig->limits.output_high);
	let_go(&peer);
	UNTIL(rig, NULL, rig->closed == 1);
	stop_listening(rig, fd);
}

/* The proxy that everybody writes first: what comes goes to the other side, and whoever is ahead is paused. */
static struct gb_conn *sides[2];

static unsigned side_of(const struct gb_conn *conn)
{
	return conn->further & GB__CONN_FURTHER_OUTGOING ? 1 : 0;
}

static int note_side(struct gb_conn *conn)
{
	sides[side_of(conn)] = conn;
	return count_open(conn);
}

static void forget_side(struct gb_conn *conn, int reason)
{
	sides[side_of(conn)] = NULL;
	note_close(conn, reason);
}

static void pass_on(struct gb_conn *conn, struct gb_bytes message)
{
	struct gb_conn *to = sides[!side_of(conn)];

	if (!to)
		return;
	gb_conn_send(to, message.data, message.size);
	if (gb_conn_output_size(to) > rig_of(to)->limits.output_high)
		gb_conn_pause(conn);
}

static void let_the_other_go_on(struct gb_conn *conn)
{
	if (sides[!side_of(conn)])
		gb_conn_resume(sides[!side_of(conn)]);
}

#define ASKED 400000u
#define ANSWERS 4u /* bytes for each */

NET_TEST(a_proxy_finishes_before_a_backend_that_answers_while_it_reads)
{
	static const struct gb_service proxy = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "proxy",
		.on_open = note_side, .on_message = pass_on, .on_writable = let_the_other_go_on,
		.on_close = forget_side };
	static unsigned char block[8192];
	struct peer *client, backend;
	size_t sent = 0, owed = 0, got = 0, size;
	int fd;

	if (rig->round > 2)
		return;
	client = rig_peer(rig, &proxy);
	dial_for(rig, listening(rig, 4, &fd), &proxy);
	taken(rig, fd, &backend);
	UNTIL(rig, NULL, rig->opened == 2);
	for (unsigned steps = 0; got < ASKED * ANSWERS; steps++) {
		CHECK(steps < 500000);
		if (sent < ASKED)
			sent += sim_client_send(client->client, block, gb__min(ASKED - sent, sizeof(block)));
		while ((size = sim_client_read(client->client, block, sizeof(block))) > 0)
			got += size;
		/* Its next question it reads when the one before is answered. */
		if (owed > 0)
			owed -= sim_client_send(backend.client, block, gb__min(owed, sizeof(block)));
		else
			owed = ANSWERS * sim_client_read(backend.client, block, sizeof(block));
		rig_step(rig, NULL);
	}
	CHECK_INT(rig->closed, 0);
	peer_close(client);
	let_go(&backend);
	UNTIL(rig, NULL, rig->closed == 2);
	stop_listening(rig, fd);
}
