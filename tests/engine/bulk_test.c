/* Peers that send much at a time, and little in between: engines may receive both in ways of their own. */
#include "probe.h"

/* More than any engine's small buffers hold; and less. */
#define MUCH_MIN 17000u
#define MUCH_MAX 60000u
#define LITTLE_MAX 50u

static size_t draw(struct rig *rig)
{
	return rig_random(rig, 2) ? 1 + rig_random(rig, LITTLE_MAX)
				  : MUCH_MIN + rig_random(rig, MUCH_MAX - MUCH_MIN);
}

static void check_all(struct probe *probe, const struct rig_peer *peer)
{
	UNTIL(probe->rig, probe->got.size == peer->sent);
	CHECK_PATTERN(probe->got.data, probe->got.size, 0);
}

ENGINE_TEST(much_and_little_in_turn_arrive_in_order)
{
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);

	probe->echo = true;
	for (unsigned turn = 0; turn < 12; turn++) {
		peer_send(peer, draw(rig));
		if (rig_random(rig, 2))
			UNTIL(rig, probe->got.size == peer->sent);
	}
	check_all(probe, peer);
	UNTIL(rig, peer->got.size == peer->sent);
	CHECK_PATTERN(peer->got.data, peer->got.size, 0);
	CHECK_INT(probe->ends, 0);
	probe_close(probe);
}

/* What arrives beyond a stop is what the kernel had completed already; then comes nothing. */
ENGINE_TEST(a_stop_holds_back_a_peer_that_sends_much)
{
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);

	for (unsigned turn = 0; turn < 6; turn++) {
		size_t stopped;

		peer_send(peer, draw(rig));
		if (rig_random(rig, 2))
			rig_step(rig);
		probe_stop(probe);
		for (unsigned i = rig_random(rig, 4); i; i--)
			peer_send_some(peer, 16000);
		rig_settle(rig);
		stopped = probe->got.size;
		rig_rest(rig);
		CHECK_INT(probe->got.size, stopped);
		probe_start(probe);
		if (rig_random(rig, 2))
			check_all(probe, peer);
	}
	check_all(probe, peer);
	probe_close(probe);
}

/* Nothing is lost that arrived before or comes after, whatever was in flight. */
ENGINE_TEST(leaving_amid_much_and_coming_back_loses_nothing)
{
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);
	size_t got = 0;

	for (unsigned turn = 0; turn < 5; turn++) {
		int fd;

		peer_send(peer, draw(rig));
		for (unsigned i = rig_random(rig, 4); i; i--)
			rig_turn(rig);
		probe_detach(probe);
		UNTIL(rig, probe->detached);
		CHECK_PATTERN(probe->got.data, probe->got.size, got);
		got += probe->got.size;
		fd = probe_release(probe);
		probe = probe_open(rig, fd);
		probe_start(probe);
	}
	UNTIL(rig, got + probe->got.size == peer->sent);
	CHECK_PATTERN(probe->got.data, probe->got.size, got);
	probe_close(probe);
}

ENGINE_TEST(an_end_behind_much_is_told_after_it)
{
	for (unsigned turn = 0; turn < 4; turn++) {
		struct rig_peer *peer;
		struct probe *probe = probe_pair(rig, &peer);

		if (turn & 1)
			rig_settle(rig);
		peer_send(peer, MUCH_MIN + rig_random(rig, MUCH_MAX));
		peer_shutdown(peer);
		UNTIL(rig, probe->ends);
		CHECK_INT(probe->end_error, 0);
		check_all(probe, peer);
		probe_close(probe);
	}
}

/* More of them than there are large buffers. */
ENGINE_TEST(many_streams_of_much_share_the_buffers)
{
	enum { STREAMS = 12 };
	struct rig_peer *peers[STREAMS];
	struct probe *probes[STREAMS];

	for (unsigned i = 0; i < STREAMS; i++)
		probes[i] = probe_pair(rig, &peers[i]);
	for (unsigned turn = 0; turn < 3; turn++) {
		for (unsigned i = 0; i < STREAMS; i++) {
			peer_send_some(peers[i], 16384);
			peer_send_some(peers[i], 16384);
		}
		rig_step(rig);
	}
	for (unsigned i = 0; i < STREAMS; i++)
		check_all(probes[i], peers[i]);
	for (unsigned i = 0; i < STREAMS; i++)
		probe_close(probes[i]);
}
