/**
 * What is published, between the worker processes of a server: from each to the supervisor (the chief) as a packet,
 * from there to all through a ring in memory that they share.
 *
 * A worker that stands still, or dies in the middle, holds no lock and fills nobody's queue but its own. A thread of each
 * process that has subscribed waits for news and puts them into the worker's hub.
 */
#ifndef MODEL_BUS_H
#define MODEL_BUS_H

#include "model/hub.h"

struct gb__bus;

/** In the process that will start the workers. Returns 0 or a negative errno. */
int gb__bus_create(struct gb__bus **ret);
/** Nobody is left. NULL is fine. */
void gb__bus_destroy(struct gb__bus *bus);
/** Pass on what comes, from now on: to all processes, or, unless NULL, to these hubs alone, where only handlers are
 *  elsewhere (compute=processes). Thread: the chief's. Returns 0 or a negative errno. */
int gb__bus_watch(struct gb__bus *bus, struct gb_worker *chief, struct gb__hubs *hubs);
/** In another process: let go of what is the chief's. NULL is fine. */
void gb__bus_join(struct gb__bus *bus);
/** In a worker process: what is published from now on goes to these hubs. Repeatable. Returns 0 or a negative
 *  errno. Thread: the worker's. */
int gb__bus_listen(struct gb__bus *bus, struct gb__hubs *hubs);
/** Thread: any of any of the processes. Returns as gb_publish. */
int gb__bus_send(struct gb__bus *bus, const struct gb__publication *publication);

#endif
