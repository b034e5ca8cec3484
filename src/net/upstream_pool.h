/** Inside of a pool: what its files share. */
#ifndef NET_UPSTREAM_POOL_H
#define NET_UPSTREAM_POOL_H

#include "name/lookup.h"
#include "net/conn.h"
#include "net/upstream.h"

#define MS 1000000ull

struct gb_upstream {
	struct gb__net *net;
	struct gb_upstream_options options; /* none is 0 */
	struct gb__socket_options socket;
	const struct gb__upstream_style *style;
	bool (*ends)(const struct gb__net *net);
	struct gb__list idle, waiting;           /* pooled; takings, whose times are over in the same order */
	struct gb__list members, dials;          /* pooled, attempts */
	struct gb_upstream_stats stats;          /* open, idle, connecting, waiting as of now */
	unsigned connect_failures, use_failures; /* in a row */
	uint64_t retry_ns;                       /* nothing is connected to before */
	struct gb_error failure;                 /* the last, until one connects: code 0 */
	uint64_t random;
	struct gb_timer timer;
	struct gb__post post;
	bool posted, destroyed;
	unsigned holders;
	struct gb__lookup *lookups; /* of `targets`, where any is a name; or NULL */
	size_t lookups_left;        /* until all of them have answered; 0: none is under way */
	bool lookup_failed;
	uint64_t known_ns; /* what they said holds until then */
	size_t count;
	struct gb__target targets[];
};

/** Of `gb__upstream_name`. */
#define GB__UPSTREAM_NAME (GB__ADDRESS_TEXT + 16u)

/* upstream_why.c */
/** Whom it connects to, for messages. Returns `text`. */
const char *gb__upstream_name(const struct gb_upstream *upstream, char text[GB__UPSTREAM_NAME]);

/* upstream.c */
/** Callbacks of ours take the place of its own. */
void gb__upstream_silence(struct gb_conn *conn);
/** It is idle from here on, or ends: nobody's. */
void gb__upstream_rest(struct gb__pooled *pooled);
/** Lend what there is to who waits, and connect for the others; `opening` is just being opened, or NULL. */
void gb__upstream_serve(struct gb_upstream *upstream, struct gb__pooled *opening);
/** All who wait get this code. */
void gb__upstream_fail_all(struct gb_upstream *upstream, int code);

/* upstream_names.c */
/** Returns 0 or -ENOMEM. */
int gb__upstream_names_init(struct gb_upstream *upstream);
void gb__upstream_names_finish(struct gb_upstream *upstream);
/** It has names: have them looked up anew when their time is over. Idle connections may go. */
void gb__upstream_names_refresh(struct gb_upstream *upstream);

/* upstream_connect.c */
uint64_t gb__upstream_now_ns(const struct gb_upstream *upstream);
bool gb__upstream_backs_off(const struct gb_upstream *upstream);
/** Doubled for each failure in a row, and of that between a half and all: who failed together shall not come together. */
void gb__upstream_back_off(struct gb_upstream *upstream, unsigned failures);
/** As many as there are who wait, less `busy` that are to be had soon, and places. */
void gb__upstream_connect_more(struct gb_upstream *upstream, size_t busy);
/** Nobody wants what is being connected to. */
void gb__upstream_connect_cancel(struct gb_upstream *upstream);

#endif
