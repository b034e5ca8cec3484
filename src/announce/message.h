/** Messages to a name server and what it answers, in wire format by ldns; no descriptors. */
#ifndef ANNOUNCE_MESSAGE_H
#define ANNOUNCE_MESSAGE_H

#include "announce/key.h"

#include <ldns/ldns.h>

/** A request as TCP carries it (RFC 1035, 4.2.2), and what is needed to know its answer. */
struct gb__dns_request {
	uint8_t *bytes; /* with their length in front; or NULL */
	size_t size;
	uint16_t id;
	ldns_rdf *mac; /* of its signature, or NULL */
};

/** A question for records of a name. NULL: no memory. */
ldns_pkt *gb__dns_query(const char *name, ldns_rr_type type);
/** An update of a zone (RFC 2136), `lease_s` asked for it (RFC 9664). Copies the records. NULL: no memory. */
ldns_pkt *gb__dns_update(
	const char *zone, const ldns_rr_list *prerequisites, const ldns_rr_list *changes, uint32_t lease_s);
/** A record from "A 10.0.0.1" and the like. `class`: LDNS_RR_CLASS_NONE to remove it. NULL: none such, or no memory. */
ldns_rr *gb__dns_record(const char *name, uint32_t ttl_s, ldns_rr_class class, const char *text);
/** Sign, with a key that may be NULL, and put into bytes. Takes `message`, which may be NULL. Returns 0 or -ENOMEM. */
int gb__dns_seal(ldns_pkt *message, const struct gb__dns_key *key, struct gb__dns_request *ret);
/** Whether it can be signed with. Returns 0, -EOPNOTSUPP, -ENOTSUP (without OpenSSL), -ENOMEM. */
int gb__dns_key_check(const struct gb__dns_key *key);
void gb__dns_request_finish(struct gb__dns_request *request);
/**
 * What came back, without the length. With a key only what that has signed is believed.
 *
 * Returns 0 with the message, whatever its code says, for ldns_pkt_free; -EBADMSG when it is no answer to that, -EACCES
 * when the server does not take the signature or gave none; with the reason.
 */
int gb__dns_open(const struct gb__dns_request *request, const struct gb__dns_key *key, const uint8_t *bytes,
	size_t size, ldns_pkt **ret, struct gb_error *error);
/** What its code means for an update, or NULL: it is NOERROR. */
const char *gb__dns_problem(const ldns_pkt *message);
/** Seconds that the server grants of what it was asked for; 0: it does not know of leases. */
uint32_t gb__dns_granted(ldns_pkt *message);
/** The zone that a question for SOA was answered from. Returns 0 or -ENOENT. */
int gb__dns_zone(const ldns_pkt *message, char *name, size_t size);

#endif
