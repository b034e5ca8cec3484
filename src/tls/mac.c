#include "tls/mac.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

int gb__tls_mac(const char *digest, const void *key, size_t key_size, const void *data, size_t size,
	unsigned char ret[GB__MAC_MAX], size_t *ret_size)
{
	const EVP_MD *md = EVP_get_digestbyname(digest);
	unsigned got = 0;

	if (!md || !HMAC(md, key, (int)key_size, data, size, ret, &got))
		return -EOPNOTSUPP;
	*ret_size = got;
	return 0;
}
