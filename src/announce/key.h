/** Keys for signed messages (TSIG, RFC 8945), as name servers keep them in files. */
#ifndef ANNOUNCE_KEY_H
#define ANNOUNCE_KEY_H

#include <gearbox/error.h>

#include <stddef.h>

#define GB__DNS_NAME 256u

struct gb__dns_key {
	char name[GB__DNS_NAME];
	char algorithm[32]; /* as a domain name: "hmac-sha256." */
	char secret[512];   /* base64 */
};

/**
 * Read `key "name" { algorithm hmac-sha256; secret "…"; };`, which is how BIND and Knot's tools write it, or
 * `hmac-sha256:name:secret` on one line. `what` names the file in messages.
 *
 * Returns 0, or -GB_EUSAGE with what is wrong; the secret is in no message.
 */
int gb__dns_key_parse(const char *text, const char *what, struct gb__dns_key *ret, struct gb_error *error);
/** The same from a file. Also returns the errors of reading. */
int gb__dns_key_load(const char *path, struct gb__dns_key *ret, struct gb_error *error);
/** Wipe it. */
void gb__dns_key_finish(struct gb__dns_key *key);

#endif
