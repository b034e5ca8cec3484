/* A pool of connections to one peer: who gets which, what of those that are no good, and when none is to be had. */
#include "upstream_driver.h"

#include <gearbox/proxy.h>

#include <errno.h>

static unsigned opens, ends;

static int note_open(struct gb_conn *conn)
{
	opens++;
	return 0;
}

static char got[64];
static size_t got_size;
static bool gives; /* where it is answered */

static void note_message(struct gb_conn *conn, struct gb_bytes message)
{
	CHECK(got_size + message.size < sizeof(got));
	memcpy(got + got_size, message.data, message.size);
	got_size += message.size;
	if (gives)
		CHECK_INT(gb_upstream_give(conn, true), 0);
}

static int end_reason;

static void note_end(struct gb_conn *conn, int reason)
{
	ends++;
	end_reason = reason;
}

static const struct gb_service service = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "far",
	.codec = &gb_codec_line, .on_open = note_open, .on_message = note_message, .on_close = note_end };

static struct gb_upstream *pool(struct rig *rig, struct gb_upstream_options options)
{
	opens = ends = 0;
	got_size = 0;
	gives = false;
	return pool_of(rig, &service, options, NULL);
}

/* Takes that are told into `order`. */
#define TAKERS 4u
static struct gb_taking takings[TAKERS];
static unsigned order[TAKERS], told;
static struct gb_taking *gives_up; /* when another one is told */

static void note_taken(struct gb_operation *operation, void *user)
{
	CHECK(told < TAKERS);
	order[told++] = (unsigned)((struct gb_taking *)operation - takings);
	if (gives_up) {
		gb_operation_cancel(&gives_up->operation);
		gives_up = NULL;
	}
}

static void take(struct gb_upstream *upstream, unsigned taker)
{
	struct gb_operation *operation =
		gb_upstream_take_begin(upstream, &takings[taker], &takings[taker], note_taken, NULL);

	CHECK(gb_operation_pending(operation));
}

static int result_of(unsigned taker)
{
	CHECK(!gb_operation_pending(&takings[taker].operation));
	return gb_operation_result(&takings[taker].operation);
}

static struct gb_conn *taken(struct rig *rig, struct gb_upstream *upstream)
{
	told = 0;
	take(upstream, 0);
	UNTIL(rig, NULL, told == 1);
	CHECK_INT(result_of(0), 0);
	CHECK(gb_conn_user(takings[0].conn) == &takings[0]);
	return takings[0].conn;
}

static void exchange(struct rig *rig, struct gb_conn *conn, struct peer *peer)
{
	size_t before = peer->got_size;

	got_size = 0;
	CHECK_INT(gb_conn_send(conn, "ask\n", 4), 0);
	UNTIL(rig, peer, peer->got_size == before + 4);
	peer_send(peer, "answer\n", 7);
	UNTIL(rig, peer, got_size == 6);
}

NET_TEST(what_is_given_back_is_lent_again)
{
	struct gb_upstream *upstream;
	struct gb_conn *conn, *again;
	struct peer peer;

	listen_anew(rig, 4);
	upstream = pool(rig, (struct gb_upstream_options){ 0 });
	CHECK_INT(gb_upstream_try_take(upstream, NULL, &conn), -EAGAIN);
	conn = taken(rig, upstream);
	CHECK_INT(gb_conn_send_proxy(conn, NULL, GB_PROXY_V2), -EBUSY); /* its clients change */
	peer = far_end(rig);
	for (unsigned i = 0; i < 3; i++) {
		exchange(rig, conn, &peer);
		CHECK_INT(gb_upstream_give(conn, true), 0);
		CHECK_INT(gb_upstream_give(conn, true), -EINVAL);
		CHECK_INT(stats(upstream).idle, 1);
		if (i == 1) {
			/* Once what was sent has gone. */
			UNTIL(rig, NULL, gb_upstream_try_take(upstream, &takings[1], &again) == 0);
			CHECK(gb_conn_user(again) == &takings[1]);
		} else {
			again = taken(rig, upstream);
		}
		CHECK(again == conn);
	}
	CHECK_INT(opens, 1); /* once for each connection */
	CHECK_INT(rig->counters.stats.connected, 1);
	CHECK_INT(stats(upstream).taken, 4);
	CHECK_INT(stats(upstream).reused, 3);
	CHECK_INT(gb_upstream_give(conn, true), 0);
	sim_client_shutdown(peer.client);
	UNTIL(rig, &peer, peer.at_end && rig->net.connections == 0);
	CHECK(!peer.was_reset);
	CHECK_INT(ends, 0); /* of an idle one nobody is told */
	CHECK_INT(stats(upstream).open, 0);
	CHECK_INT(stats(upstream).dropped, 1);
	far_close(&peer);
	finish(rig, upstream);
}

