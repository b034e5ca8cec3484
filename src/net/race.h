/** Connecting to whichever of several addresses answers first: Happy Eyeballs version 2 (RFC 8305, sections 4 and 5). */
#ifndef NET_RACE_H
#define NET_RACE_H

#include "net/outgoing.h"

struct gb__lookup;
struct gb__target;

/** From one attempt to the next while none has failed (RFC 8305, section 8: recommended). */
#define GB__RACE_DELAY_MS 250u

/** What is connected, and for whom. */
struct gb__race_terms {
	const struct gb__socket_options *options; /* copied */
	const struct gb_service *service;
	void *user;
	enum gb__for who;
	/** The winner is established: called before anything else of it is. May be NULL. */
	void (*on_won)(struct gb_conn *conn, void *arg);
	void *arg;
	struct gb_bytes head; /* the first to be sent, before TLS; copied */
};

/** Of addresses to be tried, a bit for each that is tried once all before it have failed: there a lower priority begins. */
typedef uint64_t gb__gates;
static_assert(GB_CONNECT_ANY_MAX <= 64, "a gate for each");

/** Put addresses in the order in which they are tried: families take turns, beginning with that of the first; within
 *  a family they stay as they are. */
void gb__race_order(struct gb__address *addresses, size_t count);

/**
 * Begin the operation of `connecting`, which completes with 0 when the first connection is established, before its
 * on_open, or with a negative code when none can be. Copies `addresses`, which are in order, at most GB_CONNECT_ANY_MAX.
 *
 * The connect timeout of the service is one for all of them. The losers' ends are told to nobody.
 * Returns 0, or -EMFILE, -ENOMEM… (no attempt could be begun: nothing follows).
 */
int gb__race_begin(struct gb__net *net, struct gb_connecting_any *connecting,
	const struct gb__address *addresses, size_t count, gb__gates gates,
	const struct gb__race_terms *terms, gb_operation_done *on_done, void *user);

/** The same to targets that may be names: these are looked up first, and the connect timeout counts from there. What is
 *  found for one of them comes before what is for the next. */
int gb__race_begin_any(struct gb__net *net, struct gb_connecting_any *connecting,
	const struct gb__target *targets, size_t count, const struct gb__race_terms *terms,
	gb_operation_done *on_done, void *user);

/** Have a timer expire after that, on the net's loop. Without memory it does not: then the next attempt begins when this one
 *  has failed, and lookups have a bound of their own. */
void gb__race_timer(struct gb__net *net, struct gb_timer *timer, uint64_t delay_ms,
	void (*on_expire)(struct gb_timer *timer, void *arg), void *arg);

/** Addresses of a lookup that is done, at most `max`, in the order in which they are tried: those of one name take turns by
 *  family, those of a service's next record come behind them, and of the next priority behind a gate. Returns how many. */
size_t gb__race_take(
	const struct gb__lookup *lookup, struct gb__address *ret, size_t max, gb__gates *ret_gates);

/**
 * After how long number `next` is tried although those before it may answer yet: GB__RACE_DELAY_MS; behind a gate when they
 * have had their share of the time that is left, as they count as failed then. `timeout_ms`: for all, 0: no bound.
 * Returns 0: never.
 */
uint64_t gb__race_delay_ms(gb__gates gates, size_t next, uint64_t timeout_ms, uint64_t elapsed_ms);

static inline bool gb__race_gated(gb__gates gates, size_t next)
{
	return gates >> next & 1;
}

#endif
