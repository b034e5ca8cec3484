#include "os/address.h"

#include "base/escape.h"
#include "base/macros.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST_MAX 256u
#define PATH_AT offsetof(struct sockaddr_un, sun_path)

/* A file, or after '@' a name of the abstract kind (unix(7)), which begins with a zero byte and has no terminator. */
static int parse_unix(const char *path, bool packets, struct gb__address *ret, struct gb_error *error)
{
	const bool abstract = *path == '@';
	const size_t length = strlen(path), most = sizeof(ret->local.sun_path) - !abstract;

	if (length < 1u + abstract || length > most)
		return gb_error_set(error, -GB_EUSAGE, "%s: takes %s of 1 to %zu bytes, not %zu",
			packets ? "unix-seqpacket" : "unix", abstract ? "a name behind @" : "a path",
			most - abstract, length - abstract);
	*ret = (struct gb__address){ .local.sun_family = AF_UNIX, .packets = packets };
	memcpy(ret->local.sun_path, path, length);
	if (abstract)
		ret->local.sun_path[0] = '\0';
	ret->size = (socklen_t)(PATH_AT + length + !abstract);
	return 0;
}

static int refuse_form(const char *text, struct gb_error *error)
{
	const char *colon = strrchr(text, ':');

	/* Of two colons and more the last may belong to the address. */
	if (*text != '[' && colon && memchr(text, ':', (size_t)(colon - text)))
		return gb_error_set(error, -GB_EUSAGE,
			"\"%s\" is not an address: an IPv6 address is written in brackets, as [%.*s]:%s",
			text, (int)(colon - text), text, colon[1] ? colon + 1 : "PORT");
	return gb_error_set(error, -GB_EUSAGE,
		"\"%s\" is not an address: write HOST:PORT, [IPv6]:PORT, *:PORT or unix:PATH", text);
}

/* A number, or a name of /etc/services. */
static int parse_port(const char *text, const char *port, uint16_t *ret, struct gb_error *error)
{
	const struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE, .ai_family = AF_INET
	};
	struct addrinfo *found;
	unsigned long number;
	char *rest;

	number = strtoul(port, &rest, 10);
	if (*port >= '0' && *port <= '9' && !*rest && number <= UINT16_MAX) {
		*ret = (uint16_t)number;
		return 0;
	}
	if (*rest == ',')
		return gb_error_set(error, -GB_EUSAGE,
			"\"%s\": behind the port's comma comes an option as KEY=VALUE, its key of small letters, digits and -",
			text);
	if ((*port < 'a' || *port > 'z') && (*port < 'A' || *port > 'Z'))
		return gb_error_set(
			error, -GB_EUSAGE, "\"%s\": the port must be a number from 0 to 65535", text);
	if (getaddrinfo(NULL, port, &hints, &found) != 0)
		return gb_error_set(error, -GB_EUSAGE,
			"\"%s\": the port must be a number from 0 to 65535 or a name of /etc/services, which \"%s\" is not",
			text, port);
	*ret = ntohs(((const struct sockaddr_in *)found->ai_addr)->sin_port);
	freeaddrinfo(found);
	return 0;
}

/* Cut "HOST:PORT" or "[HOST]:PORT"; the host goes to `ret_host`, empty for every address. */
static int split(const char *text, char *ret_host, uint16_t *ret_port, struct gb_error *error)
{
	const char *host = text, *end, *colon;
	int result;

	if (text[strcspn(text, " \t\r\n")])
		return gb_error_set(error, -GB_EUSAGE, "\"%s\" is not an address: leave out the blank", text);
	if (*text == '[') {
		host = text + 1;
		end = strchr(host, ']');
		colon = end ? end + 1 : NULL;
	} else {
		colon = end = strrchr(text, ':');
	}
	if (!end || *colon != ':' || (size_t)(end - host) >= HOST_MAX ||
		(*text != '[' && memchr(host, ':', (size_t)(end - host))))
		return refuse_form(text, error);
	result = parse_port(text, colon + 1, ret_port, error);
	if (result < 0)
		return result;
	memcpy(ret_host, host, (size_t)(end - host));
	ret_host[end - host] = '\0';
	if (*text == '[' && !strchr(ret_host, ':'))
		return gb_error_set(error, -GB_EUSAGE,
			"\"%s\": brackets are for IPv6 addresses, and \"%s\" is none", text, ret_host);
	return 0;
}

