/* Sockets of packets: what is delivered is one, what one call sends is one, whichever way it takes in between. */
#include "rig.h"

#include "base/macros.h"
#include "net/outgoing.h"
#include "net/packet.h"
#include "net/task.h"
#include "os/socket.h"

#include <gearbox/operation.h>
#include <gearbox/reply.h>
#include <gearbox/stream.h>
#include <gearbox/worker.h>

#include <errno.h>
#include <stdarg.h>

static const struct gb__front of_packets = { .packets = true };

static struct peer *packet_peer(struct rig *rig, const struct gb_service *service)
{
	return rig_peer_on(rig, service, &of_packets);
}

static void say(struct rig *rig, struct peer *peer, const void *data, size_t size)
{
	UNTIL(rig, peer, sim_client_send(peer->client, data, size) == size);
}

static void say_text(struct rig *rig, struct peer *peer, const char *text)
{
	say(rig, peer, text, strlen(text));
}

/* Exactly these packets, up to NULL, have come. */
static void expect(struct rig *rig, struct peer *peer, const char *first, ...)
{
	unsigned char expected[4096];
	size_t size = 0;
	va_list texts;

	va_start(texts, first);
	for (const char *text = first; text; text = va_arg(texts, const char *)) {
		const uint32_t length = (uint32_t)strlen(text);

		CHECK(size + sizeof(length) + length <= sizeof(expected));
		memcpy(expected + size, &length, sizeof(length));
		memcpy(expected + size + sizeof(length), text, length);
		size += sizeof(length) + length;
	}
	va_end(texts);
	UNTIL(rig, peer, peer->got_size >= size);
	CHECK_INT(peer->got_size, size);
	CHECK(memcmp(peer->got, expected, size) == 0);
}

static void leave(struct rig *rig, struct peer *peer, int reason)
{
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, peer->at_end && rig->closed == 1);
	CHECK_INT(rig->last_reason, reason);
	peer_close(peer);
}

static void twice_message(struct gb_conn *conn, struct gb_bytes message)
{
	gb_conn_send(conn, message.data, message.size);
	gb_conn_printf(conn, "<%zu>", message.size);
}

static const struct gb_service twice = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "twice",
	.on_open = count_open, .on_message = twice_message, .on_close = count_close };
static const struct gb_service coded = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "coded",
	.codec = &gb_codec_packet, .on_open = count_open, .on_message = twice_message,
	.on_close = count_close };

NET_TEST(each_packet_is_a_message_and_each_send_a_packet)
{
	struct peer *peer = packet_peer(rig, test_random(&rig->random) % 2 ? &twice : &coded);

	say_text(rig, peer, "one");
	say_text(rig, peer, "x");
	say_text(rig, peer, "three");
	expect(rig, peer, "one", "<3>", "x", "<1>", "three", "<5>", NULL);
	leave(rig, peer, GB_CLOSE_EOF);
}

/* Many of all sizes, of a peer who reads when he likes. */
NET_TEST(packets_of_all_sizes_come_back_whole_and_in_order)
{
	enum { PACKETS = 60 };
	static unsigned char data[GB_PACKET_MAX];
	struct peer *peer = packet_peer(rig, &twice);
	uint32_t sizes[PACKETS], size;
	size_t at = 0, all = 0;
	char text[16];

	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = pattern_at(i);
	peer->read_max = 0;
	for (unsigned i = 0; i < PACKETS; i++) {
		sizes[i] = i % 20 == 7 ? GB_PACKET_MAX
				       : (uint32_t)(1 + test_random(&rig->random) % (i % 9 ? 300 : 9000));
		all += 2 * GB__PACKET_HEADER + sizes[i] +
			(size_t)snprintf(text, sizeof(text), "<%u>", sizes[i]);
		/* It reads once the server does not any more. */
		for (unsigned tries = 0; sim_client_send(peer->client, data, sizes[i]) != sizes[i]; tries++) {
			CHECK(tries < 20000);
			if (tries == 100)
				peer->read_max = PEER_BYTES_MAX;
			rig_step(rig, peer);
		}
	}
	peer->read_max = PEER_BYTES_MAX;
	UNTIL(rig, peer, peer->got_size == all);
	for (unsigned i = 0; i < PACKETS; i++) {
		memcpy(&size, peer->got + at, sizeof(size));
		CHECK_INT(size, sizes[i]);
		CHECK(memcmp(peer->got + at + sizeof(size), data, size) == 0);
		at += sizeof(size) + size;
		memcpy(&size, peer->got + at, sizeof(size));
		CHECK_INT(size, snprintf(text, sizeof(text), "<%u>", sizes[i]));
		CHECK(memcmp(peer->got + at + sizeof(size), text, size) == 0);
		at += sizeof(size) + size;
	}
	leave(rig, peer, GB_CLOSE_EOF);
}

