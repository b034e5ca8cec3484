/**
 * The terms that a connection is served on: its service, what the service was given, and limits.
 *
 * Connections of one listening address share theirs; one that sets a limit of its own gets a copy. So a
 * connection holds one pointer, and a limit costs nothing where none differs.
 */
#ifndef NET_TERMS_H
#define NET_TERMS_H

#include "net/reply.h"

#include <gearbox/error.h>
#include <gearbox/limit.h>
#include <gearbox/service.h>

/** 0 switches a timeout off. */
struct gb__limits {
	uint64_t connections_max;   /* accepted ones open at once, over all workers */
	uint64_t message_bytes_max; /* of a codec's message */
	uint64_t body_bytes_max;    /* of one that is taken in parts; 0: none */
	uint64_t idle_timeout_ms;   /* nothing moved */
	uint64_t read_timeout_ms;   /* from a message's first byte to its last */
	uint64_t write_timeout_ms;  /* the peer takes nothing */
	uint64_t linger_timeout_ms; /* after our FIN, for the peer's */
	uint64_t linger_max_ms;     /* after our FIN, in all */
	uint64_t connect_timeout_ms;
	uint64_t handshake_timeout_ms;    /* until what comes before a service's bytes is complete */
	uint64_t output_high, output_low; /* watermarks, bytes */
	uint64_t output_bytes_max;
	uint64_t replies_max;   /* open ones of a connection */
	uint64_t turn_messages; /* of one connection before the others have their turn */
	uint64_t trim_after_ms; /* a burst: its memory goes back then; of a server */
};

/** A limit that gb_conn_set may be changing: for a task's facade, on a pool thread. */
static inline uint64_t gb__limit(const uint64_t *limit)
{
	return __atomic_load_n(limit, __ATOMIC_RELAXED);
}

struct gb_file_sending;
struct gb_operation;
struct gb__fronted;
struct gb__dial;
struct gb__pooled;
struct gb__proxied;
struct gb__router;
struct gb__route_entry;

struct gb__terms {
	void (*on_message)(struct gb_conn *conn, struct gb_bytes message); /* the service's, at hand */
	const struct gb__endpoint_ops *endpoint_ops; /* of a connection, when it begins */
	const struct gb_codec_ops *codec; /* of what is delivered; NULL as well where it is relayed */
	const void *codec_options;
	const struct gb_service *service;
	const struct gb_service
		*calls; /* whose callbacks are called: `service`, or the streams' (sequential.h) */
	const struct gb__limits *limits; /* the net's, or `own` */
	void *user;
	uint32_t holders; /* connections */
	bool kept;        /* on the net's list, for those that come later: stays until the net ends */
	bool one;         /* of one connection alone */
	bool reads_on;    /* high output stops neither reading nor parsing */
	bool packets;     /* of sockets of packets (packet.h) */
	bool relayed;     /* by gb_relay, now or before: no more for the handler than the end */
	bool sequential;  /* a stream reads it (sequential.h) */
	bool here;        /* relayed, sequential, or routed: no message goes to the pool, but by its route */
	int16_t apart;  /* of compute=processes: apart_number; -1: no message goes to the pool, by no route */
	bool parts;     /* the service's callbacks take messages in parts (parts.h) */
	bool part_away; /* one is in the pool, of own terms whose replies are loose: what follows waits */
	bool flush_told; /* somebody is to know when its output has gone: of `sequential`, or `pooled` */
	uint16_t state_offset;               /* of the service's state behind the connection */
	struct gb_conn *peer;                /* relayed to; or NULL */
	struct gb_operation *connecting;     /* the operation that made it, while it is under way */
	struct gb__proxied *proxied;         /* what its PROXY header told, of own terms; or NULL */
	struct gb__dial *dial;               /* it connects by name, and has no descriptor yet; or NULL */
	struct gb__pooled *pooled;           /* it is of a pool (upstream.h), or NULL */
	struct gb__replies replies;          /* open ones; of own terms */
	struct gb_file_sending *sendings;    /* of files, each with a reply; of own terms */
	struct gb_producer *producers;       /* likewise */
	unsigned tasks;                      /* in the pool, of own terms whose replies are loose */
	const struct gb__router *router;     /* of a service with routes; or NULL */
	uint64_t *route_counts;              /* by its entries */
	const struct gb__route_entry *route; /* of the last message */
	int refused; /* by the codec, while there are such tasks: once they are back it is told; 0: nothing was */
	const char *problem;         /* its reason */
	struct gb__fronted *fronted; /* with GB__CONN_FRONTED, of own terms */
	struct gb__terms *next;
	struct gb__limits own;
};

struct gb__net;

/** Who a connection is for. */
enum gb__for {
	GB__FOR_CLIENT,     /* it was accepted; those of one service and `user` share their terms */
	GB__FOR_PACKETS,    /* or-ed to one of the others: on a socket of packets */
	GB__FOR_HANDLER,    /* it was made by gb_connect, for the service's callbacks */
	GB__FOR_STREAM = 4, /* likewise, for a stream that there is already */
};
/** Whether it was made, rather than accepted. */
static inline bool gb__for_one(enum gb__for who)
{
	return who > GB__FOR_PACKETS;
}
/** Hold the terms of a service and `user`. NULL without memory. */
struct gb__terms *gb__terms_take(
	struct gb__net *net, const struct gb_service *service, void *user, enum gb__for who);
void gb__terms_give(struct gb__net *net, struct gb__terms *terms);
/** Nobody holds any. */
void gb__terms_finish(struct gb__net *net);
/** Terms that no other connection has. NULL without memory. */
struct gb__terms *gb__terms_own(struct gb_conn *conn);
/** Whether the limits of a service can be set beside the server's. Returns 0 or -EINVAL with the reason. */
int gb__limits_check(
	const struct gb__limits *limits, const struct gb_service *service, struct gb_error *error);
/** Change a limit. Returns 0 or -EINVAL (out of range, or a low watermark above the high one). */
int gb__limits_set(struct gb__limits *limits, enum gb_limit_kind kind, uint64_t value);

#endif
