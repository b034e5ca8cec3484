/* Step by step on the simulated kernel: one scripted fault, and exactly what follows from it. */
#include "base/macros.h"
#include "probe.h"

#include <errno.h>

static void script(struct probe *probe, enum sim_call call, int result)
{
	sim_script(
		probe->rig->sim, probe->stream.endpoint.fd, call, (struct sim_outcome){ .result = result });
}

static void check_script_used(struct probe *probe, enum sim_call call)
{
	CHECK_INT(sim_script_left(probe->rig->sim, probe->stream.endpoint.fd, call), 0);
}

static void check_echo(struct rig *rig, struct probe *probe, struct rig_peer *peer, size_t size)
{
	probe->echo = true;
	peer_send(peer, size);
	UNTIL(rig, peer->got.size == peer->sent);
	CHECK_PATTERN(peer->got.data, peer->got.size, 0);
}

STEP_TEST_BOTH(partial_reads_arrive_in_order)
{
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);

	for (int i = 1; i <= 5; i++)
		script(probe, SIM_RECV, i);
	peer_send(peer, 100);
	UNTIL(rig, probe->got.size == 100);
	CHECK_INT(probe->inputs, 6); /* 1 + 2 + 3 + 4 + 5, then the other 85 */
	CHECK_PATTERN(probe->got.data, probe->got.size, 0);
	check_script_used(probe, SIM_RECV);
	probe_close(probe);
}

STEP_TEST_BOTH(short_sends_are_resumed_exactly)
{
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);

	for (int i = 1; i <= 5; i++)
		script(probe, SIM_SEND, i);
	probe_send(probe, 3000);
	UNTIL(rig, peer->got.size == 3000);
	CHECK_PATTERN(peer->got.data, peer->got.size, 0);
	UNTIL(rig, !probe->flush_pending);
	check_script_used(probe, SIM_SEND);
	probe_close(probe);
}

STEP_TEST_BOTH(a_receive_that_would_block_is_tried_again)
{
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);

	for (unsigned i = 0; i < 3; i++)
		script(probe, SIM_RECV, -EAGAIN);
	check_echo(rig, probe, peer, 500);
	check_script_used(probe, SIM_RECV);
	CHECK_INT(probe->ends, 0);
	probe_close(probe);
}

STEP_TEST_BOTH(a_send_that_would_block_is_tried_again)
{
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);

	for (unsigned i = 0; i < 3; i++)
		script(probe, SIM_SEND, -EAGAIN);
	check_echo(rig, probe, peer, 500);
	check_script_used(probe, SIM_SEND);
	CHECK_INT(probe->output_error, 0);
	probe_close(probe);
}

STEP_TEST_BOTH(an_interrupted_call_is_no_error)
{
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);

	script(probe, SIM_RECV, -EINTR);
	script(probe, SIM_SEND, -EINTR);
	check_echo(rig, probe, peer, 500);
	check_script_used(probe, SIM_RECV);
	check_script_used(probe, SIM_SEND);
	probe_close(probe);
}

STEP_TEST_BOTH(an_error_of_a_receive_is_handed_on)
{
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);

	script(probe, SIM_RECV, -ETIMEDOUT);
	peer_send(peer, 10);
	UNTIL(rig, probe->ends);
	CHECK_INT(probe->end_error, -ETIMEDOUT);
	rig_rest(rig);
	probe_close(probe);
}

STEP_TEST_BOTH(an_error_of_a_send_is_handed_on)
{
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);

	probe_stop(probe);
	rig_settle(rig);
	script(probe, SIM_SEND, 10);
	script(probe, SIM_SEND, -EHOSTUNREACH);
	probe_queue(probe, 100);
	probe_flush(probe);
	UNTIL(rig, probe->output_error);
	CHECK_INT(probe->output_error, -EHOSTUNREACH);
	rig_rest(rig);
	probe_close(probe);
}

