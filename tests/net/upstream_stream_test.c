/* Connections of a pool as coroutines take them. */
#include "upstream_driver.h"

#include "base/macros.h"
#include "net/upstream_pool.h"
#include "stream/stream.h"

#include <errno.h>

static void unheard(struct gb_conn *conn, struct gb_bytes message)
{
	(void)conn;
	(void)message;
}

static const struct gb_service service = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "far",
	.codec = &gb_codec_line, .on_message = unheard };

/* In straight-line style: two that ask in turn, by one connection. */
static struct gb_upstream *shared;
static unsigned asked;

static int ask(struct gb_coro *coro, void *arg)
{
	struct gb_stream *stream;
	struct gb_bytes answer;

	for (unsigned i = 0; i < 3; i++) {
		CHECK_INT(gb_upstream_take(coro, shared, &stream, NULL), 0);
		CHECK(gb_stream_coro(stream) == coro);
		CHECK_INT(gb_write(stream, "ask\n", 4), 4);
		CHECK_INT(gb_read_message(stream, &answer), 1);
		CHECK(gb_bytes_is(answer, "answer"));
		CHECK_INT(gb_upstream_give_stream(stream, true), 0);
		asked++;
	}
	return 0;
}

NET_TEST(streams_are_taken_and_given_back)
{
	size_t answered = 0;
	struct peer peer;

	listen_anew(rig, 4);
	shared = pool_of(rig, &service, (struct gb_upstream_options){ .open_max = 1, .streams = true },
		&gb__upstream_streams);
	asked = 0;
	for (unsigned i = 0; i < 2; i++)
		CHECK_INT(gb__coro_start(&rig->streams, "ask", ask, NULL, NULL), 0);
	peer = far_end(rig);
	while (asked < 6) {
		UNTIL(rig, &peer, peer.got_size / 4 > answered || asked == 6);
		if (peer.got_size / 4 > answered) {
			answered++;
			peer_send(&peer, "answer\n", 7);
		}
	}
	UNTIL(rig, &peer, rig->net.coroutines == 0);
	CHECK_INT(rig->counters.stats.connected, 1);
	CHECK_INT(stats(shared).taken, 6);
	CHECK_INT(stats(shared).reused, 5);
	CHECK_INT(stats(shared).idle, 1);
	sim_client_shutdown(peer.client);
	UNTIL(rig, &peer, stats(shared).open == 0);
	far_close(&peer);
	finish(rig, shared);
}

/* What a coroutine does with a stream that is no good any more, and what it waits for in vain. */
static int fail_in_each_way(struct gb_coro *coro, void *arg)
{
	struct gb_stream *stream;
	struct gb_error error;
	char byte;

	CHECK_INT(gb_upstream_take(coro, shared, &stream, NULL), 0);
	CHECK_INT(gb_read(stream, &byte, 1), -ECONNRESET);
	CHECK_INT(gb_upstream_give_stream(stream, true), 0); /* it is over */
	CHECK_INT(gb_upstream_take(coro, shared, &stream, NULL), 0);
	GB_WITH_DEADLINE(coro, 10)
	{
		struct gb_stream *other;

		CHECK_INT(gb_upstream_take(coro, shared, &other, &error), -ETIMEDOUT);
		CHECK(strstr(error.text, ": 1 of at most 1 are open and 0 idle, 0 connect"));
	}
	gb_stream_close(stream); /* for good */
	CHECK_INT(gb_upstream_take(coro, shared, &stream, NULL), 0);
	CHECK_INT(gb_upstream_give_stream(stream, false), 0);
	asked++;
	return 0;
}

NET_TEST(a_stream_that_ended_goes_from_its_pool)
{
	struct peer peers[3];

	listen_anew(rig, 4);
	rig_calm(rig);
	rig->limits.linger_timeout_ms = 1;
	shared = pool_of(rig, &service, (struct gb_upstream_options){ .open_max = 1, .streams = true },
		&gb__upstream_streams);
	asked = 0;
	CHECK_INT(gb__coro_start(&rig->streams, "fail", fail_in_each_way, NULL, NULL), 0);
	peers[0] = far_end(rig);
	rig_step(rig, NULL);
	sim_client_reset(peers[0].client);
	peers[1] = far_end(rig);
	for (unsigned i = 0; i < 5; i++)
		rig_pass(rig, 10);
	peers[2] = far_end(rig);
	UNTIL(rig, NULL, asked == 1 && rig->net.coroutines == 0);
	UNTIL(rig, NULL, stats(shared).open == 0);
	CHECK_INT(stats(shared).uses_failed, 2);
	for (unsigned i = 0; i < 3; i++)
		far_close(&peers[i]);
	finish(rig, shared);
}

