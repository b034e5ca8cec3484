/** A pool of connections to one peer: the part of it that knows no streams, nor workers. See <gearbox/upstream.h>. */
#ifndef NET_UPSTREAM_H
#define NET_UPSTREAM_H

#include "base/list.h"
#include "name/target.h"
#include "net/race.h"

#include <gearbox/upstream.h>

struct gb__upstream_style;

/** One of its connections: of the connection's terms. */
struct gb__pooled {
	struct gb__list link; /* among the idle ones */
	struct gb__list member;
	const struct gb__upstream_style *style;
	struct gb_upstream *upstream; /* NULL: that has been destroyed */
	struct gb_conn *conn;
	void *reader; /* what the style reads it by */
	/* As it is lent; while it is idle there are others in their place. */
	const struct gb_service *calls;
	void (*on_message)(struct gb_conn *conn, struct gb_bytes message);
	bool sequential, here;
	bool lent;
	bool opened; /* on_open has been called */
	bool leaves; /* its address is not among those of the pool's names any more */
	uint32_t given_ms;
};

/** What differs where connections are read by streams. */
struct gb__upstream_style {
	/** It is established, and idle. Returns what it is read by, or NULL without memory. */
	void *(*begin)(struct gb_conn *conn);
	/** It is lent to `taker`. */
	void (*lend)(void *reader, void *taker);
	/** It ended while it was idle. */
	void (*gone)(void *reader);
};

struct gb__upstream_terms {
	const struct gb__target *targets; /* copied */
	size_t count;
	const struct gb__socket_options *socket;   /* copied */
	const struct gb_upstream_options *options; /* copied; its service is not NULL */
	const struct gb__upstream_style *style;    /* NULL: callbacks */
	/** Whether nothing more is to be begun. NULL: never. */
	bool (*ends)(const struct gb__net *net);
};

/** Returns 0 or -ENOMEM. */
int gb__upstream_create(
	struct gb__net *net, const struct gb__upstream_terms *terms, struct gb_upstream **ret);
/** Take as gb_upstream_take_begin, for `taker`. */
struct gb_operation *gb__upstream_take_begin(struct gb_upstream *upstream, struct gb_taking *taking,
	void *conn_user, void *taker, gb_operation_done *on_done, void *user);
/** Why nobody can wait now, with the reason in `error`; or 0. */
int gb__upstream_refusal(const struct gb_upstream *upstream, struct gb_error *error);
/** Say in `error` why nothing was taken with `code` by somebody who has waited. Returns that. */
int gb__upstream_explain(const struct gb_upstream *upstream, int code, struct gb_error *error);
/** It stays, be it destroyed meanwhile, until gb__upstream_release. */
void gb__upstream_hold(struct gb_upstream *upstream);
void gb__upstream_release(struct gb_upstream *upstream);
/** An idle one, lent to `taker`, or NULL. */
struct gb_conn *gb__upstream_try_take(struct gb_upstream *upstream, void *conn_user, void *taker);
/** It is back with whoever lent it. */
void gb__upstream_take_back(struct gb__pooled *pooled, bool good);
bool gb__upstream_has_streams(const struct gb_upstream *upstream);
/** All of its output is with the kernel. */
void gb__upstream_flushed(struct gb_conn *conn);
/** A connection of a pool is about to go; it has been told to whoever had it. */
void gb__upstream_gone(struct gb_conn *conn);

#endif
