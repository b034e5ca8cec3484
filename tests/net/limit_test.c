/* Limits of a service and of one connection in place of the server's options. */
#include "rig.h"

static void echo_message(struct gb_conn *conn, struct gb_bytes message)
{
	gb_conn_send(conn, message.data, message.size);
}

static const struct gb_service plain = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "plain",
	.on_open = count_open, .on_message = echo_message, .on_close = count_close };

static const struct gb_limit hasty_limits[] = { { GB_LIMIT_IDLE_TIMEOUT, 1000 }, { GB_LIMIT_NONE, 0 } };
static const struct gb_service hasty = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "hasty",
	.limits = hasty_limits, .on_open = count_open, .on_message = echo_message, .on_close = count_close };

NET_TEST(a_services_own_timeout_is_for_its_connections_alone)
{
	struct peer *quick = rig_peer(rig, &hasty), *other = rig_peer(rig, &plain);

	rig_pass(rig, 900);
	CHECK_INT(rig->closed, 0);
	rig_pass(rig, 200);
	UNTIL(rig, quick, quick->at_end);
	sim_client_shutdown(quick->client);
	UNTIL(rig, quick, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_IDLE);
	peer_send(other, "x", 1);
	UNTIL(rig, other, other->got_size == 1);
	peer_close(quick);
	peer_close(other);
}

static int open_with_long_timeout(struct gb_conn *conn)
{
	CHECK_INT(gb_conn_set(conn, GB_LIMIT_IDLE_TIMEOUT, 5000), 0);
	CHECK_INT(gb_conn_set(conn, GB_LIMIT_OUTPUT_LOW, 2u << 20), -EINVAL);
	CHECK_INT(gb_conn_set(conn, GB_LIMIT_MESSAGE, 0), -EINVAL);
	CHECK_INT(gb_conn_set(conn, GB_LIMIT_COUNT, 1), -EINVAL);
	return count_open(conn);
}

static const struct gb_service patient = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "patient",
	.limits = hasty_limits, .on_open = open_with_long_timeout, .on_message = echo_message,
	.on_close = count_close };

NET_TEST(a_connections_own_timeout_is_its_alone_and_may_be_longer_or_shorter)
{
	struct peer *peer = rig_peer(rig, &patient);

	rig_pass(rig, 4900);
	CHECK_INT(rig->closed, 0);
	rig_pass(rig, 200);
	UNTIL(rig, peer, peer->at_end);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_IDLE);
	peer_close(peer);
}

static int open_with_low_maximum(struct gb_conn *conn)
{
	CHECK_INT(gb_conn_set(conn, GB_LIMIT_MESSAGE, 4), 0);
	return count_open(conn);
}

static const struct gb_service curt = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "curt",
	.codec = &gb_codec_line, .on_open = open_with_low_maximum, .on_message = echo_message,
	.on_close = count_close };

NET_TEST(a_connections_own_maximum_of_a_message_holds)
{
	struct peer *peer = rig_peer(rig, &curt);

	peer_send(peer, "four\nfives\n", 11);
	UNTIL(rig, peer, peer->at_end);
	CHECK_INT(peer->got_size, 4);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_MESSAGE_TOO_LARGE);
	peer_close(peer);
}

static unsigned delivered;

static void flood_message(struct gb_conn *conn, struct gb_bytes message)
{
	static const char block[4096];

	delivered++;
	for (unsigned i = 0; i < 64; i++)
		gb_conn_send(conn, block, sizeof(block));
}

static int open_with_low_watermark(struct gb_conn *conn)
{
	delivered = 0;
	CHECK_INT(gb_conn_set(conn, GB_LIMIT_OUTPUT_LOW, 512), 0);
	CHECK_INT(gb_conn_set(conn, GB_LIMIT_OUTPUT_HIGH, 1024), 0);
	return count_open(conn);
}

static int open_that_reads_on(struct gb_conn *conn)
{
	CHECK_INT(gb_conn_read_while_high(conn, true), 0);
	return open_with_low_watermark(conn);
}

static const struct gb_service stopping = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "stopping",
	.codec = &gb_codec_line, .on_open = open_with_low_watermark, .on_message = flood_message,
	.on_close = count_close };
static const struct gb_service reading_on = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "reading_on",
	.codec = &gb_codec_line, .on_open = open_that_reads_on, .on_message = flood_message,
	.on_close = count_close };

/* How many messages are delivered to a handler whose answers nobody takes. */
static void check_delivered(struct rig *rig, const struct gb_service *service, bool all)
{
	struct peer *peer = rig_peer(rig, service);

	rig_calm(rig);
	peer->read_max = 0;
	sim_client_set_window(peer->client, 1000);
	sim_client_send(peer->client, "a\nb\nc\n", 6);
	for (unsigned i = 0; i < 50; i++)
		rig_step(rig, NULL);
	CHECK(all ? delivered == 3 : delivered < 3);
	peer->read_max = PEER_BYTES_MAX;
	UNTIL(rig, peer, peer->got_size == 3u * 64 * 4096);
	CHECK_INT(delivered, 3);
	peer_close(peer);
}

NET_TEST(high_output_stops_delivery_by_the_connections_own_watermark)
{
	check_delivered(rig, &stopping, false);
}

NET_TEST(who_reads_on_while_output_is_high_gets_all_messages)
{
	check_delivered(rig, &reading_on, true);
}
