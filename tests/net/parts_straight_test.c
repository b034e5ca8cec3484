/* Messages in parts, by routes and by straight-line handlers; how they are answered is said in parts_test.c. */
#include "parts_driver.h"

#include <gearbox/stream.h>

#include <errno.h>

/* By routes. */

static void by_route(struct gb_conn *conn, struct gb_bytes message)
{
	gb_conn_printf(conn, "%s whole %zu\n", gb_conn_route(conn)->name, message.size);
}

static void parts_by_route(struct gb_conn *conn, const struct gb_part *part)
{
	CHECK(!part->first || part->bytes.data[0] == (unsigned char)gb_conn_route(conn)->text[0]);
	if (take_part(gb_conn_state(conn), part))
		gb_conn_printf(
			conn, "%s parts %llu\n", gb_conn_route(conn)->name, (unsigned long long)part->total);
}

static int straight_by_route(struct gb_stream *stream, struct gb_bytes message)
{
	const char *const name = message.data[0] == 'p' ? "put" : message.data[0] == 's' ? "slow" : "both";
	const struct gb_part first = { message, 0, GB_TOTAL_UNKNOWN, true, false };
	struct upload *upload = gb_stream_state(stream);
	struct gb_part part;
	bool last = message.size <= part_max && !gb_bytes_is(message, "") &&
		message.data[message.size - 1] == 'z';

	if (last)
		return gb_write_format(stream, "%s %s %zu\n", name,
			strcmp(name, "both") == 0 ? "whole" : "parts", message.size);
	take_part(upload, &first);
	while (!last && gb_read_part(stream, &part) > 0)
		last = take_part(upload, &part);
	return gb_write_format(stream, "%s parts %llu\n", name, (unsigned long long)upload->passed);
}

static const struct gb_route part_rows[] = {
	{ "put", .text = "put", .on_part = parts_by_route, .serve = straight_by_route, .parts = true },
	{ "slow", .text = "slow", .on_part = parts_by_route, .serve = straight_by_route, .parts = true,
		.traits = GB_TRAIT_MAY_BLOCK },
	{ "both", .text = "both", .on_message = by_route, .on_part = parts_by_route,
		.serve = straight_by_route, .parts = true },
	{ "short", .otherwise = true, .on_message = by_route, .serve = straight_by_route },
	{ NULL },
};
static const struct gb_routes part_routes = { .by = GB_ROUTE_BY_WORD, .table = part_rows };
static const struct gb_service routed = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "routed",
	.codec = &gb_codec_line, .routes = &part_routes, .conn_state_size = sizeof(struct upload),
	.on_open = count_open, .on_cut = on_cut, .on_error = on_error, .on_close = on_close };

static void serve_routed(struct gb_stream *stream)
{
	rig_of(gb_stream_conn(stream))->opened++;
	gb_serve_routes(stream);
}

static const struct gb_service straight_routed = { GB_SERVICE_INIT, .state = GB_STATE_NONE,
	.name = "straight_routed", .codec = &gb_codec_line, .routes = &part_routes, .serve = serve_routed,
	.conn_state_size = sizeof(struct upload), .on_close = count_close };

static size_t route_line(unsigned char *out, const char *word, size_t size)
{
	memset(out, 'y', size);
	memcpy(out, word, strlen(word));
	out[strlen(word)] = ' ';
	out[size - 1] = 'z';
	out[size] = '\n';
	return size + 1;
}

static void converse_routed(struct rig *rig, const struct gb_service *service)
{
	static const char wanted[] =
		"put parts 20\nboth whole 30\nslow parts 9000\nboth parts 7000\nput parts 20000\n"
		"slow parts 12\n";
	static unsigned char all[BODY_MAX * 2];
	struct peer *peer = upload_begin(rig, service, 1000);
	size_t size = 0, sent = 0;

	size += route_line(all + size, "put", 20);
	size += route_line(all + size, "both", 30);
	size += route_line(all + size, "slow", 9000);
	size += route_line(all + size, "both", 7000);
	size += route_line(all + size, "put", 20000);
	size += route_line(all + size, "slow", 12);
	for (unsigned steps = 0; peer->got_size < sizeof(wanted) - 1; steps++) {
		const size_t most = test_random(&rig->random) % 2000 + 1;

		CHECK(steps < 100000);
		sent += sim_client_send(peer->client, all + sent, gb__min(size - sent, most));
		rig_step(rig, peer);
		run_held();
	}
	CHECK_INT(peer->got_size, sizeof(wanted) - 1);
	CHECK(memcmp(peer->got, wanted, sizeof(wanted) - 1) == 0);
	peer_close(peer);
}

NET_TEST(the_route_of_the_first_part_has_them_all)
{
	held_count = 0;
	if (rig->round % 2)
		gb__net_submit_to(&rig->net, hold, NULL, 4);
	converse_routed(rig, &routed);
}

NET_TEST(a_straight_line_handler_of_a_route_reads_on_in_parts)
{
	held_count = 0;
	converse_routed(rig, &straight_routed);
}

static void refuse_long(struct rig *rig, const struct gb_service *service)
{
	static unsigned char all[BODY_MAX];
	struct peer *peer = upload_begin(rig, service, 1000);

	peer_send(peer, all, route_line(all, "short", 5000));
	UNTIL(rig, peer, peer->at_end);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_MESSAGE_TOO_LARGE);
	CHECK_INT(parts | cuts, 0);
	peer_close(peer);
}

