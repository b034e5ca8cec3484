/* Watching foreign descriptors, waking, waiting. */
#include "probe.h"

#include <errno.h>
#include <pthread.h>

/* Level-triggered: told until handled, silent afterwards, told again. */
ENGINE_TEST(a_watch_reports_until_it_is_handled)
{
	struct gb__os *os = rig->os;
	int fd = os->ops->event_create(os);
	struct watch *watch = watch_open(rig, fd);

	rig_exact_readiness(rig);
	watch_for(watch, GB__READY_IN);
	rig_rest(rig);
	CHECK_INT(watch->readies, 0);
	os->ops->event_signal(os, fd);
	UNTIL(rig, watch->readies >= 5);
	CHECK(watch->ready_last & GB__READY_IN);
	os->ops->event_clear(os, fd);
	rig_settle(rig);
	watch->readies = 0;
	rig_rest(rig);
	CHECK_INT(watch->readies, 0);
	os->ops->event_signal(os, fd);
	UNTIL(rig, watch->readies >= 1);
	watch_for(watch, 0);
	rig_settle(rig);
	watch->readies = 0;
	rig_rest(rig);
	CHECK_INT(watch->readies, 0);
	watch_for(watch, GB__READY_IN);
	UNTIL(rig, watch->readies >= 1);
	watch_close(watch);
	os->ops->close(os, fd);
}

/* Write readiness, changes of interest, and that foreign bytes are left alone. */
ENGINE_TEST(a_watched_socket_is_only_looked_at)
{
	struct rig_peer *peer;
	struct watch *watch;
	unsigned char data[64];
	size_t size = 0;
	int fd;

	peer = rig_pair(rig, &fd);
	watch = watch_open(rig, fd);
	watch_for(watch, GB__READY_OUT);
	UNTIL(rig, watch->readies);
	CHECK(watch->ready_last & GB__READY_OUT);
	rig_exact_readiness(rig);
	watch_for(watch, GB__READY_IN);
	rig_settle(rig);
	watch->readies = 0;
	rig_rest(rig);
	CHECK_INT(watch->readies, 0);
	peer_send(peer, 50);
	UNTIL(rig, watch->readies);
	CHECK(watch->ready_last & GB__READY_IN);
	watch_close(watch);
	while (size < 50) {
		ssize_t got = gb__os_recv(rig->os, fd, data + size, sizeof(data) - size);

		CHECK(got > 0 || got == -EAGAIN || got == -EINTR);
		size += got > 0 ? (size_t)got : 0;
		rig_step(rig);
	}
	CHECK_INT(size, 50);
	CHECK_PATTERN(data, 50, 0);
	rig->os->ops->close(rig->os, fd);
}

static void no_error(struct watch *watch)
{
	CHECK(!(watch->ready_last & (GB__READY_ERROR | GB__READY_HANGUP)));
}

/* What waits for the former interest is given up for it. */
ENGINE_TEST(a_change_of_interest_is_no_error)
{
	struct rig_peer *peer;
	struct watch *watch;
	int fd;

	peer = rig_pair(rig, &fd);
	watch = watch_open(rig, fd);
	watch->then = no_error;
	for (unsigned turn = 0; turn < 4; turn++) {
		watch_for(watch, GB__READY_IN);
		rig_settle(rig);
		watch->readies = 0;
		watch_for(watch, GB__READY_OUT);
		UNTIL(rig, watch->readies);
	}
	watch_close(watch);
	rig->os->ops->close(rig->os, fd);
	peer_close(peer);
}

