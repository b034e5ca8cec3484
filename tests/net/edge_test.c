/* Corner cases: what handlers may do at odd moments, and loops that must not spin meanwhile. */
#include "base/macros.h"
#include "rig.h"

#include "net/task.h"

#include <errno.h>
#include <wchar.h>

#define MORE_THAN_THE_KERNEL_HOLDS 250000u

static unsigned called;

static void ignore_message(struct gb_conn *conn, struct gb_bytes message)
{
}

static void send_zeros(struct gb_conn *conn, size_t size)
{
	static char zeros[1u << 20];

	CHECK(size <= sizeof(zeros));
	CHECK_INT(gb_conn_send(conn, zeros, size), 0);
}

/* A peer whose side of the kernel holds as much as without faults, so that tests know what fills it. */
static struct peer *roomy_peer(struct rig *rig, const struct gb_service *service)
{
	struct peer *peer;

	rig_calm(rig);
	peer = rig_peer(rig, service);
	sim_kernel_set_profile(rig->sim, &rig->profile);
	return peer;
}

/* Nothing is left to do until the world moves: no turn is asked for. */
static void check_rests(struct rig *rig, struct peer *peer)
{
	rig_calm(rig);
	for (int i = 0; i < 100; i++)
		rig_step(rig, peer);
	CHECK(!rig->net.turn_first);
}

/* on_close: everything at once */

static void close_wildly(struct gb_conn *conn, int reason)
{
	gb_conn_close(conn);
	gb_conn_fail(conn, GB_CLOSE_REFUSED);
	gb_conn_pause(conn);
	gb_conn_resume(conn);
	gb_conn_abort(conn);
	CHECK_INT(gb_conn_send(conn, "x", 1), -EPIPE);
	CHECK_INT(gb_conn_try_send(conn, "x", 1), -EPIPE);
	CHECK_INT(gb_conn_printf(conn, "x"), -EPIPE);
	CHECK_INT(gb_conn_output_size(conn), 0);
	count_close(conn, reason);
}

NET_TEST(in_on_close_nothing_has_any_effect)
{
	static const struct gb_service wild = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "wild",
		.on_open = count_open, .on_message = ignore_message, .on_close = close_wildly };
	struct peer *peer = rig_peer(rig, &wild);

	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_EOF);
	CHECK(!rig->net.turn_first);
	peer_close(peer);
}

/* Two connections end in the same turn, and each closes the other from its on_close. */

static struct gb_conn *pair[2];
static unsigned pair_open;

static int pair_opens(struct gb_conn *conn)
{
	pair[pair_open++ % 2] = conn;
	return count_open(conn);
}

static void pair_closes(struct gb_conn *conn, int reason)
{
	struct gb_conn *other = pair[0] == conn ? pair[1] : pair[0];

	if (pair[0] == conn)
		pair[0] = NULL;
	else
		pair[1] = NULL;
	if (other) {
		gb_conn_pause(other);
		gb_conn_resume(other);
		gb_conn_close(other);
	}
	count_close(conn, reason);
}

NET_TEST(connections_that_end_together_may_close_one_another)
{
	static const struct gb_service tied = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "tied",
		.on_open = pair_opens, .on_message = ignore_message, .on_close = pair_closes };
	struct peer *one, *two;

	pair_open = 0;
	one = rig_peer(rig, &tied);
	two = rig_peer(rig, &tied);
	if (test_random(&rig->random) % 2) {
		gb_conn_abort(pair[0]);
		gb_conn_abort(pair[1]);
	} else {
		gb_conn_abort(pair[1]);
		rig_step(rig, NULL);
		if (pair[0])
			gb_conn_abort(pair[0]);
	}
	UNTIL(rig, one, rig->closed == 2);
	peer_close(one);
	peer_close(two);
}

/* Closing in on_writable, with messages kept and output left. */

