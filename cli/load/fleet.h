/**
 * The generators of a load, one for each worker that drives it: each has its part of the connections, the messages and
 * the rate, and is touched by its worker's thread alone. What they share is below, and atomic or not written meanwhile.
 */
#ifndef LOAD_FLEET_H
#define LOAD_FLEET_H

#include "load/generator.h"
#include "load/series.h"

#include <signal.h>
#include <stdatomic.h>

struct fleet {
	const struct load_options *options;
	const char *address;                 /* numeric, see gb__load_find */
	const volatile sig_atomic_t *signal; /* how often the user asked to end */
	/** Called some times a second while the load runs, by the first generator's thread, or NULL. */
	void (*on_tick)(const struct fleet *fleet, uint64_t now_ns);

	struct gb_service connection; /* of each connection */
	struct traffic traffic;       /* what all of them send */
	struct generator *generators;
	unsigned count;
	char engine[16];      /* what they run on */
	struct series series; /* of all of them; begun and ended by who runs them */

	_Atomic unsigned started; /* generators that have a worker */
	_Atomic unsigned over;    /* whose connections have all ended */
	_Atomic uint64_t opened;  /* places for connections that have had one */
	_Atomic bool given_up;    /* nothing new begins, what there is ends */
};

/** Set up for `options`; fill `address`, `signal` and `on_tick` afterwards. Borrows `options`. Returns 0 or -ENOMEM. */
int gb__fleet_init(struct fleet *fleet, const struct load_options *options);
void gb__fleet_finish(struct fleet *fleet);

/** Messages that were answered, so far; as of the last tick of each generator. Thread: any. */
uint64_t gb__fleet_messages(const struct fleet *fleet);
/** Connections that were established, so far. Thread: any. */
uint64_t gb__fleet_opened(const struct fleet *fleet);

/** The service that runs it, whose `user` it is: for gb_server_attach. */
extern const struct gb_service gb__fleet_service;

#endif
