#include "model/naming.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/macros.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WHAT_MAX 8192u   /* of an address's options, as a text */
#define REMOVAL_MS 2000u /* a name server that does not answer holds nobody up for longer */

const char *gb__naming_name(const char *text)
{
	return text && *text && strcmp(text, "none") != 0 ? text : NULL;
}

static size_t count_of(const char *list)
{
	size_t count = list && *list;

	for (; list && *list; list++)
		count += *list == ',';
	return count;
}

/* The n-th of a list, or the only one; NULL: none is there. For gb__free. Returns 0, -GB_EUSAGE, -ENOMEM. */
static int pick(
	const char *list, size_t n, size_t names, const char *option, char **ret, struct gb_error *error)
{
	const size_t count = count_of(list);
	char *text, *end;

	*ret = NULL;
	if (count > 1 && count != names)
		return gb_error_set(error, -GB_EUSAGE,
			"%s: %zu for %zu name%s to announce: write one for all, or one for each in their order",
			option, count, names, names == 1 ? "" : "s");
	for (size_t skipped = 0; count > 1 && skipped < n; skipped++)
		list = strchr(list, ',') + 1;
	text = count ? gb__strdup(list) : NULL;
	if (!text)
		return count ? gb_error_set(error, -ENOMEM, "no memory to announce anything") : 0;
	end = strchr(text, ',');
	if (end)
		*end = '\0';
	if (!*text) {
		gb__free(text);
		return gb_error_set(error, -GB_EUSAGE, "%s: nothing stands before or behind a comma", option);
	}
	if (gb__naming_name(text))
		*ret = text;
	else
		gb__free(text);
	return 0;
}

/* Of what says how something is announced, what is given although nothing is; or NULL. */
static const char *given_in(const struct gb__announce_options *options)
{
	return options->server     ? "announce-server"
		: options->key     ? "announce-key"
		: options->zone    ? "announce-zone"
		: options->host    ? "announce-host"
		: options->address ? "announce-address"
				   : NULL;
}

/* The same of a server, and of each of its addresses. */
static const char *without_name(const struct gb_server *server)
{
	const char *given = given_in(&server->options->announce);

	for (size_t i = 0; i < server->bindings_count && !given; i++)
		if (server->bindings[i].options)
			given = given_in(&server->bindings[i].options->announce);
	return given;
}

/* Of "_service._tcp.DOMAIN": names of one domain are in one zone. */
static const char *domain_of(const char *name)
{
	const char *dot = strchr(name, '.');

	dot = dot ? strchr(dot + 1, '.') : NULL;
	return dot ? dot + 1 : name;
}

static int zone_add(struct gb_server *server, const char *what, const struct gb__announce_options *options,
	struct gb__announce **ret, struct gb_error *error)
{
	struct gb__naming_zone *zone =
		gb__realloc(server->zones, (server->zones_count + 1) * sizeof(*server->zones));
	int result;

	if (!zone)
		return gb_error_set(error, -ENOMEM, "no memory to announce anything");
	server->zones = zone;
	zone += server->zones_count;
	zone->what = gb__strdup(what);
	if (!zone->what)
		return gb_error_set(error, -ENOMEM, "no memory to announce anything");
	result = gb__announce_create(options, &zone->announce, error);
	if (result < 0) {
		gb__free(zone->what);
		return result;
	}
	server->zones_count++;
	*ret = zone->announce;
	return 0;
}

/* Whatever has the same name server, key, zone and host is announced together. */
static int zone_find(struct gb_server *server, const char *name, const struct gb__announce_options *options,
	struct gb__announce **ret, struct gb_error *error)
{
	char what[WHAT_MAX];
	int length =
		snprintf(what, sizeof(what), "%s\n%s\n%s\n%s\n%s", options->server ? options->server : "",
			options->key ? options->key : "", options->zone ? options->zone : "",
			options->host ? options->host : "", options->zone ? "" : domain_of(name));

	if (length < 0 || (size_t)length >= sizeof(what))
		return gb_error_set(error, -GB_EUSAGE, "announce: the texts of its options are too long");
	for (size_t i = 0; i < server->zones_count; i++)
		if (strcmp(server->zones[i].what, what) == 0) {
			*ret = server->zones[i].announce;
			return 0;
		}
	return zone_add(server, what, options, ret, error);
}

/* The n-th of so many names. */
static int add_one(struct gb_server *server, const struct gb_options *options, size_t n, size_t names,
	const struct gb__address *address, struct gb_error *error)
{
	const struct gb__announce_options *all = &options->announce;
	struct gb__announce_options own = *all;
	struct gb__announce *announce;
	char *name = NULL;
	int result;

	own.server = own.key = own.zone = own.host = NULL;
	result = pick(options->announce_name, n, names, "announce", &name, error);
	if (result == 0)
		result = pick(all->server, n, names, "announce-server", &own.server, error);
	if (result == 0)
		result = pick(all->key, n, names, "announce-key", &own.key, error);
	if (result == 0)
		result = pick(all->zone, n, names, "announce-zone", &own.zone, error);
	if (result == 0)
		result = pick(all->host, n, names, "announce-host", &own.host, error);
	if (result == 0 && name)
		result = zone_find(server, name, &own, &announce, error);
	if (result == 0 && name)
		result = gb__announce_add(
			announce, name, address, (unsigned)all->priority, (unsigned)all->weight, error);
	gb__free(name);
	gb__free(own.server);
	gb__free(own.key);
	gb__free(own.zone);
	gb__free(own.host);
	return result;
}

static int add(struct gb_server *server, const struct gb_options *options, const struct gb__address *address,
	struct gb_error *error)
{
	const size_t names = count_of(options->announce_name);
	int result = 0;

