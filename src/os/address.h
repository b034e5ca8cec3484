/** Socket addresses and their text: "127.0.0.1:7000", "[::1]:7000", "*:7000", "name:7000", "unix:/path", "unix:@name",
 *  "unix-seqpacket:/path". */
#ifndef OS_ADDRESS_H
#define OS_ADDRESS_H

#include <gearbox/error.h>

#include <arpa/inet.h>
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
	bool packets; /* of a Unix socket: SOCK_SEQPACKET, else SOCK_STREAM */
	bool every;   /* of both families: IPv6's unspecified address, or IPv4's where that alone works */
};

#define GB__ADDRESS_TEXT 448u /* holds any address as text, each byte of a path escaped */

/**
 * Parse; host names only when `resolve` (may block for seconds). An empty host or "*" is every address of both
 * families. An IPv6 address may have a scope: "[fe80::1%eth0]:7000". A port may be a name of /etc/services.
 *
 * Returns 0, -GB_EUSAGE (not an address), -EADDRNOTAVAIL (does not resolve), with the reason.
 */
int gb__address_parse(const char *text, bool resolve, struct gb__address *ret, struct gb_error *error);
/** All addresses that a name has, at most `size`, each once, as the resolver orders them; of another text the one. */
int gb__address_parse_all(
	const char *text, struct gb__address *ret, size_t size, size_t *ret_count, struct gb_error *error);
/** Of a server that is at `port` as a rule, numeric: "192.0.2.1", "192.0.2.1:5353", "2001:db8::1", "[2001:db8::1]:5353".
 *  Returns 0 or -GB_EUSAGE. */
int gb__address_parse_server(const char *text, unsigned port, struct gb__address *ret);
/**
 * As one line that gb__address_parse takes again, where nothing had to be escaped. An IPv4 address within IPv6 is shown
 * as such; a Unix socket without a name is "unix:". Returns 0, or -ENOBUFS when `text` is too small.
 */
int gb__address_format(const struct gb__address *address, char *text, size_t size);
static inline bool gb__address_is_ip(const struct gb__address *address)
{
	return address->any.sa_family != AF_UNIX;
}
static inline int gb__address_type(const struct gb__address *address)
{
	return address->packets ? SOCK_SEQPACKET : SOCK_STREAM;
}
/** Of an address of IP. */
static inline unsigned gb__address_port(const struct gb__address *address)
{
	return ntohs(address->any.sa_family == AF_INET ? address->v4.sin_port : address->v6.sin6_port);
}
/** Whether both are the same one, its port included. */
bool gb__address_equal(const struct gb__address *a, const struct gb__address *b);
/** The same one, as IPv4 where it is IPv4 within IPv6. */
struct gb__address gb__address_unmapped(const struct gb__address *address);
/** What a client connects to: of every address, this machine's own of IPv4. */
void gb__address_to_client(struct gb__address *address);
/** The file of a Unix socket, "" where there is none: an IP address, or a name of the abstract kind. */
static inline const char *gb__address_path(const struct gb__address *address)
{
	return gb__address_is_ip(address) ? "" : address->local.sun_path;
}

#endif
