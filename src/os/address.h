/** Socket addresses and their text: "127.0.0.1:7000", "[::1]:7000", "name:7000", "unix:/path". */
#ifndef OS_ADDRESS_H
#define OS_ADDRESS_H

#include <gearbox/error.h>

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

struct gb__address {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un local;
	};
	socklen_t size;
};

#define GB__ADDRESS_TEXT 128u /* holds any address as text */

/**
 * Parse; host names only when `resolve` (may block for seconds). An empty host or "*" is every address.
 *
 * Returns 0, -GB_EUSAGE (not an address), -EADDRNOTAVAIL (does not resolve), with the reason.
 */
int gb__address_parse(const char *text, bool resolve, struct gb__address *ret, struct gb_error *error);
/** Returns 0, or -ENOBUFS when `text` is too small. */
int gb__address_format(const struct gb__address *address, char *text, size_t size);
static inline bool gb__address_is_ip(const struct gb__address *address)
{
	return address->any.sa_family != AF_UNIX;
}

#endif