static void pausing_message(struct gb_conn *conn, struct gb_bytes message)
{
	twice_message(conn, message);
	gb_conn_pause(conn);
}

static const struct gb_service pausing = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "pausing",
	.on_open = count_open, .on_message = pausing_message, .on_close = count_close };

NET_TEST(packets_wait_one_by_one_while_their_handler_pauses)
{
	struct peer *peer = packet_peer(rig, &pausing);

	say_text(rig, peer, "one");
	say_text(rig, peer, "two");
	say_text(rig, peer, "three");
	expect(rig, peer, "one", "<3>", NULL);
	for (unsigned i = 0; i < 20; i++)
		rig_step(rig, peer);
	gb_conn_resume(rig->current);
	expect(rig, peer, "one", "<3>", "two", "<3>", NULL);
	gb_conn_resume(rig->current);
	expect(rig, peer, "one", "<3>", "two", "<3>", "three", "<5>", NULL);
	gb_conn_resume(rig->current);
	leave(rig, peer, GB_CLOSE_EOF);
}

/* All that may wait: messages of the pool, of which each answer is one. */
static struct gb__job *held[64];
static unsigned held_count;

static void hold(void *arg, struct gb__job *job)
{
	(void)arg;
	CHECK(held_count < gb__countof(held));
	held[held_count++] = job;
}

NET_TEST(packets_go_through_the_pool_and_come_back_as_such)
{
	struct peer *peer;

	held_count = 0;
	gb__net_submit_to(&rig->net, hold, NULL, 2);
	peer = packet_peer(rig, &coded);
	say_text(rig, peer, "one");
	say_text(rig, peer, "two");
	for (unsigned i = 0; i < 2; i++) {
		UNTIL(rig, peer, held_count == 1);
		held_count = 0;
		gb__task_run(held[0]);
	}
	expect(rig, peer, "one", "<3>", "two", "<3>", NULL);
	leave(rig, peer, GB_CLOSE_EOF);
}

static struct gb_reply replies[3];
static unsigned deferred;

static void deferring_message(struct gb_conn *conn, struct gb_bytes message)
{
	(void)message;
	CHECK_INT(gb_conn_defer(conn, &replies[deferred++]), 0);
	gb_conn_send(conn, "behind", 6);
}

static const struct gb_service deferring = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "deferring",
	.codec = &gb_codec_packet, .on_open = count_open, .on_message = deferring_message,
	.on_close = count_close };

NET_TEST(deferred_replies_are_packets_in_their_order)
{
	struct peer *peer = packet_peer(rig, &deferring);

	deferred = 0;
	for (unsigned i = 0; i < gb__countof(replies); i++)
		say_text(rig, peer, "any");
	UNTIL(rig, peer, deferred == gb__countof(replies));
	CHECK_INT(gb_reply_send(replies[1], "", 0), -EINVAL);
	CHECK_INT(gb_reply_finish(replies[2], "third", 5), 0);
	CHECK_INT(gb_reply_send(replies[1], "sec", 3), 0);
	CHECK_INT(gb_reply_finish(replies[0], "first", 5), 0);
	CHECK_INT(gb_reply_finish(replies[1], "ond", 3), 0);
	expect(rig, peer, "first", "behind", "sec", "ond", "behind", "third", "behind", NULL);
	leave(rig, peer, GB_CLOSE_EOF);
}

