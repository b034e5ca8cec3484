/* Straight-line handlers on the simulated kernel: the same cases under every engine, faults included. */
#include "rig.h"

#include "base/alloc.h"
#include "base/macros.h"

#include <gearbox/stream.h>

#include <errno.h>

static int result; /* of what a handler did last */
static unsigned begun;

static struct rig *rig_at(struct gb_stream *stream)
{
	struct rig *rig = rig_of(gb_stream_conn(stream));

	rig->opened++;
	return rig;
}

static void serve_echo(struct gb_stream *stream)
{
	struct gb_bytes bytes;

	rig_at(stream);
	while ((result = gb_read_message(stream, &bytes)) > 0)
		gb_write(stream, bytes.data, bytes.size);
}

static const struct gb_service echo = { GB_SERVICE_INIT, .name = "echo", .serve = serve_echo,
	.on_close = count_close };

NET_TEST(a_stream_echoes_every_byte_in_order)
{
	rig_echo(rig, &echo);
	CHECK_INT(result, 0);
}

static void serve_lines(struct gb_stream *stream)
{
	struct gb_bytes line;

	rig_at(stream);
	while ((result = gb_read_message(stream, &line)) > 0) {
		if (gb_bytes_is(line, "quit"))
			return;
		gb_write_format(stream, "<%.*s>\n", (int)line.size, (const char *)line.data);
	}
}

static const struct gb_service lines = { GB_SERVICE_INIT, .name = "lines", .codec = &gb_codec_line,
	.serve = serve_lines, .on_close = count_close };

NET_TEST(pipelined_lines_are_read_one_by_one_and_the_end_of_the_handler_is_that_of_the_connection)
{
	struct peer *peer = rig_peer(rig, &lines);

	peer_send(peer, "one\ntwo\r\n\nqu", 12);
	peer_send(peer, "it\nthree\n", 9);
	UNTIL(rig, peer, peer->at_end);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(peer->got_size, 5 + 1 + 5 + 1 + 2 + 1);
	CHECK(memcmp(peer->got, "<one>\n<two>\n<>\n", peer->got_size) == 0);
	CHECK_INT(rig->last_reason, GB_CLOSE_LOCAL);
	peer_close(peer);
}

/* The message is read again after waits. */
static void serve_late(struct gb_stream *stream)
{
	struct gb_bytes bytes;

	rig_at(stream);
	while ((result = gb_read_message(stream, &bytes)) > 0) {
		begun++;
		CHECK_INT(gb_sleep(gb_stream_coro(stream), 20), 0);
		CHECK_INT(gb_yield(gb_stream_coro(stream)), 0);
		gb_write(stream, bytes.data, bytes.size);
	}
}

static const struct gb_service late = { GB_SERVICE_INIT, .name = "late", .codec = &gb_codec_length,
	.serve = serve_late, .on_close = count_close };

NET_TEST(a_message_stays_until_the_next_read_whatever_the_handler_waits_for)
{
	struct peer *peers[4];
	static unsigned char data[4][3000];

	for (unsigned i = 0; i < 4; i++) {
		peers[i] = rig_peer(rig, &late);
		for (size_t j = 0; j < sizeof(data[i]); j++)
			data[i][j] = pattern_at(j * (i + 3));
	}
	for (unsigned size = 1; size < sizeof(data[0]); size = size * 3 + 2) {
		unsigned char header[4] = { 0, 0, (unsigned char)(size >> 8), (unsigned char)size };

		for (unsigned i = 0; i < 4; i++) {
			peer_send(peers[i], header, 4);
			peer_send(peers[i], data[i], size);
		}
		for (unsigned i = 0; i < 4; i++) {
			unsigned steps = 0;

			while (peers[i]->got_size < size) {
				rig_step_until(rig, peers[i], &steps, __FILE__, __LINE__, "answered");
				rig_pass(rig, 1);
			}
			CHECK_INT(peers[i]->got_size, size);
			CHECK(memcmp(peers[i]->got, data[i], size) == 0);
			peers[i]->got_size = 0;
		}
	}
	for (unsigned i = 0; i < 4; i++)
		peer_close(peers[i]);
}

static int results[8]; /* of a handler's calls, in order */
static unsigned count;

