/*
 * Both versions begin with bytes that nothing else begins with, so the first one that differs refuses. Of version 1 the
 * line is looked at once its end is there (2.1), of version 2 once all that its length says is.
 */
#include "net/proxy_header.h"

#include "base/macros.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#define FIXED 16u    /* bytes of version 2 in front of the addresses */
#define SSL_FIXED 5u /* client (8 bits), verify (32 bits) */
#define UNIQUE_ID_MAX 128u

enum { FAMILY_UNSPEC, FAMILY_INET, FAMILY_INET6, FAMILY_UNIX, FAMILIES };
enum { TRANSPORT_UNSPEC, TRANSPORT_STREAM, TRANSPORT_DGRAM, TRANSPORTS };
enum { COMMAND_LOCAL, COMMAND_PROXY };

static const unsigned char signature[] = { '\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n' };
static const size_t address_bytes[FAMILIES] = { 0, 2 * (4 + 2), 2 * (16 + 2), 2 * GB__PROXY_UNIX_PATH };

static int refuse(const char *problem, const char **ret_problem)
{
	*ret_problem = problem;
	return -GB_EBADFRAME;
}

static unsigned number16(const unsigned char *data)
{
	return (unsigned)data[0] << 8 | data[1];
}

uint32_t gb__proxy_checksum(const unsigned char *data, size_t size, size_t hole)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < size; i++) {
		crc ^= i >= hole && i - hole < 4 ? 0 : data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return ~crc;
}

/* --- version 1 --- */

/* The word before the next blank, or before the end, which goes; NULL: none, or it is empty. */
static char *take_word(char **rest)
{
	char *word = *rest, *blank = strchr(word, ' ');

	if (blank)
		*blank++ = '\0';
	*rest = blank ? blank : word + strlen(word);
	return *word ? word : NULL;
}

static bool parse_port(const char *text, uint16_t *ret)
{
	unsigned long value = 0;

	if (*text == '0' && text[1])
		return false;
	for (const char *digit = text; *digit; digit++) {
		if (*digit < '0' || *digit > '9' || digit - text >= 5)
			return false;
		value = value * 10 + (unsigned)(*digit - '0');
	}
	if (value > UINT16_MAX)
		return false;
	*ret = htons((uint16_t)value);
	return true;
}

static bool parse_end(int family, const char *host, const char *port, struct gb__address *ret)
{
	if (family == AF_INET) {
		*ret = (struct gb__address){ .v4.sin_family = AF_INET, .size = sizeof(ret->v4) };
		return inet_pton(AF_INET, host, &ret->v4.sin_addr) == 1 &&
			parse_port(port, &ret->v4.sin_port);
	}
	*ret = (struct gb__address){ .v6.sin6_family = AF_INET6, .size = sizeof(ret->v6) };
	return inet_pton(AF_INET6, host, &ret->v6.sin6_addr) == 1 && parse_port(port, &ret->v6.sin6_port);
}

/* "TCP4 SOURCE DESTINATION PORT PORT", terminated, without zero bytes. */
static int parse_ends(char *line, struct gb__proxy_header *ret, const char **ret_problem)
{
	const size_t size = strlen(line);
	const char *words[5];
	char *rest = line;
	int family;

	for (unsigned i = 0; i < 5; i++) {
		words[i] = take_word(&rest);
		if (!words[i])
			return refuse("the PROXY line has not the words that it should have", ret_problem);
	}
	if (rest != line + size || words[4] + strlen(words[4]) != line + size)
		return refuse("the PROXY line goes on behind its ports", ret_problem);
	family = strcmp(words[0], "TCP4") == 0 ? AF_INET : strcmp(words[0], "TCP6") == 0 ? AF_INET6 : 0;
	if (!family)
		return refuse("the PROXY line is neither of TCP4 nor of TCP6 nor UNKNOWN", ret_problem);
	if (!parse_end(family, words[1], words[3], &ret->source) ||
		!parse_end(family, words[2], words[4], &ret->destination))
		return refuse("an address or a port of the PROXY line is wrong", ret_problem);
	ret->has_ends = true;
	return 1;
}

