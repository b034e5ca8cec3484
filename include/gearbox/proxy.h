/**
 * The PROXY protocol: whom a connection is for that came, or goes, through a proxy.
 *
 * Accepted connections begin with its header on addresses with the option `proxy-protocol`; then gb_conn_peer and
 * gb_conn_local are the client's two ends, and what the header says besides is read here. It is there from on_open to
 * the end of on_close, and does not change. Source: HAProxy's proxy-protocol.txt. docs/proxy-protocol.md.
 */
#ifndef GEARBOX_PROXY_H
#define GEARBOX_PROXY_H

#include <gearbox/conn.h>
#include <gearbox/stream.h>
#include <gearbox/worker.h>

GB_BEGIN

/** Types of what a header of version 2 may hold beside the addresses (proxy-protocol.txt, 2.2); others are read as well. */
enum gb_proxy_type {
	GB_PROXY_ALPN = 0x01,      /* the protocol that the client and the proxy agreed on */
	GB_PROXY_AUTHORITY = 0x02, /* the host that the client asked for: of TLS, its SNI */
	GB_PROXY_CRC32C = 0x03,    /* was right, or there were no connection */
	GB_PROXY_NOOP = 0x04,
	GB_PROXY_UNIQUE_ID = 0x05, /* of the connection: at most 128 bytes */
	GB_PROXY_SSL = 0x20,       /* see gb_conn_proxy_tls */
	GB_PROXY_SSL_VERSION =
		0x21, /* this and what follows lies within GB_PROXY_SSL, and is found all the same */
	GB_PROXY_SSL_CN = 0x22,
	GB_PROXY_SSL_CIPHER = 0x23,
	GB_PROXY_SSL_SIG_ALG = 0x24,
	GB_PROXY_SSL_KEY_ALG = 0x25,
	GB_PROXY_NETNS = 0x30,
};

/**
 * The first value of a type in the connection's header; it lasts as long as the connection.
 *
 * Thread: the worker's, or that of the compute pool which handles a message of it. Returns 0; -ENOENT: there is none, or
 * no header; -EOPNOTSUPP: in a process of a pool.
 */
GB_API int gb_conn_proxy_tlv(const struct gb_conn *conn, unsigned type, struct gb_bytes *ret);

/** How the client reached the proxy by TLS, as that says. Texts are not terminated; those that are not told are empty. */
struct gb_proxy_tls {
	bool tls;                    /* it did */
	bool certificate;            /* the client showed one on this connection, or earlier in its session */
	bool verified;               /* it did, and the proxy found it good */
	struct gb_bytes version;     /* "TLSv1.3" */
	struct gb_bytes cipher;      /* "TLS_AES_128_GCM_SHA256" */
	struct gb_bytes common_name; /* of the client's certificate */
};

/** Returns as gb_conn_proxy_tlv does; -ENOENT: the header does not say, which is no answer to whether it was TLS. */
GB_API int gb_conn_proxy_tls(const struct gb_conn *conn, struct gb_proxy_tls *ret);

/** The address of the proxy that the connection came from, as gb_conn_peer writes addresses. Returns as that does, or -ENOENT:
 *  it came without a header, or is the proxy's own (LOCAL, as its health checks), whose peer is the proxy. */
GB_API int gb_conn_proxy(const struct gb_conn *conn, char *text, size_t size);

/** Versions that can be sent. */
enum gb_proxy_version {
	GB_PROXY_NONE,
	GB_PROXY_V1, /* addresses alone, as text */
	GB_PROXY_V2, /* addresses, and of a client that came by TLS what gb_proxy_tls holds, ALPN and SNI */
};

/**
 * Send a header as the very first bytes of a connection that was begun by gb_connect and is not established: before all
 * that is sent, and before TLS.
 *
 * It names the ends of `client`, with what its TLS is, or else what its own header said of that. NULL: a connection of our own (LOCAL;
 * version 1: UNKNOWN). A pool's connections (<gearbox/upstream.h>) serve one client after the other, so that they take none.
 * Thread: the worker's of both. Returns 0, -EINVAL (no such version), -EISCONN (it is established, or something was sent on it
 * before), -EBUSY (a pool's), -EWOULDBLOCK (on a pool thread), -ENOMEM, or what gb_conn_peer returns of the client.
 */
GB_API int gb_conn_send_proxy(struct gb_conn *conn, struct gb_conn *client, enum gb_proxy_version version);

/**
 * gb_connect_any_begin, with a header as gb_conn_send_proxy sends it as the first bytes of whichever connection is established.
 * `client` is looked at before this returns, and may end meanwhile. GB_PROXY_NONE: without a header.
 *
 * Returns as both do; nothing follows on an error.
 */
GB_API int gb_connect_any_proxy_begin(struct gb_worker *worker, struct gb_connecting_any *connecting,
	const char *const *addresses, size_t count, const struct gb_service *service, void *user,
	struct gb_conn *client, enum gb_proxy_version version, gb_operation_done *on_done, void *on_done_user,
	struct gb_error *error);

/** The same of gb_stream_connect_any, and with one address of gb_stream_connect: a straight-line handler's own client is
 *  gb_stream_conn of its stream. Waits. */
GB_API int gb_stream_connect_proxy(struct gb_coro *coro, const char *const *addresses, size_t count,
	const struct gb_service *protocol, struct gb_conn *client, enum gb_proxy_version version,
	struct gb_stream **ret, struct gb_error *error);

GB_END

#endif
