/** From what a text asks for to addresses: one name's, or those of the names that a service's records name. */
#ifndef NAME_LOOKUP_H
#define NAME_LOOKUP_H

#include "name/names.h"
#include "name/target.h"

/** One address that was found. */
struct gb__found {
	struct gb__address address;
	uint16_t priority, weight; /* of its service's record */
	uint16_t place;            /* of that record: those of one place belong together */
	uint32_t ttl_s;            /* until it has to be asked for again */
};

struct gb__lookup_part;

/** Zeroed, or finished. Its memory stays until on_done, or it is dropped. */
struct gb__lookup {
	struct gb__names *names;
	struct gb__target target;
	struct gb__names_waiter waiter; /* for a service's records */
	struct gb__lookup_part *parts;  /* the names behind them, in order */
	size_t parts_count, parts_left;
	void (*on_done)(struct gb__lookup *lookup, int code);
	/* Once it is done with 0: this many, in the order in which they are tried. */
	struct gb__found *found;
	size_t count;
	uint64_t until_ns; /* they hold so long */
	bool pending;
	void *arg; /* the owner's */
};

/**
 * Look up. Returns 1 (on_done follows, from the loop), 0 (it is done: what was asked for is an address, or was known), or why
 * there is nothing to be had: a code of gb__answer, -ESHUTDOWN, -EOPNOTSUPP.
 */
int gb__lookup_begin(struct gb__lookup *lookup, struct gb__names *names, const struct gb__target *target,
	void (*on_done)(struct gb__lookup *lookup, int code));
/** Nothing follows; what was found goes. Also of one that is done or was never begun. */
void gb__lookup_drop(struct gb__lookup *lookup);

#endif
