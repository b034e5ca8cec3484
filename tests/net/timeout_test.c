/*
 * Timeouts on a clock of the test's own: none fires early on who is healthy, and each counts from what its option
 * says. That they fire at all is for close_test.c.
 */
#include "rig.h"

#include <errno.h>

#define SLACK_MS 100u /* more than the wheel may be late */

static unsigned messages;

static void count_message(struct gb_conn *conn, struct gb_bytes message)
{
	messages++;
}

static const struct gb_service lines = { GB_SERVICE_INIT, .name = "lines", .codec = &gb_codec_line,
	.on_open = count_open, .on_message = count_message, .on_close = count_close };

/* Nobody is ended `ms` from now, and `reason` is why soon after. */
static void check_ends_after(struct rig *rig, struct peer *peer, uint64_t ms, int reason)
{
	rig_pass(rig, ms - SLACK_MS);
	peer_read(peer);
	CHECK_INT(rig->closed, 0);
	CHECK(!peer->at_end && !peer->was_reset);
	rig_pass(rig, 2 * SLACK_MS);
	UNTIL(rig, peer, peer->at_end || peer->was_reset);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, reason);
}

static struct peer *begin(struct rig *rig)
{
	struct peer *peer = rig_peer(rig, &lines);

	rig_calm(rig);
	messages = 0;
	rig_step(rig, peer);
	return peer;
}

static void send_pattern(struct rig *rig, size_t size)
{
	static unsigned char data[1u << 19];

	CHECK_INT(gb_conn_send(rig->current, data, size), 0);
}

NET_TEST(lingering_counts_from_our_fin_and_not_from_before)
{
	struct peer *peer;

	/* Its deadline comes up while it lingers, and is judged anew then. */
	rig->limits.idle_timeout_ms = 60000 + rig->limits.linger_timeout_ms / 2;
	peer = begin(rig);
	rig_pass(rig, 60000);
	gb_conn_close(rig->current);
	UNTIL(rig, peer, peer->at_end);
	for (uint64_t ms = SLACK_MS; ms < rig->limits.linger_timeout_ms; ms += SLACK_MS) {
		rig_pass(rig, SLACK_MS);
		CHECK_INT(rig->closed, 0);
	}
	rig_pass(rig, 2 * SLACK_MS);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_LOCAL);
	peer_close(peer);
}

/* Only with the sockets of the calm kernel, into which that much does not fit. */
NET_TEST(lingering_begins_when_the_last_output_has_gone)
{
	struct peer *peer;

	if (rig->round > 0)
		return;
	peer = begin(rig);
	peer->read_max = 0;
	send_pattern(rig, 300000);
	gb_conn_close(rig->current);
	for (int i = 0; i < 10;
		i++) { /* it takes some now and then, each time after more than the linger timeout */
		rig_pass(rig, rig->limits.linger_timeout_ms + SLACK_MS);
		CHECK_INT(rig->closed, 0);
		peer->read_max += 20000;
		UNTIL(rig, peer, peer->got_size == peer->read_max);
	}
	peer->read_max = PEER_BYTES_MAX;
	UNTIL(rig, peer, peer->at_end);
	CHECK_INT(peer->got_size, 300000);
	CHECK_INT(rig->closed, 0);
	rig_pass(rig, rig->limits.linger_timeout_ms - SLACK_MS);
	CHECK_INT(rig->closed, 0);
	for (unsigned i = 0; i < 3 && rig->closed == 0; i++) /* what moved until just now extends it */
		rig_pass(rig, rig->limits.linger_timeout_ms + SLACK_MS);
	UNTIL(rig, peer, rig->closed == 1);
	peer_close(peer);
}

NET_TEST(who_ends_in_time_does_not_wait_for_the_linger_timeout)
{
	struct peer *peer = begin(rig);

	gb_conn_close(rig->current);
	UNTIL(rig, peer, peer->at_end);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_LOCAL);
	peer_close(peer);
}

/* A message that takes 800 ms, then in one piece its end and the beginning of the next. */
static void next_follows(struct rig *rig, size_t size)
{
	static unsigned char letters[3000];
	struct peer *peer;

	memset(letters, 'x', sizeof(letters));
	rig->limits.read_timeout_ms = 1000;
	peer = begin(rig);
	peer_send(peer, letters, size);
	UNTIL(rig, peer, rig->counters.stats.bytes_in == size);
	rig_pass(rig, 800);
	CHECK_INT(rig->closed, 0);
	peer_send(peer, "x\nnext", 6);
	UNTIL(rig, peer, messages == 1);
	rig_step(rig, peer);
	check_ends_after(rig, peer, 1000, GB_CLOSE_READ_TIMEOUT);
	peer_close(peer);
}

