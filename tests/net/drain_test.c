/* A drain waits for what is under way, and tells those who know better. */
#include "net/drain.h"
#include "net/task.h"
#include "rig.h"

static unsigned told;

static int keep_open(struct gb_conn *conn)
{
	told = 0;
	return count_open(conn);
}

static void say_nothing(struct gb_conn *conn, struct gb_bytes message)
{
}

static void echo(struct gb_conn *conn, struct gb_bytes message)
{
	gb_conn_send(conn, message.data, message.size);
}

static void count_drain(struct gb_conn *conn)
{
	told++;
}

static void stay(struct gb_conn *conn)
{
}

/* Its answers come from elsewhere. */
static const struct gb_service stream = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "stream",
	.on_open = keep_open, .on_message = say_nothing, .on_eof = stay, .on_drain = count_drain,
	.on_close = count_close };
static const struct gb_service lines = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "lines",
	.codec = &gb_codec_line, .on_open = keep_open, .on_message = echo, .on_drain = count_drain,
	.on_close = count_close };

static struct peer *begin(struct rig *rig, const struct gb_service *service)
{
	struct peer *peer = rig_peer(rig, service);

	peer_send(peer, "get\n", 4);
	UNTIL(rig, peer, rig->counters.stats.messages > 0 && rig->counters.stats.bytes_in >= 4);
	rig_calm(rig);
	rig_step(rig, peer);
	return peer;
}

static void drain(struct rig *rig, struct peer *peer)
{
	gb__net_drain(&rig->net);
	for (unsigned i = 0; i < 50; i++)
		rig_step(rig, peer);
}

static void let_end(struct rig *rig, struct peer *peer)
{
	UNTIL(rig, peer, peer->at_end);
	CHECK(!peer->was_reset);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_DRAIN);
	CHECK_INT(told, 1);
	peer_close(peer);
}

NET_TEST(who_is_answered_where_it_asks_ends_at_once)
{
	struct peer *peer = begin(rig, &lines);

	drain(rig, peer);
	CHECK(peer->at_end);
	let_end(rig, peer);
}

static void say_goodbye(struct gb_conn *conn)
{
	told++;
	gb_conn_send(conn, "bye", 3);
}

/* The kernel may take the last word at once: then nobody calls the connection again. */
NET_TEST(a_last_word_at_a_drain_does_not_keep_it)
{
	static const struct gb_service polite = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "polite",
		.codec = &gb_codec_line, .on_open = keep_open, .on_message = echo, .on_drain = say_goodbye,
		.on_close = count_close };
	struct peer *peer = begin(rig, &polite);

	drain(rig, peer);
	let_end(rig, peer);
}

/* Pieces come from outside its callbacks, with pauses between: as from a backend, or by a timer. */
NET_TEST(a_stream_under_way_is_not_cut)
{
	struct peer *peer = begin(rig, &stream);

	drain(rig, peer);
	for (unsigned i = 0; i < 20; i++) {
		rig_pass(rig, GB__DRAIN_QUIET_MS * 3 / 4);
		CHECK(!peer->at_end);
		CHECK_INT(gb_conn_send(rig->current, "piece", 5), 0);
		rig_step(rig, peer);
	}
	UNTIL(rig, peer, peer->got_size == 100);
	rig_pass(rig, GB__DRAIN_QUIET_MS + 100);
	let_end(rig, peer);
}

NET_TEST(an_answer_that_comes_later_is_waited_for)
{
	struct peer *peer = begin(rig, &stream);

	drain(rig, peer);
	rig_pass(rig, GB__DRAIN_QUIET_MS * 3 / 4);
	CHECK_INT(gb_conn_send(rig->current, "late", 4), 0);
	rig_pass(rig, GB__DRAIN_QUIET_MS / 2);
	CHECK_INT(rig->closed, 0);
	UNTIL(rig, peer, peer->got_size == 4);
	CHECK(!peer->at_end);
	rig_pass(rig, GB__DRAIN_QUIET_MS);
	let_end(rig, peer);
}

NET_TEST(a_hold_keeps_it_from_a_drain_and_from_the_idle_timeout)
{
	struct peer *peer;

	rig->limits.idle_timeout_ms = 5000;
	peer = begin(rig, &lines);
	gb_conn_hold(rig->current);
	gb_conn_hold(rig->current);
	rig_pass(rig, 20000);
	CHECK_INT(rig->closed, 0);
	drain(rig, peer);
	gb_conn_release(rig->current);
	rig_pass(rig, 20000);
	peer_read(peer);
	CHECK(!peer->at_end);
	gb_conn_release(rig->current);
	for (unsigned i = 0; i < 20; i++)
		rig_step(rig, peer);
	CHECK(peer->at_end);
	let_end(rig, peer);
}

NET_TEST(the_idle_timeout_begins_anew_when_a_hold_is_released)
{
	struct peer *peer;

	rig->limits.idle_timeout_ms = 5000;
	peer = begin(rig, &lines);
	gb_conn_hold(rig->current);
	rig_pass(rig, 20000);
	gb_conn_release(rig->current);
	rig_pass(rig, 4800);
	peer_read(peer);
	CHECK(!peer->at_end);
	rig_pass(rig, 400);
	UNTIL(rig, peer, peer->at_end);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_IDLE);
	peer_close(peer);
}

