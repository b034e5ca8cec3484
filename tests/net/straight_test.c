/* What straight-line handlers are told of, and when: reads of each kind, ends, drains, stops at every step, misuse. */
#include "rig.h"

#include "base/macros.h"
#include "net/drain.h"
#include "net/outgoing.h"
#include "stream/stream.h"

#include <errno.h>

static struct gb_stream *served;
static int codes[64];
static unsigned codes_count, step_no, over;
static size_t output_max;

static void note(long code)
{
	CHECK(codes_count < 64);
	codes[codes_count++] = (int)code;
}

static struct peer *guest(struct rig *rig, const struct gb_service *service)
{
	codes_count = over = 0;
	served = NULL;
	return rig_peer(rig, service);
}

static void opened(struct gb_stream *stream)
{
	rig_of(gb_stream_conn(stream))->opened++;
	served = stream;
}

/* A line, 5 bytes, 100,000 bytes, and whatever is left: by each kind of read. */
#define LONG_SIZE 100000u

static void serve_kinds(struct gb_stream *stream)
{
	static unsigned char data[LONG_SIZE];
	struct gb_bytes part;
	ssize_t size;

	opened(stream);
	note(gb_read_until(stream, "--\n", 3, &part));
	CHECK(gb_bytes_is(part, "a-b---\n"));
	note(gb_read_exact(stream, data, 5));
	CHECK(memcmp(data, "12345", 5) == 0);
	note(gb_read_exact(stream, data, LONG_SIZE));
	for (size_t i = 0; i < LONG_SIZE; i++)
		CHECK_INT(data[i], pattern_at(i));
	while ((size = gb_read(stream, data, 7)) > 0)
		gb_write(stream, data, (size_t)size);
	note(size);
	note(gb_read(stream, data, 7));
}

static const struct gb_service kinds = { GB_SERVICE_INIT, .name = "kinds", .serve = serve_kinds,
	.on_close = count_close };

NET_TEST(each_kind_of_read_gets_its_bytes_however_they_are_split)
{
	static unsigned char all[12 + LONG_SIZE + 20] = "a-b---\n12345";

	for (size_t i = 0; i < LONG_SIZE; i++)
		all[12 + i] = pattern_at(i);
	memcpy(all + 12 + LONG_SIZE, "the rest of all this", 20);
	for (size_t split = 1; split < 14; split++) {
		struct peer *peer = guest(rig, &kinds);

		peer_send(peer, all, split);
		rig_step(rig, peer);
		rig_step(rig, peer);
		peer_send(peer, all + split, sizeof(all) - split);
		UNTIL(rig, peer, peer->got_size == 20);
		CHECK(memcmp(peer->got, "the rest of all this", 20) == 0);
		sim_client_shutdown(peer->client);
		UNTIL(rig, peer, peer->at_end);
		CHECK_INT(codes_count, 5);
		CHECK_INT(codes[0], 1);
		CHECK_INT(codes[1], 5);
		CHECK_INT(codes[2], LONG_SIZE);
		CHECK_INT(codes[3] | codes[4], 0);
		peer_close(peer);
	}
}

static void serve_exact(struct gb_stream *stream)
{
	char data[8];

	opened(stream);
	for (int i = 0; i < 4; i++)
		note(gb_read_exact(stream, data, 8));
	note(gb_write(stream, "bye", 3));
}

static const struct gb_service exact = { GB_SERVICE_INIT, .name = "exact", .serve = serve_exact,
	.on_close = count_close };

NET_TEST(a_fin_inside_of_what_is_read_is_told_once_and_is_the_end_from_then_on)
{
	struct peer *peer = guest(rig, &exact);

	peer_send(peer, "12345678abc", 11);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, peer->at_end && rig->closed == 1);
	CHECK_INT(codes[0], 8);
	CHECK_INT(codes[1], -GB_ETRUNCATED);
	CHECK_INT(codes[2] | codes[3], 0);
	CHECK_INT(codes[4], 3);
	CHECK(peer->got_size == 3 && !peer->was_reset);
	peer_close(peer);
}

/* Says all it has, then reads to the end. */
static void serve_half(struct gb_stream *stream)
{
	char data[100];

	opened(stream);
	note(gb_write(stream, "all", 3));
	note(gb_end_output(stream));
	note(gb_end_output(stream));
	note(gb_write(stream, "more", 4));
	while (gb_read(stream, data, sizeof(data)) > 0)
		;
	note(gb_read(stream, data, sizeof(data)));
	gb_yield(gb_stream_coro(stream));
	note(gb_read(stream, data, sizeof(data)));
}