static void flood_message(struct gb_conn *conn, struct gb_bytes message)
{
	called++;
	send_zeros(conn, MORE_THAN_THE_KERNEL_HOLDS);
}

static void close_when_writable(struct gb_conn *conn)
{
	gb_conn_send(conn, "last words", 10);
	gb_conn_close(conn);
}

NET_TEST(closing_in_on_writable_drops_what_was_kept_and_rests)
{
	static const struct gb_service flood = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "flood",
		.codec = &gb_codec_line, .on_open = count_open, .on_message = flood_message,
		.on_writable = close_when_writable, .on_close = count_close };
	struct peer *peer = roomy_peer(rig, &flood);

	called = 0;
	peer->read_max = 0;
	peer_send(peer, "a\nb\nc\n", 6);
	UNTIL(rig, peer, called == 1);
	while (rig->current->state == GB__CONN_OPEN) {
		peer->read_max += 4096;
		rig_step(rig, peer);
	}
	check_rests(rig, peer);
	peer->read_max = PEER_BYTES_MAX;
	UNTIL(rig, peer, peer->at_end);
	CHECK_INT(peer->got_size, MORE_THAN_THE_KERNEL_HOLDS + 10);
	CHECK_INT(called, 1);
	check_rests(rig, peer);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 1);
	peer_close(peer);
}

/* gb_conn_try_send of pieces that are larger than the room between the watermarks. */

static bool try_more(struct gb_conn *conn)
{
	static char piece[60000];

	return gb_conn_try_send(conn, piece, sizeof(piece)) == 0;
}

static void try_when_writable(struct gb_conn *conn)
{
	called++;
	if (called < 20)
		while (try_more(conn))
			;
}

NET_TEST(on_writable_means_that_there_is_room)
{
	static const struct gb_service trying = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "trying",
		.on_open = count_open, .on_message = ignore_message, .on_writable = try_when_writable,
		.on_close = count_close };
	struct peer *peer = rig_peer(rig, &trying);

	called = 0;
	peer->read_max = 0;
	while (try_more(rig->current))
		rig_step(rig, peer);
	while (called == 0) {
		peer->read_max += 4096;
		rig_step(rig, peer);
	}
	check_rests(rig, peer);
	CHECK(called < 20);
	peer_close(peer);
}

/* Output of a connection whose message is in the pool. */

static struct gb__job *held[64];
static unsigned held_count;

static void hold(void *arg, struct gb__job *job)
{
	CHECK(held_count < 64);
	held[held_count++] = job;
}

static void run_first(void)
{
	struct gb__job *job = held[0];

	CHECK(held_count > 0);
	memmove(held, held + 1, --held_count * sizeof(*held));
	gb__task_run(job);
}

static void pool_use(struct rig *rig, unsigned tasks_max)
{
	held_count = 0;
	called = 0;
	gb__net_submit_to(&rig->net, hold, NULL, tasks_max);
}

static void count_message(struct gb_conn *conn, struct gb_bytes message)
{
	called++;
	gb_conn_send(conn, message.data, message.size);
}

static unsigned writable;

static void count_writable(struct gb_conn *conn)
{
	writable++;
}

static const struct gb_service pooled = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "pooled",
	.codec = &gb_codec_line, .on_open = count_open, .on_message = count_message,
	.on_writable = count_writable, .on_close = count_close };

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

NET_TEST(while_a_task_runs_on_writable_waits_without_spinning)
{
	struct peer *peer;

	writable = 0;
	peer = peer_with_task(rig, &pooled, "a\n", 4);
	send_zeros(rig->current, 100000); /* as a timer would */
	UNTIL(rig, peer, peer->got_size == 100000);
	check_rests(rig, peer);
	CHECK_INT(writable, 0);
	run_first();
	UNTIL(rig, peer, peer->got_size == 100001);
	CHECK_INT(writable, 1);
	peer_close(peer);
}

