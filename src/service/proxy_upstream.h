/**
 * Upstreams of the proxies: which one a client gets, which are left out, and what is counted of each.
 */
#ifndef SERVICE_PROXY_UPSTREAM_H
#define SERVICE_PROXY_UPSTREAM_H

#include <gearbox/gearbox.h>

#include <stdio.h>

enum proxy_balance { PROXY_ROUND_ROBIN, PROXY_LEAST_CONNECTIONS, PROXY_SOURCE };

struct proxy_shared; /* in memory that worker processes share */
struct proxy_upstream;

/** Upstreams of which one is as good as another. */
struct proxy_group {
	enum proxy_balance balance;
	uint64_t back_off_ms;
	enum gb_proxy_version send_proxy;
	struct gb_service
		far; /* of its connections; its state begins with a proxy_far, and on_close calls proxy_far_close */
	struct gb_service probe;
	struct proxy_shared *shared;
};

/** The beginning of what the state of an upstream's connection is: to be counted at its end. */
struct proxy_far {
	struct proxy_shared *shared;
	unsigned index;
};

/** The way to an upstream: zeroed, or one that is complete. Its memory stays until it is. */
struct proxy_link {
	struct gb_connecting connecting;
	struct proxy_group *group;
	struct gb_worker *worker;
	struct gb_conn *client; /* NULL: it has gone */
	struct proxy_upstream *upstream;
	uint32_t source;
	uint64_t tried; /* a bit for each upstream */
	void (*on_done)(struct proxy_link *link, int result);
};

/** From a list of HOST:PORT and services, which the setting `key` has. Names are resolved as they are connected to. Returns 0 or an error. */
int proxy_group_create(
	struct proxy_group *group, const char *key, const char *list, size_t workers, struct gb_error *error);
/** Its counters go to the log before. */
void proxy_group_destroy(struct proxy_group *group);
/** A worker begins: what the one who had its place had open, when it came to a bad end, is open no more. */
void proxy_group_start(struct proxy_group *group, const struct gb_worker *worker);
/** Its counters, as a JSON array. */
void proxy_group_print(struct proxy_group *group, FILE *stream);

/** Have upstreams looked after whose time is over: whenever a client comes. */
void proxy_group_probe(struct proxy_group *group, struct gb_worker *worker);
/**
 * Connect to one, to the next one when that fails: `connecting.conn`. Completes with 0, or with why there is none. Returns 0, or such an
 * error at once.
 */
int proxy_link_begin(struct proxy_link *link, struct proxy_group *group, struct gb_conn *client,
	void (*on_done)(struct proxy_link *link, int result));
/** The client has gone, while it is under way: it completes with -ECANCELED, and tries no other upstream. */
void proxy_link_cancel(struct proxy_link *link);
void proxy_far_close(struct gb_conn *conn);

#endif
