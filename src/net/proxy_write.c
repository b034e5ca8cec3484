#include "net/proxy_header.h"

#include "base/macros.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct writer {
	unsigned char *data;
	size_t size; /* written */
};

/* IPv4 as IPv4 within IPv6: a header has one family for both ends. */
static struct gb__address mapped(const struct gb__address *address)
{
	struct gb__address v6 = { .v6 = { .sin6_family = AF_INET6, .sin6_port = address->v4.sin_port },
		.size = sizeof(v6.v6) };

	if (address->any.sa_family == AF_INET6)
		return *address;
	v6.v6.sin6_addr.s6_addr[10] = v6.v6.sin6_addr.s6_addr[11] = 0xff;
	memcpy(v6.v6.sin6_addr.s6_addr + 12, &address->v4.sin_addr, 4);
	return v6;
}

/* The ends in one family, or AF_UNSPEC: there are none, or of different kinds. */
struct ends {
	int family;
	struct gb__address source, destination; /* of IP */
};

static struct ends ends_of(const struct gb__proxy_write *what)
{
	const struct gb__address *source = what->source, *destination = what->destination;
	struct ends ends = { .family = AF_UNSPEC };

	if (!source || !destination || gb__address_is_ip(source) != gb__address_is_ip(destination))
		return ends;
	if (!gb__address_is_ip(source)) {
		ends.family = AF_UNIX;
		return ends;
	}
	ends.family = AF_INET;
	ends.source = gb__address_unmapped(source);
	ends.destination = gb__address_unmapped(destination);
	if (ends.source.any.sa_family == AF_INET && ends.destination.any.sa_family == AF_INET)
		return ends;
	ends.family = AF_INET6;
	ends.source = mapped(source);
	ends.destination = mapped(destination);
	return ends;
}

size_t gb__proxy_write_v1(const struct gb__proxy_write *what, char ret[GB__PROXY_V1_MAX + 1])
{
	const struct ends ends = ends_of(what);
	char source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN];

	switch (ends.family) {
	case AF_INET:
		inet_ntop(AF_INET, &ends.source.v4.sin_addr, source, sizeof(source));
		inet_ntop(AF_INET, &ends.destination.v4.sin_addr, destination, sizeof(destination));
		return (size_t)snprintf(ret, GB__PROXY_V1_MAX + 1, "PROXY TCP4 %s %s %u %u\r\n", source,
			destination, ntohs(ends.source.v4.sin_port), ntohs(ends.destination.v4.sin_port));
	case AF_INET6:
		inet_ntop(AF_INET6, &ends.source.v6.sin6_addr, source, sizeof(source));
		inet_ntop(AF_INET6, &ends.destination.v6.sin6_addr, destination, sizeof(destination));
		return (size_t)snprintf(ret, GB__PROXY_V1_MAX + 1, "PROXY TCP6 %s %s %u %u\r\n", source,
			destination, ntohs(ends.source.v6.sin6_port), ntohs(ends.destination.v6.sin6_port));
	default:
		return (size_t)snprintf(ret, GB__PROXY_V1_MAX + 1, "PROXY UNKNOWN\r\n");
	}
}

