/** Whether there are ports for so many connections to one address. */
#ifndef LOAD_PORTS_H
#define LOAD_PORTS_H

#include <gearbox/error.h>

#include <stdint.h>

/** `address` is numeric, or unix:PATH, which takes no ports. Returns 0, or -GB_EUSAGE with what would be possible. */
int gb__load_ports_suffice(const char *address, uint64_t connections, struct gb_error *error);
/** The same from the text of net.ipv4.ip_local_port_range. */
int gb__load_ports_suffice_of(const char *range, uint64_t connections, struct gb_error *error);

#endif
