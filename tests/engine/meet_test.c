/* Accepting and connecting. */
#include "probe.h"

#include <errno.h>

ENGINE_TEST(every_connection_is_accepted_once)
{
	enum { CONNECTIONS = 40 };
	struct rig_peer *peers[CONNECTIONS];
	struct sockaddr_in address;
	struct listener *listener = listener_open(rig, rig_listen(rig, &address));
	unsigned made = 0;

	/* A connection that a fault aborts is gone for its client, so there is no count to compare then. */
	rig_faults_off(rig);
	listener_start(listener);
	while (made < CONNECTIONS) {
		for (unsigned i = 1 + rig_random(rig, 8); i > 0 && made < CONNECTIONS; i--)
			peers[made++] = rig_connect(rig, &address);
		rig_step(rig);
	}
	UNTIL(rig, listener_waiting(listener) == CONNECTIONS);
	rig_rest(rig);
	CHECK_INT(listener->count, CONNECTIONS);
	CHECK_INT(listener->broken, 0);
	for (unsigned i = 0; i < CONNECTIONS; i++)
		peer_send_some(peers[i], i + 1);
	for (unsigned i = 0; i < CONNECTIONS; i++) {
		struct probe *probe = probe_open(rig, listener_take(listener));

		probe_start(probe);
		UNTIL(rig, probe->got.size);
		probe_close(probe);
	}
	listener_close(listener);
}

/* Whether it takes connections itself; a ring that need not share has the kernel do it. */
static bool takes_in_its_wait(const struct rig *rig)
{
	return strcmp(rig->engine->ops->name, "proactor") != 0 || strstr(rig->variant, "_shared") ||
		strstr(rig->variant, "_first");
}

/* A crowd in the backlog does not keep those who are served from their turn. */
ENGINE_TEST(no_more_than_a_batch_is_accepted_in_one_wait)
{
	enum { CONNECTIONS = 2 * GB__ACCEPT_BATCH + 5 };
	struct sockaddr_in address;
	struct listener *listener = listener_open(rig, rig_listen(rig, &address));
	unsigned waits_that_took = 0;
	uint64_t steps = 0;

	rig_faults_off(rig);
	for (unsigned i = 0; i < CONNECTIONS; i++)
		rig_connect(rig, &address);
	listener_start(listener);
	while (listener->count < CONNECTIONS) {
		unsigned before = listener->count;

		rig_step_until(rig, &steps, __FILE__, __LINE__, "all are accepted");
		waits_that_took += listener->count > before;
		if (takes_in_its_wait(rig))
			CHECK(listener->count - before <= GB__ACCEPT_BATCH);
	}
	if (takes_in_its_wait(rig))
		CHECK(waits_that_took >= 3);
	CHECK_INT(listener->count, CONNECTIONS);
	listener_close(listener);
}

/* With every fault: each client is either served or sees its connection end. */
ENGINE_TEST_SIM(accept_faults_are_survived)
{
	struct sockaddr_in address;
	struct listener *listener = listener_open(rig, rig_listen(rig, &address));
	unsigned served = 0, lost = 0;

	listener_start(listener);
	for (unsigned turn = 0; turn < 20; turn++) {
		struct rig_peer *peer = rig_connect(rig, &address);

		UNTIL(rig, listener_waiting(listener) || peer->was_reset);
		if (peer->was_reset) {
			lost++;
			peer_close(peer);
			continue;
		}
		rig->os->ops->close(rig->os, listener_take(listener));
		UNTIL(rig, peer->at_end);
		peer_close(peer);
		served++;
	}
	CHECK_INT(served + lost, 20);
	CHECK_INT(listener->broken, 0);
	if (rig->round == 0)
		CHECK_INT(lost, 0);
	listener_close(listener);
}

ENGINE_TEST(a_stopped_listener_rests)
{
	struct sockaddr_in address;
	struct listener *listener = listener_open(rig, rig_listen(rig, &address));
	struct rig_peer *peer;

	rig_faults_off(rig);
	listener_start(listener);
	rig_connect(rig, &address);
	UNTIL(rig, listener->count == 1);
	listener_stop(listener);
	rig_settle(rig);
	CHECK_INT(listener->count, 1);
	peer = rig_connect(rig, &address);
	rig_rest(rig);
	CHECK_INT(listener->count, 1);
	listener_start(listener);
	UNTIL(rig, listener->count == 2);
	peer_close(peer);
	listener_close(listener);
}

static void stop_listener(struct listener *listener)
{
	if (listener->started)
		listener_stop(listener);
}