/* Nobody has told us yet: the kernel is asked. */
static void check_dropped(struct rig *rig, void (*spoil)(struct peer *peer))
{
	struct gb_upstream *upstream;
	struct gb_conn *conn;
	struct peer peer, other;

	listen_anew(rig, 4);
	upstream = pool(rig, (struct gb_upstream_options){ 0 });
	conn = taken(rig, upstream);
	peer = far_end(rig);
	exchange(rig, conn, &peer);
	CHECK_INT(gb_upstream_give(conn, true), 0);
	rig_pass(rig, 10);
	spoil(&peer);
	rig_calm(rig);
	sim_turn(rig->sim);
	sim_turn(rig->sim);
	conn = taken(rig, upstream);
	other = far_end(rig);
	exchange(rig, conn, &other);
	CHECK_INT(stats(upstream).dropped, 1);
	CHECK_INT(rig->counters.stats.connected, 2);
	UNTIL(rig, NULL, stats(upstream).open == 1);
	CHECK_INT(ends, 0);
	CHECK_INT(gb_upstream_give(conn, true), 0);
	far_close(&peer);
	far_close(&other);
	finish(rig, upstream);
}

static void say_more(struct peer *peer)
{
	peer_send(peer, "by the way", 10); /* no line even */
}

NET_TEST(an_idle_one_that_is_readable_is_dropped)
{
	check_dropped(rig, say_more);
}

static void go_away(struct peer *peer)
{
	sim_client_shutdown(peer->client);
}

NET_TEST(an_idle_one_that_was_closed_is_dropped)
{
	check_dropped(rig, go_away);
}

static void break_off(struct peer *peer)
{
	sim_client_reset(peer->client);
}

NET_TEST(an_idle_one_that_was_reset_is_dropped)
{
	check_dropped(rig, break_off);
}

NET_TEST(those_who_wait_are_served_in_order)
{
	struct gb_upstream *upstream;
	struct gb_conn *conn;
	struct peer peer;

	listen_anew(rig, 4);
	upstream = pool(rig, (struct gb_upstream_options){ .open_max = 1, .waiting_max = 3 });
	told = 0;
	for (unsigned taker = 0; taker < 4; taker++)
		take(upstream, taker);
	UNTIL(rig, NULL, told == 2);
	CHECK_INT(result_of(3), -EAGAIN); /* too many */
	CHECK_INT(result_of(0), 0);
	peer = far_end(rig);
	conn = takings[0].conn;
	for (unsigned taker = 1; taker < 3; taker++) {
		exchange(rig, conn, &peer);
		CHECK_INT(told, 1 + taker);
		CHECK_INT(gb_upstream_give(conn, true), 0);
		CHECK_INT(gb_upstream_try_take(upstream, NULL, &conn), -EAGAIN); /* others were first */
		UNTIL(rig, &peer, told == 2 + taker);
		CHECK_INT(order[1 + taker], taker);
		CHECK_INT(result_of(taker), 0);
		CHECK(takings[taker].conn == conn);
	}
	CHECK_INT(rig->counters.stats.connected, 1);
	/* One that is no good makes room for another. */
	told = 0;
	take(upstream, 3);
	rig_step(rig, &peer);
	CHECK_INT(told, 0);
	CHECK_INT(gb_upstream_give(conn, false), 0);
	UNTIL(rig, &peer, told == 1);
	CHECK_INT(result_of(3), 0);
	CHECK_INT(rig->counters.stats.connected, 2);
	CHECK_INT(gb_upstream_give(takings[3].conn, true), 0);
	far_close(&peer);
	finish(rig, upstream);
}

NET_TEST(who_waits_too_long_is_told_and_who_gives_up_as_well)
{
	struct gb_upstream *upstream;
	struct gb_conn *conn;

	listen_anew(rig, 4);
	upstream = pool(rig, (struct gb_upstream_options){ .open_max = 1, .wait_ms = 500 });
	conn = taken(rig, upstream);
	rig_calm(rig);
	told = 0;
	take(upstream, 1);
	take(upstream, 2);
	gb_operation_cancel(&takings[1].operation);
	gb_operation_cancel(&takings[1].operation);
	CHECK_INT(told, 0);
	UNTIL(rig, NULL, told == 1);
	CHECK_INT(result_of(1), -ECANCELED);
	rig_pass(rig, 450);
	CHECK_INT(told, 1);
	rig_pass(rig, 100);
	UNTIL(rig, NULL, told == 2);
	CHECK_INT(result_of(2), -ETIMEDOUT);
	CHECK_INT(stats(upstream).waiting, 0);
	CHECK_INT(gb_upstream_give(conn, true), 0);
	finish(rig, upstream);
}

