/* Replies that are made while they leave: with room for them, in their order, and what becomes of one that breaks off. */
#include "rig.h"

#include "base/macros.h"
#include "net/drain.h"
#include "net/task.h"

#include <gearbox/operation.h>
#include <gearbox/reply.h>

#include <errno.h>

#define PRODUCERS 4u

/* A producer of the pattern. */
struct made {
	struct gb_producer producer; /* first */
	struct gb_conn *conn;
	size_t size, at;
	int64_t then;    /* what it returns once `at` is `size` */
	size_t stutters; /* so many times it has nothing */
	unsigned calls, done;
	int result;
	size_t output_most;
};

static struct made made[PRODUCERS];
static unsigned begun;
static struct gb_reply open_reply;

static int64_t produce(void *user, void *room, size_t size)
{
	struct made *one = user;
	const size_t left = one->size - one->at, count = gb__min(gb__min(left, size), one->calls * 700 + 1);

	CHECK(one->done == 0 && size > 0);
	one->output_most = gb__max(one->output_most, gb_conn_output_size(one->conn));
	one->calls++;
	if (one->stutters > 0 && one->at * 2 >= one->size) {
		one->stutters--;
		return -EAGAIN;
	}
	if (left == 0)
		return one->then;
	for (size_t i = 0; i < count; i++)
		((unsigned char *)room)[i] = pattern_at(one->at + i);
	one->at += count;
	return (int64_t)count;
}

static void on_done(struct gb_operation *operation, void *user)
{
	struct made *one = user;

	CHECK(operation == &one->producer.operation);
	one->done++;
	one->result = gb_operation_result(operation);
}

static void begin(struct gb_conn *conn, size_t size)
{
	struct made *one = &made[begun++];

	CHECK(begun <= PRODUCERS);
	one->conn = conn;
	one->size = size;
	gb_conn_produce_begin(conn, &one->producer, produce, on_done, one);
	CHECK(gb_operation_pending(&one->producer.operation));
}

/* "p" is produced, "d" deferred; else an echo. */
static void on_message(struct gb_conn *conn, struct gb_bytes line)
{
	if (line.data[0] == 'p') {
		begin(conn, (size_t)atoi((const char *)line.data + 1));
	} else if (line.data[0] == 'd') {
		CHECK_INT(gb_conn_defer(conn, &open_reply), 0);
	} else {
		gb_conn_printf(conn, "<%.*s>", (int)line.size, (const char *)line.data);
	}
}

static const struct gb_service service = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "service",
	.codec = &gb_codec_line, .on_open = count_open, .on_message = on_message, .on_close = count_close };

/* The first one has nothing for so many times, from its middle on. */
static struct peer *start_stuttering(struct rig *rig, const char *lines, size_t stutters)
{
	struct peer *peer;

	memset(made, 0, sizeof(made));
	begun = 0;
	made[0].stutters = stutters;
	peer = rig_peer(rig, &service);
	peer_send(peer, lines, strlen(lines));
	return peer;
}

static struct peer *start(struct rig *rig, const char *lines)
{
	return start_stuttering(rig, lines, 0);
}

static void check_pattern(const struct peer *peer, size_t at, size_t size)
{
	for (size_t i = 0; i < size; i++)
		CHECK_INT(peer->got[at + i], pattern_at(i));
}

NET_TEST(a_reply_is_made_as_there_is_room_for_it)
{
	struct peer *peer = start(rig, "p300000\n");

	UNTIL(rig, peer, peer->got_size == 300000 && made[0].done);
	check_pattern(peer, 0, 300000);
	CHECK_INT(made[0].result, 0);
	CHECK_INT(made[0].producer.produced, 300000);
	CHECK(made[0].output_most <= rig->limits.output_high);
	CHECK_INT(rig->counters.stats.bytes_out, 300000);
	peer_send(peer, "x\n", 2);
	UNTIL(rig, peer, peer->got_size == 300003);
	peer_close(peer);
}