/* Nobody's name: it was meant as an address. */
static int refuse_number(const char *text, const char *host, bool resolve, struct gb_error *error)
{
	const char *scope = strchr(host, '%');

	if (strchr(host, ':') && scope && scope[1] && if_nametoindex(scope + 1) == 0)
		return gb_error_set(error, -GB_EUSAGE, "\"%s\": there is no interface \"%s\": see `ip link`",
			text, scope + 1);
	if (strchr(host, ':'))
		return gb_error_set(error, -GB_EUSAGE, "\"%s\": \"%s\" is not an IPv6 address", text, host);
	if (!host[strspn(host, "0123456789.")])
		return gb_error_set(error, -GB_EUSAGE,
			"\"%s\": \"%s\" is not an IPv4 address: write four numbers from 0 to 255", text,
			host);
	if (!resolve)
		return gb_error_set(error, -GB_EUSAGE, "\"%s\": the host must be numeric here", text);
	return 0;
}

/* All that getaddrinfo knows of a host, each once. */
static int look_up(const char *text, const char *host, uint16_t port, bool resolve, struct addrinfo **ret,
	struct gb_error *error)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV | AI_NUMERICHOST };
	char service[8];
	int result;

	snprintf(service, sizeof(service), "%u", port);
	result = getaddrinfo(host, service, &hints, ret);
	if (result == EAI_NONAME) {
		int code = refuse_number(text, host, resolve, error);

		if (code < 0)
			return code;
		hints.ai_flags &= ~AI_NUMERICHOST;
		result = getaddrinfo(host, service, &hints, ret);
	}
	if (result != 0)
		return gb_error_set(error, -EADDRNOTAVAIL, "\"%s\" does not resolve: %s", host,
			result == EAI_SYSTEM ? strerror(errno) : gai_strerror(result));
	return 0;
}

static bool has(const struct gb__address *addresses, size_t count, const struct gb__address *address)
{
	for (size_t i = 0; i < count; i++)
		if (gb__address_equal(&addresses[i], address))
			return true;
	return false;
}

static int parse(const char *text, bool resolve, struct gb__address *ret, size_t size, size_t *ret_count,
	struct gb_error *error)
{
	struct addrinfo *found;
	char host[HOST_MAX];
	struct in_addr v4;
	uint16_t port = 0;
	size_t count = 0;
	int result;

	*ret_count = 1;
	if (strncmp(text, "unix:", 5) == 0)
		return parse_unix(text + 5, false, ret, error);
	if (strncmp(text, "unix-seqpacket:", 15) == 0)
		return parse_unix(text + 15, true, ret, error);
	if (strncmp(text, "unix-dgram:", 11) == 0)
		return gb_error_set(error, -GB_EUSAGE,
			"\"%s\" is not an address: of Unix sockets those with connections are served, as unix:PATH, or as "
			"unix-seqpacket:PATH with packets",
			text);
	result = split(text, host, &port, error);
	if (result < 0)
		return result;
	if (!*host || strcmp(host, "*") == 0) {
		*ret = (struct gb__address){ .v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) },
			.size = sizeof(ret->v6),
			.every = true };
		return 0;
	}
	/* What proxies connect to each time; getaddrinfo knows further forms. */
	if (inet_pton(AF_INET, host, &v4) == 1) {
		*ret = (struct gb__address){
			.v4 = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = v4 },
			.size = sizeof(ret->v4)
		};
		return 0;
	}
	result = look_up(text, host, port, resolve, &found, error);
	if (result < 0)
		return result;
	for (const struct addrinfo *each = found; each && count < size; each = each->ai_next) {
		ret[count] = (struct gb__address){ .size = each->ai_addrlen };
		memcpy(&ret[count].any, each->ai_addr, each->ai_addrlen);
		count += !has(ret, count, &ret[count]);
	}
	*ret_count = count;
	freeaddrinfo(found);
	return 0;
}

int gb__address_parse(const char *text, bool resolve, struct gb__address *ret, struct gb_error *error)
{
	size_t count;

	return parse(text, resolve, ret, 1, &count, error);
}

int gb__address_parse_all(
	const char *text, struct gb__address *ret, size_t size, size_t *ret_count, struct gb_error *error)
{
	return parse(text, true, ret, size, ret_count, error);
}

