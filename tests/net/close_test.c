/* Every way a connection ends. */
#include "net/drain.h"
#include "rig.h"

#include <errno.h>

#define FIRST 100000u
#define TAKEN 80000u
#define SECOND 50000u

static unsigned writable;

static void writable_note(struct gb_conn *conn)
{
	writable++;
}

static void ignore_message(struct gb_conn *conn, struct gb_bytes message)
{
}

static const struct gb_service quiet = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "quiet",
	.on_open = count_open, .on_message = ignore_message, .on_writable = writable_note,
	.on_close = count_close };

static void send_pattern(struct gb_conn *conn, size_t offset, size_t size)
{
	static unsigned char data[FIRST + SECOND];

	for (size_t i = 0; i < size; i++)
		data[i] = pattern_at(offset + i);
	CHECK_INT(gb_conn_send(conn, data, size), 0);
}

static void check_pattern(const struct peer *peer, size_t size)
{
	CHECK_INT(peer->got_size, size);
	for (size_t i = 0; i < size; i++)
		if (peer->got[i] != pattern_at(i))
			test_fail(__FILE__, __LINE__, "byte %zu differs", i);
}

NET_TEST(all_150_k_arrive_though_the_handler_closes_while_output_waits)
{
	struct peer *peer = rig_peer(rig, &quiet);

	writable = 0;
	peer->read_max = TAKEN;
	send_pattern(rig->current, 0, FIRST);
	UNTIL(rig, peer, peer->got_size == TAKEN);
	for (int i = 0; i < 50; i++)
		rig_step(rig, peer);
	send_pattern(rig->current, FIRST, SECOND);
	gb_conn_close(rig->current);
	CHECK_INT(gb_conn_send(rig->current, "x", 1), -EPIPE);
	for (int i = 0; i < 50; i++)
		rig_step(rig, peer);
	peer->read_max = PEER_BYTES_MAX;
	UNTIL(rig, peer, peer->at_end);
	check_pattern(peer, FIRST + SECOND);
	CHECK(!peer->was_reset);
	CHECK_INT(rig->closed, 0); /* lingering for our FIN */
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_LOCAL);
	peer_close(peer);
}

NET_TEST(input_after_close_is_discarded_and_does_not_destroy_the_reply)
{
	struct peer *peer = rig_peer(rig, &quiet);
	static char noise[5000];

	send_pattern(rig->current, 0, 30000);
	gb_conn_close(rig->current);
	for (int i = 0; i < 20; i++) {
		sim_client_send(peer->client, noise, sizeof(noise));
		rig_step(rig, peer);
	}
	UNTIL(rig, peer, peer->at_end);
	check_pattern(peer, 30000);
	CHECK(!peer->was_reset);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_LOCAL);
	peer_close(peer);
}

NET_TEST(who_has_no_time_to_linger_is_closed_at_once)
{
	struct peer *peer;

	rig->limits.linger_timeout_ms = 0;
	peer = rig_peer(rig, &quiet);
	gb_conn_close(rig->current);
	UNTIL(rig, peer, peer->at_end);
	rig_pass(rig, 10);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_LOCAL);
	peer_close(peer);
}

NET_TEST(lingering_ends_at_its_deadline)
{
	struct peer *peer = rig_peer(rig, &quiet);

	gb_conn_close(rig->current);
	UNTIL(rig, peer, peer->at_end);
	rig_pass(rig, rig->limits.linger_timeout_ms / 2);
	CHECK_INT(rig->closed, 0);
	rig_pass(rig, rig->limits.linger_timeout_ms);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_LOCAL);
	peer_close(peer);
}

NET_TEST(abort_resets_at_once)
{
	struct peer *peer = rig_peer(rig, &quiet);

	peer->read_max = 0;
	send_pattern(rig->current, 0, FIRST);
	rig_step(rig, peer);
	gb_conn_abort(rig->current);
	UNTIL(rig, peer, rig->closed == 1);
	UNTIL(rig, peer, peer->was_reset);
	CHECK_INT(rig->last_reason, GB_CLOSE_LOCAL);
	peer_close(peer);
}

NET_TEST(a_reset_by_the_peer_is_told_once_whatever_was_going_on)
{
	struct peer *peer = rig_peer(rig, &quiet);
	unsigned what = (unsigned)(test_random(&rig->random) % 4);

	peer->read_max = 0;
	if (what & 1)
		send_pattern(rig->current, 0, FIRST);
	for (uint64_t i = test_random(&rig->random) % 20; i > 0; i--)
		rig_step(rig, peer);
	if (what & 2)
		gb_conn_pause(rig->current);
	sim_client_reset(peer->client);
	for (uint64_t i = test_random(&rig->random) % 20; i > 0; i--)
		rig_step(rig, NULL);
	if (rig->current && (what & 2))
		gb_conn_resume(rig->current);
	UNTIL(rig, NULL, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_RESET);
	peer_close(peer);
}