/* Nobody listens: who waits is told why, at once or when his time is over; so it is when nobody may wait. */
static int is_told_why(struct gb_coro *coro, void *arg)
{
	struct gb_upstream *callbacks = arg;
	struct gb_stream *stream;
	struct gb_error error;
	char expected[128];

	snprintf(expected, sizeof(expected), "cannot connect to 127.0.0.1:%u: Connection refused",
		gb__address_port(&address));
	CHECK_INT(gb_upstream_take(coro, shared, &stream, &error), -ECONNREFUSED);
	CHECK_INT(error.code, -ECONNREFUSED);
	CHECK_STR(error.text, expected);
	CHECK_STR(gb_upstream_problem(shared), expected);
	CHECK_INT(gb_upstream_take(coro, callbacks, &stream, &error), -EINVAL);
	CHECK(strstr(error.text, "gb_upstream_take_begin"));
	CHECK(!gb_upstream_problem(callbacks));
	asked++;
	return 0;
}

NET_TEST(whoever_gets_no_stream_is_told_why)
{
	struct gb_upstream *callbacks;

	listen_anew(rig, 4);
	stop_listening(rig);
	callbacks = pool_of(rig, &service, (struct gb_upstream_options){ 0 }, NULL);
	for (unsigned fast = 0; fast < 2; fast++) {
		shared = pool_of(rig, &service,
			(struct gb_upstream_options){ .streams = true, .fails_fast = fast, .wait_ms = 30 },
			&gb__upstream_streams);
		asked = 0;
		CHECK_INT(gb__coro_start(&rig->streams, "told", is_told_why, callbacks, NULL), 0);
		UNTIL(rig, NULL, asked == 1 && rig->net.coroutines == 0);
		gb_upstream_destroy(shared);
		rig_step(rig, NULL);
	}
	gb_upstream_destroy(callbacks);
	rig_step(rig, NULL);
}

/* What has happened in a pool, and what is said of it; `to` stands for whom it connects to. */
struct reason {
	int code, failure;
	const char *why; /* of `failure`, if not that code's words */
	bool pauses, destroyed;
	const char *text;
};

static const struct reason waited[] = {
	{ -ECONNREFUSED, -ECONNREFUSED, .text = "cannot connect to %s: Connection refused" },
	{ -ENETUNREACH, -ENETUNREACH, .pauses = true,
		.text = "cannot connect to %s: Network is unreachable" },
	{ -EHOSTUNREACH, -EHOSTUNREACH, .text = "cannot connect to %s: No route to host" },
	{ -ETIMEDOUT, -ETIMEDOUT, .text = "cannot connect to %s: Connection timed out" },
	{ -EMFILE, -EMFILE, .text = "cannot connect to %s: Too many open files" },
	{ -EAGAIN, -EAGAIN, .text = "cannot connect to %s: Resource temporarily unavailable" },
	{ -GB_ENONAME, -GB_ENONAME,
		.text = "cannot connect to %s: it does not resolve: the name does not exist (NXDOMAIN)" },
	{ -EPROTO, -EPROTO, "self-signed certificate",
		.text = "cannot connect to %s: self-signed certificate" },
	{ -ETIMEDOUT, -ECONNREFUSED, .pauses = true,
		.text = "no connection in time, and the last try failed: cannot connect to %s: Connection refused" },
	{ -ETIMEDOUT, .text = "no connection to %s in time: 2 of at most 2 are open and 0 idle, 1 connect" },
	{ -ETIMEDOUT, .pauses = true,
		.text = "no connection to %s: 3 uses of one in a row failed, and none is made for a time" },
	{ -ESHUTDOWN, .text = "no connection to %s: the worker drains or ends" },
	{ -ECANCELED, .text = "no connection to %s: the wait for it was cancelled" },
	{ -ECANCELED, -ECONNREFUSED, .destroyed = true,
		.text = "no connection to %s: its pool was destroyed" },
	{ -ENOMEM, .text = "no connection to %s: Cannot allocate memory" },
};

