/*
 * Step by step on the simulated kernel: how the proactor goes over to receives for bulk and back. Its small buffers hold
 * 16 KiB and its large ones 64 KiB, as much as a simulated socket.
 */
#include "probe.h"

#include <errno.h>

#define SMALL (16u << 10)
#define LARGE (64u << 10)

static uint64_t receives(const struct rig *rig)
{
	return rig->engine->stats.receives;
}

static void exchange(struct probe *probe, struct rig_peer *peer, size_t size)
{
	peer_send(peer, size);
	UNTIL(probe->rig, probe->got.size == peer->sent);
	CHECK_PATTERN(probe->got.data, probe->got.size, 0);
}

/* A stream that receives for bulk, and whose next receive is in flight. */
static struct probe *in_bulk(struct rig *rig, struct rig_peer **ret_peer)
{
	struct probe *probe = probe_pair(rig, ret_peer);
	unsigned inputs;

	rig_settle(rig);
	exchange(probe, *ret_peer, LARGE);
	rig_settle(rig);
	inputs = probe->inputs;
	for (unsigned i = 0; i < 4; i++)
		peer_send_some(*ret_peer, SMALL - 1);
	UNTIL(rig, probe->got.size == (*ret_peer)->sent);
	CHECK_INT(probe->inputs, inputs + 1);
	rig_settle(rig);
	return probe;
}

STEP_TEST(much_comes_in_one_piece_until_little_comes_twice, sim_proactor)
{
	struct rig_peer *peer;
	struct probe *probe = in_bulk(rig, &peer);
	uint64_t before = receives(rig);

	exchange(probe, peer, 100);
	exchange(probe, peer, SMALL + 1); /* little once is none */
	exchange(probe, peer, 100);
	rig_settle(rig);
	CHECK_INT(receives(rig), before + 3);
	exchange(probe, peer, 100);
	rig_settle(rig);
	/* From here on one receive goes on. */
	CHECK_INT(receives(rig), before + 4);
	for (unsigned i = 0; i < 10; i++)
		exchange(probe, peer, 100);
	rig_settle(rig);
	CHECK_INT(receives(rig), before + 4);
	/* And the other way again. */
	exchange(probe, peer, LARGE);
	rig_settle(rig);
	CHECK(receives(rig) > before + 4);
	probe_close(probe);
}

/* Messages as large as a small buffer fill it, but nothing waits behind them. */
STEP_TEST(a_full_small_buffer_alone_is_not_bulk, sim_proactor)
{
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);
	uint64_t before;

	rig_settle(rig);
	before = receives(rig);
	for (unsigned i = 0; i < 10; i++)
		exchange(probe, peer, SMALL);
	rig_settle(rig);
	CHECK_INT(receives(rig), before);
	probe_close(probe);
}

STEP_TEST(without_large_buffers_the_receive_goes_on, sim_proactor)
{
	struct sim_profile refusing = sim_profile_calm;
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);
	uint64_t before;

	refusing.bulk_refused = 1000;
	sim_kernel_set_profile(rig->sim, &refusing);
	rig_settle(rig);
	before = receives(rig);
	exchange(probe, peer, 3 * LARGE);
	/* Nobody asks again. */
	sim_kernel_set_profile(rig->sim, &sim_profile_calm);
	exchange(probe, peer, 3 * LARGE);
	rig_settle(rig);
	CHECK_INT(receives(rig), before);
	CHECK_INT(probe->inputs, 6 * LARGE / SMALL);
	probe_close(probe);
}

static void stop_at_once(struct probe *probe)
{
	probe_stop(probe);
	probe->then = NULL;
}

/* Nothing is in flight while bytes of bulk are told: who stops there gets none more. */
STEP_TEST(a_stop_at_bytes_of_bulk_is_exact, sim_proactor)
{
	struct rig_peer *peer;
	struct probe *probe = in_bulk(rig, &peer);
	unsigned inputs = probe->inputs;

	probe->then = stop_at_once;
	peer_send(peer, 3 * SMALL);
	UNTIL(rig, probe->inputs > inputs);
	peer_send_some(peer, SMALL);
	rig_rest(rig);
	CHECK_INT(probe->inputs, inputs + 1);
	probe_start(probe);
	UNTIL(rig, probe->got.size == peer->sent);
	CHECK_PATTERN(probe->got.data, probe->got.size, 0);
	probe_close(probe);
}

