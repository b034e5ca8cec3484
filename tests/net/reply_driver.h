/** What tests of replies share: the pool is the test, and what a peer has got is compared as text. */
#ifndef TESTS_NET_REPLY_DRIVER_H
#define TESTS_NET_REPLY_DRIVER_H

#include "rig.h"

#include "net/task.h"

#include <gearbox/stream.h>

#include <pthread.h>

static inline bool heads(struct rig *rig)
{
	return test_random(&rig->random) % 2;
}

static inline void expect(struct rig *rig, struct peer *peer, const char *text)
{
	UNTIL(rig, peer, peer->got_size >= strlen(text));
	CHECK_INT(peer->got_size, strlen(text));
	CHECK(memcmp(peer->got, text, strlen(text)) == 0);
}

static inline void steps(struct rig *rig, struct peer *peer, unsigned count)
{
	while (count-- > 0)
		rig_step(rig, peer);
}

static inline void end(struct rig *rig, struct peer *peer, int reason)
{
	UNTIL(rig, peer, peer->at_end);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, reason);
	peer_close(peer);
}

#define HELD_MAX 32u

static struct gb__job *held[HELD_MAX];
static unsigned held_count;

static inline void hold(void *arg, struct gb__job *job)
{
	(void)arg;
	CHECK(held_count < HELD_MAX);
	held[held_count++] = job;
}

static inline void *run_job(void *job)
{
	gb__task_run(job);
	return NULL;
}

static inline void run_apart(struct gb__job *job)
{
	pthread_t thread;

	CHECK_INT(pthread_create(&thread, NULL, run_job, job), 0);
	CHECK_INT(pthread_join(thread, NULL), 0);
}

#endif