static int parse_v1(
	const unsigned char *data, size_t size, struct gb__proxy_header *ret, const char **ret_problem)
{
	static const char unknown[] = "UNKNOWN";
	const size_t begin = sizeof("PROXY ") - 1, most = gb__min(size, (size_t)GB__PROXY_V1_MAX);
	const unsigned char *end = memchr(data, '\n', most);
	char line[GB__PROXY_V1_MAX + 1];
	size_t length;

	if (!end && size >= GB__PROXY_V1_MAX)
		return refuse("the PROXY line has no end within 107 bytes", ret_problem);
	if (!end)
		return 0;
	if (end[-1] != '\r')
		return refuse("the PROXY line does not end in CRLF", ret_problem);
	length = (size_t)(end - data) - 1 - begin;
	*ret = (struct gb__proxy_header){ .size = (size_t)(end - data) + 1 };
	memcpy(line, data + begin, length);
	line[length] = '\0';
	if (strncmp(line, unknown, sizeof(unknown) - 1) == 0 &&
		(length == sizeof(unknown) - 1 || line[sizeof(unknown) - 1] == ' '))
		return 1; /* whatever follows is to be ignored */
	if (strlen(line) != length)
		return refuse("the PROXY line has a zero byte", ret_problem);
	return parse_ends(line, ret, ret_problem);
}

/* --- version 2 --- */

bool gb__proxy_next(struct gb_bytes *rest, unsigned *ret_type, struct gb_bytes *ret_value)
{
	if (rest->size < 3)
		return false;
	*ret_type = rest->data[0];
	*ret_value = (struct gb_bytes){ rest->data + 3, number16(rest->data + 1) };
	rest->data += 3 + ret_value->size;
	rest->size -= 3 + ret_value->size;
	return true;
}

static bool well_formed(struct gb_bytes tlvs)
{
	while (tlvs.size > 0) {
		size_t size;

		if (tlvs.size < 3)
			return false;
		size = 3 + number16(tlvs.data + 1);
		if (size > tlvs.size)
			return false;
		tlvs.data += size;
		tlvs.size -= size;
	}
	return true;
}

static struct gb_bytes ssl_rest(struct gb_bytes value)
{
	return (struct gb_bytes){ value.data + SSL_FIXED, value.size - SSL_FIXED };
}

/* The first of a type, on one level. */
static int find_flat(struct gb_bytes tlvs, unsigned type, struct gb_bytes *ret)
{
	struct gb_bytes value;
	unsigned found;

	while (gb__proxy_next(&tlvs, &found, &value))
		if (found == type) {
			*ret = value;
			return 0;
		}
	return -ENOENT;
}

int gb__proxy_find(struct gb_bytes tlvs, unsigned type, struct gb_bytes *ret)
{
	struct gb_bytes ssl;

	if (find_flat(tlvs, type, ret) == 0)
		return 0;
	return find_flat(tlvs, GB_PROXY_SSL, &ssl) == 0 ? find_flat(ssl_rest(ssl), type, ret) : -ENOENT;
}

/* The TLVs lie within the header, which begins at `data`. */
static int check_values(
	const unsigned char *data, const struct gb__proxy_header *header, const char **ret_problem)
{
	struct gb_bytes rest = header->tlvs, value;
	bool summed = false;
	unsigned type;

	while (gb__proxy_next(&rest, &type, &value)) {
		if (type == GB_PROXY_SSL && (value.size < SSL_FIXED || !well_formed(ssl_rest(value))))
			return refuse("the PROXY header's value of TLS is malformed", ret_problem);
		if (type == GB_PROXY_UNIQUE_ID && value.size > UNIQUE_ID_MAX)
			return refuse("the PROXY header's unique id is longer than 128 bytes", ret_problem);
		if (type != GB_PROXY_CRC32C)
			continue;
		if (summed || value.size != 4 ||
			((uint32_t)number16(value.data) << 16 | number16(value.data + 2)) !=
				gb__proxy_checksum(data, header->size, (size_t)(value.data - data)))
			return refuse("the PROXY header's checksum is wrong", ret_problem);
		summed = true;
	}
	return 1;
}

static struct gb__address end_v4(const unsigned char *host, const unsigned char *port)
{
	struct gb__address address = { .v4.sin_family = AF_INET, .size = sizeof(address.v4) };

	memcpy(&address.v4.sin_addr, host, 4);
	memcpy(&address.v4.sin_port, port, 2);
	return address;
}

static struct gb__address end_v6(const unsigned char *host, const unsigned char *port)
{
	struct gb__address address = { .v6.sin6_family = AF_INET6, .size = sizeof(address.v6) };

