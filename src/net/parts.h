/**
 * Messages in parts: what is larger than may be buffered is handed over as it comes.
 *
 * A service that takes parts has, as a straight-line handler has, a codec of ours in front of its own: that asks its own
 * for whole messages first, and from the first that is too large on for parts, until the last. So whoever takes none pays
 * nothing. What is known between parts lies before its codec's state, respectively in the stream.
 */
#ifndef NET_PARTS_H
#define NET_PARTS_H

#include "net/conn.h"

struct gb__route_entry;

struct gb__parts {
	struct gb_progress progress;         /* `begun`: as long as GB__CONN_FURTHER_PARTS is set */
	const struct gb__route_entry *route; /* of the first part, for all */
	uint64_t key;                        /* likewise */
	uint32_t since_ms;                   /* when the last one came, or reading began anew */
	bool told; /* callbacks have had the first part, and neither the last nor on_cut */
} __attribute__((aligned(16)));

/** Whether callbacks of the service, or of its routes, take parts. */
bool gb__service_takes_parts(const struct gb_service *service);
/** Why it cannot, or NULL. */
const char *gb__parts_objection(const struct gb_service *service);
/** Put ours in front of its codec and of its callback. */
void gb__parts_adapt(struct gb__terms *terms);
/**
 * As decode of a codec: the next message, or the next part of one. What that is, is `part` of the net's message.
 * `whole`: one that fits is to be whole; else all come as they are. `state`: of the service's codec.
 */
int gb__parts_decode(struct gb_conn *conn, struct gb__parts *parts, bool whole, void *state,
	struct gb_bytes input, size_t max_message, uint32_t *scanned, struct gb_frame *ret);
/** The message does not go on: tell on_cut, if it is owed. Sets and clears no GB__CONN_DISPATCH. */
void gb__parts_cut(struct gb_conn *conn, int reason);
/** Nothing is known of a message any more. */
void gb__parts_forget(struct gb_conn *conn, struct gb__parts *parts);
/** Of a connection with GB__CONN_FURTHER_PARTS; NULL: nobody reads it any more. */
struct gb__parts *gb__parts_of(struct gb_conn *conn);
/** A task of the connection is back: what its handler was told. */
void gb__parts_task_back(struct gb_conn *conn, const struct gb__task *task);
/** Input: of an endpoint whose service takes parts. */
void gb__parts_on_input(struct gb__stream *stream, unsigned char *data, size_t size);

#endif