/* Elsewhere the receive in flight is cancelled; it brings one buffer at most. */
STEP_TEST(a_stop_amid_bulk_lets_one_buffer_through, sim_proactor)
{
	struct rig_peer *peer;
	struct probe *probe = in_bulk(rig, &peer);

	for (unsigned i = 0; i < 10; i++) {
		size_t before = probe->got.size;

		peer_send_some(peer, SMALL);
		peer_send_some(peer, SMALL);
		sim_turn(rig->sim);
		probe_stop(probe);
		while (peer_send_some(peer, SMALL))
			continue;
		rig_rest(rig);
		CHECK(probe->got.size <= before + LARGE);
		probe_start(probe);
		UNTIL(rig, probe->got.size == peer->sent);
	}
	CHECK_PATTERN(probe->got.data, probe->got.size, 0);
	probe_close(probe);
}

STEP_TEST(leaving_amid_bulk_cancels_its_receive, sim_proactor)
{
	struct rig_peer *peer;
	struct probe *probe = in_bulk(rig, &peer);

	CHECK(!probe_detach(probe));
	UNTIL(rig, probe->detached);
	rig->os->ops->close(rig->os, probe_release(probe));
}

/* The poll that stands in for a receive for bulk leaves nothing behind, either. */
STEP_TEST(leaving_bulk_after_a_poll_is_done_at_once, sim_proactor)
{
	struct rig_peer *peer;
	struct probe *probe = in_bulk(rig, &peer);
	uint64_t again = rig->engine->stats.again;

	sim_script(rig->sim, probe->stream.endpoint.fd, SIM_RECV, (struct sim_outcome){ .result = -EAGAIN });
	peer_send(peer, 10);
	UNTIL(rig, rig->engine->stats.again > again);
	probe_stop(probe);
	rig_settle(rig);
	CHECK(probe_detach(probe));
	rig->os->ops->close(rig->os, probe_release(probe));
}

/* The receive that goes on ends by itself, badly, while it is being cancelled for the sake of bulk. */
STEP_TEST(an_error_on_the_way_to_bulk_is_told_behind_the_bytes, sim_proactor)
{
	for (unsigned late = 0; late < 2; late++) {
		struct sim_profile profile = sim_profile_calm;
		struct rig_peer *peer;
		struct probe *probe = probe_pair(rig, &peer);

		rig_settle(rig);
		profile.cancel_late = late * 1000;
		sim_kernel_set_profile(rig->sim, &profile);
		sim_script(rig->sim, probe->stream.endpoint.fd, SIM_RECV, (struct sim_outcome){ 0 });
		sim_script(rig->sim, probe->stream.endpoint.fd, SIM_RECV,
			(struct sim_outcome){ .result = -ETIMEDOUT });
		peer_send(peer, 3 * SMALL);
		UNTIL(rig, probe->ends);
		CHECK_INT(probe->end_error, -ETIMEDOUT);
		CHECK_INT(probe->got.size, SMALL);
		rig_rest(rig);
		probe_close(probe);
	}
}

STEP_TEST(an_error_of_a_receive_for_bulk_is_handed_on, sim_proactor)
{
	struct rig_peer *peer;
	struct probe *probe = in_bulk(rig, &peer);

	sim_script(
		rig->sim, probe->stream.endpoint.fd, SIM_RECV, (struct sim_outcome){ .result = -ETIMEDOUT });
	peer_send(peer, 10);
	UNTIL(rig, probe->ends);
	CHECK_INT(probe->end_error, -ETIMEDOUT);
	rig_rest(rig);
	probe_close(probe);
}

/* It waits in line for a large buffer, or for the socket, and goes on. */
STEP_TEST(a_receive_for_bulk_that_found_nothing_goes_on, sim_proactor)
{
	struct sim_profile starving = sim_profile_calm;
	struct rig_peer *peer;
	struct probe *probe = in_bulk(rig, &peer);
	uint64_t starved = rig->engine->stats.starved;

	starving.starved = 500;
	sim_kernel_set_profile(rig->sim, &starving);
	for (unsigned i = 0; i < 10; i++) {
		sim_script(rig->sim, probe->stream.endpoint.fd, SIM_RECV,
			(struct sim_outcome){ .result = -EAGAIN });
		exchange(probe, peer, 3 * SMALL);
	}
	CHECK(rig->engine->stats.starved > starved);
	rig_faults_off(rig);
	rig_rest(rig);
	probe_close(probe);
}