NET_TEST(one_that_is_established_when_nobody_waits_any_more_opens_when_it_is_lent)
{
	struct gb_upstream *upstream;
	struct gb_conn *conn;

	listen_anew(rig, 4);
	upstream = pool(rig, (struct gb_upstream_options){ .open_max = 2 });
	told = 0;
	take(upstream, 1);
	take(upstream, 2);
	gives_up = &takings[2];
	UNTIL(rig, NULL, told == 2 && stats(upstream).idle == 1);
	CHECK_INT(result_of(1), 0);
	CHECK_INT(result_of(2), -ECANCELED);
	CHECK_INT(opens, 1);
	conn = taken(rig, upstream);
	CHECK(conn != takings[1].conn);
	CHECK_INT(opens, 2);
	CHECK_INT(gb_upstream_give(conn, true), 0);
	CHECK_INT(gb_upstream_give(takings[1].conn, true), 0);
	finish(rig, upstream);
}

NET_TEST(what_cannot_be_connected_to_is_tried_again_after_a_while_that_grows)
{
	struct gb_upstream *upstream;
	struct gb_conn *conn;
	unsigned tries = 0;

	listen_anew(rig, 4);
	stop_listening(rig);
	rig_calm(rig);
	upstream = pool(rig,
		(struct gb_upstream_options){ .back_off_ms = 100, .back_off_max_ms = 1000, .wait_ms = 5000 });
	told = 0;
	take(upstream, 0);
	for (unsigned ms = 0; ms < 4000; ms += 10)
		rig_pass(rig, 10);
	/* 0, 50 to 100, 150 to 300, 350 to 700, 750 to 1500, and then each 500 to 1000. */
	tries = (unsigned)stats(upstream).connects_failed;
	CHECK(tries >= 6 && tries <= 11);
	CHECK_INT(stats(upstream).error, -ECONNREFUSED);
	CHECK_INT(told, 0);
	for (unsigned ms = 0; ms < 1100; ms += 100)
		rig_pass(rig, 100);
	CHECK_INT(told, 1);
	CHECK_INT(result_of(0), -ECONNREFUSED); /* why nobody came */
	listener = sim_listen(rig->sim, ntohs(address.v4.sin_port), 4);
	CHECK(listener >= 0);
	told = 0;
	take(upstream, 0);
	for (unsigned ms = 0; ms < 1100 && told == 0; ms += 100)
		rig_pass(rig, 100);
	UNTIL(rig, NULL, told == 1);
	CHECK_INT(result_of(0), 0);
	CHECK_INT(stats(upstream).error, 0);
	conn = takings[0].conn;
	CHECK_INT(gb_upstream_give(conn, true), 0);
	finish(rig, upstream);
}

NET_TEST(who_does_not_want_to_wait_is_told_at_once_that_connecting_fails)
{
	struct gb_upstream *upstream;

	listen_anew(rig, 4);
	stop_listening(rig);
	upstream = pool(rig, (struct gb_upstream_options){ .fails_fast = true });
	told = 0;
	take(upstream, 0);
	take(upstream, 1);
	UNTIL(rig, NULL, told == 2);
	CHECK_INT(result_of(0), -ECONNREFUSED);
	CHECK_INT(result_of(1), -ECONNREFUSED);
	take(upstream, 2);
	UNTIL(rig, NULL, told == 3);
	CHECK_INT(result_of(2), -ECONNREFUSED);
	CHECK(stats(upstream).connects_failed <= 2);
	listen_anew(rig, 1);
	finish(rig, upstream);
}