NET_TEST(who_does_not_read_has_no_more_made_than_the_watermark)
{
	struct peer *peer;
	size_t at;

	memset(made, 0, sizeof(made));
	begun = 0;
	peer = rig_peer(rig, &service);
	peer->read_max = 1000;
	sim_client_set_window(peer->client, 2000);
	peer_send(peer, "p900000\n", 8);
	for (unsigned i = 0; i < 2000; i++)
		rig_step(rig, peer);
	at = made[0].at;
	CHECK(at > 0 && at < 300000);
	for (unsigned i = 0; i < 200; i++)
		rig_step(rig, peer);
	CHECK_INT(made[0].at, at);
	peer->read_max = PEER_BYTES_MAX;
	UNTIL(rig, peer, peer->got_size == 900000 && made[0].done);
	check_pattern(peer, 0, 900000);
	peer_close(peer);
}

NET_TEST(replies_around_it_keep_their_order)
{
	struct peer *peer = start(rig, "a\np40000\nb\nd\np50000\nc\np0\ne\n");

	UNTIL(rig, peer, begun == 3);
	for (unsigned i = 0; i < 300; i++)
		rig_step(rig, peer);
	CHECK_INT(made[1].calls, 0);
	CHECK_INT(gb_reply_finish(open_reply, "<later>", 7), 0);
	UNTIL(rig, peer, peer->got_size == 3 + 40000 + 3 + 7 + 50000 + 3 + 3 && made[2].done);
	CHECK(memcmp(peer->got, "<a>", 3) == 0);
	check_pattern(peer, 3, 40000);
	CHECK(memcmp(peer->got + 40003, "<b><later>", 10) == 0);
	check_pattern(peer, 40013, 50000);
	CHECK(memcmp(peer->got + 90013, "<c><e>", 6) == 0);
	CHECK(made[0].done == 1 && made[1].done == 1 && made[2].done == 1);
	CHECK_INT(made[0].result | made[1].result | made[2].result, 0);
	peer_close(peer);
}

/* The first half of a deferred reply was produced. */
static struct peer *half_produced(struct rig *rig)
{
	struct peer *peer = start(rig, "d\n");

	open_reply = (struct gb_reply){ 0 };
	UNTIL(rig, peer, gb_reply_open(open_reply));
	made[0].conn = open_reply.place->conn;
	made[0].size = 70000;
	made[0].stutters = 1;
	CHECK_INT(gb_reply_produce(open_reply, &made[0].producer, produce, on_done, &made[0]), 0);
	UNTIL(rig, peer, made[0].stutters == 0 && peer->got_size == made[0].at);
	return peer;
}

NET_TEST(a_reply_has_one_producer)
{
	struct peer *peer = half_produced(rig);

	CHECK_INT(gb_reply_produce(open_reply, &made[1].producer, produce, on_done, &made[1]), -EBUSY);
	gb_producer_resume(&made[0].producer);
	UNTIL(rig, peer, peer->got_size == 70000 && made[0].done);
	CHECK_INT(made[0].result, 0);
	CHECK_INT(made[1].calls + made[1].done, 0);
	peer_close(peer);
}

NET_TEST(one_whose_reply_somebody_else_finishes_is_over)
{
	struct peer *peer = half_produced(rig);

	CHECK_INT(gb_reply_finish(open_reply, "end", 3), 0);
	peer_send(peer, "d\n", 2);
	UNTIL(rig, peer, made[0].done && gb_reply_open(open_reply));
	CHECK_INT(made[0].result, -EPIPE);
	gb_producer_resume(&made[0].producer);
	CHECK_INT(gb_reply_finish(open_reply, "next", 4), 0);
	UNTIL(rig, peer, peer->got_size == made[0].at + 7);
	CHECK(memcmp(peer->got + made[0].at, "endnext", 7) == 0);
	peer_close(peer);
}

NET_TEST(a_deferred_reply_may_be_produced_later)
{
	struct peer *peer = start(rig, "d\nb\n");
	struct gb_reply reply;

	open_reply = (struct gb_reply){ 0 };
	UNTIL(rig, peer, gb_reply_open(open_reply));
	made[0].conn = open_reply.place->conn;
	made[0].size = 70000;
	reply = open_reply;
	CHECK_INT(gb_reply_produce(reply, &made[0].producer, produce, on_done, &made[0]), 0);
	UNTIL(rig, peer, peer->got_size == 70003 && made[0].done);
	check_pattern(peer, 0, 70000);
	CHECK(memcmp(peer->got + 70000, "<b>", 3) == 0);
	CHECK_INT(gb_reply_produce(reply, &made[1].producer, produce, on_done, &made[1]), -ESTALE);
	peer_close(peer);
}

