/*
 * Messages in parts, by callbacks and through a pool. Each message is answered by one line: how it came ("whole" or
 * "parts"), how many bytes, and their digest.
 */
#include "parts_driver.h"

#include "net/drain.h"

#define SERVICE(id, given, its_options, ...) \
	static const struct gb_service id = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = #id, \
		.codec = &(given), .codec_options = (its_options), .conn_state_size = sizeof(struct upload), \
		.on_open = count_open, .on_part = on_part, .on_cut = on_cut, .on_error = on_error, \
		.on_close = on_close, __VA_ARGS__ }
SERVICE(lines, gb_codec_line, NULL, .on_message = take_whole);
SERVICE(lengths, gb_codec_length, NULL, .on_message = take_whole);
SERVICE(varints, gb_codec_varint, NULL, .on_message = take_whole);
SERVICE(delimited, gb_codec_delimiter, &bang, .on_message = take_whole);
SERVICE(pieces, gb_codec_fixed, &fixed_size, .on_message = take_whole);
SERVICE(lines_as_they_come, gb_codec_line, NULL, .on_message = NULL);
SERVICE(lengths_as_they_come, gb_codec_length, NULL, .on_message = NULL);

static void converse(struct rig *rig, const struct gb_service *service, size_t message_max)
{
	struct peer *peer = upload_begin(rig, service, message_max);
	struct talk talk;

	talk_make(&talk, service);
	talk_hold(rig, peer, &talk);
	talk_over(rig, peer, &talk);
}

NET_TEST(lines_above_the_maximum_come_in_parts)
{
	converse(rig, &lines, 100);
}

NET_TEST(long_messages_behind_their_length_come_in_parts)
{
	converse(rig, &lengths, 100);
}

NET_TEST(long_messages_behind_a_varint_come_in_parts)
{
	converse(rig, &varints, 8192);
}

NET_TEST(long_messages_up_to_a_delimiter_come_in_parts)
{
	converse(rig, &delimited, 100);
}

NET_TEST(long_messages_of_one_size_come_in_parts)
{
	converse(rig, &pieces, 100);
	CHECK(parts >= 50 * gb__countof(sizes));
}

NET_TEST(the_head_of_a_long_message_comes_in_one_piece)
{
	converse(rig, &lines, 8191);
}

NET_TEST(who_wants_parts_alone_gets_lines_as_they_come)
{
	converse(rig, &lines_as_they_come, 8192);
}

NET_TEST(who_wants_parts_alone_gets_lengths_as_they_come)
{
	converse(rig, &lengths_as_they_come, 100);
}

NET_TEST(a_fin_inside_a_message_is_told_as_a_cut)
{
	struct peer *peer = half_sent(rig, &lengths);

	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, peer->at_end);
	check_cut(rig, GB_CLOSE_EOF);
	CHECK_INT(peer->got_size, 0);
	peer_close(peer);
}

static void on_eof(struct gb_conn *conn)
{
	CHECK_INT(cuts, 1);
	ends++;
	gb_conn_send(conn, "cut\n", 4);
	gb_conn_close(conn);
}

NET_TEST(after_a_cut_the_end_of_input_is_told_and_can_be_answered)
{
	SERVICE(ended, gb_codec_line, NULL, .on_message = take_whole, .on_eof = on_eof);
	struct peer *peer = half_sent(rig, &ended);

	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, peer->at_end);
	check_cut(rig, GB_CLOSE_EOF);
	CHECK_INT(ends, 1);
	CHECK_INT(peer->got_size, 4);
	peer_close(peer);
}

NET_TEST(a_reset_inside_a_message_is_told_as_a_cut)
{
	struct peer *peer = half_sent(rig, &varints);

	sim_client_reset(peer->client);
	check_cut(rig, GB_CLOSE_RESET);
	peer_close(peer);
}

NET_TEST(a_handler_that_closes_inside_a_message_is_told_once)
{
	struct peer *peer = half_sent(rig, &lengths);

	pauses = true;
	peer_send(peer, "0123456789", 10);
	UNTIL(rig, peer, paused != NULL && parts >= 9);
	gb_conn_close(paused);
	paused = NULL;
	UNTIL(rig, peer, peer->at_end);
	sim_client_shutdown(peer->client);
	check_cut(rig, GB_CLOSE_LOCAL);
	CHECK_INT(errors, 0);
	peer_close(peer);
}

