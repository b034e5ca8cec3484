/* What is given back of idle memory and when: each look is the test's, and so is what the coroutines' part says. */
#include "rig.h"

#include "net/sequential.h"

#include <gearbox/stream.h>

static struct gb__sequential watched;
static unsigned given, incomplete, over;

static bool gives_back(struct gb__net *net)
{
	return ++given > incomplete;
}

/* Says so many times that this was not all. */
static void watch(struct rig *rig, unsigned times)
{
	rig->limits.trim_after_ms = 0;
	watched = *rig->net.sequential;
	watched.trim = gives_back;
	rig->net.sequential = &watched;
	given = over = 0;
	incomplete = times;
}

static int ends_at_once(struct gb_coro *coro, void *arg)
{
	over++;
	return 0;
}

static void burst(struct rig *rig, unsigned count)
{
	const unsigned before = over;

	for (unsigned i = 0; i < count; i++)
		CHECK_INT(gb__coro_start(&rig->streams, "task", ends_at_once, NULL, NULL), 0);
	UNTIL(rig, NULL, over == before + count);
}

NET_TEST(what_could_not_go_back_is_asked_for_again_although_nothing_moves)
{
	watch(rig, 2);
	burst(rig, 10);
	gb__trim_look(&rig->net);
	CHECK_INT(given, 0); /* all of it has just moved */
	for (unsigned i = 1; i <= 3; i++) {
		gb__trim_look(&rig->net);
		CHECK_INT(given, i);
	}
}

NET_TEST(idle_memory_goes_back_once_an_eighth_of_it_moves_and_not_while_half_does)
{
	watch(rig, 0);
	burst(rig, 100);
	gb__trim_look(&rig->net);
	burst(rig, 100);
	gb__trim_look(&rig->net);
	CHECK_INT(given, 0);
	burst(rig, 5);
	gb__trim_look(&rig->net);
	CHECK_INT(given, 1);
}

static void echo_message(struct gb_conn *conn, struct gb_bytes message)
{
	gb_conn_send(conn, message.data, message.size);
}

static const struct gb_service echo = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "echo",
	.codec = &gb_codec_line, .on_open = count_open, .on_message = echo_message, .on_close = count_close };

/* Whatever happened before the last look. */
NET_TEST(what_is_cached_goes_back_once_nothing_happens_between_two_looks)
{
	struct gb__pool *pool = &rig->net.engine->pool;
	struct peer *peer;

	watch(rig, 0);
	peer = rig_peer(rig, &echo);
	for (unsigned i = 0; i < 100; i++) {
		peer_send(peer, "x\n", 2);
		UNTIL(rig, peer, peer->got_size == i + 1);
	}
	CHECK(rig->net.engine->stats.events >= 100);
	gb__chunk_destroy(pool, gb__chunk_create(pool, 30000));
	CHECK(pool->cached >= 30000);
	gb__trim_look(&rig->net);
	CHECK_INT(given, 0); /* it may be in use again and again */
	gb__trim_look(&rig->net);
	CHECK_INT(given, 1);
	CHECK_INT(pool->cached, 0);
	peer_close(peer);
}
