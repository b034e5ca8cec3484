/** A listening socket as one worker, or the acceptor, watches it. When to accept is its owner's decision. */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "loop/loop.h"

struct gb__listener {
	struct gb__endpoint endpoint; /* first; its descriptor is the caller's */
	struct gb__loop *loop;
	bool broken; /* of no use any more: it is not started again */
	bool closed; /* detached or about to be */
	bool gone;   /* detached: nothing of it is in flight */
	/** Takes over a connected descriptor. */
	void (*on_accepted)(struct gb__listener *listener, int fd);
	/** Descriptors or memory ran out, or accepting fails for a reason that may pass: to be stopped for a while. */
	void (*on_failed)(struct gb__listener *listener, int error);
	void *arg;
	size_t index; /* of the address in the server */
};

/** Attach the listener's descriptor, once its owner has filled the other fields; it rests until gb__listener_start.
 *  Returns 0 or a negative errno. */
int gb__listener_init(struct gb__listener *listener, struct gb__loop *loop, int fd);
/** Accept, respectively rest. Returns 0 or -ENOMEM…; one that is broken or closed stays at rest. */
int gb__listener_start(struct gb__listener *listener);
void gb__listener_stop(struct gb__listener *listener);
/** Let go of the descriptor. The memory must stay, and the loop turn, until `gone`. Repeatable. */
void gb__listener_finish(struct gb__listener *listener);

#endif
