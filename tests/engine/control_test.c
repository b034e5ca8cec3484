/* Starting, stopping, detaching, and what happens to those who went away meanwhile. */
#include "base/macros.h"
#include "probe.h"

#include "engine/poller/poller.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Bytes that come after a stop has taken effect stay in the kernel until the next start. */
ENGINE_TEST(stopped_input_stays_in_the_kernel)
{
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);

	peer_send(peer, 500);
	UNTIL(rig, probe->got.size == 500);
	probe_stop(probe);
	rig_settle(rig);
	peer_send(peer, 200);
	rig_rest(rig);
	CHECK_INT(probe->got.size, 500);
	probe_start(probe);
	UNTIL(rig, probe->got.size == 700);
	CHECK_PATTERN(probe->got.data, probe->got.size, 0);
	probe_close(probe);
}

/* However stops and starts race with bytes: all arrive, once, in order, and then the end. */
ENGINE_TEST(stop_and_start_race_with_input)
{
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);
	uint64_t steps = 0;

	while (peer->sent < 60000 || probe->got.size < peer->sent) {
		if (peer->sent < 60000)
			peer_send_some(peer, 1 + rig_random(rig, 4000));
		for (unsigned i = rig_random(rig, 4); i > 0; i--) {
			if (probe->reading)
				probe_stop(probe);
			else
				probe_start(probe);
		}
		if (!probe->reading && rig_random(rig, 3) == 0)
			probe_start(probe);
		rig_step_until(rig, &steps, __FILE__, __LINE__, "all bytes");
	}
	if (!probe->reading)
		probe_start(probe);
	peer_shutdown(peer);
	UNTIL(rig, probe->ends);
	CHECK_INT(probe->end_error, 0);
	CHECK_INT(probe->got.size, peer->sent);
	CHECK_PATTERN(probe->got.data, probe->got.size, 0);
	probe_close(probe);
}

static void stop_in_callback(struct probe *probe)
{
	if (probe->reading)
		probe_stop(probe);
}

/* A core that stops at each batch, as at its watermark, and starts again later. */
ENGINE_TEST(stopping_inside_the_callback_works)
{
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);
	uint64_t steps = 0;

	probe->then = stop_in_callback;
	while (probe->got.size < 40000) {
		if (peer->sent < 40000)
			peer_send_some(peer, 40000 - peer->sent);
		if (!probe->reading)
			probe_start(probe);
		rig_step_until(rig, &steps, __FILE__, __LINE__, "all bytes");
	}
	CHECK_PATTERN(probe->got.data, probe->got.size, 0);
	probe->then = NULL;
	probe_close(probe);
}

/* Send the rest by hand: the descriptor belongs to the caller again. */
static void send_by_hand(struct rig *rig, int fd, size_t from, size_t to)
{
	uint64_t steps = 0;

	while (from < to) {
		unsigned char data[4096];
		size_t size = gb__min(sizeof(data), to - from);
		ssize_t sent;

		pattern_fill(data, size, from);
		sent = gb__os_send(rig->os, fd, data, size);
		if (sent > 0) {
			from += (size_t)sent;
			continue;
		}
		CHECK(sent == -EAGAIN || sent == -EINTR);
		rig_step_until(rig, &steps, __FILE__, __LINE__, "room after detach");
	}
}

static void receive_by_hand(struct rig *rig, int fd, struct bytes *got, size_t until)
{
	uint64_t steps = 0;

	while (got->size < until) {
		unsigned char data[4096];
		ssize_t size = gb__os_recv(rig->os, fd, data, sizeof(data));

		if (size > 0) {
			bytes_append(got, data, (size_t)size);
			continue;
		}
		CHECK(size == -EAGAIN || size == -EINTR);
		rig_step_until(rig, &steps, __FILE__, __LINE__, "bytes after detach");
	}
}

/* With a receive and a send in flight: nothing is lost, nothing is doubled, in either direction. */
ENGINE_TEST(detach_gives_back_what_was_not_sent_or_read)
{
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);
	struct bytes rest = { 0 }, got = { 0 };
	size_t queued, unsent;
	int fd;

	peer->read_max = 0;
	probe_send(probe, 600000);
	peer_send_some(peer, 5000);
	if (rig_random(rig, 2))
		rig_step(rig);
	peer_send_some(peer, 5000);
	probe_detach(probe);
	UNTIL(rig, probe->detached);

	queued = probe->queued;
	unsent = probe->stream.output.bytes;
	while (!gb__output_empty(&probe->stream.output)) {
		struct iovec front = gb__output_front(&probe->stream.output);

		bytes_append(&rest, front.iov_base, front.iov_len);
		gb__output_consume(&probe->stream.output, &rig->engine->pool, front.iov_len);
	}
	CHECK_INT(rest.size, unsent);
	CHECK_PATTERN(rest.data, rest.size, queued - unsent);
	bytes_append(&got, probe->got.data, probe->got.size);
	fd = probe_release(probe);

	peer->read_max = SIZE_MAX;
	send_by_hand(rig, fd, queued - unsent, queued);
	UNTIL(rig, peer->got.size == queued);
	CHECK_PATTERN(peer->got.data, peer->got.size, 0);
	receive_by_hand(rig, fd, &got, peer->sent);
	CHECK_INT(got.size, peer->sent);
	CHECK_PATTERN(got.data, got.size, 0);
	CHECK_INT(rig->os->ops->close(rig->os, fd), 0);
	free(rest.data);
	free(got.data);
}