static void script_accept(struct rig *rig, struct listener *listener, int result)
{
	sim_script(rig->sim, listener->endpoint.fd, SIM_ACCEPT, (struct sim_outcome){ .result = result });
}

/* Those concern one connection, or nobody: the next one is accepted, and nothing is reported. */
STEP_TEST_BOTH(passing_accept_errors_are_passed_over)
{
	struct sockaddr_in address;
	struct listener *listener = listener_open(rig, rig_listen(rig, &address));

	listener_start(listener);
	rig_settle(rig);
	script_accept(rig, listener, -EINTR);
	script_accept(rig, listener, -ECONNABORTED); /* takes the first client with it */
	script_accept(rig, listener, -EPROTO);       /* the second */
	for (unsigned i = 0; i < 4; i++)
		rig_connect(rig, &address);
	UNTIL(rig, listener->count == 2);
	rig_rest(rig);
	CHECK_INT(listener->broken, 0);
	CHECK_INT(listener->exhausted, 0);
	CHECK_INT(sim_script_left(rig->sim, listener->endpoint.fd, SIM_ACCEPT), 0);
	listener_close(listener);
}

STEP_TEST_BOTH(running_out_of_descriptors_is_told_once_per_try)
{
	struct sockaddr_in address;
	struct listener *listener = listener_open(rig, rig_listen(rig, &address));
	const int errors[] = { -EMFILE, -ENFILE, -ENOBUFS, -ENOMEM, -EIO };

	listener_start(listener);
	rig_settle(rig);
	for (unsigned i = 0; i < gb__countof(errors); i++)
		script_accept(rig, listener, errors[i]);
	rig_connect(rig, &address);
	for (unsigned i = 1; i <= gb__countof(errors); i++) {
		UNTIL(rig, listener->exhausted == i);
		rig_rest(rig);
		CHECK_INT(listener->exhausted, i);
		CHECK_INT(listener->count, 0);
		listener_start(listener);
	}
	UNTIL(rig, listener->count == 1);
	listener_close(listener);
}

/* ---- ends ---- */

/* What waits to be sent is not, and not told about, although the peer makes room for it. */
STEP_TEST_BOTH(a_receive_error_ends_the_output_that_waits)
{
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);
	unsigned outputs;

	peer->read_max = 1000;
	probe_send(probe, 600000);
	UNTIL(rig, peer->got.size == 1000);
	rig_settle(rig);
	script(probe, SIM_RECV, -ETIMEDOUT);
	CHECK_INT(peer_send_some(peer, 10), 10);
	UNTIL(rig, probe->ends);
	CHECK_INT(probe->end_error, -ETIMEDOUT);
	outputs = probe->outputs;
	peer->read_max = SIZE_MAX;
	rig_rest(rig);
	CHECK_INT(probe->outputs, outputs);
	CHECK(peer->got.size < 600000);
	CHECK_INT(probe->ends, 1);
	probe_close(probe);
}

/* Not even to find an error: who has ended is left alone. */
STEP_TEST_BOTH(nothing_is_received_after_the_end)
{
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);

	peer_shutdown(peer);
	UNTIL(rig, probe->ends);
	CHECK_INT(probe->end_error, 0);
	script(probe, SIM_RECV, -ETIMEDOUT);
	probe_start(probe);
	rig_rest(rig);
	CHECK_INT(sim_script_left(rig->sim, probe->stream.endpoint.fd, SIM_RECV), 1);
	CHECK_INT(probe->ends, 1);
	probe_send(probe, 1000); /* the other direction goes on */
	UNTIL(rig, peer->got.size == 1000);
	probe_close(probe);
}