/* Stopping at each connection, as a worker for one at a time does, takes few more than asked for. */
ENGINE_TEST(a_listener_may_stop_in_its_callback)
{
	struct sockaddr_in address;
	struct listener *listener = listener_open(rig, rig_listen(rig, &address));

	rig_faults_off(rig);
	listener->then = stop_listener;
	for (unsigned i = 0; i < 6; i++)
		rig_connect(rig, &address);
	for (unsigned i = 1; i <= 6; i++) {
		if (!listener->started)
			listener_start(listener);
		UNTIL(rig, listener->count >= i);
		rig_settle(rig);
	}
	CHECK_INT(listener->count, 6);
	listener_close(listener);
}

/* No descriptors left: told, no spin while the core rests, and accepted when there are some again. */
ENGINE_TEST(accepting_without_descriptors_rests_and_recovers)
{
	struct sockaddr_in address;
	struct listener *listener = listener_open(rig, rig_listen(rig, &address));

	rig_faults_off(rig);
	listener_start(listener);
	rig_settle(rig);
	rig_connect(rig, &address);
	rig_exhaust_fds(rig);
	UNTIL(rig, listener->exhausted || listener->count);
	/* The ring may have accepted before the limit came: then nothing is left to show. */
	if (listener->exhausted) {
		CHECK_INT(listener->count, 0);
		rig_rest(rig);
		CHECK_INT(listener->exhausted, 1);
		rig_restore_fds(rig);
		UNTIL(rig, listener_waiting(listener) == 1);
	}
	rig_restore_fds(rig);
	CHECK_INT(listener->broken, 0);
	listener_close(listener);
}

static void leave_listener(struct listener *listener)
{
	if (!listener->leaving)
		listener_leave(listener);
}

/* Gone in its own callback, be it told a connection or that descriptors ran out. */
ENGINE_TEST(a_listener_may_go_in_its_own_callback)
{
	rig_faults_off(rig);
	for (unsigned turn = 0; turn < 4; turn++) {
		struct sockaddr_in address;
		struct listener *listener = listener_open(rig, rig_listen(rig, &address));
		bool gone = false;

		listener->ret_gone = &gone;
		listener->then = leave_listener;
		for (unsigned i = 0; i < 3; i++)
			rig_connect(rig, &address);
		if (turn & 1u)
			rig_exhaust_fds(rig);
		listener_start(listener);
		UNTIL(rig, gone);
		rig_restore_fds(rig);
	}
}

/* Descriptors run out behind the first connection of a batch, and the listener goes when it hears that. */
static void leave_when_exhausted(struct listener *listener)
{
	if (listener->exhausted && !listener->leaving)
		listener_leave(listener);
}

ENGINE_TEST_SIM(a_listener_may_go_behind_an_accepted_connection)
{
	struct sockaddr_in address;
	struct listener *listener = listener_open(rig, rig_listen(rig, &address));
	bool gone = false;

	rig_faults_off(rig);
	listener->ret_gone = &gone;
	listener->then = leave_when_exhausted;
	sim_script(rig->sim, listener->endpoint.fd, SIM_ACCEPT, (struct sim_outcome){ 0 });
	sim_script(rig->sim, listener->endpoint.fd, SIM_ACCEPT, (struct sim_outcome){ .result = -EMFILE });
	for (unsigned i = 0; i < 3; i++)
		rig_connect(rig, &address);
	listener_start(listener);
	UNTIL(rig, gone);
}

/* Detached while connections keep coming: each one is either handed over or still in the backlog. */
ENGINE_TEST(a_detached_listener_loses_nobody)
{
	struct sockaddr_in address;
	int fd = rig_listen(rig, &address);
	unsigned accepted = 0, made = 0;

	rig_faults_off(rig);
	for (unsigned turn = 0; turn < 5; turn++) {
		struct listener *listener = listener_open(rig, fd);
		unsigned before;

		listener_start(listener);
		for (unsigned i = rig_random(rig, 5); i > 0; i--, made++)
			rig_connect(rig, &address);
		if (rig_random(rig, 2))
			rig_step(rig);
		rig_connect(rig, &address);
		made++;
		listener->detaching = true;
		before = listener->count;
		if (rig->engine->ops->detach(rig->engine, &listener->endpoint))
			UNTIL(rig, listener->detacheds);
		else
			CHECK_INT(listener->count, before);
		accepted += listener->count;
		while (listener->count)
			rig->os->ops->close(rig->os, listener_take(listener));
		free(listener);
	}
	for (uint64_t steps = 0; accepted < made;) {
		int accepted_fd = rig->os->ops->accept(rig->os, fd);

		if (accepted_fd >= 0) {
			rig->os->ops->close(rig->os, accepted_fd);
			accepted++;
		} else {
			CHECK_INT(accepted_fd, -EAGAIN);
			rig_step_until(rig, &steps, __FILE__, __LINE__, "those left in the backlog");
		}
	}
	CHECK_INT(rig->os->ops->accept(rig->os, fd), -EAGAIN);
	rig->os->ops->close(rig->os, fd);
}