static void detach_in_callback(struct probe *probe)
{
	probe_detach(probe);
}

/* Detached at the first bytes, with more of them received already: those still come, the rest can be read. */
ENGINE_TEST(detach_inside_the_callback_loses_no_input)
{
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);
	struct bytes got = { 0 };
	int fd;

	probe->then = detach_in_callback;
	for (unsigned i = 0; i < 20; i++) {
		peer_send_some(peer, 1 + rig_random(rig, 600));
		if (rig->sim && rig_random(rig, 4) == 0)
			sim_turn(rig->sim);
	}
	UNTIL(rig, probe->detached);
	CHECK(probe->got.size > 0);
	bytes_append(&got, probe->got.data, probe->got.size);
	fd = probe_release(probe);
	receive_by_hand(rig, fd, &got, peer->sent);
	CHECK_PATTERN(got.data, got.size, 0);
	CHECK_INT(rig->os->ops->close(rig->os, fd), 0);
	free(got.data);
}

/* The same descriptor attached again goes on where it was. */
ENGINE_TEST(a_detached_stream_can_attach_again)
{
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);
	struct bytes got = { 0 };

	for (unsigned turn = 0; turn < 5; turn++) {
		int fd;

		peer_send_some(peer, 1 + rig_random(rig, 3000));
		if (rig_random(rig, 2))
			rig_step(rig);
		probe_detach(probe);
		UNTIL(rig, probe->detached);
		bytes_append(&got, probe->got.data, probe->got.size);
		fd = probe_release(probe);
		probe = probe_open(rig, fd);
		probe_start(probe);
	}
	UNTIL(rig, got.size + probe->got.size == peer->sent);
	bytes_append(&got, probe->got.data, probe->got.size);
	CHECK_PATTERN(got.data, got.size, 0);
	probe_close(probe);
	free(got.data);
}

/* Whoever takes over a slot and a descriptor's number hears nothing of the one before. */
ENGINE_TEST(a_reused_descriptor_hears_nothing_of_the_past)
{
	for (unsigned turn = 0; turn < 12; turn++) {
		struct rig_peer *old_peer, *peer;
		struct probe *old = probe_pair(rig, &old_peer), *probe;
		bool gone = false;

		old->ret_gone = &gone;
		old_peer->read_max = 0;
		peer_send_some(old_peer, 3000);
		probe_queue(old, rig_random(rig, 2) ? 1000000 : 10);
		CHECK(probe_flush(old) >= 0);
		if (rig_random(rig, 2))
			rig_step(rig);
		if (rig_random(rig, 2))
			peer_reset(old_peer);
		probe_leave(old);
		probe = probe_pair(rig, &peer);
		probe->echo = true;
		peer_send(peer, 2000);
		UNTIL(rig, gone && peer->got.size == 2000);
		CHECK_INT(probe->got.size, 2000);
		CHECK_PATTERN(probe->got.data, probe->got.size, 0);
		CHECK_PATTERN(peer->got.data, peer->got.size, 0);
		CHECK_INT(probe->ends, 0);
		probe_close(probe);
		peer_close(peer);
		peer_close(old_peer);
	}
}

static void leave(struct probe *probe)
{
	if (!probe->leaving)
		probe_leave(probe);
}

/* Detached, closed and freed in its own callback: the engine looks at it no more. */
ENGINE_TEST(a_stream_may_go_in_its_own_callback)
{
	for (unsigned turn = 0; turn < 8; turn++) {
		struct rig_peer *peer;
		struct probe *probe = probe_pair(rig, &peer);
		bool gone = false;

		probe->ret_gone = &gone;
		probe->then = leave;
		switch (turn % 4) {
		case 0: /* on_input */
			peer_send(peer, 100);
			break;
		case 1: /* on_end, FIN */
			peer_shutdown(peer);
			break;
		case 2: /* on_end, reset, perhaps with output that waits */
			peer->read_max = 0;
			if (turn / 4)
				probe_send(probe, 600000);
			peer_reset(peer);
			break;
		default: /* on_output */
			if (rig_random(rig, 2))
				peer_send(peer, 100);
			peer->read_max = 0;
			probe_send(probe, 600000);
			rig_settle(rig);
			peer->read_max = SIZE_MAX;
			break;
		}
		UNTIL(rig, gone);
		peer_close(peer);
	}
}

