/* How what happens to a connection reaches a straight-line handler, and what it can still do then. */
#include "rig.h"

#include "base/alloc.h"

#include <gearbox/stream.h>

#include <errno.h>

static int results[16]; /* of the handler's reads, in order */
static unsigned count;
static struct gb_conn *current;
static bool drains;

static void note(int result)
{
	if (count < gb__countof(results))
		results[count++] = result;
}

static void begin(struct gb_stream *stream)
{
	current = gb_stream_conn(stream);
	rig_of(current)->opened++;
	count = 0;
	drains = gb_stream_draining(stream);
}

/* Lines; an error is answered, and the next read looked at. */
static void serve_lines(struct gb_stream *stream)
{
	struct gb_bytes line;
	int result;

	begin(stream);
	while ((result = gb_read_message(stream, &line)) > 0)
		gb_write_format(stream, "<%.*s>", (int)line.size, (const char *)line.data);
	note(result);
	drains = gb_stream_draining(stream);
	gb_write_format(stream, "!%d", result);
	note(gb_read_message(stream, &line));
}

static const struct gb_service lines = { GB_SERVICE_INIT, .name = "lines", .codec = &gb_codec_line,
	.serve = serve_lines, .on_close = count_close };

static void finish(struct rig *rig, struct peer *peer, const char *expected, int reason)
{
	UNTIL(rig, peer, peer->at_end);
	CHECK_INT(peer->got_size, strlen(expected));
	CHECK(memcmp(peer->got, expected, peer->got_size) == 0);
	CHECK(!peer->was_reset);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, reason);
	peer_close(peer);
}

NET_TEST(a_fin_between_messages_is_0_again_and_again)
{
	struct peer *peer = rig_peer(rig, &lines);

	peer_send(peer, "a\n", 2);
	sim_client_shutdown(peer->client);
	finish(rig, peer, "<a>!0", GB_CLOSE_EOF);
	CHECK_INT(results[0], 0);
	CHECK_INT(results[1], 0);
}

NET_TEST(a_fin_inside_a_message_is_told_once_and_does_not_look_like_an_end)
{
	struct peer *peer = rig_peer(rig, &lines);
	char expected[32];

	peer_send(peer, "a\nhal", 5);
	sim_client_shutdown(peer->client);
	snprintf(expected, sizeof(expected), "<a>!%d", -GB_ETRUNCATED);
	finish(rig, peer, expected, GB_CLOSE_EOF);
	CHECK_INT(results[0], -GB_ETRUNCATED);
	CHECK_INT(results[1], 0);
}

NET_TEST(a_message_too_large_has_its_last_answer)
{
	struct peer *peer;
	char expected[32];

	rig->limits.message_bytes_max = 10;
	peer = rig_peer(rig, &lines);
	peer_send(peer, "a\nmuch too long a line", 22);
	snprintf(expected, sizeof(expected), "<a>!%d", -GB_ETOOLARGE);
	finish(rig, peer, expected, GB_CLOSE_MESSAGE_TOO_LARGE);
	CHECK_INT(results[1], -GB_ETOOLARGE);
}

static void time_out(struct rig *rig, const char *sent, int reason)
{
	struct peer *peer = rig_peer(rig, &lines);
	char expected[32];

	peer_send(peer, sent, strlen(sent));
	UNTIL(rig, peer, rig->counters.stats.bytes_in == strlen(sent));
	rig_calm(rig);
	for (unsigned i = 0; i < 40 && !peer->at_end; i++) {
		rig_pass(rig, 100);
		rig_step(rig, peer);
	}
	snprintf(expected, sizeof(expected), "<a>!%d", -ETIMEDOUT);
	finish(rig, peer, expected, reason);
}

NET_TEST(the_idle_timeout_has_its_last_answer)
{
	rig->limits.idle_timeout_ms = 1000;
	time_out(rig, "a\n", GB_CLOSE_IDLE);
}

NET_TEST(the_read_timeout_has_its_last_answer)
{
	rig->limits.read_timeout_ms = 1000;
	time_out(rig, "a\nhal", GB_CLOSE_READ_TIMEOUT);
}

NET_TEST(a_reset_ends_reading_and_writing)
{
	struct peer *peer = rig_peer(rig, &lines);

	peer_send(peer, "a\n", 2);
	UNTIL(rig, peer, peer->got_size == 3);
	sim_client_reset(peer->client);
	UNTIL(rig, NULL, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_RESET);
	CHECK_INT(results[0], -ECONNRESET);
	CHECK_INT(results[1], -ECONNRESET);
	peer_close(peer);
}

NET_TEST(a_drain_is_told_once_to_who_reads_and_has_nothing_under_way)
{
	struct peer *peer = rig_peer(rig, &lines);
	char expected[32];

	peer_send(peer, "a\n", 2);
	UNTIL(rig, peer, peer->got_size == 3);
	CHECK(!drains);
	gb__net_drain(&rig->net);
	/* It answers, and reads on: it has refused, and goes on until its client ends. */
	rig_calm(rig);
	for (unsigned i = 0; i < 50 && count == 0; i++) {
		rig_pass(rig, 100);
		rig_step(rig, peer);
	}
	CHECK_INT(count, 1);
	CHECK_INT(results[0], -ESHUTDOWN);
	CHECK(drains);
	sim_client_shutdown(peer->client);
	snprintf(expected, sizeof(expected), "<a>!%d", -ESHUTDOWN);
	finish(rig, peer, expected, GB_CLOSE_EOF);
	CHECK_INT(results[1], 0);
}

