/*
 * Ends that come too early or never: deadlines after a late turn, states that nothing bounds, closing while the other
 * side still sends, resets of those who are not read from.
 */
#include "net/drain.h"
#include "net/task.h"
#include "rig.h"

#include <errno.h>

#define CROWD 700u /* more than one wait tells of */

static unsigned messages;

static void count_message(struct gb_conn *conn, struct gb_bytes message)
{
	messages++;
}

static void echo_message(struct gb_conn *conn, struct gb_bytes message)
{
	messages++;
	gb_conn_send(conn, message.data, message.size);
}

static const struct gb_service lines = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "lines",
	.codec = &gb_codec_line, .on_open = count_open, .on_message = echo_message, .on_close = count_close };
static const struct gb_service sink = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "sink",
	.on_open = count_open, .on_message = count_message, .on_close = count_close };

static struct peer *begin(struct rig *rig, const struct gb_service *service)
{
	struct peer *peer;

	messages = 0;
	peer = rig_peer(rig, service);
	rig_calm(rig);
	rig_step(rig, peer);
	return peer;
}

static void send_zeros(struct rig *rig, size_t size)
{
	static unsigned char data[1u << 19];

	CHECK_INT(gb_conn_send(rig->current, data, size), 0);
}

/* A turn that comes late, and behind it more input than one wait tells of. */
NET_TEST(input_that_is_there_beats_the_read_timeout)
{
	static struct peer *peers[CROWD];

	if (rig->round > 1)
		return;
	rig->limits.read_timeout_ms = 300;
	for (unsigned i = 0; i < CROWD; i++) {
		peers[i] = begin(rig, &lines);
		peer_send(peers[i], "hel", 3);
	}
	UNTIL(rig, NULL, rig->counters.stats.bytes_in == CROWD * 3);
	for (unsigned i = 0; i < CROWD; i++)
		CHECK_INT(sim_client_send(peers[i]->client, "lo\n", 3), 3);
	sim_turn(rig->sim); /* they arrive; nobody looks */
	sim_clock_advance(rig->sim, 1000 * 1000000ull);
	UNTIL(rig, NULL, messages == CROWD || rig->closed > 0);
	CHECK_INT(rig->closed, 0);
	CHECK_INT(messages, CROWD);
	for (unsigned i = 0; i < CROWD; i++)
		peer_close(peers[i]);
}

NET_TEST(input_that_is_there_beats_the_idle_timeout)
{
	static struct peer *peers[CROWD];

	if (rig->round > 1)
		return;
	rig->limits.idle_timeout_ms = 300;
	for (unsigned i = 0; i < CROWD; i++)
		peers[i] = begin(rig, &lines);
	messages = 0;
	for (unsigned i = 0; i < CROWD; i++)
		CHECK_INT(sim_client_send(peers[i]->client, "hello\n", 6), 6);
	sim_turn(rig->sim);
	sim_clock_advance(rig->sim, 1000 * 1000000ull);
	UNTIL(rig, NULL, messages == CROWD || rig->closed > 0);
	CHECK_INT(rig->closed, 0);
	for (unsigned i = 0; i < CROWD; i++)
		peer_close(peers[i]);
}

/* Always some byte is there when its deadline is judged: that helps once. */
NET_TEST(who_sends_a_message_byte_by_byte_is_ended_all_the_same)
{
	struct peer *peer;
	unsigned steps = 0;

	rig->limits.read_timeout_ms = 1000;
	peer = begin(rig, &lines);
	for (; rig->closed == 0 && !peer->at_end && steps < 400; steps++) {
		sim_client_send(peer->client, "x", 1);
		rig_pass(rig, 10);
		peer_read(peer);
	}
	CHECK(steps >= 95 && steps <= 230);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_READ_TIMEOUT);
	peer_close(peer);
}

/* Whoever is paused by the handler cannot be late. */
NET_TEST(the_read_timeout_stands_still_while_the_handler_pauses)
{
	struct peer *peer;

	rig->limits.read_timeout_ms = 1000;
	peer = begin(rig, &lines);
	peer_send(peer, "hel", 3);
	UNTIL(rig, peer, rig->counters.stats.bytes_in == 3);
	gb_conn_pause(rig->current); /* as from a timer */
	rig_step(rig, peer);
	peer_send(peer, "lo\n", 3);
	rig_pass(rig, 5000);
	CHECK_INT(rig->closed, 0);
	gb_conn_resume(rig->current);
	UNTIL(rig, peer, peer->got_size == 5);
	CHECK_INT(rig->closed, 0);
	peer_close(peer);
}

