/** A run of a server, for gb_server_run, which turns its loop until the end, and for who has a loop of his own (embed.c). */
#ifndef MODEL_RUN_H
#define MODEL_RUN_H

#include "model/server.h"

struct gb__run;

/** Whether it may run now; then it is entered, and left by gb__run_leave. Returns 0 or an error with the reason. */
int gb__run_enter(struct gb_server *server, struct gb_error *error);
void gb__run_leave(struct gb_server *server);
/** Start the chief and its crew; on_ready is called. On an error nothing is left to end. */
int gb__run_begin(struct gb_server *server, struct gb__run **ret, struct gb_error *error);
/** The worker of the calling thread. */
struct gb_worker *gb__run_chief(struct gb__run *run);
/** End what is left and free it. Returns 0, or why its crew failed. */
int gb__run_end(struct gb__run *run, struct gb_error *error);
/** Whether the calling thread's worker is all there is: it accepts and serves. */
bool gb__run_alone(const struct gb_server *server);

#endif
