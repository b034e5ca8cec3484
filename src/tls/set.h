/** The certificates of a server, and which of them a client gets: by the name it asks for, and by what it can check. */
#ifndef TLS_SET_H
#define TLS_SET_H

#include "tls/material.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

/** What it is made of: the paths of each option, in the same order. */
struct gb__tls_set_source {
	char *const *certificates, *const *keys, *const *ocsp; /* an empty name of ocsp: none */
	size_t count, ocsp_count;
	const char *password_file; /* or NULL */
	/** A context that has everything but certificates; `keeps`: its sessions are to keep their secrets, for a hand-over. Returns 0 or
	 *  a code with the text. */
	int (*make)(void *arg, bool keeps, SSL_CTX **ret, struct gb_error *error);
	void *arg;
};

/**
 * Read all. `*ret` is what sessions begin with; it owns the others, so that they last as long as anybody may choose one.
 *
 * Certificates that share a name and have keys of different kinds (ECDSA, RSA) are in one context, where OpenSSL takes the one that
 * the client can check. Of several with the same kind of key the first has the name.
 *
 * Returns 0 or a code with what is wrong.
 */
int gb__tls_set_make(const struct gb__tls_set_source *source, SSL_CTX **ret, struct gb_error *error);

/** Read the n-th certificate with its key and have the context use it. Returns 0 or a code with the text. */
int gb__tls_set_use(const struct gb__tls_set_source *source, size_t n, SSL_CTX *ctx, struct gb_error *error);

#endif
