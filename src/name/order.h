/** SRV records in the order in which they are tried. */
#ifndef NAME_ORDER_H
#define NAME_ORDER_H

#include "name/answer.h"

/**
 * By priority, and within one at random, by weight (RFC 2782, "Usage rules"): who weighs 0 is rarely first where others
 * weigh something. `random` is any number; the same one gives the same order.
 */
void gb__services_order(struct gb__srv *services, size_t count, uint64_t random);

#endif
