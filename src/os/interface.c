#include "os/interface.h"

#include <ifaddrs.h>
#include <string.h>

/* Without port and scope; an IPv4 address within IPv6 is one. Returns whether it is of IP. */
static bool read_address(const struct sockaddr *any, struct gb__address *ret)
{
	struct gb__address address = { 0 };

	if (any && any->sa_family == AF_INET) {
		address.v4.sin_family = AF_INET;
		address.v4.sin_addr = ((const struct sockaddr_in *)any)->sin_addr;
		address.size = sizeof(address.v4);
	} else if (any && any->sa_family == AF_INET6) {
		address.v6.sin6_family = AF_INET6;
		address.v6.sin6_addr = ((const struct sockaddr_in6 *)any)->sin6_addr;
		address.size = sizeof(address.v6);
	}
	*ret = gb__address_unmapped(&address);
	return ret->size > 0;
}

static const char *interface_of(const struct ifaddrs *list, const struct gb__address *address)
{
	struct gb__address other;

	for (const struct ifaddrs *row = list; row; row = row->ifa_next)
		if (read_address(row->ifa_addr, &other) && gb__address_equal(&other, address))
			return row->ifa_name;
	return NULL;
}

static bool reachable(const struct gb__address *address)
{
	return address->any.sa_family == AF_INET || !IN6_IS_ADDR_LINKLOCAL(&address->v6.sin6_addr);
}

unsigned gb__interface_addresses(const struct gb__address *local, struct gb__address *ret, unsigned count)
{
	struct ifaddrs *list = NULL;
	const char *name;
	unsigned found = 1;

	(void)read_address(&local->any, &ret[0]);
	if (getifaddrs(&list) < 0)
		return found;
	name = interface_of(list, &ret[0]);
	for (const struct ifaddrs *row = name ? list : NULL; row && found < count; row = row->ifa_next)
		if (strcmp(row->ifa_name, name) == 0 && read_address(row->ifa_addr, &ret[found]) &&
			reachable(&ret[found]) && !gb__address_equal(&ret[found], &ret[0]))
			found++;
	freeifaddrs(list);
	return found;
}
