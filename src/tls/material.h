/** What a context is made of, read from files, with texts that say which file and what is wrong with it. */
#ifndef TLS_MATERIAL_H
#define TLS_MATERIAL_H

#include <gearbox/error.h>

#include <openssl/ssl.h>
#include <stdint.h>
#include <time.h>

/** Who asks for a file, as its option is called: "tls-cert". */
struct gb__tls_file {
	const char *option, *path;
};

/** A certificate with those between it and its root, and its key. */
struct gb__tls_chain {
	X509 *leaf;
	STACK_OF(X509) * others; /* in order */
	EVP_PKEY *key;
};

/** A response of OCSP, as it is handed on. */
struct gb__tls_staple {
	unsigned char *bytes; /* NULL: none; gb__free */
	size_t size;
	time_t until; /* nextUpdate; 0: it does not say */
};

/** A leaf first, each issued by the next. An expired one is taken and a line logged. Returns 0 or a code with the text. */
int gb__tls_chain_read(
	struct gb__tls_file certificates, struct gb__tls_chain *ret_chain, struct gb_error *error);
/** The key of the chain's leaf. `password_file`: one password a line, tried in turn; NULL: none. */
int gb__tls_key_read(struct gb__tls_file key, const char *certificates, const char *password_file,
	struct gb__tls_chain *chain, struct gb_error *error);
void gb__tls_chain_free(struct gb__tls_chain *chain);

/** A response about `leaf`, in DER. One that is over is taken, a line logged, and nobody told it. */
int gb__tls_staple_read(
	struct gb__tls_file response, X509 *leaf, struct gb__tls_staple *ret, struct gb_error *error);

/** Trust what is in the file; `names`: tell clients these, or NULL. */
int gb__tls_trust_read(
	struct gb__tls_file ca, X509_STORE *store, STACK_OF(X509_NAME) * names, struct gb_error *error);

#endif
