/* Replies that come later: in order, whoever finishes them, and on whichever thread. */
#include "reply_driver.h"

#include <gearbox/reply.h>
#include <gearbox/stream.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#define OPEN_MAX_HERE 256u

static struct gb_reply open_replies[OPEN_MAX_HERE];
static unsigned open_count;
static int deferred; /* what gb_conn_defer said last */

static int begin_open(struct gb_conn *conn)
{
	open_count = 0;
	return count_open(conn);
}

static void defer(struct gb_conn *conn)
{
	CHECK(open_count < OPEN_MAX_HERE);
	deferred = gb_conn_defer(conn, &open_replies[open_count]);
	open_count += deferred == 0;
}

/* "later…" is answered by the test, "quit" closes, all else is answered at once. */
static void on_line(struct gb_conn *conn, struct gb_bytes line)
{
	if (line.size >= 5 && memcmp(line.data, "later", 5) == 0)
		defer(conn);
	else if (gb_bytes_is(line, "quit"))
		gb_conn_close(conn);
	else
		gb_conn_printf(conn, "<%.*s>", (int)line.size, (const char *)line.data);
}

static const struct gb_service jobs = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "jobs",
	.codec = &gb_codec_line, .on_open = begin_open, .on_message = on_line, .on_close = count_close };
static const struct gb_service loose_jobs = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "loose",
	.codec = &gb_codec_line, .traits = GB_TRAIT_UNORDERED, .on_open = begin_open, .on_message = on_line,
	.on_close = count_close };

struct call {
	struct gb_reply reply;
	const char *text;
	bool finishes;
	int reason; /* or -1 */
	int result;
};

static void *call(void *arg)
{
	struct call *call = arg;
	const size_t size = call->text ? strlen(call->text) : 0;

	if (call->reason >= 0)
		call->result = gb_reply_fail(call->reply, call->reason);
	else if (call->finishes)
		call->result = gb_reply_finish(call->reply, call->text, size);
	else
		call->result = gb_reply_send(call->reply, call->text, size);
	return NULL;
}

/* Here, or on another thread. */
static int made(struct call of, bool elsewhere)
{
	pthread_t thread;

	if (!elsewhere) {
		call(&of);
		return of.result;
	}
	CHECK_INT(pthread_create(&thread, NULL, call, &of), 0);
	CHECK_INT(pthread_join(thread, NULL), 0);
	return of.result;
}

static int finish(struct gb_reply reply, const char *text, bool elsewhere)
{
	return made((struct call){ reply, text, true, -1, 0 }, elsewhere);
}

static int send_part(struct gb_reply reply, const char *text, bool elsewhere)
{
	return made((struct call){ reply, text, false, -1, 0 }, elsewhere);
}

static int give_up(struct gb_reply reply, int reason, bool elsewhere)
{
	return made((struct call){ reply, NULL, true, reason, 0 }, elsewhere);
}

static struct peer *begin(struct rig *rig, const struct gb_service *service, const char *input)
{
	struct peer *peer = rig_peer(rig, service);
	uint64_t messages = rig->counters.stats.messages;

	for (const char *end = input; (end = strchr(end, '\n')); end++)
		messages++;
	peer_send(peer, input, strlen(input));
	UNTIL(rig, peer, rig->counters.stats.messages == messages);
	return peer;
}

NET_TEST(replies_leave_in_the_order_of_their_requests_whichever_is_ready_first)
{
	enum { LINES = 12 };
	char input[LINES * 8] = "", expected[LINES * 32] = "";
	struct gb_reply left[LINES];
	bool later[LINES];
	unsigned count, number = 0, names[LINES];
	struct peer *peer;

	for (unsigned i = 0; i < LINES; i++) {
		later[i] = heads(rig);
		sprintf(input + strlen(input), later[i] ? "later\n" : "%u\n", i);
		sprintf(expected + strlen(expected), later[i] ? "(part %u, rest)" : "<%u>",
			later[i] ? number : i);
		number += later[i];
	}
	peer = begin(rig, &jobs, input);
	CHECK_INT(open_count, number);
	memcpy(left, open_replies, sizeof(left[0]) * number);
	for (unsigned i = 0; i < number; i++)
		names[i] = i;
	for (count = number; count > 0; count--) {
		unsigned at = (unsigned)(test_random(&rig->random) % count);
		char text[32];

		sprintf(text, "(part %u", names[at]);
		CHECK_INT(send_part(left[at], text, heads(rig)), 0);
		steps(rig, peer, test_random(&rig->random) % 3); /* or what another thread said comes later */
		if (peer->got_size > 0)
			CHECK(memcmp(peer->got, expected, peer->got_size) == 0);
		if (heads(rig))
			steps(rig, peer, 5);
		rig_step(rig, peer);
		CHECK_INT(finish(left[at], ", rest)", heads(rig)), 0);
		left[at] = left[count - 1];
		names[at] = names[count - 1];
	}
	expect(rig, peer, expected);
	peer_send(peer, "after\n", 6);
	strcat(expected, "<after>");
	expect(rig, peer, expected);
	CHECK(!(rig->current->flags & GB__CONN_REPLIES));
	CHECK_INT(rig->current->holds, 0);
	peer_close(peer);
}