NET_TEST(who_has_nothing_is_asked_again_when_he_says_so)
{
	struct peer *peer = start_stuttering(rig, "p60000\nz\n", 3);

	for (size_t left = 3; left-- > 0; gb_producer_resume(&made[0].producer)) {
		UNTIL(rig, peer, made[0].stutters == left);
		for (unsigned i = 0; i < 100; i++)
			rig_step(rig, peer);
		CHECK_INT(made[0].stutters, left);
	}
	UNTIL(rig, peer, peer->got_size == 60003 && made[0].done);
	gb_producer_resume(&made[0].producer);
	check_pattern(peer, 0, 60000);
	peer_close(peer);
}

/* Half of it has left. */
static struct peer *half_made(struct rig *rig)
{
	struct peer *peer = start_stuttering(rig, "p60000\nz\n", 1);

	made[0].then = -EIO;
	UNTIL(rig, peer, made[0].stutters == 0 && peer->got_size == made[0].at);
	return peer;
}

NET_TEST(one_that_breaks_off_ends_the_connection_by_a_reset)
{
	struct peer *peer = half_made(rig);

	made[0].size = made[0].at;
	gb_producer_resume(&made[0].producer);
	UNTIL(rig, peer, peer->was_reset && rig->closed == 1 && made[0].done);
	CHECK_INT(made[0].result, -EIO);
	CHECK_INT(rig->last_reason, GB_CLOSE_LOCAL);
	CHECK(peer->got_size < 60000);
	peer_close(peer);
}

NET_TEST(one_that_is_cancelled_does_so_as_well)
{
	struct peer *peer = half_made(rig);

	gb_operation_cancel(&made[0].producer.operation);
	CHECK_INT(made[0].done, 0);
	UNTIL(rig, peer, peer->was_reset && rig->closed == 1 && made[0].done);
	CHECK_INT(made[0].result, -ECANCELED);
	peer_close(peer);
}

NET_TEST(one_that_never_began_ends_it_in_order)
{
	struct peer *peer;

	memset(made, 0, sizeof(made));
	begun = 0;
	made[0].then = -EIO;
	peer = rig_peer(rig, &service);
	peer_send(peer, "a\np0\nb\n", 7);
	UNTIL(rig, peer, peer->at_end && made[0].done);
	CHECK(!peer->was_reset);
	CHECK_INT(peer->got_size, 3);
	CHECK_INT(made[0].result, -EIO);
	peer_close(peer);
}

NET_TEST(a_connection_that_ends_before_is_told)
{
	struct peer *peer = half_made(rig);

	sim_client_reset(peer->client);
	for (unsigned i = 0; i < 10 && rig->closed == 0; i++)
		rig_pass(rig, 500);
	UNTIL(rig, NULL, rig->closed == 1 && made[0].done);
	CHECK_INT(made[0].result, -EPIPE);
	gb_producer_resume(&made[0].producer);
	peer_close(peer);
}

NET_TEST(a_peer_that_has_finished_gets_all_of_it)
{
	struct peer *peer = start(rig, "p200000\n");

	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, peer->at_end && rig->closed == 1);
	CHECK_INT(peer->got_size, 200000);
	CHECK_INT(rig->last_reason, GB_CLOSE_EOF);
	CHECK_INT(made[0].done, 1);
	peer_close(peer);
}

/* In its middle `produce` ends what it produces for, and still says that it made something. */
static void (*act)(struct made *one);

static int64_t produce_and_act(void *user, void *room, size_t size)
{
	struct made *one = user;

	CHECK(one->done == 0 && one->calls < 3);
	memset(room, 'x', size);
	if (++one->calls == 2)
		act(one);
	return one->calls < 3 ? (int64_t)gb__min(size, 100) : 0;
}

static void act_abort(struct made *one)
{
	gb_conn_abort(one->conn);
}

static void act_close(struct made *one)
{
	gb_conn_close(one->conn);
}

static void act_cancel(struct made *one)
{
	gb_operation_cancel(&one->producer.operation);
}

static void act_finish(struct made *one)
{
	CHECK_INT(gb_reply_finish(one->producer.reply, "f", 1), 0);
}

static void act_fail(struct made *one)
{
	CHECK_INT(gb_reply_fail(one->producer.reply, GB_CLOSE_LOCAL), 0);
}

static void on_act(struct gb_conn *conn, struct gb_bytes line)
{
	(void)line;
	made[0].conn = conn;
	gb_conn_produce_begin(conn, &made[0].producer, produce_and_act, on_done, &made[0]);
}

