/* Whose turn it is among coroutines, and between these and events; and what they leave behind. */
#include "rig.h"

#include "base/macros.h"

#include <gearbox/stream.h>

#include <errno.h>

#define BALLS 1000u

static struct gb_channel *there, *back;
static unsigned passed, over;
static bool ends;

static void prepare(void)
{
	passed = over = 0;
	ends = false;
	CHECK_INT(gb_channel_create(sizeof(unsigned), 1, &there), 0);
	CHECK_INT(gb_channel_create(sizeof(unsigned), 1, &back), 0);
}

static void finish(void)
{
	gb_channel_destroy(there);
	gb_channel_destroy(back);
}

static int returns(struct gb_coro *coro, void *arg)
{
	unsigned ball;

	while (gb_channel_receive(coro, there, &ball) > 0)
		CHECK_INT(gb_channel_send(coro, back, &ball), 0);
	over++;
	return 0;
}

static int serves(struct gb_coro *coro, void *arg)
{
	const unsigned *balls = arg;
	unsigned ball;

	while (!ends && (!balls || passed < *balls)) {
		CHECK_INT(gb_channel_send(coro, there, &passed), 0);
		CHECK_INT(gb_channel_receive(coro, back, &ball), 1);
		CHECK_INT(ball, passed++);
	}
	gb_channel_close(there);
	over++;
	return 0;
}

static void start(struct rig *rig, gb_coro_run *run, void *arg)
{
	CHECK_INT(gb__coro_start(&rig->streams, "player", run, arg, NULL), 0);
}

/* So many turns until `number` of them are over. */
static unsigned turns_until(struct rig *rig, unsigned number)
{
	unsigned turns = 0;

	while (over < number) {
		unsigned steps = 0;

		rig_step_until(rig, NULL, &steps, __FILE__, __LINE__, "over");
		turns++;
		CHECK(turns < 100000);
	}
	return turns;
}

NET_TEST(coroutines_that_wake_each_other_do_not_wait_for_a_turn_each_time)
{
	unsigned balls = BALLS;

	prepare();
	start(rig, returns, NULL);
	start(rig, serves, &balls);
	CHECK(turns_until(rig, 2) < BALLS / 10);
	CHECK_INT(passed, BALLS);
	finish();
}

static void serve_echo(struct gb_stream *stream)
{
	struct gb_bytes bytes;

	rig_of(gb_stream_conn(stream))->opened++;
	while (gb_read_message(stream, &bytes) > 0)
		gb_write(stream, bytes.data, bytes.size);
}

static const struct gb_service echo = { GB_SERVICE_INIT, .name = "echo", .serve = serve_echo,
	.on_close = count_close };

NET_TEST(input_has_its_turn_beside_coroutines_that_never_stop_waking_each_other)
{
	struct peer *peer = rig_peer(rig, &echo);

	prepare();
	start(rig, returns, NULL);
	start(rig, serves, NULL);
	for (unsigned i = 0; i < 20; i++) {
		peer_send(peer, "ball", 4);
		UNTIL(rig, peer, peer->got_size == 4 * (i + 1));
	}
	CHECK(passed > 0);
	ends = true;
	turns_until(rig, 2);
	finish();
	peer_close(peer);
}

static int yields(struct gb_coro *coro, void *arg)
{
	unsigned *shares = arg;

	while (!ends) {
		(*shares)++;
		CHECK_INT(gb_yield(coro), 0);
	}
	over++;
	return 0;
}

/* More than have room in a turn: still nobody gets twice what another one does. */
NET_TEST(those_who_yield_have_equal_shares_however_many_they_are)
{
	static unsigned shares[600];

	prepare();
	memset(shares, 0, sizeof(shares));
	for (unsigned i = 0; i < gb__countof(shares); i++)
		start(rig, yields, &shares[i]);
	while (shares[0] < 20) {
		unsigned steps = 0, least = UINT32_MAX, most = 0;

		rig_step_until(rig, NULL, &steps, __FILE__, __LINE__, "shared");
		for (unsigned i = 0; i < gb__countof(shares); i++) {
			least = shares[i] < least ? shares[i] : least;
			most = shares[i] > most ? shares[i] : most;
		}
		CHECK(most - least <= 1);
	}
	ends = true;
	turns_until(rig, gb__countof(shares));
	finish();
}

static int ends_at_once(struct gb_coro *coro, void *arg)
{
	over++;
	return 0;
}

NET_TEST(stacks_that_a_burst_of_tasks_leaves_go_back_once_little_moves)
{
	const struct gb__stacks *stacks = &rig->streams.coros.stacks;

	rig->limits.trim_after_ms = 1000;
	over = 0;
	for (unsigned i = 0; i < 200; i++)
		start(rig, ends_at_once, NULL);
	turns_until(rig, 200);
	CHECK_INT(stacks->idle_warm + stacks->idle_cold, 200);
	for (unsigned i = 0; i < 10; i++)
		rig_pass(rig, 1000);
	CHECK(stacks->idle_warm + stacks->idle_cold < 100);
}

/* Each call fails at once. */
static int fails_on(struct gb_coro *coro, void *arg)
{
	gb__coro_cancel(coro);
	for (unsigned i = 0; i < 320; i++)
		CHECK_INT(gb_sleep(coro, 1), -ECANCELED);
	over++;
	return 0;
}

NET_TEST(who_fails_again_and_again_lets_others_run_after_so_many_each_time)
{
	unsigned turns;

	over = 0;
	start(rig, fails_on, NULL);
	turns = turns_until(rig, 1);
	CHECK(turns >= 10 && turns <= 40);
}

#define DAY_MS (24u * 3600 * 1000)

static uint64_t kept_up_ms;

/* Twice a day. */
static uint64_t keep_up(void *arg)
{
	const struct rig *rig = arg;
	const uint64_t now_ms = gb__loop_now_ms(&rig->loop);

	if (kept_up_ms && now_ms < kept_up_ms + DAY_MS / 2)
		return kept_up_ms + DAY_MS / 2; /* the wheel does not reach so far */
	over++;
	kept_up_ms = now_ms;
	return over < 3 ? now_ms + DAY_MS / 2 : UINT64_MAX;
}

NET_TEST(what_is_kept_up_is_called_when_it_is_due_although_nothing_else_happens)
{
	over = 0;
	kept_up_ms = 0;
	gb__net_keep_up(&rig->net, keep_up, rig);
	CHECK_INT(over, 1);
	rig_pass(rig, DAY_MS / 2 - 1000);
	rig_step(rig, NULL);
	CHECK_INT(over, 1);
	for (unsigned i = 0; i < 30 && over < 2; i++)
		rig_pass(rig, 3600 * 1000);
	CHECK_INT(over, 2);
	CHECK(gb__wheel_pending(&rig->net.upkeep.node));
	for (unsigned i = 0; i < 30 && over < 3; i++)
		rig_pass(rig, 3600 * 1000);
	CHECK_INT(over, 3);
	CHECK(!gb__wheel_pending(&rig->net.upkeep.node));
}
