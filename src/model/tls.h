/** TLS contexts of a server: those that its addresses' options ask for. */
#ifndef MODEL_TLS_H
#define MODEL_TLS_H

#include <gearbox/error.h>

struct gb_server;
struct gb__binding;

/**
 * Give a binding the context that its options ask for, if they do: that of another one with the same options, or a new one.
 *
 * Returns 0 or a code with what is wrong, be it a file. Before there are workers.
 */
int gb__server_secure(struct gb_server *server, struct gb__binding *binding, struct gb_error *error);
/** Before a process is forked, which has what this one has: see whether files have changed. */
void gb__server_refresh(struct gb_server *server);
void gb__server_unsecure(struct gb_server *server);

#endif
