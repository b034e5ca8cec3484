/* Resets in each state, pauses, and that nobody spins meanwhile. */
#include "probe.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static bool is_reset(int error)
{
	return error == -ECONNRESET || error == -EPIPE;
}

ENGINE_TEST(a_reset_while_reading_ends_the_stream_once)
{
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);

	peer_send(peer, 3000);
	UNTIL(rig, probe->got.size == 3000);
	peer_reset(peer);
	UNTIL(rig, probe->ends);
	CHECK(is_reset(probe->end_error));
	rig_rest(rig);
	probe_close(probe);
}

/* A stream that wants nothing is out of the poller: a reset that nobody asked about does not spin. */
ENGINE_TEST(a_reset_while_paused_does_not_spin)
{
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);

	peer_send(peer, 100);
	UNTIL(rig, probe->got.size == 100);
	probe_stop(probe);
	rig_settle(rig);
	peer_reset(peer);
	rig_rest(rig);
	CHECK_INT(probe->ends, 0);
	probe_start(probe);
	UNTIL(rig, probe->ends);
	CHECK(is_reset(probe->end_error));
	probe_close(probe);
}

/* The same for a FIN: it waits behind the bytes that were not read yet. */
ENGINE_TEST(a_fin_while_paused_does_not_spin)
{
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);

	probe_stop(probe);
	rig_settle(rig);
	peer_send(peer, 100);
	peer_shutdown(peer);
	rig_rest(rig);
	CHECK_INT(probe->ends, 0);
	probe_start(probe);
	UNTIL(rig, probe->ends);
	CHECK_INT(probe->end_error, 0);
	CHECK_INT(probe->got.size, 100);
	CHECK_PATTERN(probe->got.data, probe->got.size, 0);
	probe_close(probe);
}

/* The end may have been on its way when input was stopped: it is told once input is wanted again. */
ENGINE_TEST(an_end_that_races_with_a_stop_is_told_after_the_start)
{
	for (unsigned turn = 0; turn < 6; turn++) {
		struct rig_peer *peer;
		struct probe *probe = probe_pair(rig, &peer);
		bool resets = turn & 1u;

		rig_step(rig);
		if (resets)
			peer_reset(peer);
		else
			peer_shutdown(peer);
		probe_stop(probe);
		if (turn & 2u)
			rig_settle(rig);
		else if (turn & 4u)
			rig_step(rig);
		CHECK_INT(probe->ends, 0);
		probe_start(probe);
		UNTIL(rig, probe->ends);
		CHECK(resets ? is_reset(probe->end_error) : probe->end_error == 0);
		probe_close(probe);
		peer_close(peer);
	}
}

/* The end is told once, however often input is started after it, and whatever the kernel says then. */
ENGINE_TEST(input_started_again_after_its_end_brings_nothing)
{
	for (unsigned turn = 0; turn < 4; turn++) {
		struct rig_peer *peer;
		struct probe *probe = probe_pair(rig, &peer);
		bool resets = turn & 1u;

		peer_send(peer, 100);
		UNTIL(rig, probe->got.size == 100);
		if (resets)
			peer_reset(peer);
		else
			peer_shutdown(peer);
		UNTIL(rig, probe->ends);
		if (turn & 2u)
			rig_settle(rig);
		probe_start(probe);
		rig_rest(rig);
		if (!resets)
			peer_reset(peer);
		rig_rest(rig);
		probe_stop(probe);
		probe_start(probe);
		rig_rest(rig);
		CHECK_INT(probe->ends, 1);
		probe_close(probe);
		peer_close(peer);
	}
}

/* A stream that never began to read and was given up by its peer. */
ENGINE_TEST(a_stream_that_never_read_can_go)
{
	struct rig_peer *peer;
	struct probe *probe;
	int fd;

	peer = rig_pair(rig, &fd);
	probe = probe_open(rig, fd);
	peer_reset(peer);
	rig_rest(rig);
	CHECK_INT(probe->inputs + probe->ends + probe->outputs, 0);
	probe_close(probe);
}

/* Output that waits hears of the reset even while input is stopped, by one report at most of each kind. */
ENGINE_TEST(a_reset_while_output_waits_is_told)
{
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);

	peer->read_max = 1000;
	probe_stop(probe);
	probe_send(probe, 600000);
	UNTIL(rig, peer->got.size == 1000);
	rig_settle(rig);
	CHECK(probe->flush_pending);
	peer_reset(peer);
	UNTIL(rig, probe->output_error);
	CHECK(is_reset(probe->output_error));
	rig_rest(rig);
	probe_close(probe);
}

ENGINE_TEST(a_reset_in_both_directions_is_told)
{
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);

	peer->read_max = 1000;
	probe_send(probe, 600000);
	UNTIL(rig, peer->got.size == 1000);
	peer_reset(peer);
	UNTIL(rig, probe->output_error || (probe->ends && probe->end_error < 0));
	rig_rest(rig);
	CHECK(!probe->flush_pending);
	probe_close(probe);
}