/* Reads all, writes much. */
#define MUCH (3u << 20)
static size_t most;

static void serve_much(struct gb_stream *stream)
{
	static unsigned char piece[50000];
	struct gb_bytes bytes;

	begin(stream);
	most = 0;
	note(gb_read_message(stream, &bytes));
	for (size_t sent = 0; sent < MUCH; sent += sizeof(piece)) {
		ssize_t result = gb_write(stream, piece, sizeof(piece));

		if (result < 0) {
			note((int)result);
			return;
		}
		if (gb_conn_output_size(current) > most)
			most = gb_conn_output_size(current);
	}
	note(gb_flush(stream));
	note((int)gb_conn_output_size(current));
}

static const struct gb_service much = { GB_SERVICE_INIT, .name = "much", .serve = serve_much,
	.on_close = count_close };

NET_TEST(who_writes_waits_for_who_reads_and_takes_little_memory)
{
	struct peer *peer;
	size_t got = 0;

	rig->limits.output_high = 100000;
	rig->limits.output_low = 20000;
	peer = rig_peer(rig, &much);
	peer_send(peer, "x", 1);
	for (unsigned steps = 0; !peer->at_end; steps++) {
		rig_step(rig, peer);
		got += peer->got_size;
		peer->got_size = 0;
		CHECK(steps < 1000000);
	}
	CHECK_INT(got, (MUCH + 49999) / 50000 * 50000);
	CHECK(most <= 150000); /* the watermark, and one piece */
	CHECK_INT(results[1], 0);
	CHECK_INT(results[2], 0);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 1);
	peer_close(peer);
}

NET_TEST(the_write_timeout_ends_who_waits_to_write)
{
	struct peer *peer;

	if (rig->round > 0)
		return; /* a kernel with faults may take all of it, or a little now and then */
	rig->limits.output_high = 100000;
	rig->limits.output_low = 20000;
	rig->limits.write_timeout_ms = 1000;
	peer = rig_peer(rig, &much);
	peer_send(peer, "x", 1);
	rig_calm(rig);
	for (unsigned i = 0; i < 200 && rig->closed == 0 && count < 2; i++) {
		rig_pass(rig, 100);
		rig_step(rig, NULL);
	}
	UNTIL(rig, NULL, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_WRITE_TIMEOUT);
	CHECK_INT(results[1], -ETIMEDOUT);
	peer_close(peer);
}

/* So many bytes, then up to a delimiter, whatever way they come. */
static void serve_pieces(struct gb_stream *stream)
{
	static unsigned char large[150000];
	unsigned char small[10];
	struct gb_bytes text;

	begin(stream);
	note((int)gb_read_exact(stream, small, sizeof(small)));
	CHECK(memcmp(small, "0123456789", 10) == 0);
	note(gb_read_until(stream, "\r\n\r\n", 4, &text));
	CHECK(text.size == 9 && memcmp(text.data, "a\r\nbc\r\n\r\n", 9) == 0);
	note((int)gb_read_exact(stream, large, sizeof(large)));
	for (size_t i = 0; i < sizeof(large); i++)
		CHECK_INT(large[i], pattern_at(i));
	note((int)gb_read(stream, small, sizeof(small)) > 0);
	note((int)gb_read_exact(stream, small, sizeof(small)));
}

static const struct gb_service pieces = { GB_SERVICE_INIT, .name = "pieces", .serve = serve_pieces,
	.on_close = count_close };

NET_TEST(what_is_read_does_not_depend_on_how_it_comes)
{
	struct peer *peer = rig_peer(rig, &pieces);
	static unsigned char data[10 + 9 + 150000 + 1];

	memcpy(data, "0123456789", 10);
	memcpy(data + 10, "a\r\nbc\r\n\r\n", 9);
	for (size_t i = 0; i < 150000; i++)
		data[19 + i] = pattern_at(i);
	for (size_t sent = 0; sent < sizeof(data);) {
		size_t size = test_random(&rig->random) % (sent < 30 ? 4 : 20000) + 1;

		size = size < sizeof(data) - sent ? size : sizeof(data) - sent;
		peer_send(peer, data + sent, size);
		sent += size;
		if (test_random(&rig->random) % 2)
			rig_step(rig, peer);
	}
	UNTIL(rig, peer, count == 4);
	peer_send(peer, "cut", 3);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(results[0], 10);
	CHECK_INT(results[1], 1);
	CHECK_INT(results[2], 150000);
	CHECK_INT(results[3], 1);
	CHECK_INT(results[4], -GB_ETRUNCATED);
	peer_close(peer);
}

/* Everything at once ends each wait, for good. */
static void serve_stopped(struct gb_stream *stream)
{
	struct gb_coro *coro = gb_stream_coro(stream);
	struct gb_bytes bytes;

	begin(stream);
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
