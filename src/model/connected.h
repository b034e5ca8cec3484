/** A connection that was passed in, as inetd's `nowait` and systemd's Accept=yes do: it is served, and the server ends
 *  with it. */
#ifndef MODEL_CONNECTED_H
#define MODEL_CONNECTED_H

#include "loop/loop.h"

#include <gearbox/error.h>

#include <stddef.h>

struct gb_server;
struct gb_worker;

struct gb__connected {
	struct gb_worker *chief; /* NULL: there is none */
	struct gb_timer timer;
	size_t binding;
};

/** Whether the model has somebody to serve it. Returns 0, or -GB_EILLEGAL with those that do. */
int gb__connected_check(const struct gb_server *server, struct gb_error *error);
/** Whether what is served is one, and nothing besides. Returns 0, or -GB_EUSAGE. */
int gb__connected_check_alone(const struct gb_server *server, struct gb_error *error);
/** All workers run. On the chief's thread, as the other. */
void gb__connected_begin(struct gb__connected *connected, struct gb_worker *chief);
void gb__connected_end(struct gb__connected *connected);

#endif