/* Each stream's own, in whatever order they are asked for. */
STEP_TEST(errors_that_come_unwanted_are_told_as_they_were, sim_proactor)
{
	const int errors[] = { -ETIMEDOUT, -EHOSTUNREACH, -ECONNRESET };
	struct probe *probes[gb__countof(errors)];

	for (unsigned i = 0; i < gb__countof(errors); i++) {
		struct rig_peer *peer;

		probes[i] = probe_pair(rig, &peer);
		rig_settle(rig);
		script(probes[i], SIM_RECV, errors[i]);
		CHECK_INT(peer_send_some(peer, 10), 10);
		sim_turn(rig->sim);
		probe_stop(probes[i]);
		rig_step(rig);
		check_script_used(probes[i], SIM_RECV);
		CHECK_INT(probes[i]->ends, 0);
	}
	for (unsigned i = gb__countof(errors); i-- > 0;) {
		probe_start(probes[i]);
		UNTIL(rig, probes[i]->ends);
		CHECK_INT(probes[i]->end_error, errors[i]);
		probe_close(probes[i]);
	}
}

/* A firewall's, or a filter's: the connection stays, and so would the error, at once and for ever. */
STEP_TEST_BOTH(an_accept_error_that_does_not_pass_is_told)
{
	struct sockaddr_in address;
	struct listener *listener = listener_open(rig, rig_listen(rig, &address));

	listener_start(listener);
	rig_settle(rig);
	for (unsigned i = 0; i < GB__ACCEPT_RETRIES_MAX; i++)
		script_accept(rig, listener, -EPERM);
	rig_connect(rig, &address);
	UNTIL(rig, listener->exhausted == 1);
	CHECK_INT(listener->count, 0);
	CHECK_INT(sim_script_left(rig->sim, listener->endpoint.fd, SIM_ACCEPT), 0);
	listener_start(listener);
	UNTIL(rig, listener->count == 1);
	listener_close(listener);
}

/* ---- completions ---- */

/* Only MORE tells whether a multishot receive goes on; without it, it is started again. */
STEP_TEST(a_multishot_receive_that_ends_early_is_started_again, sim_proactor)
{
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);
	uint64_t receives;

	rig_settle(rig);
	receives = rig->engine->stats.receives;
	CHECK_INT(receives, 1);
	sim_script(rig->sim, probe->stream.endpoint.fd, SIM_RECV,
		(struct sim_outcome){ .result = 10, .last = true });
	peer_send(peer, 1000);
	UNTIL(rig, probe->got.size == 1000);
	CHECK_PATTERN(probe->got.data, probe->got.size, 0);
	CHECK_INT(rig->engine->stats.receives, receives + 1);
	peer_send(peer, 1000);
	UNTIL(rig, probe->got.size == 2000);
	CHECK_INT(rig->engine->stats.receives, receives + 1); /* that one goes on */
	probe_close(probe);
}

STEP_TEST(a_multishot_accept_that_ends_early_is_started_again, sim_proactor)
{
	struct sockaddr_in address;
	struct listener *listener = listener_open(rig, rig_listen(rig, &address));

	listener_start(listener);
	sim_script(rig->sim, listener->endpoint.fd, SIM_ACCEPT, (struct sim_outcome){ .last = true });
	for (unsigned i = 0; i < 5; i++)
		rig_connect(rig, &address);
	UNTIL(rig, listener->count == 5);
	CHECK_INT(rig->engine->stats.accepts, 2);
	listener_close(listener);
}

/* No buffer: parked, started again, nothing lost, and no storm of attempts. */
STEP_TEST(a_starved_receive_goes_on, sim_proactor)
{
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);

	for (unsigned i = 0; i < 3; i++)
		script(probe, SIM_RECV, -ENOBUFS);
	peer_send(peer, 5000);
	UNTIL(rig, probe->got.size == 5000);
	CHECK_PATTERN(probe->got.data, probe->got.size, 0);
	CHECK_INT(rig->engine->stats.starved, 3);
	rig_rest(rig);
	CHECK_INT(probe->ends, 0);
	probe_close(probe);
}

