/**
 * A service whose handler is gauged: how long each message computes and blocks, by the clocks of the thread that runs it.
 *
 * For a server with one worker. What was gauged lies in memory that the server's process shares with whoever began it.
 */
#ifndef ADVISE_GAUGE_H
#define ADVISE_GAUGE_H

#include "load/histogram.h"

#include <gearbox/service.h>

#include <stdbool.h>

struct advise_gauge {
	struct histogram held_ns; /* computing and blocking together: how long a message holds its thread */
	uint64_t cpu_ns, blocked_ns, bytes; /* of all messages */
	uint64_t own_ns;                    /* CPU time that gauging one message takes */
};

/**
 * Wrap `service` into `*ret`. One service per process at a time, as in verify/wrap.h.
 *
 * Returns 0; -ENOTSUP when it has no handler that could be wrapped (a straight-line one, or parts of messages alone): `*ret`
 * is the service then; -ENOMEM. What it took is in `*ret_gauge` once the server has ended, until gb__advise_gauge_finish.
 */
int gb__advise_gauge(
	const struct gb_service *service, struct gb_service *ret, struct advise_gauge **ret_gauge);
void gb__advise_gauge_finish(struct advise_gauge *gauge);

#endif
