/** compute=threads: the process's pool of a server, and how its workers reach it. */
#ifndef MODEL_OFFLOAD_H
#define MODEL_OFFLOAD_H

#include <gearbox/error.h>

struct gb_server;
struct gb_worker;

/** Start the pool of this process, if the model has one. After fork, before the workers. */
int gb__offload_start(struct gb_server *server, struct gb_error *error);
/** All workers of this process have ended; nor has anybody further use for threads that wait for disks. */
void gb__offload_stop(struct gb_server *server);
/** Have the worker's messages go through it. */
void gb__offload_join(struct gb_worker *worker);

#endif