NET_TEST(after_a_long_task_its_connection_idles_out_as_any_other)
{
	struct peer *peer;

	rig->limits.idle_timeout_ms = 1000;
	peer = peer_with_task(rig, &pooled, "a\n", 4);
	rig_calm(rig);
	for (int i = 0; i < 10; i++)
		rig_pass(rig, 300);
	run_first();
	UNTIL(rig, peer, peer->got_size == 1);
	for (int i = 0; i < 8 && !peer->at_end; i++) {
		rig_pass(rig, 300);
		peer_read(peer);
	}
	CHECK(peer->at_end);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_IDLE);
	peer_close(peer);
}

NET_TEST(the_write_timeout_goes_on_while_a_task_runs)
{
	struct peer *peer;

	rig->limits.write_timeout_ms = 1000;
	pool_use(rig, 4);
	peer = roomy_peer(rig, &pooled);
	peer->read_max = 0;
	peer_send(peer, "a\n", 2);
	UNTIL(rig, peer, held_count == 1);
	rig_calm(rig);
	send_zeros(rig->current, MORE_THAN_THE_KERNEL_HOLDS);
	for (int i = 0; i < 10; i++)
		rig_pass(rig, 300);
	CHECK_INT(rig->closed, 0); /* not before the task is back */
	CHECK(gb_conn_cancelled(&gb__container_of(held[0], struct gb__task, job)->facade));
	run_first();
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_WRITE_TIMEOUT);
	peer_close(peer);
}

NET_TEST(a_task_not_begun_when_its_connection_closes_is_not_begun_at_all)
{
	struct peer *peer = peer_with_task(rig, &pooled, "a\n", 4);
	gb_conn_send(rig->current, "bye", 3); /* as a timer would */
	gb_conn_close(rig->current);
	run_first();
	CHECK_INT(called, 0);
	UNTIL(rig, peer, peer->at_end);
	CHECK_INT(peer->got_size, 3);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 1);
	peer_close(peer);
}

/* The line before a crowded pool */

NET_TEST(who_waits_in_line_and_wants_nothing_lets_the_next_one_in)
{
	struct peer *peers[4];
	struct gb_conn *conns[4];

	pool_use(rig, 1);
	for (int i = 0; i < 4; i++) {
		peers[i] = rig_peer(rig, &pooled);
		conns[i] = rig->current;
	}
	/* The first one has the place; the second waits with a message of which it wants nothing any more,
	 * the third with half a message, the fourth with a whole one. */
	for (int i = 0; i < 4; i++) {
		peer_send(peers[i], i == 2 ? "hal" : "a\n", i == 2 ? 3 : 2);
		UNTIL(rig, NULL, conns[i]->flags & (i == 0 ? GB__CONN_TASKED : GB__CONN_KEPT));
	}
	switch (test_random(&rig->random) % 3) {
	case 0:
		gb_conn_pause(conns[1]);
		break;
	case 1:
		gb_conn_close(conns[1]);
		break;
	default:
		gb_conn_abort(conns[1]);
	}
	run_first();
	UNTIL(rig, NULL, held_count == 1);
	run_first();
	CHECK_INT(called, 2);
	UNTIL(rig, peers[3], peers[3]->got_size == 1);
	for (int i = 0; i < 4; i++)
		peer_close(peers[i]);
}

NET_TEST(a_hog_in_the_pool_does_not_starve_those_in_line)
{
	struct peer *hog, *polite[3];

	pool_use(rig, 1);
	hog = rig_peer(rig, &pooled);
	for (int i = 0; i < 3; i++)
		polite[i] = rig_peer(rig, &pooled);
	for (int i = 0; i < 100; i++)
		peer_send(hog, "h\n", 2);
	UNTIL(rig, NULL, held_count == 1);
	for (int i = 0; i < 3; i++)
		peer_send(polite[i], "p\n", 2);
	UNTIL(rig, NULL, rig->net.parked_count == 3);
	for (int i = 0; i < 3; i++) {
		while (polite[i]->got_size == 0) {
			if (held_count)
				run_first();
			rig_step(rig, polite[i]);
		}
	}
	CHECK(called < 30); /* a line in pieces may wait more than once */
	while (hog->got_size < 100) {
		if (held_count)
			run_first();
		rig_step(rig, hog);
	}
	peer_close(hog);
	for (int i = 0; i < 3; i++)
		peer_close(polite[i]);
}

