/**
 * The routes of a service, made ready to be looked up with every message: a table of 256 for a byte, a hash without
 * collisions for numbers and words, candidates by their first byte for prefixes.
 *
 * Entry 0 is the default: its row, or what refuses the message. So a look-up always finds one.
 */
#ifndef NET_ROUTE_H
#define NET_ROUTE_H

#include "base/macros.h"
#include <endian.h>
#include <gearbox/error.h>
#include <gearbox/service.h>
#include <string.h>

struct gb__net;
struct gb__terms;

struct gb__route_entry {
	void (*on_message)(
		struct gb_conn *conn, struct gb_bytes message); /* the row's, or what asks the pool first */
	const struct gb_route *row;                             /* NULL: no route takes it */
	size_t index;                                           /* of it, and of its counter */
	bool pooled;                                            /* it is for the pool, where there is one */
};

/* A text that is longer than a number, or any prefix. */
struct gb__route_text {
	uint64_t head, mask; /* its first 8 bytes, and which of them it has */
	const unsigned char *bytes;
	size_t size;
	const struct gb__route_entry *entry;
	const struct gb__route_text *next; /* with the same head; or NULL */
};

#define GB__ROUTE_SLOTS 256u /* of a table in which no two keys meet */

struct gb__router {
	const struct gb_service *service;
	const struct gb_routes *routes;
	struct gb__router *next;     /* of the server, or of the net */
	size_t offset, reach, width; /* of a byte or number: reach is where it ends */
	uint64_t multiplier;
	unsigned shift, slots_mask;
	bool perfect; /* the keys are in `place`, and no two meet */
	bool little_endian, ignore_case;
	/* By slot: its key, of a long word the beginning; and whose it is. The default: nobody's. */
	uint64_t *keys;
	const struct gb__route_entry **found;
	struct gb__route_text
		*texts;     /* of words by entry, of prefixes by their first bytes, the longest first */
	uint16_t *firsts;   /* 257: the first prefix that begins with that byte, or a higher one */
	size_t first_count; /* of the server's: its first counter among a worker's */
	uint64_t *counts;   /* of a net's own; NULL: the server's */
	struct {
		uint64_t keys[GB__ROUTE_SLOTS];
		const struct gb__route_entry *found[GB__ROUTE_SLOTS]; /* routes by byte: by that */
	} place;
	size_t entries_count;
	struct gb__route_entry entries[];
};

/** Whether the routes of a service make sense; `handles`: and have handlers. Returns 0 or -EINVAL with what is wrong. */
int gb__routes_check(const struct gb_service *service, bool handles, struct gb_error *error);
/** Of a service that was checked. NULL without memory. */
struct gb__router *gb__router_create(const struct gb_service *service);
void gb__router_destroy(struct gb__router *router);
/** The traits of all routes of a service together, or its own without routes. */
unsigned gb__service_traits(const struct gb_service *service);

/* dispatch.c */
/** Give the terms of a service with routes what they need. Returns 0 or -ENOMEM. */
int gb__terms_route(struct gb__net *net, struct gb__terms *terms);
/** The entry of a message. */
const struct gb__route_entry *gb__route_find(const struct gb__terms *terms, struct gb_conn *conn,
	const struct gb_frame *frame, struct gb_bytes message);
/** Its route may be for the pool. */
void gb__route_pooled(struct gb_conn *conn, struct gb_bytes message);
/** No route takes a message of this connection: an error of the peer. */
void gb__route_none(struct gb_conn *conn, struct gb_bytes message);

/** Routers that this net alone had. */
void gb__net_routes_finish(struct gb__net *net);

/* what filling and looking up share */
#define GB__ROUTE_BLANK 0x20u /* what is not above it ends a word */
#define GB__ROUTE_HEAD 8u     /* bytes of a text that are a number */

/** Letters in small ones, all 8 at once. */
static inline uint64_t gb__route_fold(uint64_t text)
{
	const uint64_t ones = 0x0101010101010101u, low = text & 0x7f * ones;
	const uint64_t capitals =
		~text & ((low + (0x80 - 'A') * ones) ^ (low + (0x7f - 'Z') * ones)) & 0x80 * ones;

	return text | capitals >> 2;
}

/** Its first 8 bytes as a number, the first of them lowest; zeros behind its end. */
static inline uint64_t gb__route_head(const struct gb__router *router, const void *text, size_t size)
{
	uint64_t head = 0;

	memcpy(&head, text, gb__min(size, GB__ROUTE_HEAD));
	head = le64toh(head);
	return router->ignore_case ? gb__route_fold(head) : head;
}

/** Where a key is, or would be. */
static inline size_t gb__route_slot(const struct gb__router *router, uint64_t key)
{
	size_t at = key * router->multiplier >> router->shift;

	while (router->keys[at] != key && router->found[at] != router->entries)
		at = (at + 1) & router->slots_mask;
	return at;
}

#endif
