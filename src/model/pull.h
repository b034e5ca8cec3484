/**
 * Where blocking workers of one process fetch connections: whoever is idle gets the next one at once,
 * else it waits in a bounded queue. Nothing is pushed to a busy worker, where it would be stranded.
 */
#ifndef MODEL_PULL_H
#define MODEL_PULL_H

#include "model/inbox.h"

#include <gearbox/worker.h>

#define GB__PULL_QUEUE_MAX 1024u /* connections that wait; beyond it the kernel's backlog holds them */

struct gb__crew;
struct gb_worker;

struct gb__pull {
	pthread_mutex_t lock;
	struct gb__handed queue[GB__PULL_QUEUE_MAX]; /* a ring */
	unsigned first, count;
	struct gb_worker **idle; /* a stack; the last to become idle, whose caches are warm, is first */
	unsigned idle_count;
	bool full;                /* the acceptor rests until there is room */
	struct gb_timer patience; /* the chief's, while connections wait: whether they move */
	unsigned first_then;      /* `first`, when it began */
	bool told;                /* that there are too few workers */
	struct gb__post
		room; /* says so to the chief; under way at most once, since only that one fills it again */
};

#endif