NET_TEST(output_above_the_hard_maximum_closes_with_its_reason)
{
	struct peer *peer;
	int result = 0;

	rig->limits.output_bytes_max = 200000;
	peer = rig_peer(rig, &quiet);
	peer->read_max = 0;
	for (int i = 0; i < 10 && result == 0; i++) {
		static unsigned char data[50000];

		result = gb_conn_send(rig->current, data, sizeof(data));
	}
	CHECK_INT(result, -GB_ELIMIT);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_OUTPUT_LIMIT);
	peer_close(peer);
}

NET_TEST(on_writable_comes_once_per_fall_below_the_low_watermark)
{
	struct peer *peer = rig_peer(rig, &quiet);
	size_t queued = 0;

	writable = 0;
	peer->read_max = 0;
	for (;;) {
		static unsigned char data[8000];
		int result = gb_conn_try_send(rig->current, data, sizeof(data));

		if (result == -EAGAIN)
			break;
		CHECK_INT(result, 0);
		queued += sizeof(data);
		CHECK(queued <= rig->limits.output_high);
	}
	for (int i = 0; i < 100; i++)
		rig_step(rig, peer);
	peer->read_max = PEER_BYTES_MAX;
	UNTIL(rig, peer, peer->got_size == queued);
	for (int i = 0; i < 100; i++)
		rig_step(rig, peer);
	CHECK_INT(writable, 1);
	peer_close(peer);
}

static void echo_message(struct gb_conn *conn, struct gb_bytes message)
{
	gb_conn_send(conn, message.data, message.size);
}

static const struct gb_service echo = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "echo",
	.on_open = count_open, .on_message = echo_message, .on_close = count_close };

NET_TEST(a_peer_that_does_not_read_is_not_read_from_and_then_dropped)
{
	static unsigned char data[4096];
	struct peer *peer;

	rig->limits.write_timeout_ms = 1000;
	peer = rig_peer(rig, &echo);
	peer->read_max = 0;
	for (int i = 0; i < 3000; i++) {
		sim_client_send(peer->client, data, sizeof(data));
		rig_step(rig, peer);
		CHECK(gb_conn_output_size(rig->current) <=
			rig->limits.output_high + (64u << 10) + sizeof(data));
	}
	rig_calm(rig);
	for (int i = 0; i < 3000; i++) /* faults may have left room, which is filled now */
		rig_step(rig, peer);
	rig_pass(rig, 100);
	CHECK_INT(rig->closed, 0);
	rig_pass(rig, 1100);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_WRITE_TIMEOUT);
	peer_close(peer);
}

NET_TEST(output_that_waits_when_the_idle_timeout_closes_still_has_its_deadline)
{
	static unsigned char data[4096];
	struct peer *peer;

	rig->limits.idle_timeout_ms = 300;
	rig->limits.write_timeout_ms = 1000;
	peer = rig_peer(rig, &echo);
	peer->read_max = 0;
	rig_calm(rig);
	while (gb_conn_output_size(rig->current) <= rig->limits.output_high) {
		sim_client_send(peer->client, data, sizeof(data));
		rig_step(rig, peer);
	}
	rig_pass(rig, 400);
	CHECK_INT(rig->closed, 0);
	rig_pass(rig, 700);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_WRITE_TIMEOUT);
	peer_close(peer);
}

NET_TEST(timeouts_of_idling_and_of_unfinished_messages_are_told_apart)
{
	static const struct gb_service lines = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "lines",
		.codec = &gb_codec_line, .on_open = count_open, .on_message = echo_message,
		.on_close = count_close };
	struct peer *idle, *slow;
	unsigned steps;

	rig->limits.idle_timeout_ms = 5000;
	rig->limits.read_timeout_ms = 1000;
	idle = rig_peer(rig, &lines);
	slow = rig_peer(rig, &lines);
	rig_calm(rig);
	/* A byte now and then keeps it from idling, but its message does not end. */
	for (steps = 0; rig->closed == 0 && steps < 100; steps++) {
		sim_client_send(slow->client, "x", 1);
		rig_pass(rig, 100);
		peer_read(slow);
		if (slow->at_end)
			sim_client_shutdown(slow->client);
	}
	CHECK_INT(rig->last_reason, GB_CLOSE_READ_TIMEOUT);
	CHECK(steps >= 9 && steps <= 14);
	while (!idle->at_end) {
		rig_pass(rig, 100);
		peer_read(idle);
		CHECK(++steps < 60);
	}
	CHECK(steps >= 48);
	sim_client_shutdown(idle->client);
	UNTIL(rig, idle, rig->closed == 2);
	CHECK_INT(rig->last_reason, GB_CLOSE_IDLE);
	peer_close(idle);
	peer_close(slow);
}

NET_TEST(messages_keep_a_connection_from_idling)
{
	struct peer *peer;

	rig->limits.idle_timeout_ms = 1000;
	peer = rig_peer(rig, &echo);
	rig_calm(rig);
	for (int i = 0; i < 50; i++) {
		sim_client_send(peer->client, "x", 1);
		rig_pass(rig, 900); /* the stamp must be of now, not of when the loop went to sleep */
		CHECK_INT(rig->closed, 0);
	}
	peer_close(peer);
}