/* The send's completion is late; meanwhile more is queued and input goes on. */
STEP_TEST(output_queued_during_a_send_follows_it, sim_proactor)
{
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);

	rig_settle(rig);
	sim_script(rig->sim, probe->stream.endpoint.fd, SIM_SEND,
		(struct sim_outcome){ .result = 700, .held = 30 });
	probe_send(probe, 1000);
	rig_turn(rig);
	for (unsigned i = 0; i < 5; i++) {
		probe_send(probe, 1000);
		peer_send_some(peer, 100);
		rig_turn(rig);
	}
	CHECK_INT(probe->outputs, 0);
	CHECK_INT(rig->engine->stats.sends, 1);
	CHECK(probe->got.size > 0);
	UNTIL(rig, peer->got.size == 6000 && !probe->flush_pending);
	CHECK_PATTERN(peer->got.data, peer->got.size, 0);
	probe_close(probe);
}

/* Cancelled too late: what the operation brought all the same is delivered. */
STEP_TEST(a_cancelled_receive_that_succeeded_is_delivered, sim_proactor)
{
	struct sim_profile late = sim_profile_calm;
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);

	rig_settle(rig);
	late.cancel_late = 1000;
	sim_kernel_set_profile(rig->sim, &late);
	for (unsigned i = 1; i <= 20; i++) {
		peer_send_some(peer, 50);
		sim_turn(rig->sim);
		probe_stop(probe);
		rig_step(rig);
		probe_start(probe);
	}
	UNTIL(rig, probe->got.size == 1000);
	CHECK_PATTERN(probe->got.data, probe->got.size, 0);
	probe_close(probe);
}

STEP_TEST(a_connection_accepted_while_detaching_is_handed_over, sim_proactor)
{
	struct sim_profile late = sim_profile_calm;
	struct sockaddr_in address;
	struct listener *listener = listener_open(rig, rig_listen(rig, &address));

	listener_start(listener);
	rig_settle(rig);
	late.cancel_late = 1000;
	sim_kernel_set_profile(rig->sim, &late);
	rig_connect(rig, &address);
	listener->detaching = true;
	CHECK_INT(rig->engine->ops->detach(rig->engine, &listener->endpoint), 1);
	UNTIL(rig, listener->detacheds);
	CHECK_INT(listener->count, 1);
	rig->os->ops->close(rig->os, listener_take(listener));
	rig->os->ops->close(rig->os, listener->endpoint.fd);
	free(listener);
}

/* A completion for an operation whose endpoint is long gone: ignored, whatever took its slot. */
STEP_TEST(stray_completions_are_ignored, sim_proactor)
{
	struct sim_profile profile = sim_profile_calm;

	profile.stray = 1000;
	sim_kernel_set_profile(rig->sim, &profile);
	for (unsigned turn = 0; turn < 10; turn++) {
		struct rig_peer *peer;
		struct probe *probe = probe_pair(rig, &peer);

		check_echo(rig, probe, peer, 2000);
		CHECK_INT(probe->ends, 0);
		probe_close(probe);
		peer_close(peer);
	}
}

/* Copies of closed descriptors elsewhere: events of those who have left. A new set is without them. */
STEP_TEST(what_is_copied_elsewhere_is_dropped_once, sim_reactor)
{
	struct sim_profile profile = sim_profile_calm;
	struct rig_peer *others_peer;
	struct probe *other = probe_pair(rig, &others_peer);

	profile.copied = 1000;
	profile.copied_max = 40;
	sim_kernel_set_profile(rig->sim, &profile);
	for (unsigned i = 0; i < 20; i++) {
		struct rig_peer *peer;
		struct probe *probe = probe_pair(rig, &peer);

		probe_close(probe);
		CHECK_INT(peer_send_some(peer, 100), 100);
		rig_settle(rig);
		check_echo(rig, other, others_peer, 100);
		peer_close(peer);
	}
	CHECK_INT(rig->engine->stats.renewed, 1);
	CHECK_INT(other->ends, 0);
	probe_close(other);
}
