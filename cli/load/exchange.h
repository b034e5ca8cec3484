/**
 * Requests out, replies in: what a generator's sessions send when, and what becomes of what they hear. Connections and the
 * beginning and end of a load are the generator's.
 */
#ifndef LOAD_EXCHANGE_H
#define LOAD_EXCHANGE_H

#include "load/generator.h"

/** A session is established, or has room again: it sends what is due, waits for what will be, or closes. */
void gb__exchange_go_on(struct generator *generator, struct session *session, uint64_t now_ns);
/** Its output has room. */
void gb__exchange_send(struct generator *generator, struct session *session);
/** Of an open loop: send what is due on the sessions that have room, and be called for the next. */
void gb__exchange_dispatch(struct generator *generator, uint64_t now_ns);
/** Check what has come. Returns how many replies are complete now, or -GB_EBADFRAME with the first difference. */
int64_t gb__exchange_hear(struct generator *generator, struct session *session, struct gb_bytes bytes,
	uint64_t now_ns, struct gb_error *error);

/** Give the series what it has not of intervals that are over. */
void gb__exchange_tell_series(struct generator *generator, uint64_t now_ns);

/** What a session awaits will not come: the histograms get what it has waited for at least. */
void gb__exchange_give_up(struct generator *generator, struct session *session, uint64_t now_ns);
/** The same of requests that were due and never sent. */
void gb__exchange_give_up_unsent(struct generator *generator, uint64_t now_ns);

#endif
