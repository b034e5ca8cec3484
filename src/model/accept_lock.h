/**
 * wake=lock: of all workers that share a listening socket only the one that holds the lock watches it, so
 * nobody wakes in vain. A worker that accepted something lets go after its turn; whoever turns next takes
 * it, idle ones ask again now and then. The lock is robust: one that dies with it does not keep it.
 */
#ifndef MODEL_ACCEPT_LOCK_H
#define MODEL_ACCEPT_LOCK_H

#include <gearbox/worker.h>

#include <stdbool.h>
#include <stdint.h>

struct gb_worker;

struct gb__accept_lock {
	bool used; /* the model says so */
	bool holding;
	bool barred;       /* ran out of descriptors with it: leaves it to the others for a while */
	uint64_t accepted; /* the worker's counter when it took the lock */
	struct gb_timer retry;
};

/** With `used`, before a turn: take the lock if it is free and the worker could serve. */
void gb__accept_lock_enter(struct gb_worker *worker);
/** And after it: let go if something was accepted. */
void gb__accept_lock_leave(struct gb_worker *worker);
/** Let go at the end. */
void gb__accept_lock_release(struct gb_worker *worker);

#endif
