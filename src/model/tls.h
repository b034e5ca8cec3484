/** TLS contexts of a server: those that its addresses' options ask for. */
#ifndef MODEL_TLS_H
#define MODEL_TLS_H

#include <gearbox/error.h>

#include <stdint.h>

struct gb_server;
struct gb_worker;
struct gb__binding;

/**
 * Give a binding the context that its options ask for, if they do: that of another one with the same options, or a new one.
 *
 * Returns 0 or a code with what is wrong, be it a file. Before there are workers.
 */
int gb__server_secure(struct gb_server *server, struct gb__binding *binding, struct gb_error *error);
/** Before a process is forked, which has what this one has: see whether files have changed. Returns when to do so next (ms):
 *  in a process that begins no session keys of tickets would else never be forgotten. */
uint64_t gb__server_refresh(struct gb_server *server);
/** Read all files of certificates again, in all processes, and say what came of it. */
void gb__server_reload(struct gb_server *server);
/** Do gb__server_refresh in this process, by this worker's loop, whenever it is due. */
void gb__server_refresh_on(struct gb_worker *worker);
void gb__server_unsecure(struct gb_server *server);

#endif
