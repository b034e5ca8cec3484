/* Bytes in both directions: every split, back-pressure, half-closes. */
#include "probe.h"

/* A message in two parts, split at every byte, then random parts, all echoed. */
ENGINE_TEST(echo_split_in_every_way)
{
	const unsigned size = 24;
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);

	probe->echo = true;
	for (unsigned split = 1; split < size; split++) {
		peer_send(peer, split);
		UNTIL(rig, probe->got.size == peer->sent);
		peer_send(peer, size - split);
		UNTIL(rig, peer->got.size == peer->sent);
	}
	while (peer->sent < 30000) {
		peer_send(peer, 1 + rig_random(rig, rig_random(rig, 2) ? 8 : 3000));
		if (rig_random(rig, 2))
			rig_step(rig);
	}
	UNTIL(rig, peer->got.size == peer->sent);
	CHECK_PATTERN(probe->got.data, probe->got.size, 0);
	CHECK_PATTERN(peer->got.data, peer->got.size, 0);
	CHECK_INT(probe->ends, 0);
	CHECK_INT(probe->output_error, 0);
	probe_close(probe);
}

ENGINE_TEST(many_streams_echo_at_once)
{
	enum { STREAMS = 40 };
	struct rig_peer *peers[STREAMS];
	struct probe *probes[STREAMS];
	unsigned done = 0;

	for (unsigned i = 0; i < STREAMS; i++) {
		probes[i] = probe_pair(rig, &peers[i]);
		probes[i]->echo = true;
	}
	for (unsigned turn = 0; turn < 4; turn++) {
		for (unsigned i = 0; i < STREAMS; i++)
			peer_send_some(peers[i], 1 + rig_random(rig, 700));
		rig_step(rig);
	}
	while (done < STREAMS) {
		UNTIL(rig, peers[done]->got.size == peers[done]->sent);
		CHECK_PATTERN(peers[done]->got.data, peers[done]->got.size, 0);
		done++;
	}
	for (unsigned i = 0; i < STREAMS; i++)
		probe_close(probes[i]);
}

struct closing {
	bool closed;
};

static void close_when_all_left(struct probe *probe)
{
	struct closing *closing = probe->context;

	if (!gb__output_empty(&probe->stream.output))
		return;
	closing->closed = true;
	probe_leave(probe);
}

/*
 * The peer takes 80 K of 100 K, then 50 K more are queued, then the core closes while output waits:
 * all 150 K arrive in order, then FIN, and while the peer rests, so does the engine.
 */
ENGINE_TEST(a_close_while_output_waits_loses_nothing)
{
	struct closing closing = { false };
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);

	peer->read_max = 80000;
	probe_send(probe, 100000);
	UNTIL(rig, peer->got.size == 80000);
	probe_send(probe, 50000);
	rig_rest(rig);
	CHECK_INT(peer->got.size, 80000);
	probe_stop(probe);
	probe->context = &closing;
	probe->then = close_when_all_left;
	if (gb__output_empty(&probe->stream.output)) {
		closing.closed = true; /* the kernel took it all */
		probe_leave(probe);
	}
	rig_settle(rig);
	peer->read_max = SIZE_MAX;
	UNTIL(rig, closing.closed && peer->at_end);
	CHECK_INT(peer->got.size, 150000);
	CHECK_PATTERN(peer->got.data, peer->got.size, 0);
	CHECK(!peer->was_reset);
}

/* Output in many chunks and from many flushes keeps its order; each flush that waited is told. */
ENGINE_TEST(output_keeps_its_order)
{
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);

	while (probe->queued < 200000) {
		probe_queue(probe, 1 + rig_random(rig, 6000));
		if (rig_random(rig, 2))
			CHECK(probe_flush(probe) >= 0);
		if (rig_random(rig, 4) == 0)
			rig_step(rig);
	}
	CHECK(probe_flush(probe) >= 0);
	UNTIL(rig, peer->got.size == probe->queued);
	UNTIL(rig, !probe->flush_pending);
	CHECK(gb__output_empty(&probe->stream.output));
	CHECK_PATTERN(peer->got.data, peer->got.size, 0);
	rig_rest(rig);
	probe_close(probe);
}

ENGINE_TEST(a_flush_of_nothing_is_done_at_once)
{
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);

	CHECK_INT(probe_flush(probe), 0);
	rig_rest(rig);
	CHECK_INT(probe->outputs, 0);
	probe_close(probe);
}

/* The peer's FIN comes after its last byte, once; what is sent after it still arrives. */
ENGINE_TEST(a_half_closed_peer_gets_its_answer)
{
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);

	peer_send(peer, 10000);
	peer_shutdown(peer);
	UNTIL(rig, probe->ends);
	CHECK_INT(probe->end_error, 0);
	CHECK_INT(probe->got.size, 10000);
	CHECK_PATTERN(probe->got.data, probe->got.size, 0);
	probe_send(probe, 100000);
	UNTIL(rig, peer->got.size == 100000);
	CHECK_PATTERN(peer->got.data, peer->got.size, 0);
	UNTIL(rig, !probe->flush_pending);
	rig_rest(rig);
	CHECK_INT(probe->ends, 1);
	probe_close(probe);
	UNTIL(rig, peer->at_end);
	CHECK(!peer->was_reset);
}

/* After our own half-close the peer's bytes and its FIN still come. */
ENGINE_TEST(a_stream_shut_for_writing_still_reads)
{
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);

	probe_send(probe, 5000);
	UNTIL(rig, !probe->flush_pending && peer->got.size == 5000);
	CHECK_INT(rig->os->ops->shutdown(rig->os, probe->stream.endpoint.fd, SHUT_WR), 0);
	UNTIL(rig, peer->at_end);
	peer_send(peer, 20000);
	UNTIL(rig, probe->got.size == 20000);
	CHECK_PATTERN(probe->got.data, probe->got.size, 0);
	peer_close(peer);
	UNTIL(rig, probe->ends);
	CHECK_INT(probe->end_error, 0);
	probe_close(probe);
}

/* Both ends send far more than the kernel holds before either reads a reply in full. */
ENGINE_TEST(both_directions_flow_at_once)
{
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);

	probe_send(probe, 120000);
	peer_send(peer, 120000);
	UNTIL(rig, probe->got.size == 120000 && peer->got.size == 120000);
	CHECK_PATTERN(probe->got.data, probe->got.size, 0);
	CHECK_PATTERN(peer->got.data, peer->got.size, 0);
	UNTIL(rig, !probe->flush_pending);
	probe_close(probe);
}