static int refuse(struct gb_conn *conn)
{
	count_open(conn);
	gb_conn_send(conn, "go away", 7);
	return -EACCES;
}

NET_TEST(a_refused_connection_still_gets_what_the_handler_said)
{
	static const struct gb_service closed_shop = { GB_SERVICE_INIT, .state = GB_STATE_NONE,
		.name = "closed", .on_open = refuse, .on_message = ignore_message, .on_close = count_close };
	struct peer *peer = rig_peer(rig, &closed_shop);

	UNTIL(rig, peer, peer->at_end);
	CHECK_INT(peer->got_size, 7);
	CHECK(!peer->was_reset);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_REFUSED);
	peer_close(peer);
}

static void answer_at_eof(struct gb_conn *conn)
{
	gb_conn_send(conn, "bye", 3);
	gb_conn_close(conn);
}

NET_TEST(after_a_half_close_the_handler_may_still_answer)
{
	static const struct gb_service polite = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "polite",
		.on_open = count_open, .on_message = echo_message, .on_eof = answer_at_eof,
		.on_close = count_close };
	struct peer *peer = rig_peer(rig, &polite);

	peer_send(peer, "hello ", 6);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, peer->at_end && rig->closed == 1);
	CHECK_INT(peer->got_size, 9);
	CHECK(memcmp(peer->got, "hello bye", 9) == 0);
	CHECK(!peer->was_reset);
	peer_close(peer);
}

NET_TEST(draining_answers_what_is_in_flight_and_then_ends)
{
	static const struct gb_service lines = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "lines",
		.codec = &gb_codec_line, .on_open = count_open, .on_message = echo_message,
		.on_close = count_close };
	struct peer *idle = rig_peer(rig, &lines), *busy = rig_peer(rig, &lines);

	peer_send(busy, "half", 4);
	UNTIL(rig, busy, rig->counters.stats.bytes_in == 4);
	rig_calm(rig);
	gb__net_drain(&rig->net);
	rig_pass(rig, GB__DRAIN_GRACE_MS);
	UNTIL(rig, idle, idle->at_end);
	for (int i = 0; i < 50; i++)
		rig_step(rig, busy);
	CHECK(!busy->at_end);
	peer_send(busy, " done\n", 6);
	UNTIL(rig, busy, busy->at_end);
	CHECK_INT(busy->got_size, 9);
	CHECK(!busy->was_reset && !idle->was_reset);
	sim_client_shutdown(idle->client);
	sim_client_shutdown(busy->client);
	UNTIL(rig, busy, rig->closed == 2);
	CHECK_INT(rig->counters.stats.closed[GB_CLOSE_DRAIN], 2);
	peer_close(idle);
	peer_close(busy);
}

/* It was accepted just before, and its request is on its way. */
NET_TEST(draining_gives_who_has_said_nothing_yet_a_moment)
{
	static const struct gb_service lines = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "lines",
		.codec = &gb_codec_line, .on_open = count_open, .on_message = echo_message,
		.on_close = count_close };
	struct peer *spoke = rig_peer(rig, &lines), *late = rig_peer(rig, &lines),
		    *silent = rig_peer(rig, &lines);

	peer_send(spoke, "hello\n", 6);
	UNTIL(rig, spoke, spoke->got_size == 5);
	rig_calm(rig);
	gb__net_drain(&rig->net);
	for (int i = 0; i < 50; i++)
		rig_step(rig, spoke);
	CHECK(spoke->at_end);
	peer_send(late, "here\n", 5);
	UNTIL(rig, late, late->at_end);
	CHECK_INT(late->got_size, 4);
	peer_read(silent);
	CHECK(!silent->at_end);
	rig_pass(rig, GB__DRAIN_GRACE_MS);
	UNTIL(rig, silent, silent->at_end);
	CHECK(!spoke->was_reset && !late->was_reset && !silent->was_reset);
	peer_close(spoke);
	peer_close(late);
	peer_close(silent);
	UNTIL(rig, NULL, rig->closed == 3);
	CHECK_INT(rig->counters.stats.closed[GB_CLOSE_DRAIN], 3);
}

NET_TEST(shared_buffers_go_out_in_order_and_are_given_back)
{
	struct peer *peer = rig_peer(rig, &quiet);
	struct gb_buffer *buffer;

	CHECK_INT(gb_buffer_create("shared", 6, &buffer), 0);
	for (int i = 0; i < 100; i++) {
		CHECK_INT(gb_conn_send(rig->current, "(", 1), 0);
		CHECK_INT(gb_conn_send_ref(rig->current, buffer), 0);
		CHECK_INT(gb_conn_send(rig->current, ")", 1), 0);
		if (i % 7 == 0)
			rig_step(rig, peer);
	}
	gb_buffer_unref(buffer);
	UNTIL(rig, peer, peer->got_size == 800);
	for (int i = 0; i < 100; i++)
		CHECK(memcmp(peer->got + i * 8, "(shared)", 8) == 0);
	peer_close(peer);
}
