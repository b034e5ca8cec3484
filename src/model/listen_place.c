#include "model/listen_place.h"

#include "model/listen_spec.h"
#include "os/socket.h"

#include <gearbox/server.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ADDRESSES_MAX 16u /* of a name */

static const char *behind_service(const char *text)
{
	const size_t length = gb__listen_service_length(text);

	return length > 0 ? text + length + 1 : text;
}

/* The address as it stands in the text, without options; for gb__listen_spec_finish. Returns false: it is none. */
static bool parse(const char *text, struct gb__listen_spec *ret)
{
	struct gb_options *options;
	int result = gb_options_create(&options);

	if (result < 0)
		return false;
	result = gb__listen_spec_parse(text, options, ret, NULL);
	gb_options_destroy(options);
	return result == 0;
}

bool gb__listen_is_taken(const char *text)
{
	struct gb__address addresses[ADDRESSES_MAX];
	struct gb__listen_spec spec;
	size_t count = 0;
	bool taken = false;

	if (!parse(behind_service(text), &spec))
		return false;
	if (gb__address_parse_all(spec.address, addresses, ADDRESSES_MAX, &count, NULL) < 0)
		count = 0;
	for (size_t i = 0; i < count && !taken; i++)
		taken = gb__socket_is_taken(&addresses[i]);
	gb__listen_spec_finish(&spec);
	return taken;
}

/* Returns the port, or 0. */
static unsigned reserve(const char *text, int *ret_fd)
{
	struct gb__address address;

	if (gb__address_parse(text, true, &address, NULL) < 0 || !gb__address_is_ip(&address) ||
		gb__address_port(&address) != 0)
		return 0;
	*ret_fd = gb__socket_reserve(&address);
	return *ret_fd < 0 ? 0 : gb__address_port(&address);
}

char *gb__listen_with_port(const char *text, int *ret_fd)
{
	const char *address = behind_service(text), *behind;
	struct gb__listen_spec spec;
	char *named = NULL;
	unsigned port;
	size_t length;

	if (!parse(address, &spec))
		return NULL;
	length = strlen(spec.address); /* none of TCP has a comma, which alone would be written otherwise */
	behind = address + length;
	port = length > 2 && strcmp(spec.address + length - 2, ":0") == 0 ? reserve(spec.address, ret_fd) : 0;
	if (port > 0 && asprintf(&named, "%.*s%u%s", (int)(behind - 1 - text), text, port, behind) < 0) {
		named = NULL;
		gb__socket_close(*ret_fd);
	}
	gb__listen_spec_finish(&spec);
	return named;
}