static const struct gb_service half = { GB_SERVICE_INIT, .name = "half", .serve = serve_half,
	.on_close = count_close };

NET_TEST(who_has_ended_its_output_still_reads_to_the_end_of_input)
{
	struct peer *peer = guest(rig, &half);

	UNTIL(rig, peer, peer->at_end);
	peer_send(peer, "words", 5);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(codes[0], 3);
	CHECK_INT(codes[1] | codes[2], 0);
	CHECK_INT(codes[3], -EPIPE);
	CHECK_INT(codes[4] | codes[5], 0);
	CHECK(peer->got_size == 3 && !peer->was_reset);
	CHECK_INT(rig->last_reason, GB_CLOSE_EOF);
	peer_close(peer);
}

static void serve_lines(struct gb_stream *stream)
{
	struct gb_bytes line;
	int result;

	opened(stream);
	while ((result = gb_read_message(stream, &line)) > 0)
		gb_write(stream, line.data, line.size);
	note(result);
	note(gb_read_message(stream, &line));
	note(gb_write_format(stream, "error %d", -result));
}

static const struct gb_service lines = { GB_SERVICE_INIT, .name = "lines", .codec = &gb_codec_line,
	.serve = serve_lines, .on_close = count_close };

static void last_answer(struct rig *rig, struct peer *peer, int code, int reason)
{
	char text[32];

	UNTIL(rig, peer, peer->at_end);
	snprintf(text, sizeof(text), "error %d", -code);
	CHECK_INT(codes[0], code);
	CHECK_INT(codes[1], code);
	CHECK_INT(peer->got_size, strlen(text));
	CHECK(memcmp(peer->got, text, strlen(text)) == 0);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK(!peer->was_reset);
	CHECK_INT(rig->last_reason, reason);
	peer_close(peer);
}

NET_TEST(a_message_that_is_too_large_leaves_room_for_a_last_answer)
{
	struct peer *peer;
	static char data[300];

	rig->limits.message_bytes_max = 100;
	memset(data, 'x', sizeof(data));
	peer = guest(rig, &lines);
	peer_send(peer, data, sizeof(data));
	last_answer(rig, peer, -GB_ETOOLARGE, GB_CLOSE_MESSAGE_TOO_LARGE);
}

NET_TEST(a_timeout_leaves_room_for_a_last_answer)
{
	struct peer *peer;
	bool inside = test_random(&rig->random) % 2;

	rig->limits.idle_timeout_ms = inside ? 0 : 300;
	rig->limits.read_timeout_ms = 300;
	peer = guest(rig, &lines);
	if (inside)
		peer_send(peer, "beg", 3);
	UNTIL(rig, peer, rig->counters.stats.bytes_in == (inside ? 3 : 0) || rig->net.tally.bytes_in == 3);
	for (int i = 0; i < 30 && codes_count == 0; i++)
		rig_pass(rig, 100);
	last_answer(rig, peer, -ETIMEDOUT, inside ? GB_CLOSE_READ_TIMEOUT : GB_CLOSE_IDLE);
}

/* Far more than fits, in pieces of all sizes, to who reads slowly. */
#define MUCH (600u << 10)

static void serve_much(struct gb_stream *stream)
{
	static unsigned char data[150000];
	size_t sent = 0;

	opened(stream);
	while (sent < MUCH) {
		size_t size = gb__min((size_t)MUCH - sent, 1 + (sent * 7919) % sizeof(data));

		for (size_t i = 0; i < size; i++)
			data[i] = pattern_at(sent + i);
		if (gb_write(stream, data, size) < 0)
			return;
		output_max = gb__max(output_max, gb_conn_output_size(gb_stream_conn(stream)));
		sent += size;
	}
	note(gb_flush(stream));
	note((long)gb_conn_output_size(gb_stream_conn(stream)));
}

static const struct gb_service much = { GB_SERVICE_INIT, .name = "much", .serve = serve_much,
	.on_close = count_close };

