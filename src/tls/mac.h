/** Codes that show who has written a message (HMAC, RFC 2104). */
#ifndef TLS_MAC_H
#define TLS_MAC_H

#include <stddef.h>

#define GB__MAC_MAX 64u

/** By a digest as "SHA384". Returns 0, -EOPNOTSUPP (no such digest), -ENOTSUP (built without OpenSSL). */
int gb__tls_mac(const char *digest, const void *key, size_t key_size, const void *data, size_t size,
	unsigned char ret[GB__MAC_MAX], size_t *ret_size);

#endif
