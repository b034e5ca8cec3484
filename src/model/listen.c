/*
 * What a server serves and where: its bindings, from the text of an address to sockets that listen.
 */
#include "model/listen_spec.h"
#include "model/server.h"

#include "base/alloc.h"
#include "base/log.h"
#include "model/connected.h"
#include "model/legality.h"
#include "model/naming.h"
#include "model/tally.h"
#include "model/tls.h"
#include "net/proxy_networks.h"
#include "os/passed.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PORT_ATTEMPTS 8u /* at one that is free for every address of a name */

void gb__binding_close(struct gb__binding *binding)
{
	for (unsigned i = 0; i < binding->fds_count; i++) {
		if (binding->fds[i] >= 0)
			gb__socket_close(binding->fds[i]);
		binding->fds[i] = -1;
	}
	if (binding->connected && binding->connection >= 0)
		gb__socket_close(binding->connection);
	binding->connection = -1;
}

void gb__server_unlisten(struct gb_server *server)
{
	for (size_t i = 0; i < server->bindings_count; i++) {
		struct gb__binding *binding = &server->bindings[i];

		if (*binding->path && server->pid == getpid())
			gb__socket_unlink(binding->path, binding->file);
		*binding->path = '\0'; /* another server may have the name from now on */
		gb__binding_close(binding);
		server->unlistened |= binding->fds_count > 0 || binding->connected;
	}
}

void gb__bindings_destroy(struct gb_server *server)
{
	for (size_t i = 0; i < server->bindings_count; i++) {
		struct gb__binding *binding = &server->bindings[i];

		if (binding->service->on_release && !binding->follows)
			binding->service->on_release(binding->user);
		gb_options_destroy(binding->options);
		gb__proxy_networks_destroy(binding->proxies);
		gb__free(binding->fds);
	}
	gb__free(server->bindings);
}

static int check_service(
	struct gb_server *server, const struct gb_service *service, bool ip_address, struct gb_error *error)
{
	struct gb_error reason = { 0 };
	int result = gb__service_check(service, true, error);

	if (result == 0)
		result = gb__limits_check(&server->limits, service, error);
	if (result < 0)
		return result;
	result = gb__model_check_service(&server->model, service, ip_address, &reason);
	if (result < 0)
		return gb_error_set(error, result, "%s", reason.text);
	if (result > 0)
		gb__log(GB__LOG_WARNING, "%s", reason.text);
	return gb__tally_service(server, service, error);
}

/* One socket, or as many as workers that join one group (accept=reuseport): the first takes the port. */
static int sockets_open(const struct gb_server *server, struct gb__binding *binding,
	struct gb__address *address, struct gb_error *error)
{
	struct gb__socket_options options = gb__options_socket(binding->options);
	unsigned count = 1;

	options.reuseport = server->model.accept == GB__ACCEPT_REUSEPORT;
	if (options.reuseport)
		count = server->seats_count;
	gb__model_region(&server->model); /* which workers close */
	binding->fds = gb__alloc(count * sizeof(*binding->fds));
	gb__alloc_region(GB__REGION_NONE);
	if (!binding->fds)
		return gb_error_set(error, -ENOMEM, "no memory for listening sockets");
	snprintf(binding->path, sizeof(binding->path), "%s", gb__address_path(address));
	while (binding->fds_count < count) {
		int fd = gb__socket_listen(address, &options, error);

		if (fd < 0)
			return fd;
		binding->fds[binding->fds_count++] = fd;
		if (*binding->path)
			binding->file = gb__socket_file(binding->path);
	}
	return gb__address_format(address, binding->text, sizeof(binding->text));
}

/* What an address of packets can be. Whoever wrote address and service can write others. */
static int check_type(const struct gb_server *server, struct gb__binding *binding, bool packets,
	const char *where, struct gb_error *error)
{
	struct gb_error reason = { 0 };

	if (gb__service_check_type(binding->service, packets, where, &reason) < 0)
		return gb_error_set(error, -GB_EUSAGE, "%s", reason.text);
	if (!packets)
		return 0;
	if (server->model.compute == GB__COMPUTE_PROCESSES)
		return gb_error_set(error, -GB_EILLEGAL,
			"%s: packets do not go to compute=processes: take compute=threads, or inline", where);
	if (binding->front.tls)
		return gb_error_set(error, -GB_EUSAGE,
			"%s: TLS needs a stream, and this is a socket of packets: add ,tls=no", where);
	if (binding->front.proxies)
		return gb_error_set(error, -GB_EUSAGE,
			"%s: a PROXY header comes before a stream, and this is a socket of packets: add "
			",proxy-protocol=none",
			where);
	binding->front.packets = binding->fronted = true;
	return 0;
}

