/** Signatures of messages (TSIG, RFC 8945) by what ldns does not know: that of 1.8 misspells hmac-sha384. */
#ifndef ANNOUNCE_SIGN_H
#define ANNOUNCE_SIGN_H

#include "announce/message.h"

/** Whether a key is for us, and not for ldns. */
bool gb__dns_signs(const struct gb__dns_key *key);
/** Put a signature behind a message. `mac`: of the signature that it answers, with its length, or NULL. Returns 0, -ENOMEM, or why
 *  there is none: as gb__tls_mac. */
int gb__dns_sign(ldns_pkt *message, const struct gb__dns_key *key, unsigned fudge_s, const ldns_rdf *mac);
/** Whether an answer is signed by that key. */
bool gb__dns_signed(const ldns_pkt *message, const uint8_t *bytes, size_t size, const struct gb__dns_key *key,
	const ldns_rdf *mac);

#endif