/* One that rests, or goes, before its descriptor was ever ready. */
ENGINE_TEST(a_watch_that_never_fired_can_rest_and_go)
{
	struct gb__os *os = rig->os;
	int fd = os->ops->event_create(os);

	rig_exact_readiness(rig);
	for (unsigned turn = 0; turn < 4; turn++) {
		struct watch *watch = watch_open(rig, fd);

		watch_for(watch, GB__READY_IN);
		if (turn & 1u)
			rig_step(rig);
		watch_for(watch, 0);
		if (turn & 2u) {
			rig_settle(rig);
			os->ops->event_signal(os, fd);
			rig_rest(rig);
			os->ops->event_clear(os, fd);
			CHECK_INT(watch->readies, 0);
		}
		watch_for(watch, GB__READY_IN);
		watch_close(watch);
	}
	os->ops->close(os, fd);
}

/* More of them are ready, always, than one wait tells of: each has its turn before any has many. */
ENGINE_TEST_REAL(every_ready_descriptor_has_its_turn)
{
	enum { MANY = 600 };
	static struct watch *watches[MANY];
	static int fds[MANY];
	struct gb__os *os = rig->os;
	unsigned least = 0;

	for (unsigned i = 0; i < MANY; i++) {
		fds[i] = os->ops->event_create(os);
		CHECK(fds[i] >= 0);
		os->ops->event_signal(os, fds[i]);
		watches[i] = watch_open(rig, fds[i]);
		watch_for(watches[i], GB__READY_IN);
	}
	while (!least) {
		unsigned most = 0;

		rig_step(rig);
		least = UINT32_MAX;
		for (unsigned i = 0; i < MANY; i++) {
			least = gb__min(least, watches[i]->readies);
			most = gb__max(most, watches[i]->readies);
		}
		CHECK(most <= 8);
	}
	for (unsigned i = 0; i < MANY; i++) {
		watch_close(watches[i]);
		os->ops->close(os, fds[i]);
	}
}

static void watch_goes(struct watch *watch)
{
	if (!watch->leaving)
		watch_leave(watch);
}

ENGINE_TEST(a_watch_may_go_in_its_callback)
{
	struct gb__os *os = rig->os;
	int fd = os->ops->event_create(os);

	os->ops->event_signal(os, fd);
	for (unsigned turn = 0; turn < 5; turn++) {
		struct watch *watch = watch_open(rig, fd);
		bool gone = false;

		watch->ret_gone = &gone;
		watch->then = watch_goes;
		watch_for(watch, GB__READY_IN);
		UNTIL(rig, gone);
	}
	os->ops->close(os, fd);
}

/* Nothing is heard of the one that left, although its number is another's at once. */
ENGINE_TEST(a_descriptor_may_be_closed_once_its_watch_has_left)
{
	struct gb__os *os = rig->os;

	rig_exact_readiness(rig);
	for (unsigned turn = 0; turn < 6; turn++) {
		int fd = os->ops->event_create(os);
		struct watch *watch = watch_open(rig, fd);
		bool gone = false;

		watch->ret_gone = &gone;
		watch_for(watch, GB__READY_IN);
		if (turn & 1u)
			rig_step(rig);
		os->ops->event_signal(os, fd);
		watch_leave(watch);
		os->ops->close(os, fd);
		fd = os->ops->event_create(os);
		watch = watch_open(rig, fd);
		watch_for(watch, GB__READY_IN);
		rig_rest(rig);
		CHECK_INT(watch->readies, 0);
		CHECK(gone);
		os->ops->event_signal(os, fd);
		UNTIL(rig, watch->readies);
		watch_close(watch);
		os->ops->close(os, fd);
	}
}

static struct watch *both[2];
static unsigned told;

/* Of two that are ready whoever is told first ends the other. */
static void ends_the_other(struct watch *watch)
{
	struct watch *other = both[watch == both[0]];

	if (told++ == 0)
		watch_leave(other);
}