/* Let go of one that is not the server's yet. */
static void binding_discard(struct gb__binding *binding)
{
	if (*binding->path && binding->fds_count > 0)
		gb__socket_unlink(binding->path, binding->file);
	gb__binding_close(binding);
	gb__free(binding->fds);
	gb__proxy_networks_destroy(binding->proxies);
	gb_options_destroy(binding->options);
}

/* What is served is decided when it begins to run: workers have begun with that, and are other processes perhaps. */
static int check_time(const struct gb_server *server, struct gb_error *error)
{
	if (atomic_load(&server->running))
		return gb_error_set(error, -EBUSY,
			"the server runs: what it serves, and where, is decided before gb_server_run");
	if (server->unlistened)
		return gb_error_set(error, -GB_EUSAGE,
			"the server has run and its listening sockets are closed: make another one");
	return 0;
}

/* What one text asks for, before it is the server's. */
struct listening {
	struct gb_server *server;
	const struct gb__listen_spec *spec;
	struct gb__binding proto;     /* what its bindings have in common */
	struct gb__binding *bindings; /* room for as many as there can be */
	size_t count;
};

static void discard(struct listening *listening)
{
	while (listening->count > 0)
		binding_discard(&listening->bindings[--listening->count]);
}

/* The next one, with its options and what they put before its connections. */
static int binding_begin(struct listening *listening, struct gb_error *error)
{
	struct gb__binding *binding = &listening->bindings[listening->count];
	int result;

	*binding = listening->proto;
	binding->follows = listening->count > 0;
	result = gb__options_copy(listening->spec->options, &binding->options);
	if (result < 0)
		return gb_error_set(error, result, "no memory for another address");
	listening->count++;
	result = gb__proxy_networks_parse(binding->options->proxies_text, &binding->proxies, error);
	if (result < 0)
		return result;
	binding->front.proxies = binding->proxies;
	binding->fronted = binding->proxies;
	return gb__server_secure(listening->server, binding, error);
}

/* An option that an address has of its own is of use there. */
static int check_given(
	const struct gb__listen_spec *spec, const char *const *keys, const char *why, struct gb_error *error)
{
	for (; *keys; keys++)
		if (gb__listen_spec_gives(spec, *keys))
			return gb_error_set(
				error, -GB_EUSAGE, "%s: %s: leave out %s", spec->address, why, *keys);
	return 0;
}

static const char *const tcp_keys[] = { "nodelay", "user-timeout", "keepalive", "defer-accept", "fastopen",
	"freebind", "v6only", "mark", "device", NULL };
static const char *const unix_keys[] = { "unix-mode", "unix-owner", "unix-group", NULL };
static const char *const bound_keys[] = { "backlog", "freebind", "v6only", "device", "defer-accept",
	"fastopen", "unix-mode", "unix-owner", "unix-group", NULL };

/* What the whole server announces is not for Unix sockets, which nobody finds by a name; who says it of one means something else. */
static int check_announced(const struct gb__listen_spec *spec, bool ip, struct gb_error *error)
{
	static const char *const keys[] = { "announce-server", "announce-key", "announce-zone",
		"announce-host", "announce-priority", "announce-weight", NULL };
	const char *key = NULL;

	if (ip)
		return 0;
	if (gb__listen_spec_gives(spec, "announce") && gb__naming_name(spec->options->announce_name))
		key = "announce";
	else if (gb__listen_spec_gives(spec, "announce-local") &&
		gb__naming_name(spec->options->announce_local))
		key = "announce-local";
	for (size_t i = 0; keys[i] && !key; i++)
		if (gb__listen_spec_gives(spec, keys[i]))
			key = keys[i];
	if (!key)
		return 0;
	return gb_error_set(error, -GB_EUSAGE,
		"%s: a Unix socket is not announced, as nobody could connect to it by a name: leave out %s",
		spec->address, key);
}

