/**
 * What the sessions of one thread take in turn: buffers for a record, contexts of ciphers, and the list of those that OpenSSL
 * still has. Thread: one.
 */
#ifndef TLS_POOL_H
#define TLS_POOL_H

#include "tls/records.h"
#include "tls/tls.h"

#include <openssl/evp.h>
#include <openssl/kdf.h>

/** So many directions of sessions have a context that knows their key; one more takes that of another, and keys it anew. */
#define GB__TLS_SEATS 128u

/** Buffers: so many bytes behind GB__TLS_HEADROOM. */
#define GB__TLS_BUFFER_SIZE (GB__RECORD_MAX)

/** A context, and whose key it knows. */
struct gb__tls_seat {
	EVP_CIPHER_CTX *ctx;
	const struct gb__tls_suite *suite; /* that it was made for */
	struct gb__tls_way *way;           /* or NULL: nobody's */
	bool keyed;                        /* with that one's key */
	bool used;                         /* since the hand has passed */
};

struct gb__tls_pool {
	EVP_KDF_CTX *hkdf; /* NULL: nobody has needed it */
	EVP_CIPHER *ciphers[GB__TLS_SUITES];
	struct gb__tls_seat *seats[GB__TLS_SEATS];
	unsigned seats_count; /* how many there are */
	unsigned seats_free;  /* of them, nobody's */
	unsigned hand;        /* the next one that may have to make room */
	void *spare;          /* buffers, chained through their first word */
	unsigned spares;
	struct gb__tls_session *oldest, *newest; /* established, and not handed over */
	uint64_t looks;                          /* gb__tls_pool_rest */
	uint64_t freed;                          /* gb__tls_pool_freed */
	uint64_t update_after;                   /* records with one key; below the limit of RFC 8446, 5.5 */
	unsigned brief;                          /* sessions of a server in a row that have not stayed */
	unsigned keyless;                        /* sessions that are, and stay with OpenSSL */
};

/** GB__TLS_HEADROOM writable bytes are before it. NULL without memory. */
unsigned char *gb__tls_buffer_take(struct gb__tls_pool *pool);
/** NULL is fine. */
void gb__tls_buffer_give(struct gb__tls_pool *pool, unsigned char *buffer);

/** The context of a direction, with its key. NULL without memory. */
EVP_CIPHER_CTX *gb__tls_seat_find(struct gb__tls_pool *pool, struct gb__tls_way *way);
/** It has no context any more, and the context nothing of its key. */
void gb__tls_seat_leave(struct gb__tls_pool *pool, struct gb__tls_way *way);

/** HKDF-Expand-Label (RFC 8446, 7.1) with an empty context, or with a hash. Returns 0 or -ENOMEM. */
int gb__tls_expand(struct gb__tls_pool *pool, const char *digest, const unsigned char *secret,
	size_t secret_size, const char *label, const unsigned char *context, size_t context_size,
	unsigned char *ret, size_t size);

#endif