NET_TEST(the_line_does_not_grow_with_those_who_left_it)
{
	struct peer *peer;

	pool_use(rig, 1);
	peer = rig_peer(rig, &pooled);
	rig_calm(rig);
	peer_send(peer, "a\n", 2);
	UNTIL(rig, peer, held_count == 1);
	for (int i = 0; i < 300; i++) {
		struct peer *other = rig_peer(rig, &pooled);

		peer_send(other, "b\n", 2);
		UNTIL(rig, other, rig->current->flags & GB__CONN_PARKED);
		gb_conn_abort(rig->current);
		UNTIL(rig, other, rig->closed == (unsigned)i + 1);
		peer_close(other);
	}
	CHECK(rig->net.parked_size <= 64);
	run_first();
	UNTIL(rig, peer, peer->got_size == 1);
	peer_close(peer);
}

/* Endings that lose output */

NET_TEST(an_end_that_drops_output_is_a_reset)
{
	struct peer *peer = roomy_peer(rig, &pooled);

	peer->read_max = 0;
	send_zeros(rig->current, MORE_THAN_THE_KERNEL_HOLDS);
	for (int i = 0; i < 20; i++)
		rig_step(rig, peer);
	gb__conn_end(rig->current, GB_CLOSE_NO_MEMORY, ENOMEM);
	peer->read_max = PEER_BYTES_MAX;
	UNTIL(rig, peer, rig->closed == 1);
	UNTIL(rig, peer, peer->was_reset);
	peer_close(peer);
}

/* A peer that does not read is not read from: that must not count as its message being late. */

NET_TEST(reading_that_waits_for_output_does_not_make_a_message_late)
{
	static const struct gb_service flood = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "flood",
		.codec = &gb_codec_line, .on_open = count_open, .on_message = ignore_message,
		.on_close = count_close };
	struct peer *peer;

	rig->limits.read_timeout_ms = 1000;
	peer = roomy_peer(rig, &flood);
	peer->read_max = 0;
	peer_send(peer, "half", 4);
	UNTIL(rig, peer, rig->current->flags & GB__CONN_PARTIAL);
	rig_calm(rig);
	send_zeros(rig->current, MORE_THAN_THE_KERNEL_HOLDS);
	for (int i = 0; i < 10; i++)
		rig_pass(rig, 300);
	CHECK_INT(gb_conn_cancelled(rig->current), false);
	peer->read_max = PEER_BYTES_MAX;
	UNTIL(rig, peer, peer->got_size == MORE_THAN_THE_KERNEL_HOLDS);
	rig_pass(rig, 500);
	CHECK_INT(gb_conn_cancelled(rig->current), false);
	rig_pass(rig, 600);
	CHECK_INT(gb_conn_cancelled(rig->current), true);
	UNTIL(rig, peer, peer->at_end);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_READ_TIMEOUT);
	peer_close(peer);
}

/* Memory */

NET_TEST(small_shared_buffers_do_not_cost_a_chunk_each)
{
	struct peer *peer = rig_peer(rig, &pooled);
	struct gb_buffer *buffer;

	peer->read_max = 0;
	CHECK_INT(gb_buffer_create("0123456789", 10, &buffer), 0);
	for (int i = 0; i < 20000; i++)
		CHECK_INT(gb_conn_send_ref(rig->current, buffer), 0);
	gb_buffer_unref(buffer);
	CHECK(rig->loop.engine->pool.in_use < 200);
	peer->read_max = PEER_BYTES_MAX;
	UNTIL(rig, peer, peer->got_size == 200000);
	peer_close(peer);
}

