#include "net/proxied.h"

#include "base/alloc.h"
#include "base/macros.h"
#include "net/packet.h"
#include "net/task.h"

#include <gearbox/tls.h>

#include <errno.h>
#include <string.h>

int gb__proxied_keep(struct gb_conn *conn, const struct gb__proxy_header *header)
{
	struct gb__proxied *proxied;
	struct gb__terms *terms;

	if (!header->has_ends && header->tlvs.size == 0)
		return 0; /* LOCAL and the like: it is as if there were none */
	proxied = gb__alloc(sizeof(*proxied) + header->tlvs.size);
	terms = proxied ? gb__terms_own(conn) : NULL;
	if (!terms) {
		gb__free(proxied);
		return -ENOMEM;
	}
	gb__assert(!terms->proxied);
	proxied->header = *header;
	if (header->tlvs.size > 0)
		memcpy(proxied->data, header->tlvs.data, header->tlvs.size);
	proxied->header.tlvs.data = proxied->data;
	terms->proxied = proxied;
	return 0;
}

/* Returns 0, -ENOENT, -EOPNOTSUPP. */
static int find(const struct gb_conn *conn, const struct gb__proxied **ret)
{
	if (conn->stream.endpoint.fd < 0 && gb__conn_is_task(conn))
		return -EOPNOTSUPP; /* a process of the pool has no connections */
	*ret = conn->terms->proxied;
	return *ret ? 0 : -ENOENT;
}

int gb_conn_proxy_tlv(const struct gb_conn *conn, unsigned type, struct gb_bytes *ret)
{
	const struct gb__proxied *proxied;
	int result = find(conn, &proxied);

	return result < 0 ? result : gb__proxy_find(proxied->header.tlvs, type, ret);
}

/* What the values say of TLS, from `ret`, which is zeroed. Returns 0 or -ENOENT. */
static int read_tls(struct gb_bytes tlvs, struct gb_proxy_tls *ret)
{
	struct gb_bytes ssl;

	if (gb__proxy_find(tlvs, GB_PROXY_SSL, &ssl) < 0)
		return -ENOENT;
	ret->tls = ssl.data[0] & 0x01;
	ret->certificate = ssl.data[0] & (0x02 | 0x04);
	ret->verified = ret->certificate && !(ssl.data[1] | ssl.data[2] | ssl.data[3] | ssl.data[4]);
	gb__proxy_find(tlvs, GB_PROXY_SSL_VERSION, &ret->version);
	gb__proxy_find(tlvs, GB_PROXY_SSL_CIPHER, &ret->cipher);
	gb__proxy_find(tlvs, GB_PROXY_SSL_CN, &ret->common_name);
	return 0;
}

int gb_conn_proxy_tls(const struct gb_conn *conn, struct gb_proxy_tls *ret)
{
	const struct gb__proxied *proxied;
	struct gb_proxy_tls found = { 0 };
	int result = find(conn, &proxied);

	if (result == 0)
		result = read_tls(proxied->header.tlvs, &found);
	if (result == 0)
		*ret = found;
	return result;
}

int gb_conn_proxy(const struct gb_conn *conn, char *text, size_t size)
{
	struct gb__os *os = conn->net->loop->os;
	const struct gb__proxied *proxied;
	struct gb__address address;
	int result = find(conn, &proxied);

	if (result == 0)
		result = os->ops->address(os, conn->stream.endpoint.fd, true, &address);
	return result < 0 ? result : gb__address_format(&address, text, size);
}

static int end_of(const struct gb_conn *conn, bool peer, struct gb__address *ret)
{
	const struct gb__address *told = gb__proxied_end(conn, peer);
	struct gb__os *os = conn->net->loop->os;

	if (!told)
		return os->ops->address(os, conn->stream.endpoint.fd, peer, ret);
	*ret = *told;
	return 0;
}

static struct gb_bytes bytes_of(const char *text)
{
	return (struct gb_bytes){ (const unsigned char *)text, strlen(text) };
}

/* What is known of the client besides its ends: by its own TLS, or else by its header. */
static void describe(struct gb_conn *client, char name[GB__PROXY_NAME_MAX], struct gb__proxy_write *what)
{
	const struct gb__proxied *proxied = client->terms->proxied;
	struct gb_tls_info info;

	if (proxied)
		gb__proxy_find(proxied->header.tlvs, GB_PROXY_UNIQUE_ID, &what->unique_id);
	if (gb_conn_tls(client, &info) == 0) {
		what->alpn = bytes_of(info.alpn);
		what->authority = bytes_of(info.server_name);
		what->tls = (struct gb_proxy_tls){ .tls = true,
			.certificate = *info.subject,
			.verified = *info.subject,
			.version = bytes_of(info.version),
			.cipher = bytes_of(info.cipher),
			.common_name = gb__proxy_common_name(info.subject, name) };
	} else if (proxied) {
		gb__proxy_find(proxied->header.tlvs, GB_PROXY_ALPN, &what->alpn);
		gb__proxy_find(proxied->header.tlvs, GB_PROXY_AUTHORITY, &what->authority);
		read_tls(proxied->header.tlvs, &what->tls);
	}
}

int gb__proxied_write(struct gb_conn *client, enum gb_proxy_version version,
	unsigned char ret[GB__PROXY_HEADER_MAX], size_t *ret_size)
{
	struct gb__proxy_write what = { 0 };
	struct gb__address source, destination;
	char name[GB__PROXY_NAME_MAX];
	int result = version == GB_PROXY_V1 || version == GB_PROXY_V2 ? 0 : -EINVAL;

	if (result == 0 && client) {
		result = end_of(client, true, &source);
		if (result == 0)
			result = end_of(client, false, &destination);
		if (result == 0) {
			what.source = &source;
			what.destination = &destination;
			describe(client, name, &what);
		}
	}
	if (result == 0)
		*ret_size = version == GB_PROXY_V1 ? gb__proxy_write_v1(&what, (char *)ret)
						   : gb__proxy_write_v2(&what, ret);
	return result;
}

static int may_send(const struct gb_conn *conn)
{
	if (gb__conn_is_task(conn))
		return -EWOULDBLOCK;
	gb__conn_mine(conn);
	if (gb__conn_has_packets(conn))
		return -EOPNOTSUPP; /* it would be a packet of the service */
	if (conn->terms->pooled)
		return -EBUSY;
	if (conn->state != GB__CONN_CONNECTING || gb__conn_closing(conn) || gb__conn_output_bytes(conn) > 0)
		return -EISCONN;
	return 0;
}

int gb_conn_send_proxy(struct gb_conn *conn, struct gb_conn *client, enum gb_proxy_version version)
{
	unsigned char data[GB__PROXY_HEADER_MAX];
	int result = may_send(conn);
	size_t size = 0;

	if (result == 0)
		result = gb__proxied_write(client, version, data, &size);
	if (result < 0)
		return result;
	result = gb__output_append(&conn->stream.output, &conn->net->engine->pool, data, size);
	if (result == 0 && !(conn->flags & GB__CONN_FRONTED)) /* else what is not encrypted is counted */
		conn->net->tally.bytes_out += size;
	return result;
}
