/** A process of the pool: it runs the handlers of the messages that its exchange brings. */
#ifndef POOL_APART_H
#define POOL_APART_H

#include "net/net.h"
#include "pool/exchange.h"

/**
 * Until the exchange ends. `net` is what the facades belong to, whose loop nobody turns; `terms` those of each binding,
 * of which the limits are set here; `ring(arg, source)` tells the server of a phase.
 */
void gb__apart_run(struct gb__exchange *exchange, struct gb__net *net, struct gb__terms *terms,
	void (*ring)(void *arg, uint32_t source), void *arg);

#endif