NET_TEST(a_reply_that_is_finished_in_its_own_callback_is_as_one_that_was_sent)
{
	struct peer *peer = begin(rig, &jobs, "a\n");
	struct gb_reply reply;

	CHECK_INT(gb_conn_defer(rig->current, &reply), 0);
	CHECK(gb_reply_open(reply));
	CHECK_INT(gb_reply_printf(reply, "%s%d", "number ", 5), 0);
	CHECK_INT(gb_reply_finish(reply, NULL, 0), 0);
	CHECK(!gb_reply_open(reply));
	expect(rig, peer, "<a>number 5");
	peer_close(peer);
}

NET_TEST(a_reply_that_was_finished_or_whose_connection_has_ended_is_stale_on_any_thread)
{
	struct peer *peer = begin(rig, &jobs, "later\nlater\n");

	CHECK_INT(finish(open_replies[0], "one", heads(rig)), 0);
	CHECK_INT(finish(open_replies[0], "two", heads(rig)), -ESTALE);
	CHECK_INT(send_part(open_replies[0], "two", heads(rig)), -ESTALE);
	CHECK_INT(give_up(open_replies[0], GB_CLOSE_LOCAL, heads(rig)), -ESTALE);
	CHECK(!gb_reply_open(open_replies[0]));
	expect(rig, peer, "one");
	CHECK_INT(finish((struct gb_reply){ 0 }, "zeroed", heads(rig)), -ESTALE);
	CHECK(gb_reply_open(open_replies[1]));
	sim_client_reset(peer->client);
	UNTIL(rig, NULL, rig->closed == 1);
	CHECK(!gb_reply_open(open_replies[1]));
	CHECK_INT(finish(open_replies[1], "late", heads(rig)), -ESTALE);
	peer_close(peer);
	/* Its memory is another one's by now. */
	peer = begin(rig, &jobs, "later\n");
	CHECK_INT(finish((struct gb_reply){ open_replies[0].place, 0 }, "guessed", heads(rig)), -ESTALE);
	CHECK_INT(finish(open_replies[0], "yes", heads(rig)), 0);
	expect(rig, peer, "yes");
	peer_close(peer);
}

NET_TEST(a_word_that_is_under_way_when_the_connection_ends_says_nothing)
{
	struct peer *peer = begin(rig, &jobs, "later\nlater\n");
	struct gb_reply gone[2] = { open_replies[0], open_replies[1] };

	CHECK_INT(send_part(gone[0], "part", true), 0);
	CHECK_INT(finish(gone[1], heads(rig) ? "all" : NULL, true), 0);
	gb_conn_abort(rig->current);
	UNTIL(rig, NULL, rig->closed == 1);
	CHECK_INT(finish(gone[0], "late", true), -ESTALE);
	peer_close(peer);
	peer = begin(rig, &jobs, "later\nlater\n");
	CHECK_INT(finish(gone[1], "again", true), -ESTALE);
	CHECK_INT(finish(open_replies[0], "1", true), 0);
	CHECK_INT(finish(open_replies[1], "2", true), 0);
	expect(rig, peer, "12");
	peer_close(peer);
}

NET_TEST(who_closes_in_order_waits_for_what_is_open)
{
	struct peer *peer = begin(rig, &jobs, "later\na\nquit\n");

	steps(rig, peer, 20);
	CHECK(!peer->at_end);
	CHECK_INT(peer->got_size, 0);
	CHECK_INT(gb_conn_send(rig->current, "x", 1), -EPIPE);
	CHECK_INT(finish(open_replies[0], "late;", heads(rig)), 0);
	expect(rig, peer, "late;<a>");
	end(rig, peer, GB_CLOSE_LOCAL);
}