/* Each ends, and what was idle beside it goes with the last one that was allowed. */
NET_TEST(uses_that_fail_in_a_row_end_in_a_pause)
{
	struct gb_upstream *upstream;
	struct gb_conn *conns[2];

	listen_anew(rig, 8);
	rig_calm(rig);
	upstream = pool(rig, (struct gb_upstream_options){ .failures_max = 2, .back_off_ms = 1000 });
	conns[0] = taken(rig, upstream);
	conns[1] = taken(rig, upstream);
	CHECK_INT(gb_upstream_give(conns[0], false), 0);
	conns[0] = taken(rig, upstream);
	CHECK_INT(gb_upstream_give(conns[1], true), 0); /* so they are not in a row */
	CHECK_INT(gb_upstream_give(conns[0], false), 0);
	conns[0] = taken(rig, upstream);
	conns[1] = taken(rig, upstream);
	CHECK(conns[0] != conns[1]);
	CHECK_INT(gb_upstream_give(conns[0], false), 0);
	CHECK_INT(stats(upstream).uses_failed, 3);
	CHECK_INT(stats(upstream).idle, 0);
	told = 0;
	take(upstream, 0);
	rig_pass(rig, 400);
	CHECK_INT(told, 0);
	rig_pass(rig, 700);
	UNTIL(rig, NULL, told == 1);
	CHECK_INT(result_of(0), 0);
	CHECK_INT(gb_upstream_give(takings[0].conn, true), 0);
	CHECK_INT(gb_upstream_give(conns[1], true), 0);
	finish(rig, upstream);
}

/* A reset of who was asked is his, and is told to who had it. */
NET_TEST(one_that_ends_while_it_is_lent_is_told_and_counted)
{
	struct gb_upstream *upstream;
	struct gb_conn *conn;
	struct peer peer;

	listen_anew(rig, 4);
	upstream = pool(rig, (struct gb_upstream_options){ 0 });
	conn = taken(rig, upstream);
	peer = far_end(rig);
	exchange(rig, conn, &peer);
	sim_client_reset(peer.client);
	UNTIL(rig, NULL, ends == 1);
	CHECK_INT(end_reason, GB_CLOSE_RESET);
	CHECK_INT(stats(upstream).open, 0);
	CHECK_INT(stats(upstream).uses_failed, 1);
	far_close(&peer);
	finish(rig, upstream);
}

/* The next exchange would not begin at its beginning. */
NET_TEST(what_is_not_at_its_beginning_is_not_lent_again)
{
	struct gb_upstream *upstream;
	struct gb_conn *conn;
	struct peer peer;

	listen_anew(rig, 8);
	upstream = pool(rig, (struct gb_upstream_options){ 0 });
	for (unsigned i = 0; i < 3; i++) {
		conn = taken(rig, upstream);
		peer = far_end(rig);
		exchange(rig, conn, &peer);
		if (i == 0) {
			peer_send(&peer, "half a li", 9);
			UNTIL(rig, &peer, conn->flags & GB__CONN_KEPT);
		} else if (i == 1) {
			gb_conn_hold(conn);
		} else {
			CHECK_INT(gb_conn_end_output(conn), 0);
		}
		CHECK_INT(gb_upstream_give(conn, true), 0);
		CHECK_INT(stats(upstream).idle, 0);
		sim_client_shutdown(peer.client);
		UNTIL(rig, &peer, peer.at_end || peer.was_reset);
		UNTIL(rig, &peer, stats(upstream).open == 0);
		far_close(&peer);
	}
	CHECK_INT(ends, 0);
	CHECK_INT(stats(upstream).uses_failed, 0);
	finish(rig, upstream);
}

/* More than the kernel takes at once: who waits gets it behind that. */
NET_TEST(what_is_given_back_with_output_left_is_lent_again_when_that_has_gone)
{
	static char much[300000];
	struct gb_upstream *upstream;
	struct gb_conn *conn;
	struct peer peer;

	listen_anew(rig, 4);
	upstream = pool(rig, (struct gb_upstream_options){ 0 });
	conn = taken(rig, upstream);
	peer = far_end(rig);
	sim_client_set_window(peer.client, 1000);
	CHECK_INT(gb_conn_send(conn, much, sizeof(much)), 0);
	CHECK_INT(gb_upstream_give(conn, true), 0);
	told = 0;
	take(upstream, 1);
	for (unsigned i = 0; i < 10; i++)
		rig_step(rig, NULL);
	CHECK_INT(told, 0);
	UNTIL(rig, &peer, told == 1);
	CHECK(takings[1].conn == conn);
	UNTIL(rig, &peer, peer.got_size == sizeof(much));
	CHECK_INT(gb_upstream_give(conn, true), 0);
	CHECK_INT(rig->counters.stats.connected, 1);
	far_close(&peer);
	finish(rig, upstream);
}

