/** What this machine allows a server: how many workers, how many connections. */
#ifndef MODEL_CAPACITY_H
#define MODEL_CAPACITY_H

#include "model/server.h"

/**
 * Resolve `seats_count` and `limits` by the options, the model and the limits of the machine. Raises the soft limit
 * of descriptors.
 *
 * Returns 0, -GB_ELIMIT when the machine cannot have so many workers or connections, -GB_EUSAGE, with the reason.
 */
int gb__capacity_resolve(struct gb_server *server, struct gb_error *error);

#endif