static void leave_other(struct probe *probe)
{
	struct probe *other = probe->context;

	probe->then = other->then = NULL;
	probe_leave(other);
	probe_leave(probe);
}

/* Both have events in the same wait; the first one's callback takes the second one away. */
ENGINE_TEST(a_stream_may_go_in_anothers_callback)
{
	for (unsigned turn = 0; turn < 10; turn++) {
		struct rig_peer *peers[2];
		struct probe *probes[2];
		bool gone[2] = { false, false };

		for (unsigned i = 0; i < 2; i++) {
			probes[i] = probe_pair(rig, &peers[i]);
			probes[i]->ret_gone = &gone[i];
			probes[i]->then = leave_other;
		}
		for (unsigned i = 0; i < 2; i++) {
			probes[i]->context = probes[1 - i];
			peer_send_some(peers[i], 10);
			if (turn & 1u)
				peer_shutdown(peers[i]);
		}
		UNTIL(rig, gone[0] && gone[1]);
	}
}

/* Every operation that is in flight somewhere ends before the engine does. */
ENGINE_TEST(an_engine_is_destroyed_after_work)
{
	enum { STREAMS = 10 };
	struct rig_peer *peers[STREAMS];
	struct probe *probes[STREAMS];
	bool gone[STREAMS] = { false };

	for (unsigned i = 0; i < STREAMS; i++) {
		probes[i] = probe_pair(rig, &peers[i]);
		probes[i]->ret_gone = &gone[i];
		peers[i]->read_max = 0;
		probe_send(probes[i], i & 1u ? 1000000 : 100);
		peer_send_some(peers[i], i * 100);
	}
	rig_step(rig);
	for (unsigned i = 0; i < STREAMS; i++)
		probe_leave(probes[i]);
	for (unsigned i = 0; i < STREAMS; i++)
		UNTIL(rig, gone[i]);
	CHECK_INT(rig->engine->pool.in_use, 0);
}

/* A forked child lets go of its parent's engine; the parent's goes on as if nothing had happened. */
ENGINE_TEST_REAL(an_engine_survives_a_childs_letting_go)
{
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);
	int status;
	pid_t pid;

	probe->echo = true;
	peer_send(peer, 100);
	UNTIL(rig, peer->got.size == 100);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		rig->engine->ops->destroy(rig->engine);
		_exit(0);
	}
	CHECK_INT(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	peer_send(peer, 100);
	UNTIL(rig, peer->got.size == 200);
	rig_rest(rig);
	probe_close(probe);
}

/* select(2) has its limit: it says so, and the others have none. */
ENGINE_TEST_REAL(a_high_descriptor_is_refused_or_served)
{
	struct rlimit limit;
	struct rig_peer *peer;
	struct probe *probe;
	int fd, high, result;

	CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = gb__min(limit.rlim_max, (rlim_t)4096);
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
	peer = rig_pair(rig, &fd);
	high = fcntl(fd, F_DUPFD_CLOEXEC, 2000);
	if (high < 0)
		return; /* this machine grants no such descriptor */
	close(fd);
	if (strcmp(rig->engine->name, "select") == 0) {
		struct gb__stream stream = { .endpoint = { .fd = high, .kind = GB__ENDPOINT_STREAM } };

		result = rig->engine->ops->attach(rig->engine, &stream.endpoint);
		if (result == 0) {
			result = rig->engine->ops->input_start(rig->engine, &stream.endpoint);
			CHECK_INT(rig->engine->ops->detach(rig->engine, &stream.endpoint), 0);
		}
		CHECK_INT(result, -GB_ELIMIT);
		close(high);
		return;
	}
	probe = probe_open(rig, high);
	probe_start(probe);
	probe->echo = true;
	peer_send(peer, 100);
	UNTIL(rig, peer->got.size == 100);
	probe_close(probe);
}

/* A peer sees it with the next wait, whatever else there is to do. */
ENGINE_TEST(a_descriptor_that_is_closed_is_so_with_the_next_wait)
{
	struct rig_peer *peer;
	int fd;

	peer = rig_pair(rig, &fd);
	gb__engine_close(rig->engine, fd);
	UNTIL(rig, peer->at_end);
	CHECK(!peer->was_reset);
}

/* Nobody waits any more: the engine that ends closes it all the same, as the rig checks. */
ENGINE_TEST(what_is_to_be_closed_is_when_the_engine_ends)
{
	int fds[3];

	for (unsigned i = 0; i < 3; i++)
		rig_pair(rig, &fds[i]);
	for (unsigned i = 0; i < 3; i++)
		gb__engine_close(rig->engine, fds[i]);
}
