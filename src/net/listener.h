/** A listening socket as one worker, or the acceptor, watches it. */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "base/log.h"
#include "net/net.h"

#include <gearbox/worker.h>

struct gb__listener {
	struct gb__endpoint endpoint; /* first; its descriptor is the caller's */
	struct gb__loop *loop;
	struct gb_timer rest; /* after descriptors or memory ran out */
	struct gb__log_limit log_limit;
	bool wanted; /* accepting, but for rests */
	bool closed; /* detached or about to be */
	bool gone;   /* detached: nothing of it is in flight */
	/** Takes over a connected descriptor. */
	void (*on_accepted)(struct gb__listener *listener, int fd);
	void *arg;
	size_t index; /* of the address in the server */
};

/** Attach `fd`; it rests until gb__listener_start. Returns 0 or a negative errno. */
int gb__listener_init(struct gb__listener *listener, struct gb__loop *loop, int fd,
	void (*on_accepted)(struct gb__listener *listener, int fd), void *arg);
/** Accept, respectively rest. */
int gb__listener_start(struct gb__listener *listener);
/** As gb__listener_start; what fails is tried again after a rest. */
void gb__listener_resume(struct gb__listener *listener);
void gb__listener_stop(struct gb__listener *listener);
/** Let go of the descriptor. The memory must stay, and the loop turn, until `gone`. */
void gb__listener_finish(struct gb__listener *listener);

#endif
