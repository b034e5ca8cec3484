/**
 * The load itself: connections that send what the schedule says and check what the protocol says.
 *
 * One generator belongs to one worker, whose thread alone touches it. Several workers would have one
 * each, with a part of the connections and of the messages, and their totals would be merged.
 */
#ifndef LOAD_GENERATOR_H
#define LOAD_GENERATOR_H

#include "load/options.h"
#include "load/schedule.h"
#include "load/totals.h"

#include <gearbox/service.h>
#include <gearbox/worker.h>

#include <signal.h>

struct session; /* a connection's place in the load */

struct generator {
	const struct load_options *options;
	const char *address;                 /* numeric, see gb_resolve */
	const volatile sig_atomic_t *signal; /* how often the user asked to end */
	/** Called some times a second while the load runs, or NULL. */
	void (*on_tick)(const struct generator *generator, uint64_t now_ns);

	struct traffic traffic;
	struct schedule schedule;
	struct totals totals;
	struct session *sessions;
	uint64_t *due_ns;         /* of all sessions, `depth` each */
	unsigned char *states;    /* the protocol's, of all sessions */
	uint64_t begun;           /* sessions that have had a connection */
	uint64_t connecting;      /* connections under way */
	uint64_t live;            /* connections that exist, those under way included */
	bool sending;             /* the measured time has begun */
	bool given_up;            /* nothing new begins, what there is ends */
	struct gb_worker *worker; /* NULL before on_start and after the run */
	char engine[16];          /* what the worker runs on */
	struct gb_timer tick;
	bool moved;            /* something was established, received or closed since the last tick */
	uint64_t moved_ns;     /* the last tick that saw such */
	uint64_t cpu_begin_ns; /* CPU time of the thread when the measured time began */
};

/** The service that runs a generator, which is its `user`: for gb_server_attach. */
extern const struct gb_service gb__generator_service;

/**
 * Set up for `options`; fill `address`, `signal` and `on_tick` afterwards, the rest is its own.
 *
 * Borrows `options`. Returns 0 or -ENOMEM.
 */
int gb__generator_init(struct generator *generator, const struct load_options *options);
void gb__generator_finish(struct generator *generator);

#endif
