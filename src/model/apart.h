/** compute=processes: the pool of processes of a server's process, and what a worker watches of it. */
#ifndef MODEL_APART_H
#define MODEL_APART_H

#include <gearbox/error.h>

struct gb_server;
struct gb_worker;

/** Start `count` processes for so many loops. */
int gb__apart_start(struct gb_server *server, unsigned count, unsigned loops, struct gb_error *error);
/** Have the worker's messages go there, at most `tasks_max` at once. */
int gb__apart_join(struct gb_worker *worker, unsigned tasks_max);
/** Have the worker see to processes that end. */
int gb__apart_supervise(struct gb_worker *worker);

#endif
