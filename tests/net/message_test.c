/* Messages in, replies out: order, splitting, pausing, budgets, limits. */
#include "rig.h"

#include "base/alloc.h"

static void echo_message(struct gb_conn *conn, struct gb_bytes message)
{
	gb_conn_send(conn, message.data, message.size);
}

static const struct gb_service echo = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "echo",
	.on_open = count_open, .on_message = echo_message, .on_close = count_close };

static void bracket_message(struct gb_conn *conn, struct gb_bytes message)
{
	gb_conn_printf(conn, "<%.*s>\n", (int)message.size, (const char *)message.data);
}

static const struct gb_service bracket = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "bracket",
	.codec = &gb_codec_line, .on_open = count_open, .on_message = bracket_message,
	.on_close = count_close };

NET_TEST(every_byte_comes_back_in_order)
{
	rig_echo(rig, &echo);
}

NET_TEST(pipelined_lines_are_answered_one_by_one_however_they_are_split)
{
	struct peer *peer = rig_peer(rig, &bracket);
	static char sent[120000], expected[160000];
	size_t size = 0, expected_size = 0;

	for (unsigned i = 0; size < sizeof(sent) - 3000 && i < 2000; i++) {
		unsigned length = (unsigned)(test_random(&rig->random) % (i % 50 ? 40 : 2000));

		expected[expected_size++] = '<';
		for (unsigned j = 0; j < length; j++)
			sent[size++] = expected[expected_size++] = (char)('a' + (i + j) % 26);
		memcpy(expected + expected_size, ">\n", 2);
		expected_size += 2;
		if (i % 3 == 0)
			sent[size++] = '\r';
		sent[size++] = '\n';
	}
	peer_send(peer, sent, size);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, peer->at_end && rig->closed == 1);
	CHECK_INT(peer->got_size, expected_size);
	CHECK(memcmp(peer->got, expected, expected_size) == 0);
	CHECK_INT(rig->last_reason, GB_CLOSE_EOF);
	peer_close(peer);
}

/* With a header: the message does not begin where its frame does. */
NET_TEST(frames_are_delivered_without_their_header_however_they_are_split)
{
	static const struct gb_length_options two = { .width = 2 };
	static const struct gb_service frames = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "frames",
		.codec = &gb_codec_length, .codec_options = &two, .on_open = count_open,
		.on_message = bracket_message, .on_close = count_close };
	struct peer *peer = rig_peer(rig, &frames);
	static char sent[60000], expected[90000];
	size_t size = 0, expected_size = 0;

	for (unsigned i = 0; size < sizeof(sent) - 3000; i++) {
		unsigned length = (unsigned)(test_random(&rig->random) % (i % 50 ? 40 : 2000));

		sent[size++] = (char)(length >> 8);
		sent[size++] = (char)length;
		expected[expected_size++] = '<';
		for (unsigned j = 0; j < length; j++)
			sent[size++] = expected[expected_size++] = (char)('a' + (i + j) % 26);
		memcpy(expected + expected_size, ">\n", 2);
		expected_size += 2;
	}
	peer_send(peer, sent, size);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, peer->at_end && rig->closed == 1);
	CHECK_INT(peer->got_size, expected_size);
	CHECK(memcmp(peer->got, expected, expected_size) == 0);
	CHECK_INT(rig->last_reason, GB_CLOSE_EOF);
	peer_close(peer);
}

NET_TEST(an_idle_connection_holds_no_buffer)
{
	struct peer *peer = rig_peer(rig, &bracket);

	peer_send(peer, "one\ntw", 6);
	UNTIL(rig, peer, peer->got_size == 6);
	UNTIL(rig, peer, sim_client_unsent(peer->client) == 0);
	for (int i = 0; i < 100; i++)
		rig_step(rig, peer);
	CHECK_INT(rig->loop.engine->pool.in_use, 1); /* the partial line */
	peer_send(peer, "o\n", 2);
	UNTIL(rig, peer, peer->got_size == 12);
	for (int i = 0; i < 100; i++)
		rig_step(rig, peer);
	CHECK_INT(rig->loop.engine->pool.in_use, 0);
	peer_close(peer);
}