ENGINE_TEST(a_reset_after_a_half_close_fails_the_output)
{
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);

	peer->read_max = 0;
	peer_shutdown(peer);
	UNTIL(rig, probe->ends);
	probe_send(probe, 600000);
	rig_settle(rig);
	peer_reset(peer);
	UNTIL(rig, probe->output_error);
	CHECK(is_reset(probe->output_error));
	CHECK_INT(probe->ends, 1);
	CHECK_INT(probe->end_error, 0);
	rig_rest(rig);
	probe_close(probe);
}

/* Sending to a peer that is gone fails by a code, not by a signal. */
ENGINE_TEST(a_flush_after_the_reset_fails)
{
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);

	peer_reset(peer);
	UNTIL(rig, probe->ends);
	probe_queue(probe, 1000);
	probe_flush(probe);
	UNTIL(rig, probe->output_error);
	CHECK(is_reset(probe->output_error));
	rig_rest(rig);
	probe_close(probe);
}

ENGINE_TEST(a_reset_while_detaching_is_no_trouble)
{
	for (unsigned turn = 0; turn < 4; turn++) {
		struct rig_peer *peer;
		struct probe *probe = probe_pair(rig, &peer);
		bool gone = false;

		peer->read_max = 0;
		probe_send(probe, 600000);
		if (turn & 1u)
			rig_settle(rig);
		probe->ret_gone = &gone;
		if (turn & 2u)
			peer_reset(peer);
		probe_leave(probe);
		if (!(turn & 2u))
			peer_reset(peer);
		UNTIL(rig, gone);
	}
}

/* An idle engine sleeps. */
ENGINE_TEST(an_idle_stream_costs_no_turns)
{
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);

	rig_rest(rig);
	CHECK_INT(probe->inputs + probe->ends + probe->outputs, 0);
	probe_close(probe);
}

static bool forgets(const struct rig *rig)
{
	return strncmp(rig->variant, "epoll", 5) == 0;
}

/* As a process does that is forked now. */
static int copy_of(const struct probe *probe)
{
	int copy = dup(probe->stream.endpoint.fd);

	CHECK(copy >= 0);
	return copy;
}

/* Events of a copy go on for nobody. The first one costs a set of its own, from then on they are removed. */
ENGINE_TEST_REAL(a_copy_of_what_was_closed_does_not_spin)
{
	struct rig_peer *others_peer;
	struct probe *other = probe_pair(rig, &others_peer);

	other->echo = true;
	for (unsigned i = 0; i < 3; i++) {
		struct rig_peer *peer;
		struct probe *probe = probe_pair(rig, &peer);
		int copy = copy_of(probe);

		probe_close(probe);
		CHECK_INT(peer_send_some(peer, 100), 100);
		rig_rest(rig);
		CHECK_INT(rig->engine->stats.renewed, forgets(rig));
		peer_send(others_peer, 500);
		UNTIL(rig, others_peer->got.size == others_peer->sent);
		close(copy);
	}
	CHECK_INT(other->ends, 0);
	probe_close(other);
}

/* More than one wait reports. */
ENGINE_TEST_REAL(many_copies_of_what_was_closed_do_not_spin)
{
	enum { COPIES = 300 };
	struct rig_peer *peers[COPIES], *others_peer;
	struct probe *probes[COPIES], *other = probe_pair(rig, &others_peer);
	bool gone[COPIES] = { false };
	int copies[COPIES];

	other->echo = true;
	for (unsigned i = 0; i < COPIES; i++) {
		probes[i] = probe_pair(rig, &peers[i]);
		probes[i]->ret_gone = &gone[i];
		copies[i] = copy_of(probes[i]);
	}
	rig_settle(rig);
	for (unsigned i = 0; i < COPIES; i++) {
		probe_leave(probes[i]);
		CHECK_INT(peer_send_some(peers[i], 100), 100);
	}
	for (unsigned i = 0; i < COPIES; i++)
		UNTIL(rig, gone[i]);
	rig_rest(rig);
	CHECK_INT(rig->engine->stats.renewed, forgets(rig));
	peer_send(others_peer, 500);
	UNTIL(rig, others_peer->got.size == others_peer->sent);
	for (unsigned i = 0; i < COPIES; i++)
		close(copies[i]);
	probe_close(other);
}

/* No descriptor for a new set: the old one serves until there is one, and the wait says why it does not rest. */
ENGINE_TEST_REAL(a_copy_is_dropped_once_there_are_descriptors)
{
	struct rig_peer *peer, *others_peer;
	struct probe *other = probe_pair(rig, &others_peer);
	struct probe *probe = probe_pair(rig, &peer);
	int copy = copy_of(probe);

	other->echo = true;
	probe_close(probe);
	rig_exhaust_fds(rig);
	rig->failure = -EMFILE;
	CHECK_INT(peer_send_some(peer, 100), 100);
	peer_send(others_peer, 500);
	UNTIL(rig, others_peer->got.size == others_peer->sent);
	for (unsigned i = 0; i < 10; i++)
		rig_turn(rig);
	CHECK_INT(rig->engine->stats.renewed, 0);
	CHECK_INT(rig->failed > 0, forgets(rig));
	rig->failure = 0;
	rig_restore_fds(rig);
	rig_rest(rig);
	CHECK_INT(rig->engine->stats.renewed, forgets(rig));
	close(copy);
	probe_close(other);
}
