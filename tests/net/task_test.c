/*
 * Messages that go through a compute pool. The pool here is the test itself: it holds submitted tasks and
 * runs them when it likes, on the same thread, so that every interleaving can be had.
 */
#include "rig.h"

#include "base/alloc.h"
#include "net/task.h"

#include <errno.h>

#define HELD_MAX 256u

static struct gb__job *held[HELD_MAX];
static unsigned held_count;

static void hold(void *arg, struct gb__job *job)
{
	CHECK(held_count < HELD_MAX);
	held[held_count++] = job;
}

static void pool_use(struct rig *rig, unsigned tasks_max)
{
	held_count = 0;
	gb__net_submit_to(&rig->net, hold, NULL, tasks_max);
}

/* Run any one of those held. */
static void run_one(struct rig *rig)
{
	unsigned at = (unsigned)(test_random(&rig->random) % held_count);
	struct gb__job *job = held[at];

	held[at] = held[--held_count];
	gb__task_run(job);
}

static void run_all(struct rig *rig)
{
	while (held_count > 0)
		run_one(rig);
}

static unsigned inside; /* handlers that have begun, of this connection, minus those that are back */

static void bracket_message(struct gb_conn *conn, struct gb_bytes message)
{
	unsigned *count = gb_conn_state(conn);

	CHECK(gb_conn_user(conn) != NULL);
	gb_conn_printf(conn, "%u<%.*s>\n", (*count)++, (int)message.size, (const char *)message.data);
	if (message.size > 3000)
		gb_conn_send(conn, message.data, message.size); /* more than the lent chunk holds */
	inside++;
}

static const struct gb_service bracket = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "bracket",
	.codec = &gb_codec_line, .conn_state_size = sizeof(unsigned), .on_open = count_open,
	.on_message = bracket_message, .on_close = count_close };

NET_TEST(replies_from_the_pool_keep_the_order_of_each_connection)
{
	enum { PEERS = 5, LINES = 60 };
	struct peer *peers[PEERS];
	static char expected[PEER_BYTES_MAX];
	struct {
		size_t size, taken;
		char text[LINES * 8];
	} sent[PEERS] = { 0 };
	bool all = false;

	pool_use(rig, 3);
	for (unsigned i = 0; i < PEERS; i++)
		peers[i] = rig_peer(rig, &bracket);
	for (unsigned i = 0; i < PEERS; i++)
		for (unsigned j = 0; j < LINES; j++)
			sent[i].size += (size_t)sprintf(sent[i].text + sent[i].size, "%u.%u\n", i, j);
	for (unsigned steps = 0; !all; steps++) {
		CHECK(steps < 100000);
		CHECK(rig->net.tasks <= 3);
		for (unsigned i = 0; i < PEERS; i++)
			sent[i].taken += sim_client_send(
				peers[i]->client, sent[i].text + sent[i].taken, sent[i].size - sent[i].taken);
		if (held_count > 0 && test_random(&rig->random) % 2)
			run_one(rig);
		rig_step(rig, peers[test_random(&rig->random) % PEERS]);
		all = rig->counters.stats.messages == PEERS * LINES && rig->net.tasks == 0 && held_count == 0;
	}
	for (unsigned i = 0; i < PEERS; i++) {
		size_t size = 0;

		for (unsigned j = 0; j < LINES; j++)
			size += (size_t)sprintf(expected + size, "%u<%u.%u>\n", j, i, j);
		UNTIL(rig, peers[i], peers[i]->got_size >= size);
		CHECK_INT(peers[i]->got_size, size);
		CHECK(memcmp(peers[i]->got, expected, size) == 0);
		peer_close(peers[i]);
	}
}

/* Of whose messages the first is in a pool that takes so many. */
static struct peer *peer_with_task(
	struct rig *rig, const struct gb_service *service, const char *messages, unsigned tasks_max)
{
	struct peer *peer;

