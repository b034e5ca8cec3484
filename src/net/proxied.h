/** What a PROXY header told of a connection, and headers that are sent: <gearbox/proxy.h>. */
#ifndef NET_PROXIED_H
#define NET_PROXIED_H

#include "net/conn.h"
#include "net/proxy_header.h"

struct gb__proxied {
	struct gb__proxy_header header; /* its values lie in `data` */
	unsigned char data[];
};

/** Keep what a header tells, if it does, for the life of the connection. Copies. Returns 0 or -ENOMEM. */
int gb__proxied_keep(struct gb_conn *conn, const struct gb__proxy_header *header);
/** Write the header of a connection that is made for `client` (NULL: for ourselves), which lasts after it. Returns 0, -EINVAL (no
 *  such version), or what gb_conn_peer returns of the client. */
int gb__proxied_write(struct gb_conn *client, enum gb_proxy_version version,
	unsigned char ret[GB__PROXY_HEADER_MAX], size_t *ret_size);
/** The client's end as it was told, or its own of whoever it connected to; NULL: nothing was told of either. */
static inline const struct gb__address *gb__proxied_end(const struct gb_conn *conn, bool peer)
{
	const struct gb__proxied *proxied = conn->terms->proxied;

	if (gb__likely(!proxied) || !proxied->header.has_ends)
		return NULL;
	return peer ? &proxied->header.source : &proxied->header.destination;
}

#endif