NET_TEST(a_warm_connection_allocates_nothing_per_message)
{
	struct peer *peer = rig_peer(rig, &bracket);
	uint64_t allocated;

	if (rig->round > 0) {
		peer_close(peer);
		return; /* faults may need more buffers at once than ever before */
	}
	peer_send(peer, "warm\n", 5);
	UNTIL(rig, peer, peer->got_size == 7);
	allocated = gb__alloc_count();
	for (int i = 0; i < 500; i++) {
		size_t before = peer->got_size;

		peer_send(peer, "again\n", 6);
		UNTIL(rig, peer, peer->got_size == before + 8);
	}
	CHECK_INT(gb__alloc_count() - allocated, 0);
	peer_close(peer);
}

static unsigned pauses;

static void pausing_message(struct gb_conn *conn, struct gb_bytes message)
{
	bracket_message(conn, message);
	gb_conn_pause(conn);
	pauses++;
	*(struct gb_conn **)gb_conn_state(conn) = conn;
}

static struct gb_conn *paused;

static int pausing_open(struct gb_conn *conn)
{
	paused = conn;
	return count_open(conn);
}

static const struct gb_service pausing = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "pausing",
	.codec = &gb_codec_line, .conn_state_size = sizeof(void *), .on_open = pausing_open,
	.on_message = pausing_message, .on_close = count_close };

NET_TEST(a_pause_delivers_nothing_and_loses_nothing)
{
	struct peer *peer = rig_peer(rig, &pausing);

	pauses = 0;
	peer_send(peer, "a\nb\nc\nd", 7);
	for (unsigned i = 1; i <= 3; i++) {
		UNTIL(rig, peer, pauses == i);
		for (int j = 0; j < 200; j++)
			rig_step(rig, peer);
		CHECK_INT(pauses, i);
		gb_conn_resume(paused);
	}
	peer_send(peer, "d\n", 2);
	UNTIL(rig, peer, pauses == 4);
	UNTIL(rig, peer, peer->got_size == 17);
	CHECK(memcmp(peer->got, "<a>\n<b>\n<c>\n<dd>\n", 17) == 0);
	peer_close(peer);
}

NET_TEST(a_message_above_the_maximum_closes_with_its_reason)
{
	struct peer *peer;
	static char line[2000];

	rig->limits.message_bytes_max = 1000;
	peer = rig_peer(rig, &bracket);
	memset(line, 'x', sizeof(line));
	peer_send(peer, "ok\n", 3);
	peer_send(peer, line, 1010);
	UNTIL(rig, peer, peer->at_end);
	CHECK(!peer->was_reset);
	CHECK_INT(peer->got_size, 5);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_MESSAGE_TOO_LARGE);
	peer_close(peer);
}

static unsigned served[2];

static void serve_counting(struct gb_conn *conn, struct gb_bytes message)
{
	served[message.data[0] == 'p']++;
}

static const struct gb_service counting = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "counting",
	.codec = &gb_codec_line, .on_open = count_open, .on_message = serve_counting,
	.on_close = count_close };

NET_TEST(a_hog_leaves_the_polite_their_turn)
{
	static char lines[6000];
	struct peer *hog, *polite;
	unsigned hogged;
	size_t sent;

	rig->limits.turn_messages = 8;
	memset(served, 0, sizeof(served));
	for (size_t i = 0; i < sizeof(lines); i += 2)
		memcpy(lines + i, "h\n", 2);
	hog = rig_peer(rig, &counting);
	polite = rig_peer(rig, &counting);
	rig_calm(rig);
	sent = sim_client_send(hog->client, lines, sizeof(lines));
	UNTIL(rig, NULL, served[0] > 0);
	hogged = served[0];
	sim_client_send(polite->client, "p\n", 2);
	UNTIL(rig, NULL, served[1] == 1);
	CHECK(served[0] - hogged < 200);
	UNTIL(rig, NULL, served[0] == sent / 2);
	peer_close(hog);
	peer_close(polite);
}

