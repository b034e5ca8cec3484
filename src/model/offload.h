/** compute=threads and compute=processes: the pool of a server's process, and how its workers reach it. */
#ifndef MODEL_OFFLOAD_H
#define MODEL_OFFLOAD_H

#include <gearbox/error.h>

#include <stddef.h>

struct gb_server;
struct gb_worker;

/** Start the pool of this process, if the model has one; it counts in the place of this record. After fork, before the
 *  workers. */
int gb__offload_start(struct gb_server *server, size_t place, struct gb_error *error);
/** All workers of this process have ended; nor has anybody further use for threads that wait for disks. */
void gb__offload_stop(struct gb_server *server);
/** Have the worker's messages go through it. Returns 0 or a negative errno. */
int gb__offload_join(struct gb_worker *worker);
/** Have the worker, one of this process, see to what becomes of the pool. Returns 0 or a negative errno. */
int gb__offload_supervise(struct gb_worker *worker);
/** End what handlers still run, where that is possible. */
void gb__offload_kill(struct gb_server *server);

#endif
