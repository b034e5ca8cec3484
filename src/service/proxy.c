/*
 * Forwards each connection to one of several upstreams.
 *
 * Happy path: a client is paused when it opens; an upstream is chosen, connected to, and the two are relayed, with
 * back-pressure and half-closes both ways. Nothing is read of the client before, so that whichever upstream is reached
 * gets everything from the first byte on, and a connect that fails is tried again at another.
 */
#include "proxy.h"
#include "services.h"

#include <errno.h>
#include <stdlib.h>

static const struct gb_setting proxy_settings[] = { PROXY_SETTINGS, { NULL } };

/* A client whose upstream is being connected to. */
struct pair {
	struct proxy_link link; /* first */
	struct gb_conn *client; /* NULL: it has gone */
};

static bool given(const char *text)
{
	return text && *text;
}

/* TLS to upstreams, if it is wanted. */
static int prepare_tls(struct proxy_settings *settings, struct gb_error *error)
{
	const struct gb_tls_client_options options = { .name = given(settings->tls_name) ? settings->tls_name
											 : NULL,
		.ca = given(settings->tls_ca) ? settings->tls_ca : NULL,
		.certificate = given(settings->tls_cert) ? settings->tls_cert : NULL,
		.key = given(settings->tls_key) ? settings->tls_key : NULL,
		.insecure_accept_any_server = !settings->tls_verify };
	struct gb_error why = { 0 };
	int result;

	if (!settings->tls) {
		if (options.name || options.ca || options.certificate || options.key || !settings->tls_verify)
			return gb_error_set(error, -GB_EUSAGE,
				"upstreams are not spoken to by TLS: --set upstream-tls=yes, or leave the others out");
		return 0;
	}
	result = gb_tls_client_create(&options, &settings->client, &why);
	return result < 0 ? gb_error_set(error, result, "set upstream-tls: %s", why.text) : 0;
}

int proxy_prepare_first(struct gb_server *server, struct proxy_settings *settings,
	const struct gb_service *far_service, struct gb_error *error)
{
	int result;

	if (!settings->upstream || !*settings->upstream)
		return gb_error_set(error, -GB_EUSAGE,
			"the proxy has no upstream: --set upstream=HOST:PORT[,HOST:PORT...]");
	if (settings->prepared > 0) {
		settings->prepared++;
		return 0;
	}
	settings->group.balance = settings->balance;
	settings->group.back_off_ms = settings->back_off_ms;
	settings->group.send_proxy = settings->send_proxy;
	result = prepare_tls(settings, error);
	if (result < 0)
		return result;
	settings->group.far = *far_service;
	settings->group.far.tls = settings->client;
	result = proxy_group_create(
		&settings->group, "upstream", settings->upstream, gb_server_workers(server), error);
	if (result < 0) {
		gb_tls_client_destroy(settings->client);
		settings->client = NULL;
		return result;
	}
	settings->prepared = 1;
	return 1;
}

bool proxy_release_last(struct proxy_settings *settings)
{
	if (--settings->prepared > 0)
		return false;
	proxy_group_destroy(&settings->group);
	gb_tls_client_destroy(settings->client);
	settings->client = NULL;
	return true;
}

int proxy_summarize(struct proxy_settings *settings, struct proxy_group *aside, char *text, size_t size)
{
	char *all = NULL;
	size_t length = 0;
	FILE *stream = open_memstream(&all, &length);
	int result = -ENOMEM;

	if (!stream)
		return result;
	fprintf(stream, "{\"upstreams\": ");
	proxy_group_print(&settings->group, stream);
	if (aside) {
		fprintf(stream, ", \"offload_to\": ");
		proxy_group_print(aside, stream);
	}
	fprintf(stream, "}");
	if (fclose(stream) == 0)
		result = snprintf(text, size, "%s", all);
	free(all);
	return result;
}

static void unheard(struct gb_conn *conn, struct gb_bytes bytes)
{
	(void)conn;
	(void)bytes;
}

static void far_close(struct gb_conn *conn, int reason)
{
	(void)reason;
	proxy_far_close(conn);
}

static const struct gb_service far_service = {
	GB_SERVICE_INIT,
	.name = "upstream",
	.state = GB_STATE_NONE,
	.conn_state_size = sizeof(struct proxy_far),
	.on_message = unheard,
	.on_close = far_close,
};

/* The client is on its own from here on. */
static void pair_end(struct pair *pair)
{
	if (pair->client)
		*(struct pair **)gb_conn_state(pair->client) = NULL;
	free(pair);
}

static void on_linked(struct proxy_link *link, int result)
{
	struct pair *pair = (struct pair *)link;
	struct gb_conn *client = pair->client, *far = link->connecting.conn;

	if (result == 0) {
		result = client ? gb_relay(client, far) : -ECANCELED;
		if (result < 0)
			gb_conn_abort(far);
	}
	pair_end(pair);
	if (client && result < 0)
		gb_conn_abort(client);
}

static int proxy_open(struct gb_conn *client)
{
	struct proxy_settings *settings = gb_conn_user(client);
	struct pair *pair = calloc(1, sizeof(*pair));
	int result;

	if (!pair)
		return -ENOMEM;
	proxy_group_probe(&settings->group, gb_conn_worker(client));
	pair->client = client;
	*(struct pair **)gb_conn_state(client) = pair;
	gb_conn_pause(client);
	result = proxy_link_begin(&pair->link, &settings->group, client, on_linked);
	if (result < 0) {
		pair_end(pair);
		gb_conn_abort(client);
	}
	return 0;
}

static void proxy_close(struct gb_conn *client, int reason)
{
	struct pair *pair = *(struct pair **)gb_conn_state(client);

	(void)reason;
	if (!pair)
		return;
	pair->client = NULL;
	proxy_link_cancel(&pair->link);
}

static int proxy_prepare(struct gb_server *server, void *user, struct gb_error *error)
{
	int result = proxy_prepare_first(server, user, &far_service, error);

	return result < 0 ? result : 0;
}

static void proxy_release(void *user)
{
	proxy_release_last(user);
}

static int proxy_start(struct gb_worker *worker, void *user)
{
	proxy_group_start(&((struct proxy_settings *)user)->group, worker);
	return 0;
}

static int proxy_summary(void *user, char *text, size_t size)
{
	return proxy_summarize(user, NULL, text, size);
}

const struct gb_service gb_service_proxy = {
	GB_SERVICE_INIT,
	.name = "proxy",
	.summary = "forwards each connection to one of several upstreams",
	.state = GB_STATE_NONE,
	.traits = GB_TRAIT_THREAD_SAFE | GB_TRAIT_STREAM,
	.conn_state_size = sizeof(struct pair *),
	.settings = proxy_settings,
	.settings_size = sizeof(struct proxy_settings),
	.on_prepare = proxy_prepare,
	.on_release = proxy_release,
	.on_summary = proxy_summary,
	.on_start = proxy_start,
	.on_open = proxy_open,
	.on_message = unheard,
	.on_close = proxy_close,
};