/* Whatever allocation fails, only connections are lost: nothing crashes, leaks or hangs. */
NET_TEST(running_out_of_memory_loses_that_connection_alone)
{
	static char line[9000];
	struct peer *peer, *other;
	uint64_t n = rig->round * 3 + test_random(&rig->random) % 8 + 1;

	memset(line, 'y', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	other = rig_peer(rig, &bracket);
	peer = rig_peer(rig, &bracket);
	gb__alloc_fail_at(n);
	for (unsigned i = 0; i < 200 && rig->closed == 0 && peer->got_size < 9000; i++) {
		sim_client_send(peer->client, line + i * 45, 45);
		rig_step(rig, peer);
	}
	gb__alloc_fail_at(0);
	if (rig->closed > 0) {
		CHECK_INT(rig->closed, 1);
		CHECK_INT(rig->last_reason, GB_CLOSE_NO_MEMORY);
	}
	peer_send(other, "still here\n", 11);
	UNTIL(rig, other, other->got_size == 13);
	peer_close(peer);
	peer_close(other);
}

/* Messages of one byte, numbered by the codec's state; every second one has a filler byte behind it. */
static int numbered_decode(const void *options, void *state, struct gb_bytes input, size_t max,
	uint32_t *scanned, struct gb_frame *ret)
{
	unsigned *number = state;
	const size_t size = 1 + *number % 2;

	if (input.size < size)
		return 0;
	*ret = (struct gb_frame){ .consumed = size, .size = 1 };
	++*number;
	return 1;
}

static const struct gb_codec_ops numbered_codec = {
	.name = "numbered", .state_size = sizeof(unsigned), .decode = numbered_decode
};
static const struct gb_service numbered = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "numbered",
	.codec = &numbered_codec, .on_open = count_open, .on_message = echo_message,
	.on_close = count_close };

NET_TEST(a_codec_with_a_state_is_asked_once_for_each_message)
{
	struct peer *peer = rig_peer(rig, &numbered);

	peer_send(peer, "ab-cd-ef-", 9);
	UNTIL(rig, peer, peer->got_size == 6);
	CHECK(memcmp(peer->got, "abcdef", 6) == 0);
	peer_close(peer);
}

static int decode_greeting(const void *options, void *state, struct gb_bytes input, size_t max_message,
	uint32_t *scanned, struct gb_frame *ret)
{
	if (input.data[0] != 'h') {
		ret->problem = "it does not begin with an h";
		return -GB_EBADFRAME;
	}
	return gb_codec_line.decode(NULL, NULL, input, max_message, scanned, ret);
}

static const struct gb_codec_ops greeting_codec = { .name = "greeting", .decode = decode_greeting };

static void say_problem(struct gb_conn *conn, int reason)
{
	const char *problem = gb_conn_frame(conn)->problem;

	gb_conn_printf(conn, "%s: %s", gb_close_reason_name(reason), problem ? problem : "?");
}

/* In the first piece of input and behind others, kept or not. */
NET_TEST(why_a_codec_refuses_is_told_to_on_error)
{
	static const struct gb_service greeting = { GB_SERVICE_INIT, .state = GB_STATE_NONE,
		.name = "greeting", .codec = &greeting_codec, .on_open = count_open,
		.on_message = bracket_message, .on_error = say_problem, .on_close = count_close };
	static const char *const said[] = { "bye\n", "hello\nbye\n", "hello\nhe" };
	static const char *const heard[] = { "bad_frame: it does not begin with an h",
		"<hello>\nbad_frame: it does not begin with an h", "<hello>\nmessage_too_large: ?" };
	static const char filler[70000];

	rig->limits.message_bytes_max = 60000;
	for (unsigned i = 0; i < 3; i++) {
		struct peer *peer = rig_peer(rig, &greeting);

		peer_send(peer, said[i], strlen(said[i]));
		if (i == 2)
			peer_send(peer, filler, sizeof(filler));
		UNTIL(rig, peer, peer->got_size >= strlen(heard[i]));
		CHECK_INT(peer->got_size, strlen(heard[i]));
		CHECK(memcmp(peer->got, heard[i], strlen(heard[i])) == 0);
		peer_close(peer);
	}
}