/* A name may have addresses of a family that is off here. */
static bool lacks_family(int code, const struct gb__address *address, size_t count)
{
	return count > 1 && address->any.sa_family == AF_INET6 &&
		(code == -EAFNOSUPPORT ||
			(code == -EADDRNOTAVAIL && IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr)));
}

/* All of them, on one port, be it a free one. */
static int listen_on_each(struct listening *listening, const struct gb__address *addresses, size_t count,
	struct gb_error *error)
{
	in_port_t port = 0;
	size_t lacking = 0;

	for (size_t i = 0; i < count; i++) {
		struct gb__address address = addresses[i];
		int result = binding_begin(listening, error);

		if (result < 0)
			return result;
		result = check_type(listening->server, &listening->bindings[listening->count - 1],
			address.packets, listening->spec->address, error);
		if (result < 0)
			return result;
		if (port)
			address.v4.sin_port = port; /* at the same place in both families */
		result = sockets_open(
			listening->server, &listening->bindings[listening->count - 1], &address, error);
		if (lacks_family(result, &addresses[i], count) && ++lacking < count) {
			binding_discard(&listening->bindings[--listening->count]);
			continue;
		}
		if (result < 0)
			return result;
		if (count > 1)
			port = address.v4.sin_port;
	}
	return 0;
}

static int listen_new(struct listening *listening, struct gb_error *error)
{
	struct gb__address addresses[GB__PASSED_MAX];
	size_t count;
	int result =
		gb__address_parse_all(listening->spec->address, addresses, GB__PASSED_MAX, &count, error);
	bool ip;

	if (result < 0)
		return result;
	ip = gb__address_is_ip(&addresses[0]);
	result = check_given(listening->spec, ip ? unix_keys : tcp_keys,
		ip ? "it is no Unix socket" : "a Unix socket is not of TCP", error);
	if (result == 0)
		result = check_announced(listening->spec, ip, error);
	if (result == 0)
		result = check_service(listening->server, listening->proto.service, ip, error);
	if (result < 0)
		return result;
	/* A port that is free for the first address need not be for the others. */
	for (unsigned attempt = 0; attempt < PORT_ATTEMPTS; attempt++) {
		result = listen_on_each(listening, addresses, count, error);
		if (result != -EADDRINUSE || count == 1 || addresses[0].v4.sin_port != 0)
			break;
		discard(listening);
	}
	return result;
}

/* As whoever serves one connection passes it. */
static int take_connected(struct listening *listening, int fd, struct gb_error *error)
{
	struct gb__socket_options options;
	struct gb__binding *binding;
	struct gb__address address;
	int result = gb__connected_check(listening->server, error);

	if (result < 0)
		return result;
	result = gb__socket_local(fd, &address);
	if (result == 0)
		result = check_announced(listening->spec, gb__address_is_ip(&address), error);
	if (result < 0)
		return result;
	result = binding_begin(listening, error);
	if (result < 0)
		return result;
	binding = &listening->bindings[listening->count - 1];
	result = check_type(listening->server, binding, address.packets, listening->spec->address, error);
	if (result < 0)
		return result;
	options = gb__options_socket(binding->options);
	gb__socket_take_over(fd, &options);
	binding->connected = true;
	binding->connection = fd;
	return gb__address_format(&address, binding->text, sizeof(binding->text));
}

/* One socket for all workers, accept=reuseport or not: who passes one has one. */
static int take_passed(struct listening *listening, int fd, struct gb_error *error)
{
	struct gb__binding *binding;
	struct gb__address address;
	struct gb_error reason = { 0 };
	int result;

	if (gb__socket_check_connected(fd, NULL) == 0)
		return take_connected(listening, fd, error);
	result = gb__socket_passed(fd, &address, &reason);
	if (result < 0)
		return gb_error_set(error, result, "%s: %s", listening->spec->address, reason.text);
	result = check_announced(listening->spec, gb__address_is_ip(&address), error);
	if (result < 0)
		return result;
	result = binding_begin(listening, error);
	if (result < 0)
		return result;
	binding = &listening->bindings[listening->count - 1];
	result = check_type(listening->server, binding, address.packets, listening->spec->address, error);
	if (result < 0)
		return result;
	binding->fds = gb__alloc(sizeof(*binding->fds));
	if (!binding->fds)
		return gb_error_set(error, -ENOMEM, "no memory for listening sockets");
	binding->fds[binding->fds_count++] = fd;
	binding->shared = true;
	if (gb__address_is_ip(&address)) {
		const struct gb__socket_options options = gb__options_socket(binding->options);

		gb__socket_tune(fd, &options);
	}
	return gb__address_format(&address, binding->text, sizeof(binding->text));
}