NET_TEST(who_writes_to_a_slow_reader_waits_and_keeps_little_in_memory)
{
	struct peer *peer = guest(rig, &much);

	output_max = 0;
	peer->read_max = 0;
	for (int i = 0; i < 50; i++) {
		rig_step(rig, NULL);
		CHECK(gb_conn_output_size(gb_stream_conn(served)) <= 2 * rig->limits.output_high);
	}
	CHECK_INT(codes_count, 0);
	peer->read_max = PEER_BYTES_MAX;
	UNTIL(rig, peer, peer->got_size == MUCH && peer->at_end);
	for (size_t i = 0; i < MUCH; i++)
		if (peer->got[i] != pattern_at(i))
			test_fail(__FILE__, __LINE__, "byte %zu differs", i);
	CHECK(output_max <= 2 * rig->limits.output_high);
	CHECK_INT(codes[0] | codes[1], 0);
	peer_close(peer);
}

static void serve_drained(struct gb_stream *stream)
{
	struct gb_bytes line;
	int result;

	opened(stream);
	while ((result = gb_read_message(stream, &line)) != 0) {
		note(result);
		if (result < 0 && (result != -ESHUTDOWN || codes_count > 5))
			return;
		gb_write(stream, "ok", 2);
	}
}

static const struct gb_service drained = { GB_SERVICE_INIT, .name = "drained", .codec = &gb_codec_line,
	.serve = serve_drained, .on_close = count_close };

NET_TEST(a_drain_is_told_once_and_who_goes_on_is_served)
{
	struct peer *peer = guest(rig, &drained);

	peer_send(peer, "one\n", 4);
	UNTIL(rig, peer, peer->got_size == 2);
	CHECK(!gb_stream_draining(served));
	gb__net_drain(&rig->net);
	for (int i = 0; i < 40; i++)
		rig_pass(rig, 100);
	CHECK_INT(codes_count, 2);
	CHECK_INT(codes[1], -ESHUTDOWN);
	CHECK(gb_stream_draining(served));
	peer_send(peer, "two\n", 4);
	UNTIL(rig, peer, peer->got_size == 6);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(codes_count, 3);
	CHECK_INT(rig->last_reason, GB_CLOSE_EOF);
	peer_close(peer);
}

/* A script whose every step waits; the test ends it at one after the other. */
static int child(struct gb_coro *coro, void *arg)
{
	unsigned *steps = arg;

	gb_sleep(coro, 5);
	++*steps;
	return gb_sleep(coro, 5);
}

static void serve_script(struct gb_stream *stream)
{
	struct gb_coro *coro = gb_stream_coro(stream);
	struct gb_channel *channel;
	struct gb_bytes part;
	struct gb_scope scope;
	unsigned value = 0;
	char data[4];

	opened(stream);
	step_no = 0;
	CHECK_INT(gb_channel_create(sizeof(value), 1, &channel), 0);
	gb_scope_begin(coro, &scope);
	gb_scope_limit(&scope, 2);
	for (int i = 0; i < 4; i++)
		gb_scope_start(&scope, child, &step_no);
	step_no++;
	note(gb_read_message(stream, &part));
	step_no++;
	note(gb_sleep(coro, 10));
	step_no++;
	GB_WITH_DEADLINE(coro, 10)
	note(gb_read_exact(stream, data, 4));
	step_no++;
	gb_channel_send(coro, channel, &value);
	GB_WITH_DEADLINE(coro, 20)
	GB_WITH_DEADLINE(coro, 5)
	note(gb_channel_send(coro, channel, &value));
	CHECK(!coro->deadline);
	step_no++;
	note(gb_yield(coro));
	note(gb_scope_end(&scope));
	step_no++;
	note(gb_write(stream, "done", 4));
	note(gb_flush(stream));
	gb_channel_destroy(channel);
	step_no = 1000;
	served = NULL;
}

static const struct gb_service script = { GB_SERVICE_INIT, .name = "script", .codec = &gb_codec_line,
	.serve = serve_script, .on_close = count_close };

static void run_script(struct rig *rig, unsigned steps, void (*cut)(struct rig *rig, struct peer *peer))
{
	struct peer *peer = guest(rig, &script);
	unsigned closed = rig->closed;

	for (unsigned i = 0; i < steps; i++) {
		if (i == 2)
			peer_send(peer, "line\n", 5);
		rig_pass(rig, 3);
		peer_read(peer);
	}
	cut(rig, peer);
	for (unsigned i = 0; rig->closed == closed; i++) {
		rig_pass(rig, 100);
		peer_read(peer);
		CHECK(i < 10000);
	}
	CHECK_INT(step_no, 1000);
	CHECK_INT(rig->net.coroutines, 0);
	CHECK_INT(rig->loop.timers.count, 0);
	peer_close(peer);
}

static void cut_reset(struct rig *rig, struct peer *peer)
{
	sim_client_reset(peer->client);
}