NET_TEST(the_end_of_input_closes_when_all_is_answered)
{
	struct peer *peer = begin(rig, &jobs, "later\nlater\n");

	sim_client_shutdown(peer->client);
	steps(rig, peer, 50);
	CHECK(!peer->at_end);
	CHECK_INT(finish(open_replies[1], "2", heads(rig)), 0);
	steps(rig, peer, 10);
	CHECK_INT(peer->got_size, 0);
	CHECK_INT(finish(open_replies[0], "1", heads(rig)), 0);
	expect(rig, peer, "12");
	end(rig, peer, GB_CLOSE_EOF);
}

NET_TEST(an_end_of_output_follows_on_open_replies)
{
	struct peer *peer = begin(rig, &jobs, "later\n");

	CHECK_INT(gb_conn_end_output(rig->current), 0);
	CHECK_INT(gb_conn_defer(rig->current, &open_replies[1]), -EPIPE);
	steps(rig, peer, 20);
	CHECK(!peer->at_end);
	CHECK_INT(finish(open_replies[0], "last", heads(rig)), 0);
	expect(rig, peer, "last");
	end(rig, peer, GB_CLOSE_EOF);
}

NET_TEST(a_reset_is_noticed_while_only_replies_are_open)
{
	struct peer *peer = begin(rig, &jobs, heads(rig) ? "later\nquit\n" : "later\n");

	if (heads(rig))
		sim_client_shutdown(peer->client);
	steps(rig, peer, 20);
	rig_calm(rig);
	sim_client_reset(peer->client);
	for (unsigned i = 0; i < 4; i++) {
		rig_pass(rig, 1000);
		steps(rig, NULL, 3);
	}
	CHECK_INT(rig->closed, 1);
	CHECK(!gb_reply_open(open_replies[0]));
	peer_close(peer);
}

NET_TEST(no_more_replies_are_open_than_allowed_and_delivery_goes_on_afterwards)
{
	struct peer *peer;
	char expected[32] = "";

	rig->limits.replies_max = 4;
	peer = rig_peer(rig, &jobs);
	for (unsigned i = 0; i < 10; i++)
		peer_send(peer, "later\n", 6);
	UNTIL(rig, peer, open_count == 4);
	steps(rig, peer, 50);
	CHECK_INT(open_count, 4);
	CHECK_INT(gb_conn_defer(rig->current, &open_replies[99]), -GB_ELIMIT);
	for (unsigned i = 0; i < 10; i++) {
		UNTIL(rig, peer, open_count > i);
		CHECK_INT(finish(open_replies[i], "x", heads(rig)), 0);
		CHECK(rig->current->terms->replies.open <= 4);
		strcat(expected, "x");
	}
	expect(rig, peer, expected);
	peer_close(peer);
}

NET_TEST(what_waits_behind_a_reply_counts_as_output)
{
	struct peer *peer;
	char line[] = "0123456789\n";

	rig->limits.output_high = 100;
	rig->limits.output_low = 50;
	rig->limits.output_bytes_max = 200;
	peer = begin(rig, &jobs, "later\n");
	rig_calm(rig);
	for (unsigned i = 0; i < 30; i++)
		peer_send(peer, line, sizeof(line) - 1);
	steps(rig, peer, 50);
	CHECK(gb_conn_output_size(rig->current) > 100);
	CHECK(gb_conn_output_size(rig->current) <= 120);
	CHECK_INT(rig->closed, 0);
	CHECK_INT(finish(open_replies[0], "", heads(rig)), 0);
	UNTIL(rig, peer, peer->got_size == 30 * 12);
	CHECK_INT(gb_conn_defer(rig->current, &open_replies[0]), 0);
	CHECK_INT(gb_conn_defer(rig->current, &open_replies[1]), 0);
	for (unsigned i = 0; i < 20; i++)
		CHECK_INT(gb_reply_send(open_replies[1], line, 10), 0);
	CHECK_INT(gb_reply_send(open_replies[1], line, 10), -GB_ELIMIT);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_OUTPUT_LIMIT);
	peer_close(peer);
}

NET_TEST(a_reply_that_fails_closes_behind_what_comes_before_it)
{
	struct peer *peer = begin(rig, &jobs, "later\nlater\na\n");
	const bool elsewhere = heads(rig);

	CHECK_INT(give_up(open_replies[1], GB_CLOSE_REFUSED, elsewhere), 0);
	steps(rig, peer, 20);
	CHECK_INT(rig->closed, 0);
	CHECK_INT(finish(open_replies[0], "first", elsewhere), 0);
	expect(rig, peer, "first");
	end(rig, peer, GB_CLOSE_REFUSED);
	CHECK(!gb_reply_open(open_replies[1]));
}