static bool is_served(const struct gb_server *server, int fd)
{
	for (size_t i = 0; i < server->bindings_count; i++)
		for (unsigned j = 0; j < server->bindings[i].fds_count; j++)
			if (server->bindings[i].fds[j] == fd)
				return true;
	return false;
}

static int listen_passed(struct listening *listening, struct gb_error *error)
{
	const struct gb__listen_spec *spec = listening->spec;
	int fds[GB__PASSED_MAX], count, result;

	result = check_given(spec, bound_keys, "it listens already, as whoever made it wanted", error);
	if (result == 0)
		result = check_service(listening->server, listening->proto.service, true, error);
	if (result < 0)
		return result;
	count = gb__passed_claim(spec->address, fds, error);
	for (int i = 0; i < count && result == 0; i++)
		result = is_served(listening->server, fds[i])
			? gb_error_set(
				  error, -EBUSY, "%s: descriptor %d is served already", spec->address, fds[i])
			: take_passed(listening, fds[i], error);
	return count < 0 ? count : result;
}

/* The last step: what has been prepared is the server's to release, once for all addresses of one text. */
static int bindings_add(struct gb_server *server, const struct gb_service *service, void *user,
	const struct gb__binding *bindings, size_t count, struct gb_error *error)
{
	struct gb__binding *grown;
	int result = 0;

	gb__model_region(&server->model);
	grown = gb__realloc(server->bindings, (server->bindings_count + count) * sizeof(*server->bindings));
	gb__alloc_region(GB__REGION_NONE);
	if (!grown)
		return gb_error_set(error, -ENOMEM, "no memory for another service");
	server->bindings = grown;
	if (service->on_prepare)
		result = service->on_prepare(server, user, error);
	if (result < 0)
		return result;
	memcpy(grown + server->bindings_count, bindings, count * sizeof(*bindings));
	server->bindings_count += count;
	return 0;
}

int gb_server_listen(struct gb_server *server, const char *text, const struct gb_service *service, void *user,
	struct gb_error *error)
{
	struct gb__binding bindings[GB__PASSED_MAX];
	struct gb__listen_spec spec;
	struct listening listening = { .server = server,
		.spec = &spec,
		.proto = { .service = service, .user = user },
		.bindings = bindings };
	int result;

	if (!server || !text)
		return gb_error_set(error, -EINVAL, "gb_server_listen: %s is NULL",
			server ? "the address" : "the server");
	result = check_time(server, error);
	if (result == 0)
		result = gb__listen_spec_parse(text, server->options, &spec, error);
	if (result < 0)
		return result;
	result = gb__passed_is(spec.address) ? listen_passed(&listening, error)
					     : listen_new(&listening, error);
	if (result == 0)
		result = bindings_add(server, service, user, bindings, listening.count, error);
	if (result < 0)
		discard(&listening);
	gb__listen_spec_finish(&spec);
	return result;
}

int gb_server_attach(
	struct gb_server *server, const struct gb_service *service, void *user, struct gb_error *error)
{
	const struct gb__binding binding = { .service = service, .user = user };
	int result;

	if (!server)
		return gb_error_set(error, -EINVAL, "gb_server_attach: the server is NULL");
	result = check_time(server, error);
	if (result == 0)
		result = check_service(server, service, true, error); /* without an address none is wrong */
	return result < 0 ? result : bindings_add(server, service, user, &binding, 1, error);
}

const char *gb_server_address(const struct gb_server *server, size_t n)
{
	for (size_t i = 0; i < server->bindings_count; i++)
		if ((server->bindings[i].fds_count > 0 || server->bindings[i].connected) && n-- == 0)
			return server->bindings[i].text;
	return NULL;
}
