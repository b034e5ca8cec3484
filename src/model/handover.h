/**
 * How a connection gets from the acceptor to a worker. One small file for each way; which one a model
 * uses follows from its axes (handover.c).
 *
 *   spawn    workers=per-connection   a new worker for it
 *   pull     blocking threads         the next idle one takes it from a shared queue
 *   inbox    event threads            placed: posted to the chosen one
 *   channel  processes                passed by SCM_RIGHTS: pulled from one socket pair by blocking
 *                                     workers, placed on the chosen one's own pair for event workers
 */
#ifndef MODEL_HANDOVER_H
#define MODEL_HANDOVER_H

#include "model/inbox.h"
#include "model/spec.h"

struct gb__crew;
struct gb__seat;
struct gb_worker;

struct gb__handover_ops {
	/** The chief's side, before any worker is started. Returns 0 or a negative errno. */
	int (*init)(struct gb__crew *crew);
	/** After all have ended; connections not taken are closed. */
	void (*finish)(struct gb__crew *crew);
	/** Takes the descriptor. */
	void (*give)(struct gb__crew *crew, struct gb__handed handed);
	/** The turn in which connections were given is over. May be NULL. */
	void (*flush)(struct gb__crew *crew);
	/** A worker has ended although connections are given: who waits for it may go to others. May be NULL. */
	void (*ended)(struct gb__crew *crew, struct gb__seat *seat);
	/** The worker's side, on its thread or in its process, as it begins. Returns 0 or a negative errno. */
	int (*join)(struct gb__seat *seat, struct gb_worker *worker);
};

extern const struct gb__handover_ops gb__handover_spawn, gb__handover_pull, gb__handover_inbox,
	gb__handover_channel;

/** NULL: the model has no acceptor. */
const struct gb__handover_ops *gb__handover_of(const struct gb__model *model);

/** The seat of the worker that gets the next connection, by the model's `place`. */
struct gb__seat *gb__crew_place(struct gb__crew *crew, struct gb__handed handed);

#endif