	pool_use(rig, tasks_max);
	peer = rig_peer(rig, service);
	peer_send(peer, messages, strlen(messages));
	UNTIL(rig, peer, held_count == 1);
	return peer;
}

NET_TEST(what_a_task_sends_beyond_its_lent_memory_arrives_too)
{
	static char line[20001];
	struct peer *peer;

	pool_use(rig, 4);
	peer = rig_peer(rig, &bracket);
	memset(line, 'z', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	peer_send(peer, line, sizeof(line));
	UNTIL(rig, peer, held_count == 1);
	run_all(rig);
	UNTIL(rig, peer, peer->got_size == 20004 + 20000);
	peer_close(peer);
}

static int sent[2];

static void send_much(struct gb_conn *conn, struct gb_bytes message)
{
	static const char much[60000];

	for (unsigned i = 0; i < 2; i++)
		sent[i] = gb_conn_send(conn, much, sizeof(much));
}

static const struct gb_service muchly = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "muchly",
	.codec = &gb_codec_line, .on_open = count_open, .on_message = send_much, .on_close = count_close };

NET_TEST(a_task_that_sends_more_than_may_wait_is_told_and_ends_its_connection)
{
	struct peer *peer;

	rig->limits.output_bytes_max = 100000;
	peer = peer_with_task(rig, &muchly, "go\n", 4);
	run_all(rig);
	CHECK_INT(sent[0], 0);
	CHECK_INT(sent[1], -GB_ELIMIT);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_OUTPUT_LIMIT);
	CHECK_INT(peer->got_size, 0);
	peer_close(peer);
}

NET_TEST(a_connection_that_dies_meanwhile_waits_for_its_task_and_its_replies_are_dropped)
{
	struct peer *peer;
	bool before = test_random(&rig->random) % 2;

	pool_use(rig, 4);
	inside = 0;
	peer = rig_peer(rig, &bracket);
	peer_send(peer, "a\nb\n", 4);
	UNTIL(rig, peer, held_count == 1);
	if (before)
		run_all(rig); /* its replies are on the way when the reset comes */
	sim_client_reset(peer->client);
	if (!before)
		gb__net_abort_all(&rig->net, GB_CLOSE_DRAIN); /* input is off: nobody looks at the socket */
	for (int i = 0; i < 20; i++)
		rig_step(rig, NULL);
	if (!before) {
		CHECK_INT(rig->closed, 0);
		CHECK(gb_conn_cancelled(&gb__container_of(held[0], struct gb__task, job)->facade));
		run_all(rig);
		CHECK_INT(inside, 0); /* a cancelled task is not begun */
	}
	while (rig->closed == 0) {
		run_all(rig);
		rig_step(rig, NULL);
	}
	peer_close(peer);
}

static void closing_message(struct gb_conn *conn, struct gb_bytes message)
{
	gb_conn_send(conn, "last", 4);
	gb_conn_close(conn);
	CHECK_INT(gb_conn_send(conn, "x", 1), -EPIPE);
}

NET_TEST(a_task_may_close_its_connection)
{
	static const struct gb_service closing = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "closing",
		.codec = &gb_codec_line, .on_open = count_open, .on_message = closing_message,
		.on_close = count_close };
	struct peer *peer = peer_with_task(rig, &closing, "a\nb\n", 4);
	run_all(rig);
	UNTIL(rig, peer, peer->at_end);
	CHECK_INT(held_count, 0);
	CHECK_INT(peer->got_size, 4);
	CHECK(!peer->was_reset);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_LOCAL);
	peer_close(peer);
}

NET_TEST(eof_is_told_after_the_last_reply)
{
	struct peer *peer;

	pool_use(rig, 4);
	peer = rig_peer(rig, &bracket);
	peer_send(peer, "a\nb\n", 4);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, held_count == 1);
	for (int i = 0; i < 50; i++)
		rig_step(rig, peer);
	CHECK(!peer->at_end);
	while (!peer->at_end) {
		run_all(rig);
		rig_step(rig, peer);
	}
	CHECK_INT(peer->got_size, 10);
	CHECK(memcmp(peer->got, "0<a>\n1<b>\n", 10) == 0);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_EOF);
	peer_close(peer);
}

