/**
 * The load itself: connections that send what the schedule says and check what the protocol says.
 *
 * One generator belongs to one worker, whose thread alone touches it; fleet.h has all of them.
 */
#ifndef LOAD_GENERATOR_H
#define LOAD_GENERATOR_H

#include "load/options.h"
#include "load/pacer.h"
#include "load/schedule.h"
#include "load/session.h"
#include "load/totals.h"

#include <gearbox/service.h>
#include <gearbox/worker.h>

#include <stdatomic.h>

struct fleet;

struct generator {
	struct fleet *fleet;
	const struct load_options *options;
	const struct traffic *traffic;
	unsigned part; /* which of the fleet's */

	struct schedule schedule;
	struct totals totals;
	uint64_t connections; /* of the load, that are its own */
	struct session *sessions;
	struct awaited *rings; /* of all sessions */
	unsigned char *states; /* the protocol's, of all sessions */
	struct session *
		*queue; /* a ring of sessions that wait for requests to become due, each at most once */
	uint64_t queue_first, queued; /* where it begins, and how many */
	uint64_t free_since_ns;       /* when it was last empty and became less so */
	uint64_t begun;               /* sessions that have had a connection */
	uint64_t connecting;          /* connections under way */
	uint64_t live;                /* connections that exist, those under way included */
	bool sending;                 /* requests are sent */
	bool given_up;                /* nothing new begins, what there is ends */
	bool over;                    /* it has no connections any more, and wants none */
	uint64_t started_ns;
	uint64_t
		measured_ns; /* requests count that are due from then on: UINT64_MAX as long as that is not known */
	struct gb_worker *worker; /* NULL before the start and after the stop */
	struct gb_timer tick;
	struct gb_timer collect;  /* where nobody answers: look again what the kernel has taken */
	bool collecting;          /* that is under way */
	struct pacer pacer;       /* for the next request that is due */
	bool moved;               /* something was established, received or closed since the last tick */
	uint64_t moved_ns;        /* the last tick that saw such */
	uint64_t cpu_begin_ns;    /* CPU time of the thread when the measured time began … */
	uint64_t cpu_from_ns;     /* … and when that was read; 0: not yet */
	uint64_t interval_end_ns; /* of a series; UINT64_MAX: there is none */
	struct histogram *told;   /* what the series has of response_ns */
	_Atomic uint64_t seen_messages; /* for others: totals.messages at the last tick */
};

/** What its connections are served by. */
extern const struct gb_service gb__generator_connection;

/** Set up, as part `part`. Copies `schedule`. Returns 0 or -ENOMEM. */
int gb__generator_init(struct generator *generator, struct fleet *fleet, unsigned part, uint64_t connections,
	const struct schedule *schedule);
void gb__generator_finish(struct generator *generator);

/** Begin, on the thread of the worker. Returns 0 or a negative code. The last one of a fleet to end stops the server. */
int gb__generator_start(struct generator *generator, struct gb_worker *worker);
/** The worker ends. */
void gb__generator_stop(struct generator *generator);

#endif