static void note(int value)
{
	CHECK(count < gb__countof(results));
	results[count++] = value;
}

/* Until the end, and once more. */
static void serve_to_the_end(struct gb_stream *stream)
{
	struct gb_bytes line;
	int code;

	rig_at(stream);
	count = 0;
	while ((code = gb_read_message(stream, &line)) > 0)
		gb_write_format(stream, "<%.*s>", (int)line.size, (const char *)line.data);
	note(code);
	note(gb_read_message(stream, &line));
	note((int)gb_write(stream, "!", 1));
}

static const struct gb_service to_the_end = { GB_SERVICE_INIT, .name = "to-the-end", .codec = &gb_codec_line,
	.serve = serve_to_the_end, .on_close = count_close };

NET_TEST(a_fin_is_0_again_and_again_and_leaves_room_for_a_word)
{
	struct peer *peer = rig_peer(rig, &to_the_end);

	peer_send(peer, "a\n", 2);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, peer->at_end && rig->closed == 1);
	CHECK_INT(peer->got_size, 4);
	CHECK(memcmp(peer->got, "<a>!", 4) == 0);
	CHECK_INT(results[0] | results[1], 0);
	CHECK_INT(results[2], 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_EOF);
	peer_close(peer);
}

NET_TEST(a_reset_is_the_result_of_every_call)
{
	struct peer *peer = rig_peer(rig, &to_the_end);

	peer_send(peer, "a\n", 2);
	UNTIL(rig, peer, peer->got_size == 3);
	sim_client_reset(peer->client);
	UNTIL(rig, NULL, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_RESET);
	for (unsigned i = 0; i < 3; i++)
		CHECK_INT(results[i], -ECONNRESET);
	peer_close(peer);
}

#define MUCH (3u << 20)

static void serve_much(struct gb_stream *stream)
{
	static unsigned char piece[50000];
	ssize_t written = 1;

	rig_at(stream);
	count = 0;
	for (size_t sent = 0; sent < MUCH && written > 0; sent += sizeof(piece))
		written = gb_write(stream, piece, sizeof(piece));
	note((int)written);
}

static const struct gb_service much = { GB_SERVICE_INIT, .name = "much", .serve = serve_much,
	.on_close = count_close };

NET_TEST(the_write_timeout_ends_who_waits_to_write)
{
	struct peer *peer;

	if (rig->round > 0)
		return; /* a kernel with faults may take all of it, or a little now and then */
	rig->limits.output_high = 100000;
	rig->limits.output_low = 20000;
	rig->limits.write_timeout_ms = 1000;
	peer = rig_peer(rig, &much);
	for (unsigned i = 0; i < 200 && rig->closed == 0; i++) {
		rig_pass(rig, 100);
		rig_step(rig, NULL);
	}
	CHECK_INT(rig->closed, 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_WRITE_TIMEOUT);
	CHECK_INT(results[0], -ETIMEDOUT);
	peer_close(peer);
}

/* Everything at once ends each wait, for good. */
static void serve_stopped(struct gb_stream *stream)
{
	struct gb_coro *coro = gb_stream_coro(stream);
	struct gb_bytes bytes;

	rig_at(stream);
	count = 0;
	note(gb_read_message(stream, &bytes));
	note(gb_sleep(coro, 1000000));
	note(gb_sleep(coro, 1));
	note(gb_yield(coro));
	note((int)gb_write(stream, "x", 1));
	note(gb_coro_cancelled(coro));
}

static const struct gb_service stopped = { GB_SERVICE_INIT, .name = "stopped", .serve = serve_stopped,
	.on_close = count_close };

NET_TEST(a_stop_ends_every_wait_from_then_on)
{
	struct peer *peer = rig_peer(rig, &stopped);

	peer_send(peer, "x", 1);
	UNTIL(rig, peer, count == 1);
	gb__net_abort_all(&rig->net, GB_CLOSE_DRAIN);
	UNTIL(rig, NULL, rig->closed == 1);
	CHECK_INT(rig->net.coroutines, 0);
	CHECK_INT(count, 6);
	for (unsigned i = 1; i < 6; i++)
		CHECK_INT(results[i], -ECANCELED);
	peer_close(peer);
}

/* As if it were one of callbacks: in vain while it reads, and while it does not. */
static struct gb_conn *meddled;

