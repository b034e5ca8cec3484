#include "net/secure.h"

#include "base/alloc.h"
#include "base/macros.h"
#include "net/conn.h"
#include "net/front.h"
#include "tls/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

struct gb_tls_client {
	struct gb__front front;
	char *name;    /* of the server; NULL: as it is connected to */
	bool insecure; /* nothing is checked */
};

int gb_tls_client_create(
	const struct gb_tls_client_options *options, struct gb_tls_client **ret, struct gb_error *error)
{
	static const uint64_t resumed_ms = 7ull * 24 * 3600 * 1000, reload_ms = 10000;
	const struct gb__tls_options what = {
		.certificates = options->certificate,
		.keys = options->key,
		.password_file = options->password_file,
		.ca = options->ca,
		.verify = options->insecure_accept_any_server ? GB__TLS_VERIFY_NONE : GB__TLS_VERIFY_REQUIRED,
		.alpn = options->alpn,
		.versions = options->version,
		.ticket_ms = options->resume_never ? 0 : resumed_ms,
		.reload_ms = reload_ms,
	};
	struct gb_tls_client *client;
	int result = 0;

	if (options->ca && options->insecure_accept_any_server)
		return gb_error_set(error, -GB_EUSAGE,
			"tls: whoever answers is accepted, so %s, which says who is, would be for nothing",
			options->ca);
	client = gb__alloc_zero(sizeof(*client));
	if (client && options->name)
		client->name = gb__strdup(options->name);
	if (!client || (options->name && !client->name))
		result = gb_error_set(error, -ENOMEM, "no memory for TLS");
	if (result == 0)
		result = gb__tls_create(&what, &client->front.tls, error);
	if (result < 0) {
		gb_tls_client_destroy(client);
		return result;
	}
	client->insecure = options->insecure_accept_any_server;
	*ret = client;
	return 0;
}

void gb_tls_client_destroy(struct gb_tls_client *client)
{
	if (!client)
		return;
	gb__tls_destroy(client->front.tls);
	gb__free(client->name);
	gb__free(client);
}

/* The address alone, as certificates have it. Returns false: it has none. */
static bool format_host(const struct gb__address *address, char *text, socklen_t size)
{
	if (address->any.sa_family == AF_INET)
		return inet_ntop(AF_INET, &address->v4.sin_addr, text, size);
	if (address->any.sa_family == AF_INET6)
		return inet_ntop(AF_INET6, &address->v6.sin6_addr, text, size);
	return false;
}

/* Of a service's name, the domain that it is of (RFC 6125, 6.4: what the user has asked for). */
static const char *domain_of(const char *host)
{
	while (host && *host == '_' && strchr(host, '.'))
		host = strchr(host, '.') + 1;
	return host;
}

int gb__conn_secure_as(struct gb_conn *conn, const char *host)
{
	const struct gb_tls_client *client = conn->terms->service->tls;
	char *name;

	if (!client || client->name)
		return 0;
	name = gb__strdup(domain_of(host));
	if (!name)
		return -ENOMEM;
	gb__free(conn->terms->fronted->name);
	conn->terms->fronted->name = name;
	return 0;
}

int gb__conn_secure(struct gb_conn *conn, const struct gb__address *address, const char *host)
{
	const struct gb_tls_client *client = conn->terms->service->tls;
	char text[INET6_ADDRSTRLEN];

	if (gb__likely(!client))
		return 0;
	if (client->name)
		host = client->name;
	else if (host)
		host = domain_of(host);
	else if (format_host(address, text, sizeof(text)))
		host = text;
	if (!host && !client->insecure)
		return -EDESTADDRREQ;
	return gb__front_begin(conn, &client->front, host);
}

const char *gb_conn_tls_problem(const struct gb_conn *conn)
{
	const struct gb__fronted *fronted = conn->flags & GB__CONN_FRONTED ? conn->terms->fronted : NULL;

	return fronted && fronted->session ? gb__tls_session_problem(fronted->session) : NULL;
}

struct gb__noted {
	const struct gb_operation *operation;
	int code;
	char text[128];
};

/* Why it was established and came to nothing all the same; or NULL. */
static const char *problem_of(const struct gb_conn *conn, int code)
{
	const struct gb__fronted *fronted = conn->flags & GB__CONN_FRONTED ? conn->terms->fronted : NULL;
	const char *problem = gb_conn_tls_problem(conn);

	if (code == 0 || !fronted || !fronted->session)
		return NULL; /* there it goes on, or it was not established */
	switch (code) {
	case -EPROTO:
		return problem ? problem : "the server left within the TLS handshake";
	case -ECONNRESET:
		return problem ? problem : "the server reset the connection within the TLS handshake";
	case -ETIMEDOUT:
		return "the TLS handshake was not complete in time";
	default:
		return NULL;
	}
}

void gb__net_note(
	struct gb__net *net, const struct gb_conn *conn, const struct gb_operation *operation, int code)
{
	const char *problem = problem_of(conn, code);

	if (!net->noted && problem)
		net->noted = gb__alloc(sizeof(*net->noted));
	if (!net->noted)
		return;
	net->noted->operation = problem ? operation : NULL;
	net->noted->code = code;
	snprintf(net->noted->text, sizeof(net->noted->text), "%s", problem ? problem : "");
}

void gb__net_note_whole(
	struct gb__net *net, const struct gb_operation *attempt, const struct gb_operation *whole)
{
	if (net->noted && net->noted->operation == attempt)
		net->noted->operation = whole;
}

const char *gb__net_noted(const struct gb__net *net, const struct gb_operation *operation, int code)
{
	const struct gb__noted *noted = net->noted;

	if (noted && noted->operation == operation && noted->code == code)
		return noted->text;
	return code == -ESHUTDOWN ? "the worker drains or ends" : gb_strerror(code);
}