NET_TEST(a_reply_that_fails_half_way_is_cut_by_a_reset)
{
	struct peer *peer = begin(rig, &jobs, "later\n");

	CHECK_INT(send_part(open_replies[0], "half", heads(rig)), 0);
	expect(rig, peer, "half");
	CHECK_INT(give_up(open_replies[0], GB_CLOSE_REFUSED, heads(rig)), 0);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_REFUSED);
	UNTIL(rig, peer, peer->was_reset);
	peer_close(peer);
}

NET_TEST(the_idle_timeout_and_a_drain_wait_for_replies)
{
	struct peer *peer;

	rig->limits.idle_timeout_ms = 1000;
	peer = begin(rig, &jobs, "later\n");
	rig_calm(rig);
	rig_pass(rig, 5000);
	steps(rig, peer, 10);
	CHECK_INT(rig->closed, 0);
	gb__net_drain(&rig->net);
	steps(rig, peer, 50);
	rig_pass(rig, 5000);
	steps(rig, peer, 50);
	CHECK(!peer->at_end);
	CHECK_INT(finish(open_replies[0], "done", heads(rig)), 0);
	expect(rig, peer, "done");
	end(rig, peer, GB_CLOSE_DRAIN);
}

NET_TEST(replies_with_ids_leave_as_they_are_finished_each_in_one_piece)
{
	struct peer *peer = begin(rig, &loose_jobs, "later\nlater\nlater\na\n");

	expect(rig, peer, "<a>");
	CHECK_INT(send_part(open_replies[1], "se", heads(rig)), 0);
	steps(rig, peer, 10);
	CHECK_INT(send_part(open_replies[0], "first", heads(rig)), 0);
	steps(rig, peer, 10);
	CHECK_INT(finish(open_replies[1], "cond", heads(rig)), 0);
	expect(rig, peer, "<a>second");
	CHECK_INT(finish(open_replies[2], "third", heads(rig)), 0);
	expect(rig, peer, "<a>secondthird");
	sim_client_shutdown(peer->client);
	steps(rig, peer, 20);
	CHECK(!peer->at_end);
	CHECK_INT(finish(open_replies[0], NULL, heads(rig)), 0);
	expect(rig, peer, "<a>secondthirdfirst");
	end(rig, peer, GB_CLOSE_EOF);
}

NET_TEST(a_relay_does_not_begin_while_replies_are_open)
{
	struct peer *peer = begin(rig, &jobs, "later\n");
	struct gb_conn *one = rig->current;
	struct gb_reply reply = open_replies[0];
	struct peer *other = begin(rig, &jobs, "a\n");

	CHECK_INT(gb_relay(one, rig->current), -EBUSY);
	CHECK_INT(finish(reply, "r", false), 0);
	expect(rig, peer, "r");
	CHECK_INT(gb_relay(one, rig->current), 0);
	CHECK_INT(gb_conn_defer(one, &reply), -EBUSY);
	peer_close(peer);
	peer_close(other);
}

/* Sends before, between and behind two replies, one of which is finished in its handler. */
static void pooled_line(struct gb_conn *conn, struct gb_bytes line)
{
	struct gb_reply reply;

	gb_conn_send(conn, "[", 1);
	defer(conn);
	gb_conn_send(conn, ",", 1);
	CHECK_INT(gb_conn_defer(conn, &reply), 0);
	CHECK_INT(gb_reply_send(reply, "at", 2), 0);
	CHECK_INT(gb_reply_finish(reply, " once", 5), 0);
	CHECK_INT(gb_reply_finish(reply, NULL, 0), -ESTALE);
	gb_conn_send(conn, "]", 1);
	CHECK_INT(gb_conn_output_size(conn), 3);
}

static const struct gb_service pooled = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "pooled",
	.codec = &gb_codec_line, .on_open = begin_open, .on_message = pooled_line, .on_close = count_close };