NET_TEST(the_read_timeout_is_from_part_to_part)
{
	struct peer *peer;

	rig->limits.read_timeout_ms = 1000;
	rig->limits.idle_timeout_ms = 60000;
	peer = half_sent(rig, &lengths);
	rig_calm(rig);
	for (unsigned i = 0; i < 8; i++) {
		const unsigned before = parts;

		rig_pass(rig, 700);
		peer_send(peer, "more", 4);
		UNTIL(rig, peer, parts > before);
	}
	CHECK_INT(rig->closed, 0);
	late(rig, peer);
	CHECK_INT(peer->got_size, 6);
	sim_client_shutdown(peer->client);
	check_cut(rig, GB_CLOSE_READ_TIMEOUT);
	CHECK_INT(rig->last_reason, GB_CLOSE_READ_TIMEOUT);
	CHECK_INT(errors, 1);
	peer_close(peer);
}

NET_TEST(while_the_handler_pauses_a_message_is_not_late_and_the_sender_is_held)
{
	static unsigned char all[BODY_MAX];
	struct peer *peer;
	size_t sent = 0;

	rig->limits.read_timeout_ms = 1000;
	rig->limits.idle_timeout_ms = 0;
	peer = upload_begin(rig, &lengths, 1000);
	sim_client_set_window(peer->client, 2000);
	pauses = true;
	paused = NULL;
	frame(&lengths, all, 30000);
	for (unsigned steps = 0; peer->got_size == 0; steps++) {
		const unsigned before = parts;

		CHECK(steps < 100000);
		sent += sim_client_send(peer->client, all + sent, 30004 - sent);
		rig_step(rig, peer);
		CHECK(parts <= before + 1);
		if (!paused || test_random(&rig->random) % 4)
			continue;
		rig_pass(rig, 3000);
		CHECK_INT(rig->closed, 0);
		gb_conn_resume(paused);
		paused = NULL;
	}
	CHECK_INT(cuts, 0);
	peer_close(peer);
}

NET_TEST(of_a_paused_upload_no_more_than_the_buffers_is_taken)
{
	static unsigned char all[1u << 20];
	struct peer *peer = upload_begin(rig, &lengths, 1000);
	size_t sent = 0;

	pauses = true;
	frame(&lengths, all, 1000000);
	for (unsigned i = 0; i < 3000; i++) {
		sent += sim_client_send(peer->client, all + sent, 1000004 - sent);
		rig_step(rig, peer);
	}
	CHECK_INT(parts, 1);
	CHECK(rig->counters.stats.bytes_in < 300000);
	peer_close(peer);
}

NET_TEST(more_than_max_body_is_refused_before_a_byte_of_it_where_the_length_is_known)
{
	struct peer *peer;

	rig->limits.body_bytes_max = 20000;
	peer = upload_begin(rig, &lengths, 1000);
	peer_send(peer, "\0\0\x4e\x21", 4); /* 20,001 */
	UNTIL(rig, peer, peer->at_end);
	CHECK_INT(peer->got_size, 6);
	CHECK_INT(parts, 0);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_MESSAGE_TOO_LARGE);
	CHECK_INT(cuts, 0);
	peer_close(peer);
}

NET_TEST(max_body_itself_is_no_more_than_it)
{
	rig->limits.body_bytes_max = 30000;
	converse(rig, &lines, 1000);
}

NET_TEST(where_the_length_is_not_known_what_goes_beyond_max_body_is_cut)
{
	struct peer *peer;
	static unsigned char all[BODY_MAX];

	rig->limits.body_bytes_max = 20000;
	peer = upload_begin(rig, &lines, 1000);
	frame(&lines, all, 20001);
	peer_send(peer, all, 20003);
	UNTIL(rig, peer, peer->at_end);
	CHECK_INT(peer->got_size, 6);
	sim_client_shutdown(peer->client);
	check_cut(rig, GB_CLOSE_MESSAGE_TOO_LARGE);
	CHECK_INT(errors, 1);
	peer_close(peer);
}

NET_TEST(a_drain_waits_for_the_rest_of_a_message_in_parts)
{
	struct peer *peer = half_sent(rig, &lengths);
	static unsigned char all[BODY_MAX];

	frame(&lengths, all, 20000);
	gb__net_drain(&rig->net);
	for (unsigned i = 0; i < 5; i++)
		rig_pass(rig, 700);
	CHECK_INT(rig->closed, 0);
	peer_send(peer, all + 9000, 11004);
	UNTIL(rig, peer, peer->got_size > 0);
	for (unsigned i = 0; i < 5 && !peer->at_end; i++)
		rig_pass(rig, 700), peer_read(peer);
	UNTIL(rig, peer, peer->at_end);
	CHECK_INT(cuts, 0);
	CHECK(!peer->was_reset);
	peer_close(peer);
}

