/**
 * Connections on sockets of packets (SOCK_SEQPACKET): what is delivered is one, and what one call sends is one.
 *
 * To all of net they are streams, of packets behind their size (buffer/output.h), which their codec takes off: so what is
 * kept, deferred, collected in the pool and put in order keeps its boundaries. The engine puts each on the wire by itself.
 * They are told by their kind of endpoint, take the long way of input, and have no burst.
 */
#ifndef NET_PACKET_H
#define NET_PACKET_H

#include "net/conn.h"

#include <errno.h>

static inline bool gb__conn_has_packets(const struct gb_conn *conn)
{
	return conn->stream.endpoint.kind == GB__ENDPOINT_PACKET;
}

/** Whether so many bytes are a packet that can be sent: 0, -EINVAL (none: its peer would take it for the end), -EMSGSIZE. */
static inline int gb__packet_check(size_t size)
{
	if (size == 0)
		return -EINVAL;
	return size <= GB__PACKET_MAX ? 0 : -EMSGSIZE;
}

#endif