static struct gb_producer producer;
static unsigned produced;

static int64_t produce(void *user, void *room, size_t size)
{
	(void)user;
	CHECK(size >= 2);
	if (produced == 3)
		return 0;
	memcpy(room, "p.", 2);
	((char *)room)[1] = (char)('0' + produced++);
	return 2;
}

static void producing_message(struct gb_conn *conn, struct gb_bytes message)
{
	(void)message;
	produced = 0;
	gb_conn_produce_begin(conn, &producer, produce, NULL, NULL);
	gb_conn_send(conn, "end", 3);
}

static const struct gb_service producing = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "producing",
	.codec = &gb_codec_packet, .on_open = count_open, .on_message = producing_message,
	.on_close = count_close };

NET_TEST(each_piece_of_a_produced_reply_is_a_packet)
{
	struct peer *peer = packet_peer(rig, &producing);

	say_text(rig, peer, "go");
	expect(rig, peer, "p0", "p1", "p2", "end", NULL);
	leave(rig, peer, GB_CLOSE_EOF);
}

static void last_answer(struct gb_conn *conn, int reason)
{
	gb_conn_send(conn, gb_close_reason_name(reason), strlen(gb_close_reason_name(reason)));
}

static const struct gb_limit ten[] = { { GB_LIMIT_MESSAGE, 10 }, { GB_LIMIT_NONE, 0 } };
static const struct gb_service small = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "small",
	.limits = ten, .on_open = count_open, .on_message = twice_message, .on_error = last_answer,
	.on_close = count_close };
static const struct gb_service large = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "large",
	.on_open = count_open, .on_message = twice_message, .on_error = last_answer,
	.on_close = count_close };

NET_TEST(a_packet_above_the_maximum_is_refused_and_not_handed_up_cut)
{
	static unsigned char data[GB_PACKET_MAX + 1];
	const bool cut = test_random(&rig->random) % 2;
	struct peer *peer = packet_peer(rig, cut ? &large : &small);

	say_text(rig, peer, "one");
	say(rig, peer, data, cut ? sizeof(data) : 11);
	say_text(rig, peer, "two");
	expect(rig, peer, "one", "<3>", "message_too_large", NULL);
	leave(rig, peer, GB_CLOSE_MESSAGE_TOO_LARGE);
}

static void refused_message(struct gb_conn *conn, struct gb_bytes message)
{
	static unsigned char data[GB_PACKET_MAX + 1];

	(void)message;
	CHECK_INT(gb_conn_send(conn, data, 0), -EINVAL);
	CHECK_INT(gb_conn_printf(conn, "%s", ""), -EINVAL);
	CHECK_INT(gb_conn_send(conn, data, sizeof(data)), -EMSGSIZE);
	CHECK_INT(gb_relay(conn, conn), -EOPNOTSUPP);
	gb_conn_send(conn, "refused", 7);
}

static const struct gb_service refused = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "refused",
	.on_open = count_open, .on_message = refused_message, .on_close = count_close };

NET_TEST(what_is_no_packet_is_not_sent)
{
	struct peer *peer = packet_peer(rig, &refused);

	say_text(rig, peer, "any");
	expect(rig, peer, "refused", NULL);
	leave(rig, peer, GB_CLOSE_EOF);
}

static void closing_message(struct gb_conn *conn, struct gb_bytes message)
{
	for (unsigned i = 0; i < 3; i++)
		gb_conn_send(conn, message.data, message.size);
	gb_conn_close(conn);
}

static const struct gb_service closing = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "closing",
	.on_open = count_open, .on_message = closing_message, .on_close = count_close };

NET_TEST(a_close_sends_the_packets_before_it)
{
	struct peer *peer = packet_peer(rig, &closing);

	say_text(rig, peer, "bye");
	say_text(rig, peer, "unheard");
	expect(rig, peer, "bye", "bye", "bye", NULL);
	UNTIL(rig, peer, peer->at_end);
	leave(rig, peer, GB_CLOSE_LOCAL);
}