/* write-timeout 0: the idle timeout ended it, and then nothing did. */
NET_TEST(a_peer_that_reads_nothing_goes_although_there_is_no_write_timeout)
{
	static const uint64_t idles[] = { 300, 0 };

	if (rig->round > 0) /* small sockets take little, but for long */
		return;
	for (unsigned i = 0; i < 2; i++) {
		struct peer *peer;

		rig->limits.idle_timeout_ms = idles[i];
		rig->limits.write_timeout_ms = 0;
		rig->closed = rig->opened = 0;
		peer = begin(rig, &sink);
		peer->read_max = 0;
		send_zeros(rig, 500000);
		if (!idles[i])
			gb_conn_close(rig->current);
		for (unsigned steps = 0; rig->closed == 0; steps++) {
			CHECK(steps < 400);
			rig_pass(rig, 100);
		}
		CHECK_INT(rig->last_reason, GB_CLOSE_WRITE_TIMEOUT);
		UNTIL(rig, peer, peer->was_reset);
		peer_close(peer);
	}
}

/* The whole reply arrives although the peer sends first and reads then. */
NET_TEST(closing_reads_what_a_peer_sends_before_it_reads)
{
	static char upload[4096];
	struct peer *peer = begin(rig, &sink);
	size_t sent = 0;
	unsigned steps = 0;

	peer->read_max = 0;
	send_zeros(rig, 400000);
	gb_conn_close(rig->current);
	while (sent < 1000000) {
		CHECK(++steps < 100000);
		sent += sim_client_send(peer->client, upload, sizeof(upload));
		rig_step(rig, peer);
	}
	peer->read_max = PEER_BYTES_MAX;
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, peer->at_end);
	CHECK_INT(peer->got_size, 400000);
	CHECK(!peer->was_reset);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_LOCAL);
	peer_close(peer);
}

/* Bytes that still come extend it, up to its own bound. */
NET_TEST(lingering_goes_on_while_bytes_come_and_then_ends)
{
	struct peer *peer;
	unsigned passed = 0;

	rig->limits.linger_timeout_ms = 1000;
	rig->limits.linger_max_ms = 6000;
	peer = begin(rig, &sink);
	gb_conn_close(rig->current);
	UNTIL(rig, peer, peer->at_end);
	for (; rig->closed == 0 && passed < 20000; passed += 500) {
		sim_client_send(peer->client, "upload", 6);
		rig_pass(rig, 500);
	}
	CHECK(passed >= 5500 && passed <= 7000);
	CHECK_INT(rig->last_reason, GB_CLOSE_LOCAL);
	peer_close(peer);
}

/* Output that the kernel holds and the peer takes, slowly, extends it as well. */
NET_TEST(lingering_goes_on_while_the_peer_takes_what_was_sent)
{
	struct peer *peer;

	if (rig->round > 0)
		return;
	rig->limits.linger_timeout_ms = 1000;
	peer = begin(rig, &sink);
	sim_client_set_window(peer->client, 1000);
	send_zeros(rig, 60000);
	gb_conn_close(rig->current);
	for (unsigned i = 0; i < 10; i++) {
		peer->read_max = 1000 * (i + 1);
		rig_step(rig, peer);
		rig_pass(rig, 900);
		CHECK_INT(rig->closed, 0);
	}
	peer->read_max = PEER_BYTES_MAX;
	UNTIL(rig, peer, peer->at_end);
	CHECK_INT(peer->got_size, 60000);
	peer_close(peer);
}

static void check_reset_is_noticed(struct rig *rig, struct peer *peer)
{
	rig_step(rig, peer);
	sim_client_reset(peer->client);
	rig_step(rig, NULL);
	for (unsigned i = 0; i < 12 && rig->closed == 0; i++)
		rig_pass(rig, 100);
	UNTIL(rig, NULL, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_RESET);
	peer_close(peer);
}

NET_TEST(a_reset_is_noticed_while_input_is_paused)
{
	struct peer *peer = begin(rig, &lines);

	gb_conn_pause(rig->current);
	rig_step(rig, peer);
	peer_send(peer, "unread", 6);
	rig_step(rig, peer);
	check_reset_is_noticed(rig, peer);
}

/* A ring's receive may have taken the error from the kernel before it could be cancelled. */
NET_TEST(a_reset_is_noticed_that_comes_together_with_the_pause)
{
	struct peer *peer = begin(rig, &lines);

	gb_conn_pause(rig->current);
	sim_client_reset(peer->client);
	sim_turn(rig->sim);
	for (unsigned i = 0; i < 12 && rig->closed == 0; i++)
		rig_pass(rig, 100);
	UNTIL(rig, NULL, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_RESET);
	peer_close(peer);
}

