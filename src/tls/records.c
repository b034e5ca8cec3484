#include "tls/records.h"

#include "base/assert.h"
#include "base/macros.h"
#include "tls/pool.h"

#include <errno.h>
#include <openssl/err.h>
#include <string.h>

#define COPY_BELOW 1024u /* it is cheaper to copy than to call once more for the type behind it */

static const struct gb__tls_suite suites[GB__TLS_SUITES] = {
	{ 0x1301, 0, 16, 32, "TLS_AES_128_GCM_SHA256", "AES-128-GCM", "SHA256" },
	{ 0x1302, 1, 32, 48, "TLS_AES_256_GCM_SHA384", "AES-256-GCM", "SHA384" },
	{ 0x1303, 2, 32, 32, "TLS_CHACHA20_POLY1305_SHA256", "ChaCha20-Poly1305", "SHA256" },
};

const struct gb__tls_suite *gb__tls_suite_find(uint16_t id)
{
	for (size_t i = 0; i < gb__countof(suites); i++)
		if (suites[i].id == id)
			return &suites[i];
	return NULL;
}

/* Key and IV of the secret, from its first record on (RFC 8446, 7.3). Without memory numbers go on: none comes twice with a key. */
static int derive(struct gb__tls_pool *pool, struct gb__tls_way *way)
{
	const struct gb__tls_suite *suite = way->suite;

	if (way->seat)
		way->seat->keyed = false;
	if (gb__tls_expand(pool, suite->digest, way->secret, suite->hash_size, "key", NULL, 0, way->key,
		    suite->key_size) < 0 ||
		gb__tls_expand(pool, suite->digest, way->secret, suite->hash_size, "iv", NULL, 0, way->iv,
			sizeof(way->iv)) < 0)
		return -ENOMEM;
	way->sequence = 0;
	return 0;
}

int gb__tls_way_begin(struct gb__tls_pool *pool, struct gb__tls_way *way, const struct gb__tls_suite *suite,
	bool encrypts, const unsigned char *secret, uint64_t sequence)
{
	int result;

	way->suite = suite;
	way->encrypts = encrypts;
	memmove(way->secret, secret, suite->hash_size);
	result = derive(pool, way);
	way->sequence = sequence;
	return result;
}

int gb__tls_way_update(struct gb__tls_pool *pool, struct gb__tls_way *way)
{
	const struct gb__tls_suite *suite = way->suite;
	unsigned char next[GB__TLS_SECRET_MAX];
	int result = gb__tls_expand(pool, suite->digest, way->secret, suite->hash_size, "traffic upd", NULL,
		0, next, suite->hash_size);

	if (result == 0) {
		memcpy(way->secret, next, suite->hash_size);
		result = derive(pool, way);
	}
	OPENSSL_cleanse(next, sizeof(next));
	return result;
}

void gb__tls_way_finish(struct gb__tls_pool *pool, struct gb__tls_way *way)
{
	gb__tls_seat_leave(pool, way);
	OPENSSL_cleanse(way, sizeof(*way));
}

/* The context for the next record of this direction (RFC 8446, 5.3). */
static EVP_CIPHER_CTX *next(struct gb__tls_pool *pool, struct gb__tls_way *way)
{
	EVP_CIPHER_CTX *ctx = gb__tls_seat_find(pool, way);
	unsigned char nonce[sizeof(way->iv)];

	memcpy(nonce, way->iv, sizeof(nonce));
	for (unsigned i = 0; i < 8; i++)
		nonce[sizeof(nonce) - 1 - i] ^= (unsigned char)(way->sequence >> 8 * i);
	if (!ctx || EVP_CipherInit_ex(ctx, NULL, NULL, NULL, nonce, way->encrypts) != 1)
		return NULL;
	gb__assert(way->sequence < UINT64_MAX);
	way->sequence++;
	return ctx;
}

int gb__tls_record_seal(struct gb__tls_pool *pool, struct gb__tls_way *way, enum gb__tls_record_type type,
	const void *data, size_t size, unsigned char *to)
{
	const size_t inner = size + 1, behind = inner + GB__RECORD_TAG;
	unsigned char *body = to + GB__RECORD_HEADER, *end = body + inner, last = (unsigned char)type;
	EVP_CIPHER_CTX *ctx = next(pool, way);
	int done;
	bool good;

	gb__assert(size <= GB__RECORD_PLAIN_MAX);
	to[0] = GB__RECORD_DATA;
	to[1] = to[2] = 3;
	to[3] = (unsigned char)(behind >> 8);
	to[4] = (unsigned char)behind;
	good = ctx && EVP_EncryptUpdate(ctx, NULL, &done, to, GB__RECORD_HEADER) == 1;
	if (size < COPY_BELOW) {
		if (size > 0)
			memcpy(body, data, size);
		body[size] = last;
		good = good && EVP_EncryptUpdate(ctx, body, &done, body, (int)inner) == 1;
	} else {
		good = good && EVP_EncryptUpdate(ctx, body, &done, data, (int)size) == 1 &&
			EVP_EncryptUpdate(ctx, body + size, &done, &last, 1) == 1;
	}
	good = good && EVP_EncryptFinal_ex(ctx, end, &done) == 1 &&
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, GB__RECORD_TAG, end) == 1;
	if (gb__likely(good))
		return (int)(GB__RECORD_HEADER + behind);
	ERR_clear_error();
	return -ENOMEM;
}

int gb__tls_record_open(
	struct gb__tls_pool *pool, struct gb__tls_way *way, unsigned char *record, size_t size)
{
	unsigned char *body = record + GB__RECORD_HEADER;
	EVP_CIPHER_CTX *ctx;
	size_t inner;
	int done;

	if (size < GB__RECORD_OVERHEAD)
		return -EBADMSG;
	inner = size - GB__RECORD_HEADER - GB__RECORD_TAG;
	ctx = next(pool, way);
	if (gb__unlikely(!ctx) ||
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, GB__RECORD_TAG, body + inner) != 1 ||
		EVP_DecryptUpdate(ctx, NULL, &done, record, GB__RECORD_HEADER) != 1 ||
		EVP_DecryptUpdate(ctx, body, &done, body, (int)inner) != 1) {
		ERR_clear_error();
		return -ENOMEM;
	}
	if (gb__unlikely(EVP_DecryptFinal_ex(ctx, body + inner, &done) != 1)) {
		ERR_clear_error();
		OPENSSL_cleanse(body, inner); /* nobody is to see what nobody has sent */
		return -EBADMSG;
	}
	return (int)inner;
}