static int hex_of(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	digit |= 0x20;
	return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* One byte of a value, behind which `*at` is then. */
static char take_unescaped(const char **at)
{
	const char *from = *at;
	int high, low;

	if (*from != '\\' || !from[1]) {
		*at = from + 1;
		return *from;
	}
	high = hex_of(from[1]);
	low = high < 0 ? -1 : hex_of(from[2]);
	*at = from + (low < 0 ? 2 : 3);
	return low < 0 ? from[1] : (char)(high << 4 | low);
}

struct gb_bytes gb__proxy_common_name(const char *subject, char name[GB__PROXY_NAME_MAX])
{
	struct gb_bytes found = { (unsigned char *)name, 0 };
	const char *at = subject;

	while (*at) {
		const bool named = strncasecmp(at, "CN=", 3) == 0;

		for (at += named ? 3 : 0; *at && *at != ',' && *at != '+';) {
			const char byte = take_unescaped(&at);

			if (!named)
				continue;
			if (found.size == GB__PROXY_NAME_MAX)
				return (struct gb_bytes){ NULL, 0 };
			name[found.size++] = byte;
		}
		if (named)
			return found;
		at += *at ? 1 : 0;
	}
	return found;
}

static void put(struct writer *writer, const void *data, size_t size)
{
	if (size > 0)
		memcpy(writer->data + writer->size, data, size);
	writer->size += size;
}

static void put16(struct writer *writer, size_t value)
{
	put(writer, (unsigned char[]){ (unsigned char)(value >> 8), (unsigned char)value }, 2);
}

/* An optional value: room for the checksum stays. */
static void put_tlv(struct writer *writer, unsigned char type, struct gb_bytes value)
{
	if (value.size == 0 || value.size > GB__PROXY_HEADER_MAX ||
		writer->size + 3 + value.size + 7 > GB__PROXY_HEADER_MAX)
		return;
	put(writer, &type, 1);
	put16(writer, value.size);
	put(writer, value.data, value.size);
}

static void put_path(struct writer *writer, const struct gb__address *address)
{
	const size_t at = offsetof(struct sockaddr_un, sun_path);
	unsigned char path[GB__PROXY_UNIX_PATH] = { 0 };

	if (address->size > at)
		memcpy(path, address->local.sun_path, gb__min((size_t)address->size - at, sizeof(path)));
	put(writer, path, sizeof(path));
}

/* Returns the byte of family and transport. */
static unsigned char put_ends(struct writer *writer, const struct gb__proxy_write *what)
{
	const struct ends ends = ends_of(what);

	switch (ends.family) {
	case AF_INET:
		put(writer, &ends.source.v4.sin_addr, 4);
		put(writer, &ends.destination.v4.sin_addr, 4);
		put(writer, &ends.source.v4.sin_port, 2);
		put(writer, &ends.destination.v4.sin_port, 2);
		return 0x11;
	case AF_INET6:
		put(writer, &ends.source.v6.sin6_addr, 16);
		put(writer, &ends.destination.v6.sin6_addr, 16);
		put(writer, &ends.source.v6.sin6_port, 2);
		put(writer, &ends.destination.v6.sin6_port, 2);
		return 0x21;
	case AF_UNIX:
		put_path(writer, what->source);
		put_path(writer, what->destination);
		return 0x31;
	default:
		return 0;
	}
}

static void put_tls(struct writer *writer, const struct gb_proxy_tls *tls)
{
	const size_t begin = writer->size;
	size_t size;

	if (!tls->tls || begin + 3 + 5 + 7 > GB__PROXY_HEADER_MAX)
		return;
	put(writer, (unsigned char[]){ GB_PROXY_SSL, 0, 0 }, 3);
	put(writer, (unsigned char[]){ tls->certificate ? 1 | 2 | 4 : 1, 0, 0, 0, !tls->verified }, 5);
	put_tlv(writer, GB_PROXY_SSL_VERSION, tls->version);
	put_tlv(writer, GB_PROXY_SSL_CN, tls->common_name);
	put_tlv(writer, GB_PROXY_SSL_CIPHER, tls->cipher);
	size = writer->size - begin - 3;
	writer->data[begin + 1] = (unsigned char)(size >> 8);
	writer->data[begin + 2] = (unsigned char)size;
}

size_t gb__proxy_write_v2(const struct gb__proxy_write *what, unsigned char ret[GB__PROXY_HEADER_MAX])
{
	const bool local = !what->source || !what->destination;
	struct writer writer = { ret, 0 };
	uint32_t sum;

	put(&writer, "\r\n\r\n\0\r\nQUIT\n", 12);
	put(&writer, (unsigned char[]){ local ? 0x20 : 0x21, 0, 0, 0 }, 4);
	if (!local) {
		ret[13] = put_ends(&writer, what);
		put_tlv(&writer, GB_PROXY_ALPN, what->alpn);
		put_tlv(&writer, GB_PROXY_AUTHORITY, what->authority);
		put_tlv(&writer, GB_PROXY_UNIQUE_ID, what->unique_id);
		put_tls(&writer, &what->tls);
		put(&writer, (unsigned char[]){ GB_PROXY_CRC32C, 0, 4, 0, 0, 0, 0 }, 7);
	}
	ret[14] = (unsigned char)((writer.size - 16) >> 8);
	ret[15] = (unsigned char)(writer.size - 16);
	if (!local) {
		sum = htonl(gb__proxy_checksum(ret, writer.size, writer.size - 4));
		memcpy(ret + writer.size - 4, &sum, sizeof(sum));
	}
	return writer.size;
}
