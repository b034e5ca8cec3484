/** What a connection's TLS is: the options `tls-…` of a server, and of outgoing connections, say whether it has some. */
#ifndef GEARBOX_TLS_H
#define GEARBOX_TLS_H

#include <gearbox/types.h>

GB_BEGIN

/** What was agreed on. Texts last as long as the connection. */
struct gb_tls_info {
	const char *version;     /* "TLSv1.3" */
	const char *cipher;      /* "TLS_AES_256_GCM_SHA384" */
	const char *alpn;        /* the protocol that both speak; "" where none was agreed on */
	const char *server_name; /* that the client asked for (SNI); "" where it did not */
	const char *subject; /* of the peer's certificate, which was verified (RFC 4514); "" without one */
	bool resumed;        /* by what an earlier connection had agreed on */
};

/**
 * What the TLS of an open connection is; for a stream's by gb_stream_conn.
 *
 * Returns 0, -ENOENT (it has none, or is not open yet), -EWOULDBLOCK (on a pool thread: ask before), -ENOMEM.
 */
GB_API int gb_conn_tls(struct gb_conn *conn, struct gb_tls_info *ret);

GB_END

#endif
