#include "load/find.h"

#include <gearbox/gearbox.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct search {
	const char *name;
	char *address;
	size_t size;
	struct gb_connecting connecting;
	struct gb_error *error;
	int result;
};

static void unheard(struct gb_conn *conn, struct gb_bytes bytes)
{
	(void)conn;
	(void)bytes;
}

static int on_start(struct gb_worker *worker, void *user);

static const struct gb_service search_service = {
	GB_SERVICE_INIT,
	.name = "search",
	.state = GB_STATE_NONE,
	.on_start = on_start,
	.on_message = unheard,
};

static void on_connected(struct gb_operation *operation, void *user)
{
	struct search *search = user;

	search->result = gb_operation_result(operation);
	if (search->result == 0)
		search->result = gb_conn_peer(search->connecting.conn, search->address, search->size);
	if (search->result < 0)
		gb_error_set(
			search->error, search->result, "%s: %s", search->name, gb_strerror(search->result));
	gb_conn_close(search->connecting.conn);
	gb_server_stop(gb_worker_server(operation->worker));
}

static int on_start(struct gb_worker *worker, void *user)
{
	struct search *search = user;

	return gb_connect_begin(worker, &search->connecting, search->name, &search_service, search,
		on_connected, search, search->error);
}

static int run(const struct gb_options *server_options, struct search *search)
{
	struct gb_server *server = NULL;
	int rc = gb_server_create(server_options, &server, search->error);

	if (rc == 0)
		rc = gb_server_attach(server, &search_service, search, search->error);
	if (rc == 0)
		rc = gb_server_run(server, search->error);
	gb_server_destroy(server);
	return rc == 0 ? search->result : rc;
}

int gb__load_find(const struct load_options *options, char *ret, size_t size, struct gb_error *error)
{
	struct search search = { options->address, ret, size, .error = error, .result = -ECANCELED };
	struct gb_options *server;
	char timeout[32];
	int rc = gb_name_check(options->address, error);

	if (rc == 0)
		snprintf(ret, size, "%s", options->address);
	if (rc <= 0)
		return rc;
	rc = gb_options_create(&server);
	if (rc < 0)
		return gb_error_set(error, rc, "%s", gb_strerror(rc));
	snprintf(timeout, sizeof(timeout), "%llums", (unsigned long long)options->connect_timeout_ms);
	rc = gb_options_set(server, "connect-timeout", timeout, error);
	if (rc == 0)
		rc = gb_options_set(server, "log-level", "error", error); /* it is told here */
	if (rc == 0 && options->resolver)
		rc = gb_options_set(server, "resolver", options->resolver, error);
	if (rc == 0)
		rc = run(server, &search);
	gb_options_destroy(server);
	return rc;
}
