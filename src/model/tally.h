/**
 * Counters whose number depends on what is served: of routes, and of the compute pool's levels. They lie in memory that
 * worker processes share, a place for each record; one writer each, as the records' own, and none is ever set back.
 */
#ifndef MODEL_TALLY_H
#define MODEL_TALLY_H

#include <gearbox/error.h>

#include <stddef.h>

struct gb__level_counters;
struct gb_server;
struct gb_service;
struct gb_worker;

/** A service is to be served: make its routes ready, if it has any and they are not, and room for all counters. Before any
 *  worker, and any fork. Returns 0 or -ENOMEM. */
int gb__tally_service(struct gb_server *server, const struct gb_service *service, struct gb_error *error);
void gb__tally_finish(struct gb_server *server);
/** Have a worker find the routes, and count them in its record's place. */
void gb__tally_join(struct gb_worker *worker);
/** Where the pool of this process counts: GB__LEVELS of them, of the place of this record. */
struct gb__level_counters *gb__tally_levels(const struct gb_server *server, size_t place);

#endif