static void serve_and_meddle(struct gb_stream *stream)
{
	struct gb_bytes line;

	rig_at(stream);
	meddled = gb_stream_conn(stream);
	begun = 0;
	gb_conn_pause(meddled);
	while ((result = gb_read_message(stream, &line)) > 0) {
		begun++;
		gb_conn_resume(meddled);
		CHECK_INT(gb_sleep(gb_stream_coro(stream), 20), 0);
		gb_conn_pause(meddled);
		gb_write(stream, line.data, line.size);
	}
}

static const struct gb_service meddler = { GB_SERVICE_INIT, .name = "meddler", .codec = &gb_codec_line,
	.serve = serve_and_meddle, .on_close = count_close };

static void answered(struct rig *rig, struct peer *peer, size_t size)
{
	unsigned steps = 0;

	while (peer->got_size < size) {
		rig_step_until(rig, peer, &steps, __FILE__, __LINE__, "answered");
		rig_pass(rig, 1);
	}
}

NET_TEST(pausing_and_resuming_what_a_stream_reads_does_nothing)
{
	struct peer *peer = rig_peer(rig, &meddler);

	peer_send(peer, "one\n", 4);
	UNTIL(rig, peer, begun == 1);
	gb_conn_resume(meddled);
	peer_send(peer, "two\nth", 6); /* while it sleeps */
	answered(rig, peer, 6);
	gb_conn_pause(meddled); /* while it reads */
	peer_send(peer, "ree\n", 4);
	answered(rig, peer, 11);
	CHECK(memcmp(peer->got, "onetwothree", 11) == 0);
	CHECK_INT(meddled->holds, 0);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(result, 0);
	peer_close(peer);
}

/* Whoever does not look at results goes round and round, but keeps nobody from anything. */
static bool enough;

static void serve_deaf(struct gb_stream *stream)
{
	rig_at(stream);
	while (!enough)
		gb_write(stream, "deaf", 4);
}

static const struct gb_service deaf = { GB_SERVICE_INIT, .name = "deaf", .serve = serve_deaf,
	.on_close = count_close };

NET_TEST(a_handler_that_ignores_errors_lets_others_run)
{
	struct peer *gone, *peer;

	enough = false;
	gone = rig_peer(rig, &deaf);
	peer = rig_peer(rig, &echo);
	UNTIL(rig, gone, gone->got_size > 0);
	sim_client_reset(gone->client);
	peer_send(peer, "hello", 5);
	UNTIL(rig, peer, peer->got_size == 5);
	gb__net_drain(&rig->net);
	for (unsigned i = 0; i < 20; i++)
		rig_pass(rig, 100);
	enough = true;
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 2);
	peer_close(peer);
	peer_close(gone);
}

/* Two connections and two handlers: the second relays, the first waits for that. */
static struct gb_stream *first;
static bool relayed;

static void serve_joined(struct gb_stream *stream)
{
	rig_at(stream);
	if (first) {
		result = gb_stream_relay(first, stream);
		relayed = true;
		return;
	}
	first = stream;
	while (!relayed)
		gb_yield(gb_stream_coro(stream));
}

static const struct gb_service joined = { GB_SERVICE_INIT, .name = "joined", .serve = serve_joined,
	.on_close = count_close };

NET_TEST(streams_are_relayed_both_ways_until_both_have_ended)
{
	struct peer *one, *two;

	first = NULL;
	relayed = false;
	one = rig_peer(rig, &joined);
	UNTIL(rig, one, first);
	two = rig_peer(rig, &joined);
	peer_send(one, "to two", 6);
	UNTIL(rig, two, two->got_size == 6);
	peer_send(two, "to one", 6);
	UNTIL(rig, one, one->got_size == 6);
	CHECK(memcmp(two->got, "to two", 6) == 0 && memcmp(one->got, "to one", 6) == 0);
	sim_client_shutdown(one->client);
	UNTIL(rig, two, two->at_end);
	CHECK(!relayed);
	peer_send(two, "!", 1);
	UNTIL(rig, one, one->got_size == 7);
	sim_client_shutdown(two->client);
	UNTIL(rig, one, one->at_end && rig->closed == 2);
	CHECK(relayed);
	CHECK_INT(result, 0);
	peer_close(one);
	peer_close(two);
}