static void cut_fin(struct rig *rig, struct peer *peer)
{
	sim_client_shutdown(peer->client);
}

static void cut_abort(struct rig *rig, struct peer *peer)
{
	if (served)
		gb_stream_abort(served);
	sim_client_shutdown(peer->client);
}

NET_TEST(a_handler_ends_in_order_wherever_its_client_leaves_it)
{
	for (unsigned steps = 0; steps < 24; steps++) {
		run_script(rig, steps, cut_reset);
		run_script(rig, steps, cut_fin);
		run_script(rig, steps, cut_abort);
	}
}

/* Once for each round: nothing is served after a stop. */
static void cut_stop(struct rig *rig, struct peer *peer)
{
	gb__net_abort_all(&rig->net, GB_CLOSE_DRAIN);
}

NET_TEST(a_stop_ends_a_handler_at_whatever_step_it_is)
{
	static unsigned steps;

	run_script(rig, steps++ % 24, cut_stop);
	/* It was over by then, or each call failed from there on. */
	CHECK(codes[codes_count - 1] == 0 || codes[codes_count - 1] == -ECANCELED);
}

/* Coroutines without a connection. */
static int job(struct gb_coro *coro, void *arg)
{
	int result;

	while ((result = gb_sleep(coro, 50)) == 0)
		;
	note(result);
	note(gb_sleep(coro, 1));
	over++;
	return 0;
}

NET_TEST(a_job_is_told_of_a_drain_also_when_it_begins_after_it_and_none_begins_after_a_stop)
{
	codes_count = over = 0;
	CHECK_INT(gb__coro_start(&rig->streams, "job", job, NULL, NULL), 0);
	rig_pass(rig, 10);
	gb__net_drain(&rig->net);
	for (int i = 0; i < 20 && over < 1; i++)
		rig_pass(rig, 100);
	CHECK_INT(over, 1);
	CHECK_INT(gb__coro_start(&rig->streams, "job", job, NULL, NULL), 0);
	for (int i = 0; i < 20 && over < 2; i++)
		rig_pass(rig, 100);
	CHECK_INT(over, 2);
	for (int i = 0; i < 4; i += 2) {
		CHECK_INT(codes[i], -ESHUTDOWN);
		CHECK_INT(codes[i + 1], 0);
	}
	gb__net_abort_all(&rig->net, GB_CLOSE_DRAIN);
	CHECK_INT(gb__coro_start(&rig->streams, "job", job, NULL, NULL), -ESHUTDOWN);
}

static int sleeps_once(struct gb_coro *coro, void *arg)
{
	note(gb_sleep(coro, 50));
	note(gb_sleep(coro, 50));
	over++;
	return 0;
}

NET_TEST(a_drain_that_comes_with_what_is_waited_for_is_told_by_the_next_wait)
{
	codes_count = over = 0;
	CHECK_INT(gb__coro_start(&rig->streams, "job", sleeps_once, NULL, NULL), 0);
	rig_step(rig, NULL);
	rig_step(rig, NULL);
	sim_clock_advance(rig->sim, 60000000u);
	gb__coro_drain_all(&rig->net); /* it is in line when its timer expires */
	for (int i = 0; i < 20 && over < 1; i++)
		rig_pass(rig, 1);
	CHECK_INT(over, 1);
	CHECK_INT(codes[0] == 0 ? codes[1] : codes[0], -ESHUTDOWN);
}

/* A second coroutine at the same stream. */
static int second_reads(struct gb_coro *coro, void *arg)
{
	struct gb_bytes bytes;

	note(gb_read_message(arg, &bytes));
	over++;
	return 0;
}

NET_TEST(a_second_reader_is_refused_and_so_is_who_is_no_coroutine)
{
	struct peer *peer = guest(rig, &drained);
	struct gb_bytes bytes;

	rig_step(rig, peer);
	UNTIL(rig, peer, served && served->reader);
	CHECK_INT(gb_read_message(served, &bytes), -GB_ENOCORO);
	CHECK_INT(gb_flush(served), -GB_ENOCORO);
	CHECK_INT(gb_yield(served->coro), -GB_ENOCORO);
	CHECK_INT(gb_sleep(served->coro, 1), -GB_ENOCORO);
	CHECK_INT(gb__coro_start(&rig->streams, "second", second_reads, served, NULL), 0);
	UNTIL(rig, peer, over == 1);
	CHECK_INT(codes[0], -EBUSY);
	peer_send(peer, "one\n", 4);
	UNTIL(rig, peer, peer->got_size == 2);
	peer_close(peer);
}