NET_TEST(a_handler_on_a_pool_thread_defers_as_well)
{
	struct peer *peer;

	held_count = 0;
	gb__net_submit_to(&rig->net, hold, NULL, 4);
	peer = rig_peer(rig, &pooled);
	peer_send(peer, "a\nb\n", 4);
	for (unsigned i = 0; i < 2; i++) {
		UNTIL(rig, peer, held_count == 1);
		held_count = 0;
		run_apart(held[0]);
	}
	UNTIL(rig, peer, rig->net.tasks == 0);
	steps(rig, peer, 20);
	CHECK_INT(open_count, 2);
	CHECK_INT(peer->got_size, 1);
	CHECK_INT(finish(open_replies[1], "2", heads(rig)), 0);
	steps(rig, peer, 20);
	CHECK_INT(peer->got_size, 1);
	CHECK_INT(finish(open_replies[0], "1", heads(rig)), 0);
	expect(rig, peer, "[1,at once][2,at once]");
	steps(rig, peer, 2);
	CHECK_INT(rig->counters.stats.bytes_out, strlen("[1,at once][2,at once]"));
	peer_close(peer);
}

static void eager_line(struct gb_conn *conn, struct gb_bytes line)
{
	(void)line;
	for (unsigned i = 0; i < 4; i++)
		defer(conn);
	CHECK_INT(gb_conn_defer(conn, &open_replies[99]), -GB_ELIMIT);
}

static const struct gb_service eager = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "eager",
	.codec = &gb_codec_line, .on_open = begin_open, .on_message = eager_line, .on_close = count_close };

NET_TEST(a_handler_on_a_pool_thread_defers_no_more_than_may_be_open)
{
	struct peer *peer;

	held_count = 0;
	gb__net_submit_to(&rig->net, hold, NULL, 4);
	rig->limits.replies_max = 4;
	peer = rig_peer(rig, &eager);
	peer_send(peer, "a\n", 2);
	UNTIL(rig, peer, held_count == 1);
	run_apart(held[0]);
	CHECK_INT(open_count, 4);
	for (unsigned i = 0; i < 4; i++)
		CHECK_INT(finish(open_replies[i], "x", false), 0);
	expect(rig, peer, "xxxx");
	peer_close(peer);
}

NET_TEST(what_a_task_deferred_is_dropped_when_its_connection_has_ended)
{
	struct peer *peer;

	held_count = 0;
	gb__net_submit_to(&rig->net, hold, NULL, 4);
	peer = rig_peer(rig, &pooled);
	peer_send(peer, "a\n", 2);
	UNTIL(rig, peer, held_count == 1);
	run_apart(held[0]);
	if (heads(rig))
		CHECK_INT(finish(open_replies[0], "1", true), 0);
	gb_conn_abort(rig->current);
	UNTIL(rig, NULL, rig->closed == 1);
	CHECK_INT(finish(open_replies[0], "1", heads(rig)), -ESTALE);
	peer_close(peer);
}

/* Straight-line: a reply is deferred, the handler reads on. */
static void serve_jobs(struct gb_stream *stream)
{
	struct gb_bytes line;

	rig_of(gb_stream_conn(stream))->opened++;
	open_count = 0;
	while (gb_read_message(stream, &line) > 0) {
		if (gb_bytes_is(line, "later"))
			defer(gb_stream_conn(stream));
		else
			gb_write_format(stream, "<%.*s>", (int)line.size, (const char *)line.data);
	}
}

static const struct gb_service straight_jobs = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "straight",
	.codec = &gb_codec_line, .serve = serve_jobs, .on_close = count_close };

NET_TEST(a_straight_line_handler_defers_as_well_and_may_return_before)
{
	struct peer *peer = rig_peer(rig, &straight_jobs);

	peer_send(peer, "a\nlater\nb\nlater\nc\n", 18);
	UNTIL(rig, peer, open_count == 2);
	steps(rig, peer, 20);
	CHECK_INT(finish(open_replies[1], "2", heads(rig)), 0);
	steps(rig, peer, 20);
	CHECK_INT(peer->got_size, 3);
	sim_client_shutdown(peer->client);
	steps(rig, peer, 20);
	CHECK(!peer->at_end);
	CHECK_INT(finish(open_replies[0], "1", heads(rig)), 0);
	expect(rig, peer, "<a>1<b>2<c>");
	UNTIL(rig, peer, peer->at_end);
	UNTIL(rig, peer, rig->closed == 1);
	peer_close(peer);
}

NET_TEST(a_failure_behind_an_end_lets_what_is_before_it_leave)
{
	struct peer *peer = begin(rig, &jobs, "later\nlater\nquit\n");

	CHECK_INT(give_up(open_replies[1], GB_CLOSE_REFUSED, heads(rig)), 0);
	CHECK_INT(finish(open_replies[0], "one", heads(rig)), 0);
	expect(rig, peer, "one");
	end(rig, peer, GB_CLOSE_REFUSED);
}
