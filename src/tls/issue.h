/** Certificates for a run of `gearbox verify --tls`, and for tests. Nobody trusts them who was not told to. */
#ifndef TLS_ISSUE_H
#define TLS_ISSUE_H

#include <gearbox/error.h>

#include <stdbool.h>
#include <stdint.h>

struct gb__tls_issue {
	const char *certificate,
		*key; /* files to be written, of mode 0600; the chain is the certificate alone */
	const char *common_name;
	const char *names;                           /* "DNS:localhost,IP:127.0.0.1", or NULL */
	int64_t from_s, until_s;                     /* beside now */
	bool authority;                              /* may issue others */
	bool rsa;                                    /* of 2048 bits; else ECDSA with P-256 */
	const char *issuer_certificate, *issuer_key; /* NULL: it is its own */
	const char *password;                        /* of the key, or NULL */
};

/** Returns 0 or a code with the text. */
int gb__tls_issue(const struct gb__tls_issue *what, struct gb_error *error);

#endif
