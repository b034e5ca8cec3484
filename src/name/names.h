/**
 * What a worker knows of names: who asks for what, what was found, and for how long it holds.
 *
 * Nothing is asked twice at the same time, nor again before its time is over.
 */
#ifndef NAME_NAMES_H
#define NAME_NAMES_H

#include "name/counters.h"
#include "name/dns.h"

struct gb__names_options {
	const char *servers;           /* as gb__dns_options has them; borrowed */
	uint64_t timeout_ms;           /* for an answer */
	uint64_t ttl_min_s, ttl_max_s; /* what times to live are brought to */
	uint64_t known_max;            /* names that are kept */
};

struct gb__names {
	struct gb__watches *watches;
	struct gb__loop *loop;
	struct gb_worker *worker;
	struct gb__names_options options;
	struct gb__names_counters *counters;
	struct gb__dns *dns;      /* NULL: nothing was asked yet */
	uint64_t system_stamp;    /* of the system's configuration, as `dns` has read it */
	struct gb__list *buckets; /* known_max entries and those that are being asked for; NULL like `dns` */
	size_t buckets_count;     /* likewise: 0 */
	struct gb__list recent;   /* all that are known, least recently used first */
	struct gb__list asking;   /* by their deadlines */
	struct gb__list told;     /* whose waiters are to be told */
	size_t known;
	unsigned under_way; /* questions */
	uint64_t random;
	struct gb_timer timer;
	struct gb__post post;
	bool posted, ended;
};

/** An answer that is held. */
struct gb__known {
	struct gb__answer answer;
	uint64_t until_ns;
};

struct gb__names_waiter {
	struct gb__list link;
	/** `known` is there during the call. From the loop. */
	void (*on_known)(struct gb__names_waiter *waiter, const struct gb__known *known);
};

/** Nothing is taken yet; borrows all of it. */
void gb__names_init(struct gb__names *names, struct gb__watches *watches, struct gb_worker *worker,
	const struct gb__names_options *options, struct gb__names_counters *counters);
/** All who wait are told -ECANCELED; nothing can be asked any more. Before gb__watches_end. */
void gb__names_end(struct gb__names *names);
/** In a forked child: close what its parent asks by. NULL is fine. */
void gb__names_abandon(struct gb__names *names);

/** What is known and holds, until the next call; or NULL. */
const struct gb__known *gb__names_find(struct gb__names *names, enum gb__question question, const char *name);
/** Ask, or wait with others who have. Returns 0 (on_known follows), -ESHUTDOWN, -ENOMEM, -EOPNOTSUPP… */
int gb__names_ask(struct gb__names *names, enum gb__question question, const char *name,
	struct gb__names_waiter *waiter);
/** It waits no more; of one that does not nothing is done. */
void gb__names_forget(struct gb__names_waiter *waiter);
uint64_t gb__names_now_ns(const struct gb__names *names);

#endif