static struct probe *connect_begin(struct rig *rig, const struct sockaddr_in *address, int *ret_result)
{
	struct sockaddr_in copy = *address;
	int fd = rig->os->ops->socket(rig->os, AF_INET, SOCK_STREAM);
	struct probe *probe;

	CHECK(fd >= 0);
	probe = probe_open(rig, fd);
	rig->inside++;
	*ret_result = rig->engine->ops->connect(
		rig->engine, &probe->stream, (struct sockaddr *)&copy, sizeof(copy));
	rig->inside--;
	/* Whether the address may go now is the engine's business. */
	memset(&copy, 0xee, sizeof(copy));
	return probe;
}

ENGINE_TEST(an_outgoing_connection_carries_bytes)
{
	struct sockaddr_in address;
	int fd = rig_listen(rig, &address), result;
	struct probe *probe = connect_begin(rig, &address, &result);
	struct rig_peer *peer;

	CHECK_INT(result, 0);
	UNTIL(rig, probe->connecteds);
	CHECK_INT(probe->connect_error, 0);
	peer = rig_accept(rig, fd);
	probe_start(probe);
	probe->echo = true;
	peer_send(peer, 50000);
	UNTIL(rig, peer->got.size == 50000);
	CHECK_PATTERN(peer->got.data, peer->got.size, 0);
	peer_close(peer);
	UNTIL(rig, probe->ends);
	probe_close(probe);
	rig->os->ops->close(rig->os, fd);
}

/* Refused: by the call or by the callback, once. */
/* A free local port, dialled from itself: both ends of it would be ours. */
ENGINE_TEST_REAL(a_connection_that_meets_itself_is_refused)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct gb__os *os = rig->os;
	int fd = os->ops->socket(os, AF_INET, SOCK_STREAM);
	socklen_t size = sizeof(address);
	struct probe *probe;

	CHECK(fd >= 0);
	CHECK_INT(bind(fd, (struct sockaddr *)&address, size), 0);
	CHECK_INT(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	probe = probe_open(rig, fd);
	CHECK_INT(
		rig->engine->ops->connect(rig->engine, &probe->stream, (struct sockaddr *)&address, size), 0);
	UNTIL(rig, probe->connecteds);
	CHECK_INT(probe->connect_error, -ECONNREFUSED);
	probe_close(probe);
}

ENGINE_TEST(a_refused_connection_is_told)
{
	struct sockaddr_in address = rig_dead_address(rig);
	int result;
	struct probe *probe = connect_begin(rig, &address, &result);

	if (result == 0) {
		UNTIL(rig, probe->connecteds);
		CHECK_INT(probe->connect_error, -ECONNREFUSED);
	} else {
		CHECK_INT(result, -ECONNREFUSED);
		rig_settle(rig);
		CHECK_INT(probe->connecteds, 0);
	}
	rig_rest(rig);
	CHECK_INT(probe->inputs + probe->ends + probe->outputs, 0);
	probe_close(probe);
}

static void leave_connected(struct probe *probe)
{
	if (!probe->leaving)
		probe_leave(probe);
}

ENGINE_TEST(a_connecting_stream_may_go_at_any_time)
{
	struct sockaddr_in address;
	int fd = rig_listen(rig, &address), result;

	for (unsigned turn = 0; turn < 4; turn++) {
		struct probe *probe = connect_begin(rig, &address, &result);
		bool gone = false;

		CHECK_INT(result, 0);
		probe->ret_gone = &gone;
		if (turn == 0)
			probe_leave(probe);
		if (turn == 1) {
			rig_step(rig);
			probe_leave(probe);
		}
		if (turn >= 2)
			probe->then = leave_connected;
		UNTIL(rig, gone);
	}
	rig->os->ops->close(rig->os, fd);
}

/* A backlog that is full leaves the handshake waiting; detach ends that as well. */
ENGINE_TEST_SIM(a_connect_that_hangs_can_be_given_up)
{
	int listener = sim_listen(rig->sim, 0, 1), result;
	struct sockaddr_in address = sim_address(rig->sim, listener);
	struct sim_client *first = sim_client_connect(rig->sim, ntohs(address.sin_port));
	struct probe *probe = connect_begin(rig, &address, &result);

	CHECK_INT(result, 0);
	rig_rest(rig);
	CHECK_INT(probe->connecteds, 0);
	probe_close(probe);
	rig->os->ops->close(rig->os, listener);
	sim_client_close(first);
}