NET_TEST(the_read_deadline_of_a_message_counts_from_its_own_first_byte)
{
	next_follows(rig, 1);
}

NET_TEST(also_when_the_message_before_it_was_long)
{
	next_follows(rig, 3000);
}

NET_TEST(also_when_many_came_with_it)
{
	struct peer *peer;

	rig->limits.read_timeout_ms = 1000;
	peer = begin(rig);
	rig_pass(rig, 5000);
	peer_send(peer, "a\nb\nc\nd", 7);
	UNTIL(rig, peer, messages == 3);
	rig_step(rig, peer);
	check_ends_after(rig, peer, 1000, GB_CLOSE_READ_TIMEOUT);
	peer_close(peer);
}

NET_TEST(bytes_of_the_same_message_do_not_extend_its_read_deadline)
{
	struct peer *peer;

	rig->limits.read_timeout_ms = 1000;
	peer = begin(rig);
	peer_send(peer, "a", 1);
	UNTIL(rig, peer, rig->counters.stats.bytes_in == 1);
	rig_pass(rig, 500);
	peer_send(peer, "b", 1);
	UNTIL(rig, peer, rig->counters.stats.bytes_in == 2);
	check_ends_after(rig, peer, 500, GB_CLOSE_READ_TIMEOUT);
	peer_close(peer);
}

NET_TEST(messages_each_in_time_may_go_on_for_ever)
{
	struct peer *peer;

	rig->limits.read_timeout_ms = 1000;
	peer = begin(rig);
	for (unsigned i = 0; i < 20; i++) {
		peer_send(peer, "ab", 2);
		UNTIL(rig, peer, rig->counters.stats.bytes_in == 4 * i + 2);
		rig_pass(rig, 1000 - SLACK_MS);
		peer_send(peer, "c\n", 2);
		UNTIL(rig, peer, messages == i + 1);
		rig_pass(rig, 1000 - SLACK_MS); /* between messages nothing is late */
		CHECK_INT(rig->closed, 0);
	}
	rig_pass(rig, 60000);
	CHECK_INT(rig->closed, 0);
	peer_close(peer);
}

NET_TEST(who_takes_output_slowly_is_healthy)
{
	struct peer *peer;

	rig->limits.write_timeout_ms = 1000;
	peer = begin(rig);
	peer->read_max = 0;
	send_pattern(rig, 300000);
	send_pattern(rig, 300000);
	for (unsigned i = 0; i < 3; i++) {
		rig_pass(rig, 1000 - SLACK_MS);
		CHECK_INT(rig->closed, 0);
		peer->read_max += 100000;
		UNTIL(rig, peer, peer->got_size == peer->read_max);
		rig_step(rig, peer);
	}
	/* Then it takes nothing more: the time counts from what went last, once all that has room is under way. */
	for (unsigned i = 0; i < 3000; i++)
		rig_step(rig, NULL);
	if (gb_conn_output_size(rig->current) > 0) { /* where the sockets do not hold it all */
		rig_pass(rig, 1000 - SLACK_MS);
		CHECK_INT(rig->closed, 0);
		rig_pass(rig, 2 * SLACK_MS);
		UNTIL(rig, NULL, rig->closed == 1);
		CHECK_INT(rig->last_reason, GB_CLOSE_WRITE_TIMEOUT);
	}
	peer_close(peer);
}

/* With much queued, which a socket of the calm kernel does not hold. Returns NULL where this is no round for it. */
static struct peer *begin_stuck(struct rig *rig)
{
	struct peer *peer;

	if (rig->round > 0)
		return NULL;
	peer = begin(rig);
	peer->read_max = 0;
	sim_client_set_window(peer->client, 1000);
	send_pattern(rig, 500000);
	rig_step(rig, peer);
	return peer;
}

/* A socket is writable once a third of its buffer is free: who takes less in a write timeout takes output all the same.
 * Only with the sockets of the calm kernel. */
NET_TEST(who_takes_less_than_makes_room_is_healthy_and_then_stuck)
{
	struct peer *peer;
	unsigned passed_ms = 0;

	rig->limits.write_timeout_ms = 1000;
	peer = begin_stuck(rig);
	if (!peer)
		return;
	for (unsigned i = 0; i < 15; i++) {
		rig_pass(rig, 300);
		CHECK_INT(rig->closed, 0);
		peer->read_max += 1000;
		UNTIL(rig, peer, peer->got_size == peer->read_max);
	}
	for (; rig->closed == 0 && passed_ms < 5000; passed_ms += SLACK_MS)
		rig_pass(rig, SLACK_MS);
	CHECK(passed_ms >= 500 && passed_ms <= 1500 + 2 * SLACK_MS);
	CHECK_INT(rig->last_reason, GB_CLOSE_WRITE_TIMEOUT);
	peer_close(peer);
}

