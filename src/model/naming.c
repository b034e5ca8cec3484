#include "model/naming.h"

#include "base/log.h"
#include "base/macros.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define REMOVAL_MS 2000u /* a name server that does not answer holds nobody up for longer */

/* What an address is announced as, or NULL. */
static const char *name_of(const struct gb_options *options)
{
	const char *name = options ? options->announce_name : NULL;

	return name && *name && strcmp(name, "none") != 0 ? name : NULL;
}

static int add(struct gb_server *server, const struct gb__binding *binding, struct gb_error *error)
{
	const struct gb__announce_options *options = &binding->options->announce;
	struct gb__address address;
	int result = 0;

	if (gb__address_parse(binding->text, false, &address, NULL) < 0 || !gb__address_is_ip(&address))
		return 0;
	if (!server->announce)
		result = gb__announce_create(&server->options->announce, &server->announce, error);
	if (result == 0)
		result = gb__announce_add(server->announce, name_of(binding->options), &address,
			(unsigned)options->priority, (unsigned)options->weight, error);
	return result;
}

int gb__naming_prepare(struct gb_server *server, struct gb_error *error)
{
	const char *wanted = name_of(server->options);
	int result = 0;

	if (server->announce)
		return 0;
	for (size_t i = 0; i < server->bindings_count && result == 0; i++) {
		const char *name = name_of(server->bindings[i].options);

		wanted = name ? name : wanted;
		if (name)
			result = add(server, &server->bindings[i], error);
	}
	if (result == 0 && wanted && !server->announce)
		result = gb_error_set(error, -GB_EUSAGE,
			"announce: %s would name nothing: no address that is to be announced is one of TCP",
			wanted);
	if (result == 0 && server->announce)
		gb__announce_guard(server->announce);
	return result;
}

static void on_gone(void *arg)
{
	struct gb_worker *chief = arg;

	chief->look = true;
}

void gb__naming_begin(struct gb_worker *chief)
{
	struct gb__announce *announce = chief->server->announce;
	int result = announce ? gb__announce_begin(announce, &chief->watches, on_gone, chief) : 0;

	if (result < 0)
		gb__log(GB__LOG_WARNING, "cannot announce %s: %s", gb__announce_name(announce, 0),
			gb_strerror(result));
}

bool gb__naming_ended(struct gb_worker *chief)
{
	const struct gb_server *server = chief->server;

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
	if (server->announce)
		gb__announce_end(server->announce);
}