int gb__address_parse_server(const char *text, unsigned port, struct gb__address *ret)
{
	char host[INET_ADDRSTRLEN + 1], whole[HOST_MAX];
	struct in6_addr bare;
	int length;

	snprintf(host, sizeof(host), "%.*s", (int)strcspn(text, ":"), text);
	if (inet_pton(AF_INET6, text, &bare) == 1)
		length = snprintf(whole, sizeof(whole), "[%s]:%u", text, port);
	else if (*text == '[' ? strstr(text, "]:") : strchr(text, ':'))
		length = snprintf(whole, sizeof(whole), "%s", text);
	else
		length = snprintf(whole, sizeof(whole), "%s:%u", text, port);
	if (length < 0 || (size_t)length >= sizeof(whole) || gb__address_parse(whole, false, ret, NULL) < 0)
		return -GB_EUSAGE;
	/* getaddrinfo takes 1.2.3 as well, which others read otherwise. */
	if (ret->any.sa_family == AF_INET && inet_pton(AF_INET, host, &bare) != 1)
		return -GB_EUSAGE;
	return gb__address_is_ip(ret) && !ret->every ? 0 : -GB_EUSAGE;
}

bool gb__address_equal(const struct gb__address *a, const struct gb__address *b)
{
	return a->packets == b->packets && a->size == b->size && memcmp(&a->any, &b->any, a->size) == 0;
}

struct gb__address gb__address_unmapped(const struct gb__address *address)
{
	struct gb__address plain = { .v4 = { .sin_family = AF_INET }, .size = sizeof(plain.v4) };

	if (address->any.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&address->v6.sin6_addr))
		return *address;
	memcpy(&plain.v4.sin_addr, address->v6.sin6_addr.s6_addr + 12, sizeof(plain.v4.sin_addr));
	plain.v4.sin_port = address->v6.sin6_port;
	return plain;
}

void gb__address_to_client(struct gb__address *address)
{
	if (address->every)
		*address = (struct gb__address){ .v4 = { .sin_family = AF_INET,
							 .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
							 .sin_port = address->v6.sin6_port },
			.size = sizeof(address->v4) };
}

static int format_v4(const struct in_addr *host, in_port_t port, char *text, size_t size)
{
	char digits[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, host, digits, sizeof(digits));
	return snprintf(text, size, "%s:%u", digits, ntohs(port));
}

static int format_v6(const struct sockaddr_in6 *address, char *text, size_t size)
{
	char digits[INET6_ADDRSTRLEN], name[IF_NAMESIZE], scope[4 * IF_NAMESIZE + 2] = "";

	inet_ntop(AF_INET6, &address->sin6_addr, digits, sizeof(digits));
	if (address->sin6_scope_id) {
		scope[0] = '%';
		if (if_indextoname(address->sin6_scope_id, name))
			gb__escape(name, scope + 1, sizeof(scope) - 1);
		else
			snprintf(scope + 1, sizeof(scope) - 1, "%u", address->sin6_scope_id);
	}
	return snprintf(text, size, "[%s%s]:%u", digits, scope, ntohs(address->sin6_port));
}

/* A peer chooses its name freely: it need not be terminated, nor be fit for a terminal. */
static int format_unix(const struct gb__address *address, char *text, size_t size)
{
	char name[sizeof(address->local.sun_path) + 1] = "", escaped[4 * sizeof(name)];
	size_t length = gb__max((size_t)address->size, PATH_AT) - PATH_AT;

	length = gb__min(length, sizeof(address->local.sun_path));
	memcpy(name, address->local.sun_path, length);
	if (length > 0 && !name[0])
		for (size_t i = 0; i < length; i++)
			if (!name[i])
				name[i] = '@';
	gb__escape(name, escaped, sizeof(escaped));
	return snprintf(text, size, "unix%s:%s", address->packets ? "-seqpacket" : "", escaped);
}

int gb__address_format(const struct gb__address *address, char *text, size_t size)
{
	const struct gb__address plain = gb__address_unmapped(address);
	int length;

	switch (plain.any.sa_family) {
	case AF_INET:
		length = plain.every ? snprintf(text, size, "*:%u", ntohs(plain.v4.sin_port))
				     : format_v4(&plain.v4.sin_addr, plain.v4.sin_port, text, size);
		break;
	case AF_INET6:
		length = plain.every ? snprintf(text, size, "*:%u", ntohs(plain.v6.sin6_port))
				     : format_v6(&plain.v6, text, size);
		break;
	default:
		length = format_unix(address, text, size);
	}
	return length >= 0 && (size_t)length < size ? 0 : -ENOBUFS;
}