/* So that no look is late. */
static void pass_in_steps(struct rig *rig, uint64_t ms)
{
	for (uint64_t passed_ms = 0; passed_ms < ms && rig->closed == 0; passed_ms += 20)
		rig_pass(rig, 20);
}

/* Less than makes room, and seldom: not since the last look, but since half of the time. */
static void takes_at_times(struct rig *rig, struct peer *peer, uint64_t every_ms)
{
	for (unsigned i = 0; i < 15; i++) {
		pass_in_steps(rig, every_ms);
		CHECK_INT(rig->closed, 0);
		peer->read_max += 1000;
		UNTIL(rig, peer, peer->got_size == peer->read_max);
	}
}

/* Who is not read from is looked at every second. */
NET_TEST(who_takes_output_seldom_is_healthy_though_it_is_looked_at_often)
{
	struct peer *peer;

	rig->limits.write_timeout_ms = 10000;
	peer = begin_stuck(rig);
	if (!peer)
		return;
	gb_conn_pause(rig->current);
	takes_at_times(rig, peer, 4000);
	pass_in_steps(rig, 5000 - SLACK_MS);
	CHECK_INT(rig->closed, 0);
	pass_in_steps(rig, 10000 + 2 * SLACK_MS);
	CHECK_INT(rig->closed, 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_WRITE_TIMEOUT);
	peer_close(peer);
}

/* Nothing bounds it before, and then 30 s do. */
NET_TEST(output_that_stood_still_before_the_close_has_its_time_from_there)
{
	struct peer *peer;

	rig->limits.idle_timeout_ms = rig->limits.write_timeout_ms = 0;
	peer = begin_stuck(rig);
	if (!peer)
		return;
	pass_in_steps(rig, 100000);
	gb_conn_close(rig->current);
	takes_at_times(rig, peer, 12000);
	pass_in_steps(rig, 15000 - SLACK_MS);
	CHECK_INT(rig->closed, 0);
	pass_in_steps(rig, 30000 + 2 * SLACK_MS);
	CHECK_INT(rig->closed, 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_WRITE_TIMEOUT);
	peer_close(peer);
}

NET_TEST(output_that_has_gone_has_no_write_deadline)
{
	struct peer *peer;

	rig->limits.write_timeout_ms = 1000;
	peer = begin(rig);
	peer->read_max = 0;
	send_pattern(rig, 300000);
	rig_pass(rig, 500);
	peer->read_max = PEER_BYTES_MAX;
	UNTIL(rig, peer, peer->got_size == 300000);
	rig_pass(rig, 60000);
	CHECK_INT(rig->closed, 0);
	peer_close(peer);
}

NET_TEST(what_we_send_keeps_a_connection_from_idling)
{
	struct peer *peer;

	rig->limits.idle_timeout_ms = 1000;
	peer = begin(rig);
	for (unsigned i = 1; i <= 20; i++) {
		rig_pass(rig, 1000 - SLACK_MS);
		CHECK_INT(rig->closed, 0);
		send_pattern(rig, 1);
		UNTIL(rig, peer, peer->got_size == i);
	}
	check_ends_after(rig, peer, 1000, GB_CLOSE_IDLE);
	peer_close(peer);
}

NET_TEST(idling_counts_from_the_last_byte)
{
	struct peer *peer;

	rig->limits.idle_timeout_ms = 1000;
	peer = begin(rig);
	rig_pass(rig, 800);
	peer_send(peer, "half", 4);
	UNTIL(rig, peer, rig->counters.stats.bytes_in == 4);
	check_ends_after(rig, peer, 1000, GB_CLOSE_IDLE);
	peer_close(peer);
}

NET_TEST(a_timeout_of_zero_never_fires)
{
	struct peer *peer = begin(rig); /* the rig's are zero */

	peer_send(peer, "half", 4);
	UNTIL(rig, peer, rig->counters.stats.bytes_in == 4);
	peer->read_max = 0;
	send_pattern(rig, 300000);
	rig_pass(rig, 1000);
	rig_pass(rig, 6u * 24 * 3600 * 1000);
	CHECK_INT(rig->closed, 0);
	peer_close(peer);
}
