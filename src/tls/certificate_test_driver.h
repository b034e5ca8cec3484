/** Certificates for tests, made by OpenSSL on the spot, and contexts of them. */
#ifndef TLS_CERTIFICATE_TEST_DRIVER_H
#define TLS_CERTIFICATE_TEST_DRIVER_H

#include "tls/tls.h"

/** Files with a new key (P-256) and a certificate of it, signed by itself, for `name`; the caller's arrays of 64 bytes. */
void certificate_files(const char *name, char *ret_certificate, char *ret_key);
/** Contexts of a server named localhost and of clients who do not check it. The test fails when they cannot be made. */
struct gb__tls *tls_server(void);
struct gb__tls *tls_client(void);

#endif