	memcpy(&address.v6.sin6_addr, host, 16);
	memcpy(&address.v6.sin6_port, port, 2);
	return address;
}

/* Padded with zero bytes: a path ends at the first one, a name of the abstract kind, which begins with one, at the last. */
static struct gb__address end_unix(const unsigned char *path)
{
	struct gb__address address = { .local.sun_family = AF_UNIX };
	size_t length = GB__PROXY_UNIX_PATH;

	if (*path)
		length = strnlen((const char *)path, GB__PROXY_UNIX_PATH);
	else
		while (length > 0 && !path[length - 1])
			length--;
	memcpy(address.local.sun_path, path, length);
	if (*path && length < GB__PROXY_UNIX_PATH)
		length++;
	address.size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	return address;
}

static void take_ends(const unsigned char *at, unsigned family, struct gb__proxy_header *ret)
{
	ret->has_ends = true;
	switch (family) {
	case FAMILY_INET:
		ret->source = end_v4(at, at + 8);
		ret->destination = end_v4(at + 4, at + 10);
		break;
	case FAMILY_INET6:
		ret->source = end_v6(at, at + 32);
		ret->destination = end_v6(at + 16, at + 34);
		break;
	default:
		ret->source = end_unix(at);
		ret->destination = end_unix(at + GB__PROXY_UNIX_PATH);
	}
}

/* What a byte says that comes before the length. */
static int check_fixed(const unsigned char *data, size_t size, const char **ret_problem)
{
	if (size > 12 && data[12] >> 4 != 2)
		return refuse("the PROXY header is of an unknown version", ret_problem);
	if (size > 12 && (data[12] & 15) > COMMAND_PROXY)
		return refuse("the PROXY header has an unknown command", ret_problem);
	if (size > 13 && (data[12] & 15) == COMMAND_PROXY) { /* else it is to be ignored */
		if (data[13] >> 4 >= FAMILIES || (data[13] & 15) >= TRANSPORTS)
			return refuse("the PROXY header is of an unknown family or transport", ret_problem);
		if (data[13] >> 4 != FAMILY_UNSPEC && (data[13] & 15) == TRANSPORT_DGRAM)
			return refuse("the PROXY header is of datagrams", ret_problem);
	}
	if (size >= FIXED && FIXED + number16(data + 14) > GB__PROXY_HEADER_MAX)
		return refuse("the PROXY header is longer than 4096 bytes", ret_problem);
	return 0;
}

static int parse_v2(
	const unsigned char *data, size_t size, struct gb__proxy_header *ret, const char **ret_problem)
{
	int result = check_fixed(data, size, ret_problem);
	unsigned family, transport;
	size_t length;

	if (result < 0 || size < FIXED)
		return result;
	length = number16(data + 14);
	family = data[13] >> 4;
	transport = data[13] & 15;
	if (size - FIXED < length)
		return 0;
	*ret = (struct gb__proxy_header){ .size = FIXED + length };
	if ((data[12] & 15) == COMMAND_LOCAL)
		return 1;
	if (length < address_bytes[family])
		return refuse("the PROXY header has no room for its addresses", ret_problem);
	ret->tlvs = (struct gb_bytes){ data + FIXED + address_bytes[family], length - address_bytes[family] };
	if (family != FAMILY_UNSPEC && transport == TRANSPORT_STREAM)
		take_ends(data + FIXED, family, ret);
	if (!well_formed(ret->tlvs)) {
		if (ret->has_ends)
			return refuse("a value goes beyond the end of the PROXY header", ret_problem);
		ret->tlvs = (struct gb_bytes){ NULL, 0 }; /* addresses of a kind that nobody knows */
	}
	return check_values(data, ret, ret_problem);
}

int gb__proxy_parse(
	const unsigned char *data, size_t size, struct gb__proxy_header *ret, const char **ret_problem)
{
	static const char begin[] = "PROXY ";
	const bool binary = size > 0 && data[0] == signature[0];
	const size_t known = binary ? sizeof(signature) : sizeof(begin) - 1;
	struct gb__proxy_header found;
	int result;

	if (memcmp(data, binary ? (const void *)signature : begin, gb__min(size, known)) != 0)
		return refuse("it begins with no PROXY header", ret_problem);
	if (size < known)
		return 0;
	result = binary ? parse_v2(data, size, &found, ret_problem)
			: parse_v1(data, size, &found, ret_problem);
	if (result == 1)
		*ret = found;
	return result;
}
