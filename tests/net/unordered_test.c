/* Messages with ids: several of a connection are in the pool at once, and their replies leave as they are done. */
#include "reply_driver.h"

static unsigned errors;

static void on_loose(struct gb_conn *conn, struct gb_bytes line)
{
	gb_conn_printf(conn, "<%.*s>", (int)line.size, (const char *)line.data);
	if (gb_bytes_is(line, "quit"))
		gb_conn_close(conn);
}

static void last_answer(struct gb_conn *conn, int reason)
{
	CHECK_INT(reason, GB_CLOSE_MESSAGE_TOO_LARGE);
	errors++;
	gb_conn_send(conn, "!", 1);
}

static const struct gb_service loose_pooled = { GB_SERVICE_INIT, .state = GB_STATE_NONE,
	.name = "loose pooled", .codec = &gb_codec_line, .traits = GB_TRAIT_UNORDERED, .on_open = count_open,
	.on_message = on_loose, .on_error = last_answer, .on_close = count_close };

/* All messages of `input` are in the pool. */
static struct peer *begin_loose(struct rig *rig, const char *input, unsigned messages)
{
	struct peer *peer;

	held_count = 0;
	gb__net_submit_to(&rig->net, hold, NULL, HELD_MAX);
	peer = rig_peer(rig, &loose_pooled);
	peer_send(peer, input, strlen(input));
	UNTIL(rig, peer, held_count == messages);
	return peer;
}

NET_TEST(messages_with_ids_are_in_the_pool_at_once_and_answered_as_they_are_done)
{
	struct peer *peer = begin_loose(rig, "a\nb\nc\n", 3);

	run_apart(held[2]);
	expect(rig, peer, "<c>");
	run_apart(held[0]);
	expect(rig, peer, "<c><a>");
	sim_client_shutdown(peer->client);
	steps(rig, peer, 30);
	CHECK(!peer->at_end);
	run_apart(held[1]);
	expect(rig, peer, "<c><a><b>");
	end(rig, peer, GB_CLOSE_EOF);
}

NET_TEST(of_messages_with_ids_one_connection_has_no_more_in_the_pool_than_replies_may_be_open)
{
	struct peer *peer;

	rig->limits.replies_max = 2;
	peer = begin_loose(rig, "a\nb\nc\n", 2);
	steps(rig, peer, 30);
	CHECK_INT(held_count, 2);
	run_apart(held[1]);
	UNTIL(rig, peer, held_count == 3);
	run_apart(held[0]);
	run_apart(held[2]);
	UNTIL(rig, peer, peer->got_size == 9);
	peer_close(peer);
}

NET_TEST(a_message_with_an_id_that_closes_leaves_those_before_it_their_answers)
{
	struct peer *peer = begin_loose(rig, "a\nquit\nb\n", 3);
	const bool first = heads(rig);

	if (first)
		run_apart(held[0]);
	run_apart(held[1]);
	steps(rig, peer, 30);
	CHECK_INT(rig->closed, 0);
	run_apart(held[2]);
	if (!first)
		run_apart(held[0]);
	expect(rig, peer, first ? "<a><quit>" : "<quit><a>");
	end(rig, peer, GB_CLOSE_LOCAL);
}

NET_TEST(input_that_the_codec_refuses_waits_for_the_answers_before_it)
{
	char input[600];
	struct peer *peer;

	rig->limits.message_bytes_max = 100;
	errors = 0;
	memset(input, 'x', sizeof(input));
	memcpy(input, "a\nb\n", 4);
	input[sizeof(input) - 1] = '\0';
	peer = begin_loose(rig, input, 2);
	steps(rig, peer, 50);
	CHECK_INT(errors, 0); /* either of them may end the connection before */
	run_apart(held[1]);
	steps(rig, peer, 50);
	run_apart(held[0]);
	expect(rig, peer, "<b><a>!");
	CHECK_INT(errors, 1);
	end(rig, peer, GB_CLOSE_MESSAGE_TOO_LARGE);
}

NET_TEST(a_reset_frees_a_connection_once_all_of_its_messages_are_back)
{
	struct peer *peer = begin_loose(rig, "a\nb\n", 2);

	gb_conn_abort(rig->current);
	steps(rig, peer, 20);
	CHECK_INT(rig->closed, 0);
	run_apart(held[1]);
	steps(rig, peer, 20);
	CHECK_INT(rig->closed, 0);
	run_apart(held[0]);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(peer->got_size, 0);
	peer_close(peer);
}