/* Output is on its way when it is paused, and all of it leaves. */
NET_TEST(a_reset_is_noticed_after_a_last_answer)
{
	struct peer *peer;

	rig->limits.write_timeout_ms = 30000;
	peer = begin(rig, &lines);
	gb_conn_pause(rig->current);
	CHECK_INT(gb_conn_send(rig->current, "wait", 4), 0);
	UNTIL(rig, peer, peer->got_size == 4);
	check_reset_is_noticed(rig, peer);
}

static void stay(struct gb_conn *conn)
{
}

NET_TEST(a_reset_is_noticed_when_the_peer_has_half_closed)
{
	static const struct gb_service stayer = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "stayer",
		.on_open = count_open, .on_message = count_message, .on_eof = stay, .on_close = count_close };
	struct peer *peer = begin(rig, &stayer);

	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->current->state == GB__CONN_HALF_CLOSED);
	check_reset_is_noticed(rig, peer);
}

static struct gb__job *in_pool;

static void submit(void *arg, struct gb__job *job)
{
	in_pool = job;
}

NET_TEST(a_reset_cancels_the_handler_that_runs_in_the_pool)
{
	struct peer *peer;

	in_pool = NULL;
	gb__net_submit_to(&rig->net, submit, NULL, 4);
	peer = begin(rig, &lines);
	peer_send(peer, "work\n", 5);
	UNTIL(rig, peer, in_pool != NULL);
	CHECK(!gb_conn_cancelled(&gb__container_of(in_pool, struct gb__task, job)->facade));
	rig_step(rig, peer);
	sim_client_reset(peer->client);
	for (unsigned i = 0;
		i < 12 && !gb_conn_cancelled(&gb__container_of(in_pool, struct gb__task, job)->facade); i++)
		rig_pass(rig, 100);
	CHECK(gb_conn_cancelled(&gb__container_of(in_pool, struct gb__task, job)->facade));
	CHECK_INT(rig->closed, 0);
	gb__task_run(in_pool);
	UNTIL(rig, NULL, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_RESET);
	peer_close(peer);
}

static char rest[64]; /* what was told of a cut message, each time with a bar before it */

static void note_rest(struct gb_conn *conn)
{
	struct gb_bytes bytes = gb_conn_rest(conn);

	CHECK(strlen(rest) + bytes.size + 2 < sizeof(rest));
	if (bytes.size > 0)
		strncat(strcat(rest, "|"), (const char *)bytes.data, bytes.size);
}

static void rest_at_eof(struct gb_conn *conn)
{
	note_rest(conn);
	gb_conn_end_output(conn);
}

static void rest_at_error(struct gb_conn *conn, int reason)
{
	if (reason == GB_CLOSE_READ_TIMEOUT)
		note_rest(conn);
}

static void rest_at_close(struct gb_conn *conn, int reason)
{
	note_rest(conn);
	count_close(conn, reason);
}

static const struct gb_service cut_lines = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "cut lines",
	.codec = &gb_codec_line, .on_open = count_open, .on_message = count_message, .on_eof = rest_at_eof,
	.on_error = rest_at_error, .on_close = rest_at_close };

NET_TEST(what_has_come_of_a_message_that_is_cut_is_told_once)
{
	static const char *const sent[] = { "one\ntw", "one\n", "one\ntwo\n\nthree", "x" };

	rig->limits.read_timeout_ms = 1000;
	for (unsigned i = 0; i < 3 * sizeof(sent) / sizeof(*sent); i++) {
		const char *text = sent[i / 3], *left = strrchr(text, '\n') ? strrchr(text, '\n') + 1 : text;
		const bool timeout = i % 3 == 2 && *left;
		struct peer *peer = begin(rig, &cut_lines);

		rig->opened = 1;
		rig->closed = 0;
		rest[0] = '\0';
		peer_send(peer, text, strlen(text));
		UNTIL(rig, peer, gb_conn_rest(rig->current).size == strlen(left) && (*left || messages > 0));
		CHECK_STR(rest, "");
		if (timeout)
			rig_pass(rig, 2000);
		else if (i % 3 == 1)
			sim_client_reset(peer->client);
		else
			sim_client_shutdown(peer->client);
		UNTIL(rig, peer, timeout ? peer->at_end || rig->closed == 1 : rig->closed == 1);
		CHECK_STR(*rest ? rest + 1 : rest, left);
		peer_close(peer);
		UNTIL(rig, NULL, rig->closed == 1);
		CHECK_STR(*rest ? rest + 1 : rest, left);
	}
}
