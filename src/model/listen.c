/*
 * What a server serves and where: its bindings, from the text of an address to sockets that listen.
 */
#include "model/listen_spec.h"
#include "model/server.h"

#include "base/alloc.h"
#include "base/log.h"
#include "model/legality.h"
#include "model/tally.h"
#include "model/tls.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void sockets_close(struct gb__binding *binding)
{
	for (unsigned i = 0; i < binding->fds_count; i++) {
		if (binding->fds[i] >= 0)
			gb__socket_close(binding->fds[i]);
		binding->fds[i] = -1;
	}
}

void gb__server_unlisten(struct gb_server *server)
{
	for (size_t i = 0; i < server->bindings_count; i++) {
		struct gb__binding *binding = &server->bindings[i];

		if (*binding->path && server->pid == getpid())
			gb__socket_unlink(binding->path, binding->file);
		*binding->path = '\0'; /* another server may have the name from now on */
		sockets_close(binding);
		server->unlistened |= binding->fds_count > 0;
	}
}

void gb__bindings_destroy(struct gb_server *server)
{
	for (size_t i = 0; i < server->bindings_count; i++) {
		struct gb__binding *binding = &server->bindings[i];

		if (binding->service->on_release)
			binding->service->on_release(binding->user);
		gb_options_destroy(binding->options);
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

/* The last step: what has been prepared is the server's to release. */
static int binding_add(struct gb_server *server, const struct gb__binding *binding, struct gb_error *error)
{
	struct gb__binding *grown =
		gb__realloc(server->bindings, (server->bindings_count + 1) * sizeof(*server->bindings));
	int result;

	if (!grown)
		return gb_error_set(error, -ENOMEM, "no memory for another service");
	server->bindings = grown;
	if (binding->service->on_prepare) {
		result = binding->service->on_prepare(server, binding->user, error);
		if (result < 0)
			return result;
	}
	server->bindings[server->bindings_count++] = *binding;
	return 0;
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
	binding->fds = gb__alloc(count * sizeof(*binding->fds));
	if (!binding->fds)
		return gb_error_set(error, -ENOMEM, "no memory for listening sockets");
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

/* What is served is settled when it begins to run: workers have begun with that, and are other processes perhaps. */
static int check_time(const struct gb_server *server, struct gb_error *error)
{
	if (atomic_load(&server->running))
		return gb_error_set(error, -EBUSY,
			"the server runs: what it serves, and where, is settled before gb_server_run");
	if (server->unlistened)
		return gb_error_set(error, -GB_EUSAGE,
			"the server has run and its listening sockets are closed: make another one");
	return 0;
}

/* Once the options are the binding's own. */
static int listen_at(
	struct gb_server *server, const char *text, struct gb__binding *binding, struct gb_error *error)
{
	struct gb__address address;
	int result = gb__address_parse(text, true, &address, error);

	if (result == 0)
		result = check_service(server, binding->service, gb__address_is_ip(&address), error);
	if (result < 0)
		return result;
	result = gb__server_secure(server, binding, error);
	if (result < 0)
		return result;
	snprintf(binding->path, sizeof(binding->path), "%s", gb__address_path(&address));
	result = sockets_open(server, binding, &address, error);
	if (result == 0)
		result = binding_add(server, binding, error);
	if (result < 0) {
		if (*binding->path && binding->fds_count > 0)
			gb__socket_unlink(binding->path, binding->file);
		sockets_close(binding);
		gb__free(binding->fds);
	}
	return result;
}

int gb_server_listen(struct gb_server *server, const char *text, const struct gb_service *service, void *user,
	struct gb_error *error)
{
	struct gb__binding binding = { .service = service, .user = user };
	struct gb__listen_spec spec;
	int result;

	if (!server || !text)
		return gb_error_set(error, -EINVAL, "gb_server_listen: %s is NULL",
			server ? "the address" : "the server");
	result = check_time(server, error);
	if (result == 0)
		result = gb__listen_spec_parse(text, server->options, &spec, error);
	if (result < 0)
		return result;
	binding.options = spec.options;
	result = listen_at(server, spec.address, &binding, error);
	if (result == 0)
		spec.options = NULL; /* the binding's */
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
	return result < 0 ? result : binding_add(server, &binding, error);
}

const char *gb_server_address(const struct gb_server *server, size_t n)
{
	for (size_t i = 0; i < server->bindings_count; i++)
		if (server->bindings[i].fds_count > 0 && n-- == 0)
			return server->bindings[i].text;
	return NULL;
}