NET_TEST(a_route_without_parts_takes_no_long_message)
{
	refuse_long(rig, &routed);
}

NET_TEST(neither_does_a_straight_line_one)
{
	refuse_long(rig, &straight_routed);
}

/* Straight-line. */

static int codes[8];
static unsigned codes_count;

static void serve_parts(struct gb_stream *stream)
{
	struct upload *upload = gb_stream_state(stream);
	struct gb_part part;
	int result;

	rig_of(gb_stream_conn(stream))->opened++;
	while ((result = gb_read_part(stream, &part)) > 0) {
		if (part.first && part.last) {
			CHECK(!upload->within && part.offset == 0 && part.total == part.bytes.size);
			gb_write_format(stream, "whole %zu %x\n", part.bytes.size,
				digest(1, part.bytes.data, part.bytes.size));
			continue;
		}
		if (part.bytes.size % 3 == 0)
			gb_yield(gb_stream_coro(stream));
		if (take_part(upload, &part))
			gb_write_format(stream, "parts %llu %x\n", (unsigned long long)upload->passed,
				upload->digest);
	}
	codes[0] = result;
	codes_count = 1;
}

#define STRAIGHT(id, given, handler) \
	static const struct gb_service id = { GB_SERVICE_INIT, .name = #id, .codec = &(given), \
		.conn_state_size = sizeof(struct upload), .serve = handler, .on_close = count_close }
STRAIGHT(straight_lines, gb_codec_line, serve_parts);
STRAIGHT(straight_lengths, gb_codec_length, serve_parts);

static void converse_straight(struct rig *rig, const struct gb_service *service)
{
	struct peer *peer = upload_begin(rig, service, 1000);
	struct talk talk;

	talk_make(&talk, service);
	talk_hold(rig, peer, &talk);
	talk_over(rig, peer, &talk);
	CHECK_INT(codes[0], 0);
}

NET_TEST(a_straight_line_handler_reads_lines_in_parts)
{
	converse_straight(rig, &straight_lines);
}

NET_TEST(a_straight_line_handler_reads_lengths_in_parts)
{
	converse_straight(rig, &straight_lengths);
}

NET_TEST(a_straight_line_handler_is_told_of_a_message_that_is_cut)
{
	struct peer *peer = half_sent(rig, &straight_lengths);

	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, peer->at_end && rig->closed == 1);
	CHECK_INT(codes[0], -GB_ETRUNCATED);
	peer_close(peer);
}

NET_TEST(a_straight_line_handler_is_told_of_a_part_that_is_late)
{
	struct peer *peer;

	rig->limits.read_timeout_ms = 1000;
	rig->limits.idle_timeout_ms = 60000;
	peer = half_sent(rig, &straight_lengths);
	rig_calm(rig);
	for (unsigned i = 0; i < 20; i++)
		rig_step(rig, peer);
	rig_pass(rig, 700);
	CHECK_INT(rig->closed, 0);
	late(rig, peer);
	CHECK_INT(codes[0], -ETIMEDOUT);
	peer_close(peer);
}

static void serve_some(struct gb_stream *stream)
{
	struct gb_bytes message;
	struct gb_part part;
	unsigned char raw[4];

	rig_of(gb_stream_conn(stream))->opened++;
	codes_count = 0;
	codes[codes_count++] = gb_read_part(stream, &part);
	CHECK(part.first && !part.last && part.bytes.size == part_max);
	codes[codes_count++] = gb_read_message(stream, &message);
	CHECK(gb_bytes_is(message, "next"));
	codes[codes_count++] = gb_skip_message(stream);
	codes[codes_count++] = gb_read_part(stream, &part);
	CHECK(part.first && !part.last);
	codes[codes_count++] = gb_skip_message(stream);
	codes[codes_count++] = gb_read_part(stream, &part);
	CHECK(part.first && part.last && gb_bytes_is(part.bytes, "last"));
	codes[codes_count++] = gb_read_part(stream, &part);
	codes[codes_count++] = (int)gb_read_exact(stream, raw, 4);
	CHECK(memcmp(raw, "yyyy", 4) == 0);
	gb_write(stream, "done", 4);
}

STRAIGHT(some, gb_codec_line, serve_some);

NET_TEST(what_is_left_of_a_message_is_skipped_or_read_raw)
{
	static const int wanted[] = { 1, 1, 1, 1, 1, 1, 1, 4 };
	static unsigned char all[BODY_MAX];
	struct peer *peer = upload_begin(rig, &some, 1000);
	size_t size = route_line(all, "put", 5000);

	memcpy(all + size, "next\n", 5);
	size += 5;
	size += route_line(all + size, "put", 2500);
	memcpy(all + size, "last\n", 5);
	size += 5;
	size += route_line(all + size, "put", 9000);
	peer_send(peer, all, size);
	UNTIL(rig, peer, peer->got_size == 4);
	for (unsigned i = 0; i < gb__countof(wanted); i++)
		CHECK_INT(codes[i], wanted[i]);
	UNTIL(rig, peer, peer->at_end);
	peer_close(peer);
}