/* A stream of our own making. */
static struct gb_stream *outgoing;
static bool leave;

static void dial(struct gb_coro *coro, const struct gb__address *address)
{
	struct gb__socket_options options = { 0 };
	static const struct gb_service plain = { GB_SERVICE_INIT, .name = "plain" };
	struct gb_conn *conn;

	outgoing = gb__stream_create(coro->streams, coro);
	outgoing->opened = true;
	CHECK_INT(gb__net_connect(coro->streams->net, address, &options, &plain, NULL, GB__FOR_STREAM, &conn),
		0);
	gb__stream_attach(outgoing, conn);
	coro->opened++;
}

static int dials(struct gb_coro *coro, void *arg)
{
	struct gb_bytes bytes;

	dial(coro, arg);
	note(gb_read_message(outgoing, &bytes));
	over++;
	while (!leave)
		gb_sleep(coro, 1);
	return 0;
}

static int closes(struct gb_coro *coro, void *arg)
{
	gb_stream_close(outgoing);
	return 0;
}

/* The other end of what `serve`, which has begun, dials. */
static struct sim_client *dialled(struct rig *rig, int (*serve)(struct gb_coro *coro, void *arg))
{
	int fd = sim_listen(rig->sim, 0, 4);
	struct sockaddr_in to = sim_address(rig->sim, fd);
	struct gb__address address = { .size = sizeof(to) };
	struct sim_client *client = NULL;

	codes_count = over = 0;
	leave = false;
	memcpy(&address.any, &to, sizeof(to));
	CHECK_INT(gb__coro_start(&rig->streams, "dials", serve, &address, NULL), 0);
	UNTIL(rig, NULL, client || (client = sim_client_accept(rig->sim, fd)));
	sim_os(rig->sim)->ops->close(sim_os(rig->sim), fd);
	return client;
}

/* After which nobody waits any more. */
static void hang_up(struct rig *rig, struct sim_client *client)
{
	sim_client_close(client);
	for (int i = 0; i < 100 && rig->net.coroutines > 0; i++)
		rig_pass(rig, 1);
	CHECK_INT(rig->net.coroutines, 0);
}

/* Its memory is among what is taken next. */
static bool is_given_back(struct rig *rig, const struct gb_stream *stream)
{
	void *cells[4];
	bool found = false;

	for (unsigned i = 0; i < gb__countof(cells); i++) {
		cells[i] = gb__slabs_take(&rig->net.slabs, sizeof(*stream));
		found |= cells[i] == stream;
	}
	for (unsigned i = 0; i < gb__countof(cells); i++)
		gb__slabs_give(&rig->net.slabs, cells[i], sizeof(*stream));
	return found;
}

NET_TEST(a_stream_that_another_one_closes_is_stale_for_who_waits_for_it)
{
	struct sim_client *client = dialled(rig, dials);

	CHECK_INT(gb__coro_start(&rig->streams, "closes", closes, NULL, NULL), 0);
	UNTIL(rig, NULL, over == 1);
	CHECK_INT(codes[0], -ESTALE);
	CHECK(is_given_back(rig, outgoing));
	leave = true;
	hang_up(rig, client);
}

/* Of a stream of its own. */
static int dials_and_reads_twice(struct gb_coro *coro, void *arg)
{
	struct gb_bytes bytes;

	dial(coro, arg);
	while (outgoing->conn->state != GB__CONN_OPEN)
		CHECK_INT(gb_yield(coro), 0);
	note(gb_read_message(outgoing, &bytes));
	note(gb_read_message(outgoing, &bytes));
	gb_stream_close(outgoing);
	over++;
	return 0;
}

NET_TEST(a_drain_that_comes_with_a_message_is_told_by_the_next_read)
{
	struct sim_client *client = dialled(rig, dials_and_reads_twice);

	UNTIL(rig, NULL, outgoing->reader);
	CHECK_INT(sim_client_send(client, "1", 1), 1); /* which nothing splits */
	gb__coro_drain_all(&rig->net);
	for (int i = 0; i < 10; i++) /* its message comes while it is in line */
		gb__loop_turn(&rig->loop, 1000);
	for (int i = 0; i < 1000 && codes_count < 2; i++)
		rig_pass(rig, 1);
	CHECK_INT(codes_count, 2);
	CHECK_INT(codes[0] == 1 ? codes[1] : codes[0], -ESHUTDOWN);
	hang_up(rig, client);
	CHECK_INT(over, 1);
}
