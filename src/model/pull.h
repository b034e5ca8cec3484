/**
 * Where blocking workers of one process fetch connections: whoever is idle gets the next one at once,
 * else it waits in a bounded queue. Nothing is pushed to a busy worker, where it would be stranded.
 */
#ifndef MODEL_PULL_H
#define MODEL_PULL_H

#include "model/inbox.h"

#define GB__PULL_QUEUE_MAX 1024u /* connections that wait; beyond it the kernel's backlog holds them */

struct gb_worker;

struct gb__pull {
	pthread_mutex_t lock;
	struct gb__handed queue[GB__PULL_QUEUE_MAX]; /* a ring */
	unsigned first, count;
	struct gb_worker **idle; /* a stack; the last to become idle, whose caches are warm, is first */
	unsigned idle_count;
	bool full; /* the acceptor rests until there is room */
};

int gb__pull_init(struct gb__pull *pull, unsigned workers);
/** Descriptors left in it are closed. */
void gb__pull_finish(struct gb__pull *pull);
/** The acceptor's side. Returns 0, or 1 when the queue is now full and accepting should rest. */
int gb__pull_give(struct gb__pull *pull, struct gb__handed handed);
/** A worker's side, on its thread: serve the next one, or wait to be given one. Returns whether the
 *  acceptor rested for want of room and should go on. */
bool gb__pull_fetch(struct gb__pull *pull, struct gb_worker *worker);

#endif
