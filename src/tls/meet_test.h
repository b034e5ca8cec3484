/** For tests: a server and a client shake hands through memory. */
#ifndef TLS_MEET_TEST_H
#define TLS_MEET_TEST_H

#include "tls/context.h"

#include "harness.h"

#include <openssl/err.h>
#include <stdio.h>

struct both {
	SSL *server, *client;
	int server_done, client_done; /* as SSL_do_handshake */
	char problem[128];            /* of the client; else of the server */
};

static inline SSL *session_of(struct gb__tls *tls)
{
	SSL_CTX *ctx = gb__tls_current(tls);
	SSL *ssl = SSL_new(ctx);

	SSL_CTX_free(ctx);
	CHECK(ssl);
	return ssl;
}

/* Both through memory, until neither goes on. */
static inline void shake(struct both *both)
{
	unsigned char byte;
	BIO *left, *right;

	CHECK(BIO_new_bio_pair(&left, 0, &right, 0));
	SSL_set_bio(both->server, left, left);
	SSL_set_bio(both->client, right, right);
	SSL_set_accept_state(both->server);
	SSL_set_connect_state(both->client);
	for (unsigned i = 0; i < 10; i++) {
		ERR_clear_error();
		both->client_done = SSL_do_handshake(both->client);
		if (both->client_done != 1 && SSL_get_error(both->client, both->client_done) == SSL_ERROR_SSL)
			snprintf(both->problem, sizeof(both->problem), "%s", gb__tls_reason("?"));
		ERR_clear_error();
		both->server_done = SSL_do_handshake(both->server);
		if (both->server_done != 1 &&
			SSL_get_error(both->server, both->server_done) == SSL_ERROR_SSL && !*both->problem)
			snprintf(both->problem, sizeof(both->problem), "%s", gb__tls_reason("?"));
	}
	/* Tickets of TLS 1.3 come behind the handshake. */
	if (both->client_done == 1)
		CHECK(SSL_read(both->client, &byte, 1) <= 0);
}

static inline struct both meet(struct gb__tls *server, struct gb__tls *client, const char *name)
{
	struct both both = { .server = session_of(server), .client = session_of(client) };

	CHECK_INT(gb__tls_client_prepare(client, both.client, name), 0);
	shake(&both);
	return both;
}

static inline void part(struct both *both)
{
	SSL_shutdown(both->client); /* a session that was not shut down is not resumed */
	SSL_shutdown(both->server);
	SSL_free(both->server);
	SSL_free(both->client);
}

static inline void expect(
	struct gb__tls *server, struct gb__tls *client, const char *name, const char *problem)
{
	struct both both = meet(server, client, name);

	CHECK_STR(both.problem, problem);
	if (!*problem) {
		CHECK_INT(both.client_done, 1);
		CHECK_INT(both.server_done, 1);
	}
	part(&both);
}

#endif
