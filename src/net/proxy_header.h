/**
 * Headers of the PROXY protocol, versions 1 and 2, read and written. No I/O.
 *
 * Source: HAProxy's doc/proxy-protocol.txt; numbers in comments are its sections.
 */
#ifndef NET_PROXY_HEADER_H
#define NET_PROXY_HEADER_H

#include "os/address.h"

#include <gearbox/proxy.h>

#include <stdbool.h>
#include <stddef.h>

enum {
	GB__PROXY_V1_MAX = 107, /* with its CRLF (2.1) */
	/* A length of 16 bits would allow 64 KiB. This is nginx's bound; senders keep below 536 bytes (2). */
	GB__PROXY_HEADER_MAX = 4096,
	GB__PROXY_NAME_MAX = 256,  /* a longer common name is left out */
	GB__PROXY_UNIX_PATH = 108, /* bytes of one in a header of version 2 (2.2) */
};

struct gb__proxy_header {
	size_t size; /* of the header: behind it the client's bytes begin */
	bool has_ends; /* the addresses are the client's; else the connection's own hold: LOCAL, UNKNOWN, UNSPEC */
	struct gb__address source, destination;
	struct gb_bytes tlvs; /* well-formed; within what was parsed */
};

/**
 * Parse what a connection begins with.
 *
 * Returns 1: all of it is there; 0: more must come; -GB_EBADFRAME with a static reason: it is none. Each is found with the
 * first byte that tells, and nothing that comes later changes it. No result has looked behind the header's end.
 */
int gb__proxy_parse(
	const unsigned char *data, size_t size, struct gb__proxy_header *ret, const char **ret_problem);

/** Cut the first TLV of `rest`, which is well-formed. Returns whether there was one. */
bool gb__proxy_next(struct gb_bytes *rest, unsigned *ret_type, struct gb_bytes *ret_value);
/** The first value of a type; where there is none, the first within the TLV of TLS. Returns 0 or -ENOENT. */
int gb__proxy_find(struct gb_bytes tlvs, unsigned type, struct gb_bytes *ret);

/** What a header is to say. */
struct gb__proxy_write {
	const struct gb__address *source, *destination; /* NULL, both: LOCAL */
	struct gb_bytes alpn, authority, unique_id;     /* empty: left out */
	struct gb_proxy_tls tls;                        /* not written unless `tls` is set */
};

/** A line of version 1; UNKNOWN where it cannot say more. Returns its bytes. */
size_t gb__proxy_write_v1(const struct gb__proxy_write *what, char ret[GB__PROXY_V1_MAX + 1]);
/** A header of version 2, with its checksum. Returns its bytes; values that do not fit are left out. */
size_t gb__proxy_write_v2(const struct gb__proxy_write *what, unsigned char ret[GB__PROXY_HEADER_MAX]);

/** The common name within a subject as RFC 4514 writes it, unescaped into `name`; empty where there is none. */
struct gb_bytes gb__proxy_common_name(const char *subject, char name[GB__PROXY_NAME_MAX]);

/** CRC32C (RFC 4960, appendix B) with 4 bytes at `hole` taken as 0. */
uint32_t gb__proxy_checksum(const unsigned char *data, size_t size, size_t hole);

#endif