/* The socket's send buffer is smaller than a packet: nothing of it leaves, and the reason says which it was. */
NET_TEST(a_packet_that_the_kernel_refuses_ends_its_connection)
{
	struct peer *peer = packet_peer(rig, &twice);

	sim_script(rig->sim, gb_conn_descriptor(rig->current), SIM_SEND,
		(struct sim_outcome){ .result = -EMSGSIZE });
	say_text(rig, peer, "one");
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_MESSAGE_TOO_LARGE);
	CHECK_INT(peer->got_size, 0);
	peer_close(peer);
}

static int last_read;

static void serve_packets(struct gb_stream *stream)
{
	struct gb_bytes message;
	char data[4];

	count_open(gb_stream_conn(stream));
	CHECK_INT(gb_read_exact(stream, data, 1), -EOPNOTSUPP);
	CHECK_INT(gb_read_until(stream, "\n", 1, &message), -EOPNOTSUPP);
	CHECK_INT(gb_read(stream, data, sizeof(data)), 3);
	CHECK_INT(gb_write(stream, data, 3), 3);
	CHECK_INT(gb_read_message(stream, &message), 1);
	CHECK_INT(gb_write(stream, message.data, message.size), (int)message.size);
	CHECK_INT(gb_write(stream, "and", 3), 3);
	last_read = (int)gb_read(stream, data, sizeof(data));
}

static const struct gb_service straight = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "straight",
	.serve = serve_packets, .on_close = count_close };

NET_TEST(each_read_of_a_stream_gets_a_packet)
{
	struct peer *peer = packet_peer(rig, &straight);

	say_text(rig, peer, "one");
	say_text(rig, peer, "and two");
	expect(rig, peer, "one", "and two", "and", NULL);
	say_text(rig, peer, "too large for it");
	UNTIL(rig, peer, peer->at_end);
	CHECK_INT(last_read, -GB_ETOOLARGE);
	leave(rig, peer, GB_CLOSE_MESSAGE_TOO_LARGE);
}

static void answered(struct gb_conn *conn, struct gb_bytes message)
{
	CHECK(message.size == 4 && memcmp(message.data, "pong", 4) == 0);
	gb_conn_close(conn);
}

static const struct gb_service asking = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "asking",
	.codec = &gb_codec_packet, .on_open = count_open, .on_message = answered, .on_close = count_close };

NET_TEST(an_outgoing_connection_has_packets_as_well)
{
	static const struct gb__socket_options options;
	int listener = sim_listen(rig->sim, 0, 4);
	struct gb__address address = {
		.v4 = sim_address(rig->sim, listener), .size = sizeof(struct sockaddr_in), .packets = true
	};
	struct sim_client *client = NULL;
	unsigned char got[16];
	struct gb_conn *conn;
	size_t size;

	CHECK_INT(gb__net_connect(&rig->net, &address, &options, &asking, rig, GB__FOR_HANDLER, &conn), 0);
	CHECK_INT(gb_conn_send(conn, "pi", 2), 0);
	CHECK_INT(gb_conn_send(conn, "ng", 2), 0);
	UNTIL(rig, NULL, client || (client = sim_client_accept(rig->sim, listener)) != NULL);
	UNTIL(rig, NULL, (size = sim_client_read(client, got, sizeof(got))) > 0);
	CHECK(size == 2 && memcmp(got, "pi", 2) == 0);
	UNTIL(rig, NULL, (size = sim_client_read(client, got, sizeof(got))) > 0);
	CHECK(size == 2 && memcmp(got, "ng", 2) == 0);
	UNTIL(rig, NULL, sim_client_send(client, "pong", 4) == 4);
	UNTIL(rig, NULL, sim_client_at_end(client));
	sim_client_close(client);
	UNTIL(rig, NULL, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_LOCAL);
	rig->loop.os->ops->close(rig->loop.os, listener);
}
