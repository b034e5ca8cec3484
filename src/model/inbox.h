/** Connected descriptors on their way from the acceptor to a worker thread: no allocation once warm. */
#ifndef MODEL_INBOX_H
#define MODEL_INBOX_H

#include "loop/loop.h"

#include <pthread.h>

/** A descriptor and the binding it was accepted for. */
struct gb__handed {
	int fd;
	uint32_t binding;
};

struct gb__inbox {
	pthread_mutex_t lock;
	struct gb__handed *items, *taken; /* filled by the acceptor; being worked off by the worker */
	size_t count, size, taken_size;
	bool announced;                                                  /* a post is under way */
	struct gb__post post;                                            /* to the worker's loop */
	void (*take)(struct gb__inbox *inbox, struct gb__handed handed); /* on the worker's thread */
};

int gb__inbox_init(struct gb__inbox *inbox, void (*take)(struct gb__inbox *inbox, struct gb__handed handed));
/** Take one that was handed over too late. After the end of the loop, when nobody hands over any more. */
bool gb__inbox_left(struct gb__inbox *inbox, struct gb__handed *ret);
/** Nothing is left in it. */
void gb__inbox_finish(struct gb__inbox *inbox);
/** Hand one over. Thread: the acceptor's. Returns 0, or -ENOMEM, -ESHUTDOWN (it stays the caller's). */
int gb__inbox_put(struct gb__inbox *inbox, struct gb__loop *loop, struct gb__handed handed);
/** Thread: any. */
bool gb__inbox_empty(struct gb__inbox *inbox);

#endif
