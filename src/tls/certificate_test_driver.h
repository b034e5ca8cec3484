/** Contexts for tests, of a certificate that is made on the spot. */
#ifndef TLS_CERTIFICATE_TEST_DRIVER_H
#define TLS_CERTIFICATE_TEST_DRIVER_H

#include "tls/tls.h"

/** Contexts of a server named localhost and of clients who do not check it. The test fails when they cannot be made. */
struct gb__tls *tls_server(void);
struct gb__tls *tls_client(void);

#endif