/* Through a pool. */

static void converse_pooled(struct rig *rig, const struct gb_service *service)
{
	struct peer *peer;
	struct talk talk;
	size_t sent = 0;

	held_count = 0;
	gb__net_submit_to(&rig->net, hold, NULL, 4);
	peer = upload_begin(rig, service, 1000);
	talk_make(&talk, service);
	for (unsigned steps = 0; peer->got_size < talk.wanted_size; steps++) {
		const size_t most = test_random(&rig->random) % 3000 + 1;

		CHECK(steps < 100000);
		sent += sim_client_send(peer->client, talk.sent + sent, gb__min(talk.sent_size - sent, most));
		rig_step(rig, peer);
		if (test_random(&rig->random) % 2)
			run_held();
	}
	CHECK_INT(peer->got_size, talk.wanted_size);
	CHECK(memcmp(peer->got, talk.wanted, talk.wanted_size) == 0);
	talk_over(rig, peer, &talk);
}

NET_TEST(parts_go_through_a_pool_one_after_the_other)
{
	converse_pooled(rig, &lengths);
}

NET_TEST(parts_of_a_message_keep_their_order_where_messages_need_not)
{
	SERVICE(loose, gb_codec_line, NULL, .on_message = NULL, .traits = GB_TRAIT_UNORDERED);

	converse_pooled(rig, &loose);
}

static void take_beside(struct gb_conn *conn, struct gb_bytes message)
{
	gb_conn_send(conn, message.data, message.size);
}

SERVICE(beside, gb_codec_line, NULL, .on_message = take_beside, .traits = GB_TRAIT_UNORDERED);

static unsigned char both[BODY_MAX];
static size_t both_sent;

static void send_on(struct rig *rig, struct peer *peer)
{
	both_sent += sim_client_send(peer->client, both + both_sent, 3000 - both_sent);
	rig_step(rig, peer);
}

/* A short message and the first part of a long one are in the pool at once, of which there is more. */
static struct peer *both_in_pool(struct rig *rig)
{
	struct peer *peer;

	held_count = 0;
	both_sent = 0;
	memcpy(both, "a\r\n", 3);
	frame(&beside, both + 3, 20000);
	gb__net_submit_to(&rig->net, hold, NULL, 4);
	peer = upload_begin(rig, &beside, 1000);
	while (held_count < 2)
		send_on(rig, peer);
	return peer;
}

static void check_reset(struct rig *rig, struct peer *peer)
{
	sim_client_reset(peer->client);
	for (unsigned i = 0; i < 20; i++)
		rig_pass(rig, 700);
	run_held();
	check_cut(rig, GB_CLOSE_RESET);
	peer_close(peer);
}

NET_TEST(a_part_in_the_pool_holds_the_next_one_also_when_a_message_before_it_comes_back)
{
	struct peer *peer = both_in_pool(rig);
	struct gb__job *part = held[1];

	gb__task_run(held[0]);
	for (unsigned i = 0; i < 30 || peer->got_size == 0; i++)
		send_on(rig, peer);
	CHECK_INT(held_count, 2);
	held_count = 0;
	gb__task_run(part);
	while (held_count == 0)
		send_on(rig, peer);
	check_reset(rig, peer);
}

NET_TEST(a_message_that_comes_back_later_does_not_hide_that_a_part_was_taken)
{
	struct peer *peer = both_in_pool(rig);
	struct gb__job *message = held[0];

	held_count = 0;
	gb__task_run(held[1]);
	while (held_count == 0)
		send_on(rig, peer);
	gb__task_run(message);
	UNTIL(rig, peer, peer->got_size > 0);
	check_reset(rig, peer);
}

NET_TEST(a_reset_while_a_part_is_in_the_pool_is_told_behind_it)
{
	struct peer *peer;
	static unsigned char all[BODY_MAX];

	held_count = 0;
	gb__net_submit_to(&rig->net, hold, NULL, 4);
	peer = upload_begin(rig, &lengths, 1000);
	frame(&lengths, all, 20000);
	for (size_t sent = 0; parts == 0 || held_count == 0;) {
		sent += sim_client_send(peer->client, all + sent, 5000 - sent);
		if (parts == 0)
			run_held();
		rig_step(rig, peer);
	}
	sim_client_reset(peer->client);
	for (unsigned i = 0; i < 20; i++)
		rig_pass(rig, 700);
	CHECK_INT(cuts, 0);
	run_held();
	check_cut(rig, GB_CLOSE_RESET);
	CHECK(parts <= 2);
	peer_close(peer);
}
