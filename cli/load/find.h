/** The address that a load goes to. */
#ifndef LOAD_FIND_H
#define LOAD_FIND_H

#include "load/options.h"

/**
 * The numeric address of what the options name: of a name (HOST:PORT, _service._proto.NAME) the first of its addresses that
 * a connection was made to, which is closed again: a load is one of one address. Returns 0, or why there is none.
 */
int gb__load_find(const struct load_options *options, char *ret, size_t size, struct gb_error *error);

#endif
