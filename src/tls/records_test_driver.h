/** The other side of a session that was handed over, as a test wants it: records of any kind, sealed by code of its own. */
#ifndef TLS_RECORDS_TEST_DRIVER_H
#define TLS_RECORDS_TEST_DRIVER_H

#include "tls/session.h"

#define DRIVER_WIRE_MAX (256u << 10)

/** One direction, as this side sees it. */
struct driver_way {
	const struct gb__tls_suite *suite;
	unsigned char secret[GB__TLS_SECRET_MAX], key[32], iv[12];
	uint64_t sequence;
};

struct driver {
	struct gb__tls_pool *pool;
	struct gb__tls_session *session;    /* the one that is tried */
	struct driver_way to, from;         /* it */
	unsigned char out[DRIVER_WIRE_MAX]; /* what it has emitted and was not looked at */
	size_t out_size;
	int refuse; /* what emit returns */
};

extern const struct gb__tls_sink driver_sink;

/** A session without a handshake, of these secrets. */
void driver_begin(struct driver *driver, bool server, uint16_t suite);
void driver_end(struct driver *driver);

/** HKDF-Expand-Label, by HMAC. */
void driver_expand(const struct gb__tls_suite *suite, const unsigned char *secret, const char *label,
	unsigned char *ret, size_t size);
void driver_update(struct driver_way *way);
/** A record that holds these bytes, type and padding included, of whatever size. Returns its size. */
size_t driver_seal(struct driver_way *way, const void *inner, size_t size, unsigned char *ret);
/** Of a whole record. Returns what it holds with the type, or 0: it is none. */
size_t driver_open(struct driver_way *way, const unsigned char *record, size_t size, unsigned char *ret);

/** Have the session see these bytes in pieces of this size, in memory of just that size. What it reads is appended to `ret`, whose
 *  size grows. Returns 0 or what reading returned. */
int driver_feed(struct driver *driver, const unsigned char *bytes, size_t size, size_t piece,
	unsigned char *ret, size_t *ret_size);
/** What it has emitted is one record of this type. Returns how many bytes it holds. */
size_t driver_emitted(struct driver *driver, unsigned char *ret, unsigned char *ret_type);

#endif