ENGINE_TEST(a_watch_that_another_one_ends_is_not_told_any_more)
{
	struct gb__os *os = rig->os;

	for (unsigned turn = 0; turn < 4; turn++) {
		int fds[2];
		bool gone[2] = { false, false };

		told = 0;
		for (unsigned i = 0; i < 2; i++) {
			fds[i] = os->ops->event_create(os);
			both[i] = watch_open(rig, fds[i]);
			both[i]->ret_gone = &gone[i];
			both[i]->then = ends_the_other;
			os->ops->event_signal(os, fds[i]);
			watch_for(both[i], GB__READY_IN);
		}
		UNTIL(rig, gone[0] || gone[1]);
		UNTIL(rig, told >= 4);
		CHECK(gone[0] != gone[1]);
		watch_close(both[gone[0]]);
		for (unsigned i = 0; i < 2; i++)
			os->ops->close(os, fds[i]);
	}
}

/* Beside a connection, also under the engine that blocks in its receive. */
ENGINE_TEST(watches_and_a_connection_share_a_wait)
{
	struct gb__os *os = rig->os;
	int fd = os->ops->event_create(os);
	struct rig_peer *peer;
	struct probe *probe = probe_pair(rig, &peer);
	struct watch *watch = watch_open(rig, fd);

	rig_exact_readiness(rig);
	watch_for(watch, GB__READY_IN);
	for (unsigned turn = 1; turn < 4; turn++) {
		peer_send(peer, 100);
		UNTIL(rig, probe->got.size == turn * 100);
		CHECK_INT(watch->readies, 0);
		os->ops->event_signal(os, fd);
		UNTIL(rig, watch->readies);
		os->ops->event_clear(os, fd);
		rig_settle(rig);
		watch->readies = 0;
	}
	watch_for(watch, 0);
	peer_send(peer, 50);
	UNTIL(rig, probe->got.size == 350);
	watch_close(watch);
	peer_send(peer, 50);
	UNTIL(rig, probe->got.size == 400);
	probe_close(probe);
	os->ops->close(os, fd);
}

static int wait_once(struct rig *rig, int64_t timeout_ns)
{
	int result;

	rig->waiting = true;
	result = rig->engine->ops->wait(rig->engine, timeout_ns);
	rig->waiting = false;
	CHECK(result >= 0);
	return result;
}

/* A wake before the wait is not lost, and one wake is one wake: the next wait sleeps again. */
ENGINE_TEST(a_wake_before_the_wait_is_kept)
{
	rig_settle(rig);
	for (unsigned turn = 0; turn < 6; turn++) {
		rig->engine->ops->wake(rig->engine);
		if (rig_random(rig, 2))
			rig->engine->ops->wake(rig->engine);
		wait_once(rig, -1);
		rig_rest(rig);
	}
}

static void *wake_from_thread(void *argument)
{
	struct rig *rig = argument;

	rig->engine->ops->wake(rig->engine);
	return NULL;
}

ENGINE_TEST_REAL(another_thread_wakes_a_wait)
{
	for (unsigned turn = 0; turn < 50; turn++) {
		pthread_t thread;

		CHECK_INT(pthread_create(&thread, NULL, wake_from_thread, rig), 0);
		wait_once(rig, -1);
		CHECK_INT(pthread_join(thread, NULL), 0);
	}
}

/* Zero does not wait; a timeout is never cut short but by something that happened, or by never sleeping. */
ENGINE_TEST(a_wait_lasts_as_long_as_asked)
{
	struct gb__os *os = rig->os;
	uint64_t before;

	rig_faults_off(rig);
	rig_settle(rig);
	before = rig->engine->stats.waits;
	wait_once(rig, 0);
	CHECK_INT(rig->engine->stats.waits - before, 1);
	before = os->ops->now_ns(os);
	wait_once(rig, 3500000);
	CHECK(os->ops->now_ns(os) - before >= 3500000 || strcmp(rig->engine->name, "busy") == 0);
}

ENGINE_TEST(a_watch_for_room_is_left_like_any_other)
{
	struct watch *watch;
	int fd;

	rig_pair(rig, &fd);
	watch = watch_open(rig, fd);
	watch_for(watch, GB__READY_OUT);
	UNTIL(rig, watch->readies);
	watch_close(watch);
	rig->os->ops->close(rig->os, fd);
}
