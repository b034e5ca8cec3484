/** A context from within: what a session takes from it. OpenSSL is known to this folder alone. */
#ifndef TLS_CONTEXT_H
#define TLS_CONTEXT_H

#include "tls/tls.h"

#include <openssl/ssl.h>

/**
 * A reference to the SSL_CTX that sessions which begin now are made of; SSL_CTX_free lets go of it (SSL_new has its own). Files that
 * have changed are read again here, if it is time to look (reload_ms).
 *
 * Everything is set in it: certificates and who chooses among them, what is trusted, versions, ciphers, ALPN, tickets, OCSP,
 * the secrets log. Never NULL. Thread: any.
 */
SSL_CTX *gb__tls_current(struct gb__tls *tls);

/**
 * Have a client's session ask for `name` by SNI, check the peer's certificate for it (a host's name, or an IP address, which
 * SNI does not have), and resume what was agreed on before with that name. NULL: neither.
 *
 * Returns 0 or -ENOMEM. Before the handshake.
 */
int gb__tls_client_prepare(struct gb__tls *tls, SSL *ssl, const char *name);

/** The reason of the oldest error that OpenSSL has noted on this thread, as "certificate has expired"; the notes are
 *  cleared. `text` is what there is without one. */
const char *gb__tls_reason(const char *text);

#endif
