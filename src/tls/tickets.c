#include "tls/tickets.h"

#include "base/assert.h"
#include "os/os.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <string.h>

/* HMAC-SHA256 of a label: what follows from a secret, and does not lead back to it. */
static void derive(const unsigned char *secret, const char *label, unsigned char *ret)
{
	unsigned size = 32;

	gb__assert(HMAC(EVP_sha256(), secret, 32, (const unsigned char *)label, strlen(label), ret, &size) &&
		size == 32);
}

/* Those of a period, and the secret of the next. */
static void derive_period(struct gb__tls_tickets *tickets)
{
	unsigned char next[32], name[32];

	tickets->before = tickets->now;
	derive(tickets->secret, "name", name);
	memcpy(tickets->now.name, name, sizeof(tickets->now.name));
	derive(tickets->secret, "cipher", tickets->now.cipher);
	derive(tickets->secret, "mac", tickets->now.mac);
	derive(tickets->secret, "next", next);
	memcpy(tickets->secret, next, sizeof(next));
	OPENSSL_cleanse(next, sizeof(next));
}

int gb__tls_tickets_init(struct gb__tls_tickets *tickets, uint64_t period_ms, uint64_t now_ms)
{
	gb__assert(period_ms >= 1000);
	*tickets = (struct gb__tls_tickets){ .period_ms = period_ms, .period = now_ms / period_ms };
	tickets->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
	if (!tickets->cipher || RAND_bytes(tickets->secret, sizeof(tickets->secret)) != 1 ||
		RAND_bytes((unsigned char *)&tickets->now, sizeof(tickets->now)) != 1) {
		EVP_CIPHER_free(tickets->cipher);
		*tickets = (struct gb__tls_tickets){ 0 };
		return -EIO;
	}
	derive_period(tickets); /* those before are keys of nobody */
	return pthread_mutex_init(&tickets->lock, NULL) == 0 ? 0 : -EIO;
}

void gb__tls_tickets_finish(struct gb__tls_tickets *tickets)
{
	pthread_mutex_destroy(&tickets->lock);
	EVP_CIPHER_free(tickets->cipher);
	OPENSSL_cleanse(tickets, sizeof(*tickets));
}

static void advance(struct gb__tls_tickets *tickets, uint64_t now_ms)
{
	uint64_t period = now_ms / tickets->period_ms;
	unsigned char next[32];

	/* Nobody was here for long: of those periods only the secrets matter. */
	for (; tickets->period + 2 < period; tickets->period++) {
		derive(tickets->secret, "next", next);
		memcpy(tickets->secret, next, sizeof(next));
	}
	for (; tickets->period < period; tickets->period++)
		derive_period(tickets);
}

uint64_t gb__tls_tickets_advance(struct gb__tls_tickets *tickets, uint64_t now_ms)
{
	uint64_t next_ms;

	pthread_mutex_lock(&tickets->lock);
	advance(tickets, now_ms);
	next_ms = (tickets->period + 1) * tickets->period_ms;
	pthread_mutex_unlock(&tickets->lock);
	return next_ms;
}

void gb__tls_tickets_current(struct gb__tls_tickets *tickets, uint64_t now_ms, struct gb__tls_ticket_key *ret)
{
	pthread_mutex_lock(&tickets->lock);
	advance(tickets, now_ms);
	*ret = tickets->now;
	pthread_mutex_unlock(&tickets->lock);
}

bool gb__tls_tickets_find(struct gb__tls_tickets *tickets, uint64_t now_ms, const unsigned char *name,
	struct gb__tls_ticket_key *ret, bool *ret_old)
{
	const struct gb__tls_ticket_key *found;

	pthread_mutex_lock(&tickets->lock);
	advance(tickets, now_ms);
	found = memcmp(name, tickets->now.name, sizeof(tickets->now.name)) == 0         ? &tickets->now
		: memcmp(name, tickets->before.name, sizeof(tickets->before.name)) == 0 ? &tickets->before
											: NULL;
	if (found)
		*ret = *found;
	*ret_old = found == &tickets->before;
	pthread_mutex_unlock(&tickets->lock);
	return found;
}

static int index_of_tickets = -1;

static void make_index(void)
{
	index_of_tickets = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

/* RFC 5077's construction, as OpenSSL asks for it: -1 an error, 0 no such key, 1 fine, 2 fine, and a new ticket follows. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
	EVP_MAC_CTX *mac, int making)
{
	struct gb__tls_tickets *tickets = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), index_of_tickets);
	uint64_t now_ms = gb__os_now_ms(&gb__os_linux);
	struct gb__tls_ticket_key key;
	char digest[] = "SHA256";
	OSSL_PARAM params[3];
	bool old = false;
	int result = -1;

	if (making) {
		gb__tls_tickets_current(tickets, now_ms, &key);
		memcpy(name, key.name, sizeof(key.name));
		if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(tickets->cipher)) != 1)
			return -1;
	} else if (!gb__tls_tickets_find(tickets, now_ms, name, &key, &old)) {
		return 0;
	}
	params[0] = OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac, sizeof(key.mac));
	params[1] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0);
	params[2] = OSSL_PARAM_construct_end();
	if (EVP_CipherInit_ex(cipher, tickets->cipher, NULL, key.cipher, iv, making) == 1 &&
		EVP_MAC_CTX_set_params(mac, params) == 1)
		result = old || SSL_version(ssl) == TLS1_3_VERSION ? 2
								   : 1; /* there one does for one session */
	OPENSSL_cleanse(&key, sizeof(key));
	return result;
}

void gb__tls_tickets_use(struct gb__tls_tickets *tickets, SSL_CTX *ctx)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	gb__assert(pthread_once(&once, make_index) == 0);
	gb__assert(SSL_CTX_set_ex_data(ctx, index_of_tickets, tickets));
	gb__assert(SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket));
}
