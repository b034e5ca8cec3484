/**
 * The protection of records of TLS 1.3 (RFC 8446, 5.2 to 5.5 and 7.2 to 7.3) by OpenSSL's ciphers, in place and without
 * allocations. What records hold is traffic's matter.
 *
 * Thread: that of the pool.
 */
#ifndef TLS_RECORDS_H
#define TLS_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gb__tls_pool;
struct gb__tls_seat;

#define GB__RECORD_HEADER 5u
#define GB__RECORD_TAG 16u
#define GB__RECORD_PLAIN_MAX (16u << 10)
#define GB__RECORD_CIPHER_MAX (GB__RECORD_PLAIN_MAX + 256u)           /* behind the header (RFC 8446, 5.2) */
#define GB__RECORD_OVERHEAD (GB__RECORD_HEADER + 1u + GB__RECORD_TAG) /* without padding */
#define GB__RECORD_MAX (GB__RECORD_HEADER + GB__RECORD_CIPHER_MAX)

enum gb__tls_record_type {
	GB__RECORD_ALERT = 21,
	GB__RECORD_HANDSHAKE = 22,
	GB__RECORD_DATA = 23,
};

/** A cipher of TLS 1.3 and its hash. */
struct gb__tls_suite {
	uint16_t id;
	uint8_t index; /* in the pool's ciphers */
	uint8_t key_size, hash_size;
	const char *name, *cipher, *digest;
};
#define GB__TLS_SUITES 3u

/** NULL: none that records.c has. */
const struct gb__tls_suite *gb__tls_suite_find(uint16_t id);

#define GB__TLS_SECRET_MAX 48u

/** One direction. It stays where it is. */
struct gb__tls_way {
	uint64_t sequence;
	const struct gb__tls_suite *suite;
	struct gb__tls_seat *seat; /* or NULL */
	bool encrypts;
	unsigned char secret[GB__TLS_SECRET_MAX], key[32], iv[12];
};

/** Begin with a traffic secret of the suite's hash size. Returns 0 or -ENOMEM. */
int gb__tls_way_begin(struct gb__tls_pool *pool, struct gb__tls_way *way, const struct gb__tls_suite *suite,
	bool encrypts, const unsigned char *secret, uint64_t sequence);
/** The next secret follows from this one (RFC 8446, 7.2), and replaces it. Returns 0 or -ENOMEM. */
int gb__tls_way_update(struct gb__tls_pool *pool, struct gb__tls_way *way);
/** Nothing of its secrets is left. A zeroed one is fine. */
void gb__tls_way_finish(struct gb__tls_pool *pool, struct gb__tls_way *way);

/** A record of these bytes, at most GB__RECORD_PLAIN_MAX, is written to `to`, which has room for GB__RECORD_OVERHEAD more and
 *  does not overlap them. Returns its size or -ENOMEM. */
int gb__tls_record_seal(struct gb__tls_pool *pool, struct gb__tls_way *way, enum gb__tls_record_type type,
	const void *data, size_t size, unsigned char *to);
/** Decrypt a whole record where it lies: what it holds begins behind the header, with type and padding as they are sent.
 *  Returns its size, -EBADMSG (not what was sent), or -ENOMEM. */
int gb__tls_record_open(
	struct gb__tls_pool *pool, struct gb__tls_way *way, unsigned char *record, size_t size);

#endif