NET_TEST(formatted_text_of_any_length_arrives)
{
	static const size_t lengths[] = { 0, 1, 510, 511, 512, 513, 1999, 2000, 2048, 100000, 3, 40000, 0,
		511 };
	struct peer *peer = rig_peer(rig, &pooled);
	static char expected[PEER_BYTES_MAX];
	size_t size = 0;

	for (size_t i = 0; i < gb__countof(lengths); i++) {
		static char text[100000];

		memset(text, 'a' + (int)i, lengths[i]);
		CHECK_INT(gb_conn_printf(rig->current, "<%zu:%.*s>", i, (int)lengths[i], text), 0);
		size += (size_t)sprintf(expected + size, "<%zu:%.*s>", i, (int)lengths[i], text);
		UNTIL(rig, peer, gb_conn_output_size(rig->current) == 0);
	}
	UNTIL(rig, peer, peer->got_size == size);
	CHECK(memcmp(peer->got, expected, size) == 0);
	peer_close(peer);
}

/* A letter that the locale "C" cannot write. */
NET_TEST(text_that_cannot_be_formatted_is_not_sent)
{
	struct peer *peer = rig_peer(rig, &pooled);

	CHECK_INT(gb_conn_printf(rig->current, "a%lc", (wint_t)0x20ac), -EINVAL);
	CHECK_INT(gb_conn_output_size(rig->current), 0);
	CHECK_INT(gb_conn_printf(rig->current, "b"), 0);
	UNTIL(rig, peer, peer->got_size == 1);
	CHECK_INT(peer->got[0], 'b');
	peer_close(peer);
}

static void pause_message(struct gb_conn *conn, struct gb_bytes message)
{
	called++;
	gb_conn_pause(conn);
	if (message.data[0] == 'r')
		gb_conn_resume(conn); /* as a task that it posted does before it returns */
	gb_conn_send(conn, message.data, message.size);
}

NET_TEST(a_resume_that_comes_before_the_pausing_task_is_back_counts)
{
	static const struct gb_service pausing = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "pausing",
		.codec = &gb_codec_line, .on_open = count_open, .on_message = pause_message,
		.on_close = count_close };
	struct peer *peer;

	pool_use(rig, 1);
	peer = rig_peer(rig, &pausing);
	peer_send(peer, "r\np\nx\n", 6);
	for (unsigned i = 1; i <= 2; i++) {
		UNTIL(rig, peer, held_count == 1);
		run_first();
		UNTIL(rig, peer, peer->got_size == i);
	}
	for (int i = 0; i < 100; i++)
		rig_step(rig, peer);
	CHECK_INT(held_count, 0); /* the second one was not resumed */
	gb_conn_resume(rig->current);
	UNTIL(rig, peer, held_count == 1);
	gb_conn_resume(rig->current); /* before its pause: the later one counts */
	run_first();
	UNTIL(rig, peer, peer->got_size == 3);
	CHECK(rig->current->flags & GB__CONN_PAUSED);
	peer_close(peer);
}

NET_TEST(a_few_bytes_after_a_long_message_hold_little_memory)
{
	static char line[60001];
	struct peer *peer = rig_peer(rig, &pooled);

	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 2] = '\n';
	peer_send(peer, line, sizeof(line));
	UNTIL(rig, peer, peer->got_size == sizeof(line) - 2);
	UNTIL(rig, peer, rig->current->flags & GB__CONN_PARTIAL);
	CHECK(rig->current->input->capacity <= 2048);
	peer_send(peer, "\n", 1);
	UNTIL(rig, peer, peer->got_size == sizeof(line) - 1);
	CHECK_INT(peer->got[sizeof(line) - 2], 'x');
	peer_close(peer);
}