/* Whoever paused it, or owes an answer to its end of input, will go on. */
NET_TEST(who_is_paused_or_half_closed_is_held)
{
	struct peer *peer = begin(rig, &stream);
	bool pauses = test_random(&rig->random) & 1u;

	if (pauses) {
		gb_conn_pause(rig->current);
	} else {
		sim_client_shutdown(peer->client);
		UNTIL(rig, peer, rig->current->state == GB__CONN_HALF_CLOSED);
	}
	for (unsigned i = 0; i < 20; i++)
		rig_step(rig, peer);
	drain(rig, peer);
	rig_pass(rig, 10 * GB__DRAIN_QUIET_MS);
	peer_read(peer);
	CHECK(!peer->at_end);
	CHECK_INT(told, 1);
	CHECK_INT(rig->counters.census.connections, 1);
	CHECK_INT(rig->counters.census.held, 1);
	gb_conn_close(rig->current);
	UNTIL(rig, peer, peer->at_end);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 1);
	peer_close(peer);
}

NET_TEST(what_a_drain_waits_for_is_counted)
{
	static char much[900000];
	struct peer *output = begin(rig, &lines), *message, *held;

	output->read_max = output->got_size = 0;
	sim_client_set_window(output->client, 1000);
	CHECK_INT(gb_conn_send(rig->current, much, sizeof(much)), 0);
	message = rig_peer(rig, &lines);
	held = rig_peer(rig, &lines);
	gb_conn_hold(rig->current);
	peer_send(message, "half", 4);
	rig_step(rig, message);
	drain(rig, output);
	rig_pass(rig, 500);
	CHECK_INT(rig->counters.census.connections, 3);
	CHECK_INT(rig->counters.census.message, 1);
	CHECK_INT(rig->counters.census.held, 1);
	CHECK_INT(rig->counters.census.output, 1);
	peer_close(output);
	peer_close(message);
	peer_close(held);
}

/* The end of its patience: what is cut looks so. */
NET_TEST(what_the_end_of_a_drain_cuts_is_reset)
{
	struct peer *peer = begin(rig, &stream);

	CHECK_INT(gb_conn_send(rig->current, "half of it", 10), 0);
	UNTIL(rig, peer, peer->got_size == 10);
	drain(rig, peer);
	CHECK_INT(rig->closed, 0);
	gb__net_abort_all(&rig->net, GB_CLOSE_DRAIN);
	UNTIL(rig, peer, rig->closed == 1);
	UNTIL(rig, peer, peer->was_reset);
	CHECK_INT(rig->last_reason, GB_CLOSE_DRAIN);
	peer_close(peer);
}

/* All was sent and our FIN is out: the kernel is to deliver it. */
NET_TEST(the_end_of_a_drain_does_not_reset_who_was_sent_everything)
{
	struct peer *peer = begin(rig, &lines);

	gb_conn_close(rig->current);
	UNTIL(rig, peer, peer->at_end);
	gb__net_drain(&rig->net);
	gb__net_abort_all(&rig->net, GB_CLOSE_DRAIN);
	UNTIL(rig, peer, rig->closed == 1);
	for (unsigned i = 0; i < 20; i++)
		rig_step(rig, peer);
	CHECK(!peer->was_reset);
	CHECK_INT(rig->last_reason, GB_CLOSE_LOCAL);
	peer_close(peer);
}

static struct gb__job *in_pool;

static void submit(void *arg, struct gb__job *job)
{
	in_pool = job;
}

static void hold_message(struct gb_conn *conn, struct gb_bytes message)
{
	if (message.size == 4)
		gb_conn_hold(conn);
	else
		gb_conn_release(conn);
	gb_conn_send(conn, message.data, message.size);
}

NET_TEST(a_pools_handler_is_waited_for_and_may_hold)
{
	static const struct gb_service pooled = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "pooled",
		.codec = &gb_codec_line, .on_open = keep_open, .on_message = hold_message,
		.on_drain = count_drain, .on_close = count_close };
	struct peer *peer;

	in_pool = NULL;
	gb__net_submit_to(&rig->net, submit, NULL, 4);
	peer = rig_peer(rig, &pooled);
	rig_calm(rig);
	peer_send(peer, "hold\n", 5);
	UNTIL(rig, peer, in_pool != NULL);
	drain(rig, peer);
	rig_pass(rig, 5000);
	CHECK_INT(told, 0); /* nothing else is called meanwhile */
	CHECK_INT(rig->counters.census.pooled, 1);
	gb__task_run(in_pool);
	UNTIL(rig, peer, peer->got_size == 4 && told == 1);
	rig_pass(rig, 5000);
	peer_read(peer);
	CHECK(!peer->at_end);
	in_pool = NULL;
	peer_send(peer, "release\n", 8);
	UNTIL(rig, peer, in_pool != NULL);
	gb__task_run(in_pool);
	let_end(rig, peer);
}
