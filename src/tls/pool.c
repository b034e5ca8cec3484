/*
 * Keying a context costs less than a tenth of what a message does, and a keyed one has 1 KiB: so the few hundred sessions that
 * are busy keep theirs, and all the others have their keys alone. Who has to make room is found by the clock algorithm: the
 * next one that was not used since the hand has passed.
 */
#include "tls/pool.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/macros.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <string.h>

#define SPARES_MAX 4u
#define LABEL_MAX 32u
#define UPDATE_AFTER (1ull << 24) /* AES-GCM: 2^24.5 (RFC 8446, 5.5) */

int gb__tls_pool_create(struct gb__tls_pool **ret)
{
	struct gb__tls_pool *pool = gb__alloc_zero(sizeof(*pool));

	if (!pool)
		return -ENOMEM;
	pool->update_after = UPDATE_AFTER;
	*ret = pool;
	return 0;
}

static void seat_free(struct gb__tls_seat *seat)
{
	if (seat->way)
		seat->way->seat = NULL;
	EVP_CIPHER_CTX_free(seat->ctx); /* wipes it */
	gb__free(seat);
}

void gb__tls_pool_trim(struct gb__tls_pool *pool)
{
	while (pool->seats_count > 0)
		seat_free(pool->seats[--pool->seats_count]);
	pool->seats_free = pool->hand = 0;
	while (pool->spare) {
		void *next;

		memcpy(&next, pool->spare, sizeof(next));
		gb__free(pool->spare);
		pool->spare = next;
	}
	pool->spares = 0;
}

void gb__tls_pool_destroy(struct gb__tls_pool *pool)
{
	if (!pool)
		return;
	gb__assert(!pool->oldest);
	gb__tls_pool_trim(pool);
	for (size_t i = 0; i < GB__TLS_SUITES; i++)
		EVP_CIPHER_free(pool->ciphers[i]);
	EVP_KDF_CTX_free(pool->hkdf);
	gb__free(pool);
}

uint64_t gb__tls_pool_freed(const struct gb__tls_pool *pool)
{
	return pool->freed;
}

unsigned char *gb__tls_buffer_take(struct gb__tls_pool *pool)
{
	unsigned char *memory = pool->spare;

	if (memory) {
		memcpy(&pool->spare, memory, sizeof(pool->spare));
		pool->spares--;
	} else {
		memory = gb__alloc(GB__TLS_HEADROOM + GB__TLS_BUFFER_SIZE);
	}
	return memory ? memory + GB__TLS_HEADROOM : NULL;
}

void gb__tls_buffer_give(struct gb__tls_pool *pool, unsigned char *buffer)
{
	unsigned char *memory = buffer ? buffer - GB__TLS_HEADROOM : NULL;

	if (pool->spares >= SPARES_MAX) {
		gb__free(memory);
	} else if (memory) {
		memcpy(memory, &pool->spare, sizeof(pool->spare));
		pool->spare = memory;
		pool->spares++;
	}
}

static struct gb__tls_seat *seat_create(struct gb__tls_pool *pool)
{
	struct gb__tls_seat *seat = gb__alloc_zero(sizeof(*seat));

	if (seat)
		pool->seats[pool->seats_count++] = seat;
	return seat;
}

/* One that is nobody's, or a new one, or that of somebody who has not used it for a while. NULL without memory. */
static struct gb__tls_seat *seat_choose(struct gb__tls_pool *pool)
{
	const bool full = pool->seats_count == GB__TLS_SEATS;

	if (pool->seats_free == 0 && !full)
		return seat_create(pool);
	for (;;) {
		struct gb__tls_seat *seat = pool->seats[pool->hand];

		pool->hand = (pool->hand + 1) % pool->seats_count;
		if (!seat->way)
			pool->seats_free--;
		if (!seat->way || (pool->seats_free == 0 && !seat->used))
			return seat;
		seat->used = false;
	}
}