static const struct reason refused[] = {
	{ .text = "" }, /* nothing against it */
	{ -ECONNREFUSED, -ECONNREFUSED, .pauses = true, .text = "cannot connect to %s: Connection refused" },
	{ -EAGAIN, .pauses = true,
		.text = "no connection to %s: 3 uses of one in a row failed, and none is made for a time" },
};

static void put(struct gb_upstream *upstream, const struct reason *reason, const char *to)
{
	upstream->failure = (struct gb_error){ 0 };
	if (reason->failure)
		gb_error_set(&upstream->failure, reason->failure, "cannot connect to %s: %s", to,
			reason->why ? reason->why : gb_strerror(reason->failure));
	upstream->retry_ns = reason->pauses ? gb__upstream_now_ns(upstream) + MS : 0;
	upstream->destroyed = reason->destroyed;
}

/* With whom it connects to where that stands. */
static const char *worded(const char *text, const char *to)
{
	static char said[256];
	const char *place = strstr(text, "%s");

	if (!place)
		return text;
	snprintf(said, sizeof(said), "%.*s%s%s", (int)(place - text), text, to, place + 2);
	return said;
}

NET_TEST(why_there_is_no_connection_is_told_by_what_has_happened)
{
	struct gb_upstream *upstream;
	struct gb_error error;
	char to[GB__UPSTREAM_NAME];

	listen_anew(rig, 1);
	upstream = pool_of(rig, &service,
		(struct gb_upstream_options){
			.streams = true, .open_max = 2, .waiting_max = 3, .fails_fast = true },
		&gb__upstream_streams);
	gb__upstream_name(upstream, to);
	upstream->use_failures = 3;
	upstream->stats.open = 2;
	upstream->stats.connecting = 1;
	for (size_t i = 0; i < gb__countof(waited); i++) {
		put(upstream, &waited[i], to);
		CHECK_INT(gb__upstream_explain(upstream, waited[i].code, &error), waited[i].code);
		CHECK_INT(error.code, waited[i].code);
		CHECK_STR(error.text, worded(waited[i].text, to));
	}
	for (size_t i = 0; i < gb__countof(refused); i++) {
		put(upstream, &refused[i], to);
		error = (struct gb_error){ 0 };
		CHECK_INT(gb__upstream_refusal(upstream, &error), refused[i].code);
		CHECK_INT(gb__upstream_refusal(upstream, NULL), refused[i].code);
		CHECK_STR(error.text, worded(refused[i].text, to));
	}
	/* What a full socket says of a connect is no matter of those who wait. */
	upstream->stats.waiting = 3;
	put(upstream, &waited[5], to);
	CHECK_INT(gb__upstream_refusal(upstream, &error), -EAGAIN);
	CHECK_STR(error.text, worded("no connection to %s: 3 wait for one already, and no more may", to));
	put(upstream, &refused[0], to);
	upstream->stats.open = upstream->stats.connecting = upstream->stats.waiting = 0;
	finish(rig, upstream);
}

/* Uses have failed, and so nobody may wait: not because others do. */
static int is_refused(struct gb_coro *coro, void *arg)
{
	struct gb_stream *stream;
	struct gb_error error;

	(void)arg;
	CHECK_INT(gb_upstream_take(coro, shared, &stream, NULL), 0);
	CHECK_INT(gb_upstream_give_stream(stream, false), 0);
	CHECK_INT(gb_upstream_take(coro, shared, &stream, &error), -EAGAIN);
	CHECK(strstr(error.text, "1 use of one in a row failed"));
	asked++;
	return 0;
}

NET_TEST(who_may_not_wait_is_told_of_uses_that_failed)
{
	struct peer peer;

	listen_anew(rig, 4);
	rig_calm(rig);
	rig->limits.linger_timeout_ms = 1;
	shared = pool_of(rig, &service,
		(struct gb_upstream_options){ .streams = true, .fails_fast = true, .failures_max = 1 },
		&gb__upstream_streams);
	asked = 0;
	CHECK_INT(gb__coro_start(&rig->streams, "refused", is_refused, NULL, NULL), 0);
	peer = far_end(rig);
	UNTIL(rig, NULL, asked == 1 && rig->net.coroutines == 0);
	far_close(&peer);
	finish(rig, shared);
}
