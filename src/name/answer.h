/** What we read of a DNS message ourselves (RFC 1035, section 4): c-ares tells neither times to live of SRV records nor
 *  of names that do not exist. */
#ifndef NAME_ANSWER_H
#define NAME_ANSWER_H

#include "name/target.h"

#include <stddef.h>
#include <stdint.h>

/** A SRV record (RFC 2782). */
struct gb__srv {
	uint16_t priority, weight, port;
	char target[GB__NAME_SIZE]; /* "." : there is no such service */
};

/**
 * The SRV records of a message's answer, at most `max`, and the shortest time to live of all that is in it. Returns how
 * many, or -EBADMSG.
 */
int gb__answer_services(
	const unsigned char *message, size_t size, struct gb__srv *ret, size_t max, uint32_t *ret_ttl_s);

/** For how long nobody need ask again for what is not there: the lesser of the time to live of the SOA record and its
 *  minimum (RFC 2308, section 5). Returns 0, -ENODATA (it has none) or -EBADMSG. */
int gb__answer_negative(const unsigned char *message, size_t size, uint32_t *ret_ttl_s);

#endif
