/** What a connection's TLS is: the options `tls-…` of a server, and of outgoing connections, say whether it has some. */
#ifndef GEARBOX_TLS_H
#define GEARBOX_TLS_H

#include <gearbox/error.h>
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

/**
 * Why TLS of a connection has failed, in words, as "the peer's certificate: certificate has expired"; NULL: it has not. For
 * on_close with GB_CLOSE_TLS_ERROR; the log has it as well, as does the error of gb_stream_connect. Until on_close returns. Of
 * a stream, once it says -EPROTO: by gb_stream_conn, until it is closed or given back.
 */
GB_API const char *gb_conn_tls_problem(const struct gb_conn *conn);

/** For gb_service.tls. Zeroed: whoever the system trusts to speak for the address that is connected to. Texts are copied, files read at once,
 *  and again once in 10 s when they have changed. */
struct gb_tls_client_options {
	const char *
		name; /* of the server: it is asked for (SNI), and its certificate must be for it: a host's name or an IP
			     address; NULL: as it is connected to */
	const char *ca; /* a file of who is trusted, in PEM; NULL: the system's store */
	const char *
		certificate; /* to be shown to servers that ask: a file of it and its chain in PEM; NULL: none */
	const char *key;     /* of that certificate; NULL: in the same file */
	const char *password_file; /* of the key, one a line, tried in turn */
	const char *alpn;          /* protocols to offer, separated by commas, the preferred one first */
	const char *version;       /* the lowest, "1.2" or "1.3"; NULL: 1.2 */
	bool resume_never;         /* each handshake is a full one */
	/** Nothing of the server's certificate is checked: who sits between can read and change everything. */
	bool insecure_accept_any_server;
};

/**
 * Make what the connections of a service share; before gb_server_run, or in on_start of each worker. What they agreed on
 * with a server is resumed by the next one.
 *
 * Returns 0, or a negative code with what is wrong, be it a file; -ENOTSUP: the library was built without TLS. Thread: any.
 */
GB_API int gb_tls_client_create(
	const struct gb_tls_client_options *options, struct gb_tls_client **ret, struct gb_error *error);
/** When the last of its connections has gone: after gb_server_destroy, or in on_stop. NULL is fine. */
GB_API void gb_tls_client_destroy(struct gb_tls_client *client);

GB_END

#endif