void gb__tls_seat_leave(struct gb__tls_pool *pool, struct gb__tls_way *way)
{
	struct gb__tls_seat *seat = way->seat;

	if (!seat)
		return;
	pool->seats_free++;
	if (seat->ctx)
		EVP_CIPHER_CTX_reset(seat->ctx); /* wipes it */
	*seat = (struct gb__tls_seat){ .ctx = seat->ctx };
	way->seat = NULL;
}

static const EVP_CIPHER *cipher_of(struct gb__tls_pool *pool, const struct gb__tls_suite *suite)
{
	if (!pool->ciphers[suite->index])
		pool->ciphers[suite->index] = EVP_CIPHER_fetch(NULL, suite->cipher, NULL);
	return pool->ciphers[suite->index];
}

static bool key(struct gb__tls_pool *pool, struct gb__tls_seat *seat)
{
	const struct gb__tls_way *way = seat->way;
	const EVP_CIPHER *cipher = NULL;

	if (!seat->ctx)
		seat->ctx = EVP_CIPHER_CTX_new();
	if (seat->ctx && seat->suite != way->suite) {
		cipher = cipher_of(pool, way->suite);
		seat->suite = cipher ? way->suite : NULL;
	}
	seat->keyed = seat->ctx && seat->suite == way->suite &&
		EVP_CipherInit_ex(seat->ctx, cipher, NULL, way->key, NULL, way->encrypts) == 1;
	return seat->keyed;
}

EVP_CIPHER_CTX *gb__tls_seat_find(struct gb__tls_pool *pool, struct gb__tls_way *way)
{
	struct gb__tls_seat *seat = way->seat;

	if (gb__unlikely(!seat)) {
		seat = seat_choose(pool);
		if (!seat)
			return NULL;
		if (seat->way)
			seat->way->seat = NULL;
		seat->way = way;
		seat->keyed = false;
		way->seat = seat;
	}
	seat->used = true;
	if (gb__unlikely(!seat->keyed) && !key(pool, seat)) {
		seat->suite = NULL; /* whatever it is now */
		ERR_clear_error();
		return NULL;
	}
	return seat->ctx;
}

/* HkdfLabel, which `info` has room for; no text in it has an end but by its size. */
static size_t write_label(unsigned char *info, const char *label, const unsigned char *context,
	size_t context_size, size_t size)
{
	static const char prefix[] = { 't', 'l', 's', '1', '3', ' ' };
	const size_t label_size = strnlen(label, LABEL_MAX);

	gb__assert(!label[label_size] && context_size <= GB__TLS_SECRET_MAX);
	info[0] = (unsigned char)(size >> 8);
	info[1] = (unsigned char)size;
	info[2] = (unsigned char)(sizeof(prefix) + label_size);
	memcpy(info + 3, prefix, sizeof(prefix));
	for (size_t i = 0; i < label_size; i++)
		info[9 + i] = (unsigned char)label[i];
	info[9 + label_size] = (unsigned char)context_size;
	if (context_size > 0)
		memcpy(info + 10 + label_size, context, context_size);
	return 10 + label_size + context_size;
}

int gb__tls_expand(struct gb__tls_pool *pool, const char *digest, const unsigned char *secret,
	size_t secret_size, const char *label, const unsigned char *context, size_t context_size,
	unsigned char *ret, size_t size)
{
	unsigned char info[10 + LABEL_MAX + GB__TLS_SECRET_MAX];
	size_t info_size = write_label(info, label, context, context_size, size);
	int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
	OSSL_PARAM params[] = { OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)digest, 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)secret, secret_size),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, info_size),
		OSSL_PARAM_construct_end() };
	EVP_KDF *kdf;
	int result;

	if (!pool->hkdf) {
		kdf = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_HKDF, NULL);
		pool->hkdf = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
		EVP_KDF_free(kdf);
	}
	result = pool->hkdf && EVP_KDF_derive(pool->hkdf, ret, size, params) == 1 ? 0 : -ENOMEM;
	if (pool->hkdf)
		EVP_KDF_CTX_reset(pool->hkdf); /* wipes the secret */
	if (result < 0)
		ERR_clear_error();
	return result;
}
