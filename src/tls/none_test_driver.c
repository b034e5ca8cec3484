/* Built without OpenSSL: no test may come to want a certificate. */
#include "tls/certificate_test_driver.h"

#include "harness.h"

struct gb__tls *tls_server(void)
{
	test_fail(__FILE__, __LINE__, "there are no servers of TLS without it");
}

struct gb__tls *tls_client(void)
{
	test_fail(__FILE__, __LINE__, "there are no clients of TLS without it");
}