	for (size_t n = 0; n < names && result == 0; n++)
		result = add_one(server, options, n, names, address, error);
	return result;
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
	const char *name = options ? gb__naming_name(options->announce_name) : NULL;
	const char *local = options ? gb__naming_name(options->announce_local) : NULL;
	struct gb__address address;
	int result = 0;

	if ((!name && !local) || gb__address_parse(binding->text, false, &address, NULL) < 0 ||
		!gb__address_is_ip(&address))
		return 0;
	if (name)
		result = add(server, options, &address, error);
	if (local && result == 0)
		result = add_local(server, local, &address, error);
	return result < 0 ? result : 1;
}

static bool has_ip(const struct gb_server *server)
{
	struct gb__address address;

	for (size_t i = 0; i < server->bindings_count; i++)
		if (server->bindings[i].options &&
			gb__address_parse(server->bindings[i].text, false, &address, NULL) == 0 &&
			gb__address_is_ip(&address))
			return true;
	return false;
}

static int refuse_nothing(const struct gb_server *server, const char *wanted, struct gb_error *error)
{
	if (has_ip(server))
		return gb_error_set(error, -GB_EUSAGE,
			"announce: %s would name nothing: each address of TCP has announce=none; take that out of one, or "
			"leave out announce",
			wanted);
	return gb_error_set(error, -GB_EUSAGE,
		"announce: %s would name nothing: it stands for addresses of TCP, and none is listened on; add one "
		"(--listen '*:7000'), or leave out announce",
		wanted);
}

int gb__naming_prepare(struct gb_server *server, struct gb_error *error)
{
	const char *name = gb__naming_name(server->options->announce_name);
	const char *wanted = name ? name : gb__naming_name(server->options->announce_local);
	int result = 0, named = 0;

	if (server->zones_count > 0 || server->local)
		return 0;
	for (size_t i = 0; i < server->bindings_count && result >= 0; i++) {
		result = add_binding(server, &server->bindings[i], error);
		named += result > 0;
	}
	if (result >= 0 && wanted && named == 0)
		return refuse_nothing(server, wanted, error);
	if (result >= 0 && server->zones_count == 0 && without_name(server))
		return gb_error_set(error, -GB_EUSAGE,
			"%s is given, and nothing is announced: say as what, announce NAME",
			without_name(server));
	if (result >= 0 && server->zones_count > 0) {
		const struct gb__names_options names = gb__options_names(server->options);

		for (size_t i = 0; i < server->zones_count; i++)
			gb__announce_guard(server->zones[i].announce, &names);
	}
	return result < 0 ? result : 0;
}

static void on_gone(void *arg)
{
	struct gb_worker *chief = arg;

	chief->look = true;
}

static void begin(struct gb_worker *chief, struct gb__announce *announce)
{
	int result = 0;

	if (gb__announce_resolves(announce) && !chief->net.names)
		result = chief->net.names_begin(&chief->net);
	if (result == 0)
		result = gb__announce_begin(announce, &chief->watches, chief->net.names, on_gone, chief);
	if (result < 0)
		gb__log(GB__LOG_WARNING, "cannot announce %s: %s", gb__announce_name(announce, 0),
			gb_strerror(result));
}

void gb__naming_begin(struct gb_worker *chief)
{
	struct gb__local *local = chief->server->local;

	for (size_t i = 0; i < chief->server->zones_count; i++)
		begin(chief, chief->server->zones[i].announce);
	if (local && gb__local_begin(local, &chief->watches) < 0)
		gb__log(GB__LOG_WARNING, "not announced on the local network: no memory");
}

bool gb__naming_ended(struct gb_worker *chief)
{
	const struct gb_server *server = chief->server;
	bool gone = true;

	gb__local_end(server->local);
	for (size_t i = 0; i < server->zones_count; i++) {
		struct gb__announce *announce = server->zones[i].announce;

		if (!gb__announce_gone(announce))
			gb__announce_withdraw(
				announce, gb__min(server->options->drain_timeout_ms, REMOVAL_MS));
		gone &= gb__announce_gone(announce);
	}
	return gone;
}

const struct gb__announce *gb__naming_worst(const struct gb_server *server)
{
	struct gb__announce_status status;

	for (size_t i = 0; i < server->zones_count; i++) {
		gb__announce_status(server->zones[i].announce, &status);
		if (*status.error)
			return server->zones[i].announce;
	}
	for (size_t i = 0; i < server->zones_count; i++) {
		gb__announce_status(server->zones[i].announce, &status);
		if (strcmp(status.state, "registered") != 0)
			return server->zones[i].announce;
	}
	return server->zones_count > 0 ? server->zones[0].announce : NULL;
}

const char *gb__naming_describe(const struct gb_server *server, char *text, size_t size)
{
	const struct gb__announce *announce = gb__naming_worst(server);
	struct gb__announce_status status;

	*text = '\0';
	if (!announce)
		return NULL;
	gb__announce_status(announce, &status);
	snprintf(text, size, ", %s as %s%s%s", status.state, gb__announce_name(announce, 0),
		*status.error ? ": " : "", status.error);
	return status.state;
}

void gb__naming_end(struct gb_server *server)
{
	gb__local_end(server->local);
	for (size_t i = 0; i < server->zones_count; i++)
		gb__announce_end(server->zones[i].announce);
}

void gb__naming_abandon(struct gb_server *server)
{
	for (size_t i = 0; i < server->zones_count; i++)
		gb__announce_abandon(server->zones[i].announce);
	gb__local_abandon(server->local);
}

void gb__naming_destroy(struct gb_server *server)
{
	for (size_t i = 0; i < server->zones_count; i++) {
		gb__announce_destroy(server->zones[i].announce);
		gb__free(server->zones[i].what);
	}
	gb__free(server->zones);
	gb__local_destroy(server->local);
}
