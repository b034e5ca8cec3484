/**
 * wake=lock: of all workers that share a listening socket only the one that holds the lock watches it, so
 * nobody wakes in vain. It is held through a wait and given back before anything that the wait brought is
 * handled, new connections included: who is busy keeps nobody from accepting. Whoever turns next takes it, idle
 * ones ask again now and then. The lock is robust: one that dies with it does not keep it.
 */
#ifndef MODEL_ACCEPT_LOCK_H
#define MODEL_ACCEPT_LOCK_H

#include "model/inbox.h"

#include <stdbool.h>
#include <stdint.h>

struct gb_worker;

struct gb__accept_lock {
	bool used; /* the model says so */
	bool holding;
	struct gb__handed *taken; /* with the lock; served once it is given back */
	size_t count, size;
};

/** Of a worker whose engine has accept_first. Returns 0 or -ENOMEM. */
int gb__accept_lock_init(struct gb_worker *worker);
void gb__accept_lock_finish(struct gb_worker *worker);
/** With `used`, before a turn: take the lock if it is free and nothing else keeps the worker from accepting. Returns
 *  how long the turn may sleep at most, or -1. */
int64_t gb__accept_lock_enter(struct gb_worker *worker);
/** Accepted: to be served when the lock has been given back. Takes the descriptor. */
void gb__accept_lock_keep(struct gb_worker *worker, struct gb__handed handed);
/** Let go, and serve what was taken. */
void gb__accept_lock_release(struct gb_worker *worker);

#endif
