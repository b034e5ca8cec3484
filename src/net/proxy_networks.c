#include "net/proxy_networks.h"

#include "base/alloc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 64u /* of one network */
#define V4_MAPPED_BITS 96u

struct network {
	unsigned char host[16]; /* of IPv4: its first 4 bytes */
	bool v6;
	unsigned bits; /* that have to agree */
};

struct gb__proxy_networks {
	bool any, local; /* local: Unix sockets */
	size_t count;
	struct network rows[];
};

/* What lies behind the first `bits`. */
static void clear_behind(unsigned char *host, size_t size, unsigned bits)
{
	for (size_t i = 0; i<size; i++, bits = bits> 8 ? bits - 8 : 0)
		host[i] &= bits >= 8 ? 0xff : (unsigned char)(0xff00 >> bits);
}

static bool begins_alike(const unsigned char *a, const unsigned char *b, size_t size, unsigned bits)
{
	unsigned char first[16], second[16];

	memcpy(first, a, size);
	memcpy(second, b, size);
	clear_behind(first, size, bits);
	clear_behind(second, size, bits);
	return memcmp(first, second, size) == 0;
}

static bool parse_bits(const char *text, unsigned most, unsigned *ret)
{
	unsigned long bits;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	bits = strtoul(text, &end, 10);
	*ret = (unsigned)bits;
	return !*end && bits <= most;
}

/* IPv4 within IPv6 is IPv4, as peers are. */
static void to_v4(struct network *network)
{
	if (!network->v6 || network->bits < V4_MAPPED_BITS ||
		!IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)network->host))
		return;
	memmove(network->host, network->host + V4_MAPPED_BITS / 8, 4);
	network->v6 = false;
	network->bits -= V4_MAPPED_BITS;
}

static int parse_network(char *text, struct network *ret, struct gb_error *error)
{
	struct network network = { .v6 = strchr(text, ':') };
	const unsigned most = network.v6 ? 128 : 32;
	char *slash = strchr(text, '/'), right[INET6_ADDRSTRLEN];
	unsigned char cleared[16];

	if (slash)
		*slash = '\0';
	if (inet_pton(network.v6 ? AF_INET6 : AF_INET, text, network.host) != 1)
		return gb_error_set(error, -GB_EUSAGE,
			"proxy-protocol: \"%s\" is no network: write 10.0.0.0/8, 2001:db8::/32, an address, unix "
			"or any",
			text);
	network.bits = most;
	if (slash && !parse_bits(slash + 1, most, &network.bits))
		return gb_error_set(error, -GB_EUSAGE,
			"proxy-protocol: \"%s/%s\": behind the / comes a number from 0 to %u", text,
			slash + 1, most);
	memcpy(cleared, network.host, sizeof(cleared));
	clear_behind(cleared, most / 8, network.bits);
	if (memcmp(cleared, network.host, most / 8) != 0)
		return gb_error_set(error, -GB_EUSAGE,
			"proxy-protocol: \"%s/%u\" has bits behind its /%u: %s/%u?", text, network.bits,
			network.bits,
			inet_ntop(network.v6 ? AF_INET6 : AF_INET, cleared, right, sizeof(right)),
			network.bits);
	*ret = network;
	to_v4(ret);
	return 0;
}

static int parse_one(
	struct gb__proxy_networks *networks, const char *text, size_t length, struct gb_error *error)
{
	char one[TEXT_MAX];

	if (length >= sizeof(one))
		return gb_error_set(error, -GB_EUSAGE, "proxy-protocol: \"%.*s...\" is no network",
			(int)sizeof(one) - 1, text);
	memcpy(one, text, length);
	one[length] = '\0';
	if (strcmp(one, "any") == 0)
		networks->any = true;
	else if (strcmp(one, "unix") == 0)
		networks->local = true;
	else
		return parse_network(one, &networks->rows[networks->count++], error);
	return 0;
}

int gb__proxy_networks_parse(const char *text, struct gb__proxy_networks **ret, struct gb_error *error)
{
	struct gb__proxy_networks *networks;
	size_t most = 1;
	int result;

	if (strcmp(text, "none") == 0) {
		*ret = NULL;
		return 0;
	}
	for (const char *at = text; *at; at++)
		most += *at == ',' || *at == '+';
	networks = gb__alloc_zero(sizeof(*networks) + most * sizeof(*networks->rows));
	if (!networks)
		return gb_error_set(error, -ENOMEM, "proxy-protocol: no memory");
	for (;; text++) {
		size_t length = strcspn(text, ",+");

		result = parse_one(networks, text, length, error);
		if (result < 0)
			break;
		text += length;
		if (!*text) {
			*ret = networks;
			return 0;
		}
	}
	gb__proxy_networks_destroy(networks);
	return result;
}

void gb__proxy_networks_destroy(struct gb__proxy_networks *networks)
{
	gb__free(networks);
}

bool gb__proxy_networks_have(const struct gb__proxy_networks *networks, const struct gb__address *peer)
{
	const struct gb__address plain = gb__address_unmapped(peer);
	const bool v6 = plain.any.sa_family == AF_INET6;
	const unsigned char *host = v6 ? plain.v6.sin6_addr.s6_addr : (const void *)&plain.v4.sin_addr;

	if (networks->any)
		return true;
	if (!gb__address_is_ip(peer))
		return networks->local;
	for (size_t i = 0; i < networks->count; i++)
		if (networks->rows[i].v6 == v6 &&
			begins_alike(networks->rows[i].host, host, v6 ? 16 : 4, networks->rows[i].bits))
			return true;
	return false;
}
