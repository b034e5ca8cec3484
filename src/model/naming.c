#include "model/naming.h"

#include "base/log.h"
#include "base/macros.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define REMOVAL_MS 2000u /* a name server that does not answer holds nobody up for longer */

/* A name, or NULL: there is none. */
static const char *name_in(const char *text)
{
	return text && *text && strcmp(text, "none") != 0 ? text : NULL;
}

static int add(struct gb_server *server, const char *name, const struct gb__address *address,
	const struct gb__announce_options *options, struct gb_error *error)
{
	int result = 0;

	if (!server->announce)
		result = gb__announce_create(&server->options->announce, &server->announce, error);
	return result < 0 ? result
			  : gb__announce_add(server->announce, name, address, (unsigned)options->priority,
				    (unsigned)options->weight, error);
}

static int add_local(
	struct gb_server *server, const char *name, const struct gb__address *address, struct gb_error *error)
{
	int result = 0;

	if (!server->local)
		result = gb__local_create(&server->local, error);
	return result < 0 ? result : gb__local_add(server->local, name, gb__address_port(address), error);
}

/* Returns how many names it has, or an error. */
static int add_binding(struct gb_server *server, const struct gb__binding *binding, struct gb_error *error)
{
	const struct gb_options *options = binding->options;
	const char *name = options ? name_in(options->announce_name) : NULL;
	const char *local = options ? name_in(options->announce_local) : NULL;
	struct gb__address address;
	int result = 0;

	if ((!name && !local) || gb__address_parse(binding->text, false, &address, NULL) < 0 ||
		!gb__address_is_ip(&address))
		return 0;
	if (name)
		result = add(server, name, &address, &options->announce, error);
	if (local && result == 0)
		result = add_local(server, local, &address, error);
	return result < 0 ? result : 1;
}

int gb__naming_prepare(struct gb_server *server, struct gb_error *error)
{
	const char *name = name_in(server->options->announce_name);
	const char *wanted = name ? name : name_in(server->options->announce_local);
	int result = 0, named = 0;

	if (server->announce || server->local)
		return 0;
	for (size_t i = 0; i < server->bindings_count && result >= 0; i++) {
		result = add_binding(server, &server->bindings[i], error);
		named += result > 0;
	}
	if (result >= 0 && wanted && named == 0)
		return gb_error_set(error, -GB_EUSAGE,
			"announce: %s would name nothing: no address that is to be announced is one of TCP",
			wanted);
	if (result >= 0 && server->announce)
		gb__announce_guard(server->announce);
	return result < 0 ? result : 0;
}

static void on_gone(void *arg)
{
	struct gb_worker *chief = arg;

	chief->look = true;
}

void gb__naming_begin(struct gb_worker *chief)
{
	struct gb__announce *announce = chief->server->announce;
	struct gb__local *local = chief->server->local;
	int result = announce ? gb__announce_begin(announce, &chief->watches, on_gone, chief) : 0;

	if (result < 0)
		gb__log(GB__LOG_WARNING, "cannot announce %s: %s", gb__announce_name(announce, 0),
			gb_strerror(result));
	if (local && gb__local_begin(local, &chief->watches) < 0)
		gb__log(GB__LOG_WARNING, "not announced on the local network: no memory");
}

bool gb__naming_ended(struct gb_worker *chief)
{
	const struct gb_server *server = chief->server;

	gb__local_end(server->local);
	if (gb__announce_gone(server->announce))
		return true;
	gb__announce_withdraw(server->announce, gb__min(server->options->drain_timeout_ms, REMOVAL_MS));
	return gb__announce_gone(server->announce);
}

const char *gb__naming_describe(const struct gb_server *server, char *text, size_t size)
{
	struct gb__announce_status status;

	*text = '\0';
	if (!server->announce)
		return NULL;
	gb__announce_status(server->announce, &status);
	snprintf(text, size, ", %s as %s%s%s", status.state, gb__announce_name(server->announce, 0),
		*status.error ? ": " : "", status.error);
	return status.state;
}

void gb__naming_end(struct gb_server *server)
{
	gb__local_end(server->local);
	if (server->announce)
		gb__announce_end(server->announce);
}