static void acts(struct rig *rig, void (*what)(struct made *one), int result, size_t arrives)
{
	static const struct gb_service acting = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "acting",
		.codec = &gb_codec_line, .on_open = count_open, .on_message = on_act,
		.on_close = count_close };
	const unsigned before = rig->closed;
	struct peer *peer;

	act = what;
	memset(made, 0, sizeof(made));
	peer = rig_peer(rig, &acting);
	peer_send(peer, "a\n", 2);
	UNTIL(rig, peer, made[0].done);
	CHECK_INT(made[0].result, result);
	if (arrives)
		UNTIL(rig, peer, peer->got_size == arrives);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == before + 1);
	CHECK_INT(made[0].done, 1);
	peer_close(peer);
}

NET_TEST(a_producer_may_end_what_it_produces_for)
{
	acts(rig, act_close, 0, 200);
	acts(rig, act_finish, -EPIPE, 101);
	acts(rig, act_cancel, -ECANCELED, 0);
	acts(rig, act_fail, -EPIPE, 0);
	acts(rig, act_abort, -EPIPE, 0);
}

NET_TEST(a_drain_waits_for_it)
{
	struct peer *peer = half_made(rig);

	gb__net_drain(&rig->net);
	for (unsigned i = 0; i < 5; i++)
		rig_pass(rig, 700);
	CHECK_INT(rig->closed, 0);
	made[0].then = 0;
	gb_producer_resume(&made[0].producer);
	UNTIL(rig, peer, peer->got_size == 60003);
	for (unsigned i = 0; i < 10 && !peer->at_end; i++)
		rig_pass(rig, 700), rig_step(rig, peer);
	CHECK(peer->at_end && !peer->was_reset);
	peer_close(peer);
}

static struct gb__job *held;

static void hold(void *arg, struct gb__job *job)
{
	(void)arg;
	held = job;
}

/* A thread of the pool defers, and the worker begins to produce while the handler still runs there. */
static struct peer *begun_beside(struct rig *rig)
{
	struct peer *peer;

	held = NULL;
	gb__net_submit_to(&rig->net, hold, NULL, 4);
	peer = start(rig, "d\n");
	UNTIL(rig, peer, held != NULL);
	gb__task_run(held); /* it is back with the next turn */
	made[0].conn = open_reply.place->conn;
	made[0].size = 70000;
	CHECK_INT(gb_reply_produce(open_reply, &made[0].producer, produce, on_done, &made[0]), 0);
	return peer;
}

NET_TEST(a_reply_deferred_in_the_pool_may_be_produced_before_its_handler_is_back)
{
	struct peer *peer = begun_beside(rig), *other = rig_peer(rig, &service);

	CHECK_INT(made[0].calls, 0);
	sim_client_reset(other->client);
	UNTIL(rig, peer, peer->got_size == 70000 && made[0].done);
	check_pattern(peer, 0, 70000);
	UNTIL(rig, peer, rig->closed == 1);
	peer_close(other);
	peer_close(peer);
}

NET_TEST(nor_does_it_outlive_a_connection_that_ends_before)
{
	struct peer *peer = begun_beside(rig);

	gb_conn_abort(made[0].conn);
	UNTIL(rig, NULL, made[0].done && rig->closed == 1);
	CHECK_INT(made[0].result, -EPIPE);
	CHECK_INT(made[0].calls, 0);
	peer_close(peer);
}

static void begin_loose(struct gb_conn *conn, struct gb_bytes line)
{
	(void)line;
	gb_conn_produce_begin(conn, &made[0].producer, produce, on_done, &made[0]);
	gb_conn_send(conn, "no", 2);
}

NET_TEST(where_replies_need_no_order_there_are_none_in_parts)
{
	static const struct gb_service loose = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "loose",
		.codec = &gb_codec_line, .traits = GB_TRAIT_UNORDERED, .on_open = count_open,
		.on_message = begin_loose, .on_close = count_close };
	struct peer *peer;

	memset(made, 0, sizeof(made));
	peer = rig_peer(rig, &loose);
	peer_send(peer, "a\n", 2);
	UNTIL(rig, peer, peer->got_size == 2 && made[0].done);
	CHECK_INT(made[0].result, -EOPNOTSUPP);
	peer_close(peer);
}
