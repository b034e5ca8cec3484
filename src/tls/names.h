/** Which of several certificates a client means by the name it asks for. */
#ifndef TLS_NAMES_H
#define TLS_NAMES_H

#include <openssl/x509.h>
#include <stddef.h>

struct gb__tls_name {
	char *text; /* in lower case: a host's name, or "*." and a domain */
	size_t index;
};

struct gb__tls_names {
	struct gb__tls_name *names; /* in order once sealed */
	size_t count;
};

/** The names of a certificate, its n-th (subjectAltName; the common name where it has none). Returns 0 or -ENOMEM. */
int gb__tls_names_add(struct gb__tls_names *names, X509 *certificate, size_t index);
/** No more are added. A name that several have is the first one's. */
void gb__tls_names_seal(struct gb__tls_names *names);
/** The one with this very name, else the one with a wildcard for its first label (RFC 6125, 6.4.3), else the first: 0. */
size_t gb__tls_names_find(const struct gb__tls_names *names, const char *name);
void gb__tls_names_free(struct gb__tls_names *names);

#endif