NET_TEST(draining_waits_for_tasks)
{
	struct peer *peer = peer_with_task(rig, &bracket, "a\nb\n", 1);
	rig_calm(rig);
	gb__net_drain(&rig->net);
	for (int i = 0; i < 50; i++)
		rig_step(rig, peer);
	CHECK(!peer->at_end);
	while (!peer->at_end) {
		run_all(rig);
		rig_step(rig, peer);
	}
	CHECK_INT(peer->got_size, 10);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_DRAIN);
	peer_close(peer);
}

NET_TEST(a_long_running_task_does_not_let_its_connection_idle_out)
{
	struct peer *peer;

	rig->limits.idle_timeout_ms = 1000;
	peer = peer_with_task(rig, &bracket, "a\n", 4);
	for (int i = 0; i < 50; i++)
		rig_pass(rig, 300);
	CHECK_INT(rig->closed, 0);
	run_all(rig);
	UNTIL(rig, peer, peer->got_size == 5);
	peer_close(peer);
}

static void long_message(struct gb_conn *conn, struct gb_bytes message)
{
	static const char answer[20000];

	gb_conn_send(conn, answer, sizeof(answer));
}

static const struct gb_service long_answers = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "long",
	.codec = &gb_codec_line, .on_message = long_message };

/* What is lent to a pool's thread is as large as what the last one sent. */
NET_TEST(long_answers_allocate_nothing_once_warm)
{
	enum { ANSWER = 20000, WARM = 3, ROUNDS = 40 };
	uint64_t allocated = 0;
	struct peer *peer;

	pool_use(rig, 4);
	peer = rig_peer(rig, &long_answers);
	for (size_t i = 1; i <= ROUNDS; i++) {
		if (i == WARM)
			allocated = gb__alloc_count();
		peer_send(peer, "more\n", 5);
		UNTIL(rig, peer, held_count > 0);
		run_all(rig);
		UNTIL(rig, peer, peer->got_size == i * ANSWER);
	}
	if (rig->round == 0) /* faults may need more buffers at once than ever before */
		CHECK_INT(gb__alloc_count() - allocated, 0);
	peer_close(peer);
}

/* The codec points into the message, which the pool's thread gets a copy of. */
static int decode_words(const void *options, void *state, struct gb_bytes input, size_t max_message,
	uint32_t *scanned, struct gb_frame *ret)
{
	int found = gb_codec_line.decode(NULL, NULL, input, max_message, scanned, ret);
	const unsigned char *space;

	if (found <= 0)
		return found;
	space = memchr(input.data + ret->offset, ' ', ret->size);
	ret->parsed = space ? space + 1 : NULL;
	return found;
}

static const struct gb_codec_ops words_codec = { .name = "words", .decode = decode_words };

static void tell_second_word(struct gb_conn *conn, struct gb_bytes message)
{
	const unsigned char *word = gb_conn_frame(conn)->parsed;

	CHECK(word > message.data && word < message.data + message.size);
	gb_conn_send(conn, word, (size_t)(message.data + message.size - word));
}

NET_TEST(what_a_codec_parsed_of_a_message_goes_with_it)
{
	static const struct gb_service words = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "words",
		.codec = &words_codec, .on_message = tell_second_word };
	struct peer *peer;

	pool_use(rig, 4);
	peer = rig_peer(rig, &words);
	peer_send(peer, "get one\n", 8);
	UNTIL(rig, peer, held_count > 0);
	run_all(rig);
	UNTIL(rig, peer, peer->got_size == 3);
	CHECK(memcmp(peer->got, "one", 3) == 0);
	peer_close(peer);
}
