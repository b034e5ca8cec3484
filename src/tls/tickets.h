/**
 * Keys of session tickets, which all workers of all processes come to by themselves.
 *
 * A secret is drawn before workers begin. The keys of a period follow from it, and the secret of the next period as well, by
 * a function that cannot be turned round: so processes need no common memory, and whoever sees the memory of one later does
 * not learn the keys of periods that are over. Those of the period before the last are forgotten.
 */
#ifndef TLS_TICKETS_H
#define TLS_TICKETS_H

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct gb__tls_ticket_key {
	unsigned char name[16], cipher[32], mac[32];
};

struct gb__tls_tickets {
	pthread_mutex_t lock; /* held for copies; whoever comes first in a period holds it for some hashes */
	uint64_t period_ms, period;
	unsigned char secret[32]; /* of the period after this one */
	struct gb__tls_ticket_key now, before;
	EVP_CIPHER *cipher; /* of tickets, looked up once */
};

/** Returns 0 or -EIO (no randomness, no cipher). `period_ms` at least 1000. */
int gb__tls_tickets_init(struct gb__tls_tickets *tickets, uint64_t period_ms, uint64_t now_ms);
void gb__tls_tickets_finish(struct gb__tls_tickets *tickets);

/** Forget what is over. Returns when something will be next. Thread: any. */
uint64_t gb__tls_tickets_advance(struct gb__tls_tickets *tickets, uint64_t now_ms);
/** The keys to make a ticket with. Thread: any. */
void gb__tls_tickets_current(
	struct gb__tls_tickets *tickets, uint64_t now_ms, struct gb__tls_ticket_key *ret);
/** Those of that name: false: they are over, or were never ours. `*ret_old`: not the current ones. */
bool gb__tls_tickets_find(struct gb__tls_tickets *tickets, uint64_t now_ms, const unsigned char *name,
	struct gb__tls_ticket_key *ret, bool *ret_old);

/** Have contexts of servers take them. They stay. */
void gb__tls_tickets_use(struct gb__tls_tickets *tickets, SSL_CTX *ctx);

#endif
