#include "os/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int parse_unix(const char *path, struct gb__address *ret, struct gb_error *error)
{
	size_t length = strlen(path);

	*ret = (struct gb__address){ .local.sun_family = AF_UNIX };
	if (length == 0 || length >= sizeof(ret->local.sun_path))
		return gb_error_set(error, -GB_EUSAGE, "unix: takes a path of 1 to %zu bytes, not %zu",
			sizeof(ret->local.sun_path) - 1, length);
	memcpy(ret->local.sun_path, path, length + 1);
	ret->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
	return 0;
}

/* Cut "HOST:PORT" or "[HOST]:PORT"; the host goes to `ret_host`, empty for every address. */
static int split(const char *text, char *ret_host, size_t size, uint16_t *ret_port, struct gb_error *error)
{
	const char *host = text, *end, *colon;
	char *rest;
	unsigned long port;

	if (*text == '[') {
		host = text + 1;
		end = strchr(host, ']');
		colon = end ? end + 1 : NULL;
	} else {
		colon = end = strrchr(text, ':');
	}
	if (!end || *colon != ':' || (size_t)(end - host) >= size ||
		(*text != '[' && memchr(host, ':', (size_t)(end - host))))
		return gb_error_set(error, -GB_EUSAGE,
			"\"%s\" is not an address: write HOST:PORT, [IPv6]:PORT or unix:PATH", text);
	port = strtoul(colon + 1, &rest, 10);
	if (colon[1] < '0' || colon[1] > '9' || *rest || port > UINT16_MAX)
		return gb_error_set(
			error, -GB_EUSAGE, "\"%s\": the port must be a number from 0 to 65535", text);
	memcpy(ret_host, host, (size_t)(end - host));
	ret_host[end - host] = '\0';
	if (strcmp(ret_host, "*") == 0)
		ret_host[0] = '\0';
	*ret_port = (uint16_t)port;
	return 0;
}

int gb__address_parse(const char *text, bool resolve, struct gb__address *ret, struct gb_error *error)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	struct addrinfo *found;
	char host[256], service[8];
	uint16_t port = 0;
	int result;

	if (strncmp(text, "unix:", 5) == 0)
		return parse_unix(text + 5, ret, error);
	result = split(text, host, sizeof(host), &port, error);
	if (result < 0)
		return result;
	if (!resolve)
		hints.ai_flags |= AI_NUMERICHOST;
	snprintf(service, sizeof(service), "%u", port);
	result = getaddrinfo(*host ? host : "0.0.0.0", service, &hints, &found);
	if (result != 0) {
		if (!resolve && result == EAI_NONAME)
			return gb_error_set(error, -GB_EUSAGE, "\"%s\": the host must be numeric here", text);
		return gb_error_set(error, -EADDRNOTAVAIL, "\"%s\" does not resolve: %s", host,
			result == EAI_SYSTEM ? strerror(errno) : gai_strerror(result));
	}
	*ret = (struct gb__address){ .size = found->ai_addrlen };
	memcpy(&ret->any, found->ai_addr, found->ai_addrlen);
	freeaddrinfo(found);
	return 0;
}

int gb__address_format(const struct gb__address *address, char *text, size_t size)
{
	char host[INET6_ADDRSTRLEN];
	int length;

	switch (address->any.sa_family) {
	case AF_INET:
		inet_ntop(AF_INET, &address->v4.sin_addr, host, sizeof(host));
		length = snprintf(text, size, "%s:%u", host, ntohs(address->v4.sin_port));
		break;
	case AF_INET6:
		inet_ntop(AF_INET6, &address->v6.sin6_addr, host, sizeof(host));
		length = snprintf(text, size, "[%s]:%u", host, ntohs(address->v6.sin6_port));
		break;
	default:
		/* The peer of a Unix socket has no name as a rule. */
		length = snprintf(text, size, "unix:%s",
			address->size > offsetof(struct sockaddr_un, sun_path) ? address->local.sun_path
									       : "");
	}
	return length >= 0 && (size_t)length < size ? 0 : -ENOBUFS;
}
