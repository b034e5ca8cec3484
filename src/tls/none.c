#include "tls/tls.h"

#include "base/assert.h"

#include <errno.h>

size_t gb__tls_shared_size(void)
{
	return 0;
}

int gb__tls_create(const struct gb__tls_options *options, struct gb__tls **ret, struct gb_error *error)
{
	return gb_error_set(error, -ENOTSUP, "this library was built without TLS (OpenSSL)");
}

void gb__tls_destroy(struct gb__tls *tls)
{
}