/* Inside a delivery, of which more may be left. */
static void check_given_inside(struct rig *rig, const char *said, bool lasts)
{
	struct gb_upstream *upstream;
	struct gb_conn *conn;
	struct peer peer;

	listen_anew(rig, 4);
	rig_calm(rig);
	upstream = pool(rig, (struct gb_upstream_options){ 0 });
	conn = taken(rig, upstream);
	peer = far_end(rig);
	gives = true;
	peer_send(&peer, said, strlen(said));
	UNTIL(rig, &peer, got_size > 0);
	CHECK_INT(got_size, 6);
	gives = false;
	rig_step(rig, &peer);
	taken(rig, upstream);
	CHECK_INT(rig->counters.stats.connected, lasts ? 1 : 2);
	if (lasts)
		CHECK(takings[0].conn == conn);
	CHECK_INT(ends, 0);
	CHECK_INT(gb_upstream_give(takings[0].conn, true), 0);
	far_close(&peer);
	finish(rig, upstream);
}

NET_TEST(what_is_given_back_by_its_answer_is_lent_again_if_that_was_all)
{
	check_given_inside(rig, "answer\n", true);
}

NET_TEST(what_is_given_back_before_another_answer_is_dropped)
{
	check_given_inside(rig, "answer\nmore\n", false);
}

NET_TEST(what_is_given_back_inside_of_another_answer_is_dropped)
{
	check_given_inside(rig, "answer\nmo", false);
}

NET_TEST(more_idle_ones_than_wanted_are_closed_and_all_after_their_time)
{
	struct gb_upstream *upstream;
	struct gb_conn *conns[2];

	listen_anew(rig, 8);
	rig->limits.idle_timeout_ms = 1000;
	rig->limits.linger_timeout_ms = 1;
	rig_calm(rig);
	upstream = pool(rig, (struct gb_upstream_options){ .idle_max = 1 });
	conns[0] = taken(rig, upstream);
	conns[1] = taken(rig, upstream);
	CHECK_INT(gb_upstream_give(conns[0], true), 0);
	CHECK_INT(gb_upstream_give(conns[1], true), 0);
	CHECK_INT(stats(upstream).idle, 1);
	for (unsigned i = 0; i < 10; i++)
		rig_pass(rig, 50);
	CHECK_INT(stats(upstream).open, 1);
	for (unsigned i = 0; i < 20; i++)
		rig_pass(rig, 50);
	CHECK_INT(stats(upstream).open, 0);
	CHECK_INT(stats(upstream).idle, 0);
	finish(rig, upstream);
}

/* One is lent, one idle, one is being connected to, and somebody waits beyond what is allowed. */
NET_TEST(the_end_of_a_pool_lets_go_of_all)
{
	struct gb_upstream *upstream;
	struct gb_conn *lent, *idle;

	listen_anew(rig, 2); /* the third is not answered */
	rig_calm(rig);
	upstream = pool(rig, (struct gb_upstream_options){ .open_max = 3 });
	lent = taken(rig, upstream);
	idle = taken(rig, upstream);
	told = 0;
	take(upstream, 1);
	take(upstream, 2);
	rig_step(rig, NULL);
	CHECK_INT(stats(upstream).connecting, 1);
	gb_operation_cancel(&takings[1].operation);
	UNTIL(rig, NULL, told == 1);
	gb_upstream_destroy(upstream);
	CHECK_INT(gb_upstream_give(idle, true), 0); /* there is nobody to keep it */
	UNTIL(rig, NULL, told == 2);
	CHECK_INT(result_of(2), -ECANCELED);
	gb_conn_abort(lent);
	rest_goes(rig);
	CHECK_INT(ends, 1);
	CHECK_INT(rig->loop.timers.count, 0);
	stop_listening(rig);
}

NET_TEST(a_worker_that_ends_ends_what_waits)
{
	struct gb_upstream *upstream;
	struct sim_client *filler;

	listen_anew(rig, 1);
	filler = sim_client_connect(rig->sim, ntohs(address.v4.sin_port));
	rig_calm(rig);
	upstream = pool(rig, (struct gb_upstream_options){ .open_max = 1 });
	told = 0;
	take(upstream, 0);
	take(upstream, 1);
	rig_step(rig, NULL);
	CHECK_INT(stats(upstream).connecting, 1);
	gb__net_abort_all(&rig->net, GB_CLOSE_DRAIN);
	UNTIL(rig, NULL, told == 2);
	CHECK_INT(result_of(0), -ECANCELED);
	CHECK_INT(result_of(1), -ECANCELED);
	sim_client_close(filler);
	finish(rig, upstream);
}
