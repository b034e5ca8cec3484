/**
 * Giving back what a burst has left behind: pages of connections, chunks, buffers, and what the allocator keeps.
 *
 * While work comes and goes all of it is kept, since it is about to be used again. Once little has moved for a while
 * it goes back to the system. Looking costs a node on the wheel for each worker, and nothing on the way of a message.
 */
#ifndef NET_TRIM_H
#define NET_TRIM_H

#include "loop/wheel.h"

#include <stdbool.h>
#include <stdint.h>

struct gb__net;

struct gb__trim {
	struct gb__wheel_node node;
	uint64_t gone;    /* connections so far */
	uint64_t stacks;  /* bytes of coroutines' that were done with, so far */
	uint64_t seen;    /* what was left behind so far, at the last look */
	uint64_t trimmed; /* and when it was given back last */
	uint64_t events;  /* of the engine, at the last look */
	bool more;        /* not all went back then: some of it was in use */
};

void gb__trim_init(struct gb__net *net);
/** There is something to look at from now on, unless trim-after says never. The node is not on the wheel. */
void gb__trim_begin(struct gb__net *net);
/** The node has come up. */
void gb__trim_look(struct gb__net *net);

#endif
