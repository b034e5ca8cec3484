/** Network interfaces. */
#ifndef OS_INTERFACE_H
#define OS_INTERFACE_H

#include "os/address.h"

/**
 * The addresses of the interface that has `local`, it first: those that others reach, so none of the link's scope.
 * An address that no interface has is all there is. Returns how many there are, at most `count`, 1 at least.
 */
unsigned gb__interface_addresses(const struct gb__address *local, struct gb__address *ret, unsigned count);

#endif
