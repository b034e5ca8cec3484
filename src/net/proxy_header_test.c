#include "net/proxy_header.h"
#include "net/proxy_networks.h"

#include "harness.h"

#include <arpa/inet.h>
#include <errno.h>

#define TEXT(text) ((struct gb_bytes){ (const unsigned char *)(text), sizeof(text) - 1 })
#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

/* In memory of its size, so that a sanitizer sees a step outside; the header refers to `bytes`. */
static int parse(struct gb_bytes bytes, struct gb__proxy_header *ret, const char **ret_problem)
{
	unsigned char *memory = malloc(bytes.size ? bytes.size : 1);
	int result;

	CHECK(memory != NULL);
	if (bytes.size)
		memcpy(memory, bytes.data, bytes.size);
	result = gb__proxy_parse(memory, bytes.size, ret, ret_problem);
	if (result == 1 && ret->tlvs.data)
		ret->tlvs.data = bytes.data + (ret->tlvs.data - memory);
	free(memory);
	return result;
}

static void check_ends(const struct gb__proxy_header *header, const char *source, const char *destination)
{
	char text[GB__ADDRESS_TEXT];

	CHECK(header->has_ends);
	CHECK_INT(gb__address_format(&header->source, text, sizeof(text)), 0);
	CHECK_STR(text, source);
	CHECK_INT(gb__address_format(&header->destination, text, sizeof(text)), 0);
	CHECK_STR(text, destination);
}

/* Whole, with something behind it; of every beginning more is wanted. */
static struct gb__proxy_header check_header(struct gb_bytes bytes)
{
	unsigned char more[GB__PROXY_HEADER_MAX + 3];
	struct gb__proxy_header header;
	const char *problem = "?";

	memcpy(more, bytes.data, bytes.size);
	memcpy(more + bytes.size, "xyz", 3);
	for (size_t size = 0; size < bytes.size; size++)
		CHECK_INT(parse((struct gb_bytes){ bytes.data, size }, &header, &problem), 0);
	CHECK_INT(parse((struct gb_bytes){ more, bytes.size + 3 }, &header, &problem), 1);
	CHECK_INT(header.size, bytes.size);
	CHECK_INT(parse(bytes, &header, &problem), 1);
	CHECK_INT(header.size, bytes.size);
	return header;
}

/* Refused with the byte at `tells`, and not before. */
static void check_refused(struct gb_bytes bytes, size_t tells, const char *why)
{
	struct gb__proxy_header header;

	for (size_t size = 0; size <= bytes.size; size++) {
		const char *problem = "";
		int result = parse((struct gb_bytes){ bytes.data, size }, &header, &problem);

		if (result != (size > tells ? -GB_EBADFRAME : 0))
			test_fail(__FILE__, __LINE__, "%s: %d of %zu bytes", why, result, size);
		if (result < 0 && !strstr(problem, why))
			test_fail(__FILE__, __LINE__, "\"%s\" lacks \"%s\"", problem, why);
	}
}

#define REFUSED(text, why) check_refused(TEXT(text), sizeof(text) - 2, why)

TEST(line_of_version_1_names_both_ends)
{
	struct gb__proxy_header header =
		check_header(TEXT("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"));

	check_ends(&header, "192.168.0.1:56324", "192.168.0.11:443");
	header = check_header(TEXT("PROXY TCP6 2001:db8::1 ::1 0 65535\r\n"));
	check_ends(&header, "[2001:db8::1]:0", "[::1]:65535");
	header = check_header(TEXT("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
				   "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"));
	CHECK(header.has_ends && header.size == 104);
}

TEST(unknown_of_version_1_keeps_the_connections_own_ends)
{
	struct gb__proxy_header header = check_header(TEXT("PROXY UNKNOWN\r\n"));

	CHECK(!header.has_ends);
	header = check_header(TEXT("PROXY UNKNOWN what\0ever\r is here\r\n"));
	CHECK(!header.has_ends);
}

TEST(line_of_version_1_is_strict)
{
	char line[GB__PROXY_V1_MAX + 1];

	REFUSED("PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", "words");
	REFUSED("PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n", "words");
	REFUSED("PROXY TCP4 1.2.3.4  5.6.7.8 1 2\r\n", "words");
	REFUSED("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n", "goes on");
	REFUSED("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n", "goes on");
	REFUSED("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", "CRLF");
	REFUSED("PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n", "wrong");
	REFUSED("PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n", "wrong");
	REFUSED("PROXY TCP4 1.2.3.4 5.6.7.8 1 +2\r\n", "wrong");
	REFUSED("PROXY TCP4 1.2.3.4 5.6.7.8 1 100000\r\n", "wrong");
	REFUSED("PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n", "wrong");
	REFUSED("PROXY TCP4 1.2.3.04 5.6.7.8 1 2\r\n", "wrong");
	REFUSED("PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n", "wrong");
	REFUSED("PROXY TCP4 ::1 ::2 1 2\r\n", "wrong");
	REFUSED("PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n", "wrong");
	REFUSED("PROXY TCP6 ::1%lo ::2 1 2\r\n", "wrong");
	REFUSED("PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n", "neither");
	REFUSED("PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n", "neither");
	REFUSED("PROXY UNKNOWNS\r\n", "words");
	REFUSED("PROXY \r\n", "words");
	REFUSED("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\0\r\n", "zero byte");
	memset(line, 'x', sizeof(line));
	memcpy(line, "PROXY UNKNOWN ", 14);
	memcpy(line + GB__PROXY_V1_MAX - 2, "\r\n", 2);
	check_header((struct gb_bytes){ (unsigned char *)line, GB__PROXY_V1_MAX });
	memcpy(line + GB__PROXY_V1_MAX - 2, "x\r\n", 3);
	check_refused(
		(struct gb_bytes){ (unsigned char *)line, sizeof(line) }, GB__PROXY_V1_MAX - 1, "107 bytes");
}

TEST(what_begins_with_no_header_is_refused_by_the_byte_that_differs)
{
	check_refused(TEXT("GET / HTTP/1.1\r\n"), 0, "no PROXY header");
	check_refused(TEXT("\x16\x03\x01\x02"), 0, "no PROXY header");
	check_refused(TEXT("PROXI TCP4"), 4, "no PROXY header");
	check_refused(TEXT("PROXY\tTCP4"), 5, "no PROXY header");
	check_refused(TEXT("\r\n\r\n\0\r\nQUIT\r"), 11, "no PROXY header");
}

TEST(header_of_version_2_names_both_ends)
{
	struct gb__proxy_header header =
		check_header(TEXT(SIGNATURE "\x21\x11\0\x0c\x0a\x01\x02\x03\x0a\x01\x02\x04\x1f\x90\0\x50"));
	unsigned char local[16 + 216] = SIGNATURE "\x21\x31\0\xd8/client";

	check_ends(&header, "10.1.2.3:8080", "10.1.2.4:80");
	header = check_header(TEXT(SIGNATURE "\x21\x21\0\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x05"
					     "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\x07\x1b\x58"));
	check_ends(&header, "[2001:db8::5]:7", "[::1]:7000");
	memcpy(local + 16 + 108, "\0name", 5);
	header = check_header((struct gb_bytes){ local, sizeof(local) });
	check_ends(&header, "unix:/client", "unix:@name");
	memset(local + 16, 0, 108);
	memset(local + 16 + 108, 'x', 108);
	header = check_header((struct gb_bytes){ local, sizeof(local) });
	CHECK_INT(header.source.size, offsetof(struct sockaddr_un, sun_path));
	CHECK_INT(header.destination.size, sizeof(struct sockaddr_un));
}

TEST(local_and_unspecified_keep_the_connections_own_ends)
{
	static const struct gb_bytes headers[] = {
		TEXT(SIGNATURE "\x20\0\0\0"),
		TEXT(SIGNATURE "\x20\x11\0\x0c\x0a\x01\x02\x03\x0a\x01\x02\x04\x1f\x90\0\x50"),
		TEXT(SIGNATURE "\x20\xff\0\x02\0\0"),
		TEXT(SIGNATURE "\x21\0\0\0"),
		TEXT(SIGNATURE "\x21\0\0\x05\xff\xff\xff\xff\xff"),
		TEXT(SIGNATURE "\x21\x01\0\0"),
		TEXT(SIGNATURE "\x21\x10\0\x0c\x0a\x01\x02\x03\x0a\x01\x02\x04\x1f\x90\0\x50"),
	};

	for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++) {
		struct gb__proxy_header header = check_header(headers[i]);

		CHECK(!header.has_ends);
		CHECK_INT(header.tlvs.size, 0);
	}
}

#define V4(command, length, more) \
	SIGNATURE command "\x11" length "\x0a\x01\x02\x03\x0a\x01\x02\x04\x1f\x90\0\x50" more

TEST(header_of_version_2_is_strict)
{
	unsigned char longest[GB__PROXY_HEADER_MAX] = SIGNATURE "\x21\x11\x0f\xf0";

	check_refused(TEXT(SIGNATURE "\x11\x11\0\0"), 12, "version");
	check_refused(TEXT(SIGNATURE "\x31\x11\0\0"), 12, "version");
	check_refused(TEXT(SIGNATURE "\x22\x11\0\0"), 12, "command");
	check_refused(TEXT(SIGNATURE "\x21\x41\0\0"), 13, "family");
	check_refused(TEXT(SIGNATURE "\x21\x13\0\0"), 13, "family");
	check_refused(TEXT(SIGNATURE "\x21\x12\0\x0c\0\0\0\0\0\0\0\0\0\0\0\0"), 13, "datagrams");
	check_refused(TEXT(SIGNATURE "\x21\x11\x0f\xf1"), 15, "4096");
	check_refused(TEXT(SIGNATURE "\x20\0\xff\xff"), 15, "4096");
	REFUSED(SIGNATURE "\x21\x11\0\x0b\x0a\x01\x02\x03\x0a\x01\x02\x04\x1f\x90\0", "no room");
	REFUSED(V4("\x21", "\0\x0d", "\x04"), "beyond the end");
	REFUSED(V4("\x21", "\0\x0f", "\x04\0\x01"), "beyond the end");
	REFUSED(V4("\x21", "\0\x13", "\x20\0\x04\x01\0\0\0"), "TLS");
	REFUSED(V4("\x21", "\0\x17", "\x20\0\x08\x01\0\0\0\0\x21\0\x01"), "TLS");
	REFUSED(V4("\x21", "\0\x13", "\x03\0\x04\0\0\0\0"), "checksum");
	REFUSED(V4("\x21", "\0\x12", "\x03\0\x03\0\0\0"), "checksum");
	memset(longest + 28, 0, sizeof(longest) - 28);
	longest[28] = GB_PROXY_NOOP;
	longest[29] = (sizeof(longest) - 31) >> 8;
	longest[30] = (sizeof(longest) - 31) & 0xff;
	check_header((struct gb_bytes){ longest, sizeof(longest) });
	longest[28] = GB_PROXY_UNIQUE_ID;
	check_refused((struct gb_bytes){ longest, sizeof(longest) }, sizeof(longest) - 1, "unique id");
}

static void check_value(struct gb_bytes tlvs, unsigned type, struct gb_bytes expected)
{
	struct gb_bytes found;

	CHECK_INT(gb__proxy_find(tlvs, type, &found), 0);
	CHECK_INT(found.size, expected.size);
	CHECK(found.size == 0 || memcmp(found.data, expected.data, found.size) == 0);
}

TEST(values_are_found_known_or_not)
{
	struct gb__proxy_header header = check_header(TEXT(V4("\x21", "\0\x38",
		"\x04\0\0"
		"\x01\0\x02h2"
		"\x20\0\x13\x03\0\0\0\0\x21\0\x07TLSv1.3\x22\0\x01"
		"C"
		"\xea\0\x04\0\x03\0\x08"
		"\x02\0\0\x02\0\x01x")));
	struct gb_bytes found;

	check_value(header.tlvs, GB_PROXY_NOOP, TEXT(""));
	check_value(header.tlvs, GB_PROXY_ALPN, TEXT("h2"));
	check_value(header.tlvs, GB_PROXY_SSL_VERSION, TEXT("TLSv1.3"));
	check_value(header.tlvs, GB_PROXY_SSL_CN, TEXT("C"));
	check_value(header.tlvs, 0xea, TEXT("\0\x03\0\x08"));
	check_value(header.tlvs, GB_PROXY_AUTHORITY, TEXT("")); /* the first */
	CHECK_INT(gb__proxy_find(header.tlvs, GB_PROXY_NETNS, &found), -ENOENT);
}

TEST(value_of_tls_within_one_of_tls_is_not_looked_into)
{
	struct gb__proxy_header header =
		check_header(TEXT(V4("\x21", "\0\x19", "\x20\0\x0a\x01\0\0\0\0\x20\0\2ab")));
	struct gb_bytes found;

	CHECK_INT(gb__proxy_find(header.tlvs, GB_PROXY_SSL_CN, &found), -ENOENT);
	check_value(header.tlvs, GB_PROXY_SSL, TEXT("\x01\0\0\0\0\x20\0\2ab"));
}

TEST(checksum_is_that_of_rfc_4960)
{
	/* RFC 3720, B.4. */
	unsigned char data[32] = { 0 };

	CHECK_INT(gb__proxy_checksum(data, 32, 32), 0x8a9136aa);
	memset(data, 0xff, sizeof(data));
	CHECK_INT(gb__proxy_checksum(data, 32, 32), 0x62a8ab43);
	for (unsigned i = 0; i < 32; i++)
		data[i] = (unsigned char)i;
	CHECK_INT(gb__proxy_checksum(data, 32, 32), 0x46dd794e);
}

static struct gb__address address(const char *text)
{
	struct gb__address address;

	CHECK_INT(gb__address_parse(text, false, &address, NULL), 0);
	return address;
}

TEST(what_is_written_in_version_2_is_read_again_and_a_flipped_bit_is_not)
{
	struct gb__address source = address("10.0.0.1:1"), destination = address("[::1]:2");
	const struct gb__proxy_write what = {
		.source = &source,
		.destination = &destination,
		.alpn = TEXT("gearbox"),
		.authority = TEXT("example.org"),
		.unique_id = TEXT("id"),
		.tls = { .tls = true,
			.certificate = true,
			.verified = true,
			.version = TEXT("TLSv1.2"),
			.cipher = TEXT("ECDHE"),
			.common_name = TEXT(
				"a name that is as long as one may be, so that the length of what says of TLS takes two bytes: "
				"0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 "
				"0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789") }
	};
	unsigned char data[GB__PROXY_HEADER_MAX];
	size_t size = gb__proxy_write_v2(&what, data);
	struct gb__proxy_header header = check_header((struct gb_bytes){ data, size });

	check_ends(&header, "10.0.0.1:1", "[::1]:2");
	check_value(header.tlvs, GB_PROXY_ALPN, what.alpn);
	check_value(header.tlvs, GB_PROXY_AUTHORITY, what.authority);
	check_value(header.tlvs, GB_PROXY_UNIQUE_ID, what.unique_id);
	check_value(header.tlvs, GB_PROXY_SSL_VERSION, what.tls.version);
	check_value(header.tlvs, GB_PROXY_SSL_CIPHER, what.tls.cipher);
	check_value(header.tlvs, GB_PROXY_SSL_CN, what.tls.common_name);
	for (size_t bit = 16 * 8; bit < (size - 7) * 8; bit++) {
		const char *problem;

		data[bit / 8] ^= (unsigned char)(1u << bit % 8);
		CHECK_INT(parse((struct gb_bytes){ data, size }, &header, &problem), -GB_EBADFRAME);
		data[bit / 8] ^= (unsigned char)(1u << bit % 8);
	}
}

static void check_written(const char *source, const char *destination, const char *line, const char *read)
{
	struct gb__address from = address(source), to = address(destination);
	const struct gb__proxy_write what = { .source = &from, .destination = &to };
	char v1[GB__PROXY_V1_MAX + 1];
	unsigned char v2[GB__PROXY_HEADER_MAX];
	size_t size = gb__proxy_write_v1(&what, v1);
	struct gb__proxy_header header = check_header((struct gb_bytes){ (unsigned char *)v1, size });
	char text[GB__ADDRESS_TEXT] = "-";

	CHECK_STR(v1, line);
	header = check_header((struct gb_bytes){ v2, gb__proxy_write_v2(&what, v2) });
	if (header.has_ends)
		CHECK_INT(gb__address_format(&header.source, text, sizeof(text)), 0);
	CHECK_STR(text, read);
}

TEST(both_ends_are_written_in_one_family)
{
	check_written("1.2.3.4:5", "6.7.8.9:10", "PROXY TCP4 1.2.3.4 6.7.8.9 5 10\r\n", "1.2.3.4:5");
	check_written("[::ffff:1.2.3.4]:5", "6.7.8.9:10", "PROXY TCP4 1.2.3.4 6.7.8.9 5 10\r\n", "1.2.3.4:5");
	check_written("[::2]:5", "6.7.8.9:10", "PROXY TCP6 ::2 ::ffff:6.7.8.9 5 10\r\n", "[::2]:5");
	check_written("[::2]:5", "[::3]:6", "PROXY TCP6 ::2 ::3 5 6\r\n", "[::2]:5");
	check_written("unix:/a", "unix:@b", "PROXY UNKNOWN\r\n", "unix:/a");
	check_written("unix:/a", "1.2.3.4:5", "PROXY UNKNOWN\r\n", "-");
}

TEST(connection_of_our_own_is_written_as_such)
{
	const struct gb__proxy_write what = { .alpn = TEXT("h2") };
	unsigned char data[GB__PROXY_HEADER_MAX];
	char line[GB__PROXY_V1_MAX + 1];

	CHECK_INT(gb__proxy_write_v2(&what, data), 16);
	CHECK(!check_header((struct gb_bytes){ data, 16 }).has_ends);
	gb__proxy_write_v1(&what, line);
	CHECK_STR(line, "PROXY UNKNOWN\r\n");
}

TEST(common_name_of_a_subject_is_unescaped)
{
	static const struct {
		const char *subject, *name;
	} rows[] = { { "CN=client", "client" }, { "O=a\\,CN=b,CN=c\\, d+OU=e", "c, d" },
		{ "OU=x+cn=y,O=z", "y" }, { "CN=\\C3\\A4\\\\", "\xc3\xa4\\" }, { "", "" }, { "O=only", "" },
		{ "CN=", "" }, { "O=x\\", "" } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char name[GB__PROXY_NAME_MAX];
		struct gb_bytes found = gb__proxy_common_name(rows[i].subject, name);

		CHECK_INT(found.size, strlen(rows[i].name));
		CHECK(memcmp(name, rows[i].name, found.size) == 0);
	}
}

TEST(values_that_do_not_fit_are_left_out)
{
	static const unsigned char large[GB__PROXY_HEADER_MAX];
	struct gb__address end = address("1.2.3.4:5");
	unsigned char data[GB__PROXY_HEADER_MAX];

	for (size_t size = GB__PROXY_HEADER_MAX - 80; size <= sizeof(large); size++) {
		const struct gb__proxy_write what = { .source = &end,
			.destination = &end,
			.alpn = { large, size },
			.authority = TEXT("example"),
			.tls = { .tls = true, .version = TEXT("TLSv1.3") } };
		struct gb__proxy_header header;
		const char *problem;
		size_t written = gb__proxy_write_v2(&what, data);

		CHECK(written <= sizeof(data));
		CHECK_INT(parse((struct gb_bytes){ data, written }, &header, &problem), 1);
	}
}

static bool have(const char *networks, const char *peer)
{
	const struct gb__address from = address(peer);
	struct gb__proxy_networks *list;
	bool found;

	CHECK_INT(gb__proxy_networks_parse(networks, &list, NULL), 0);
	found = gb__proxy_networks_have(list, &from);
	gb__proxy_networks_destroy(list);
	return found;
}

TEST(peers_are_of_a_network_to_the_bit)
{
	CHECK(have("10.0.0.0/8", "10.255.1.2:1"));
	CHECK(!have("10.0.0.0/8", "11.0.0.0:1"));
	CHECK(have("::ffff:10.0.0.0/104", "10.255.1.2:1") && !have("::ffff:10.0.0.0/104", "11.0.0.0:1"));
	CHECK(have("::ffff:10.0.0.0/104", "[::ffff:10.1.2.3]:1") && have("::ffff:192.0.2.1", "192.0.2.1:1"));
	CHECK(have("::ffff:0:0/96", "192.0.2.1:1") && !have("::ffff:0:0/96", "[2001:db8::1]:1"));
	CHECK(have("10.128.0.0/9", "10.128.0.1:1") && !have("10.128.0.0/9", "10.127.0.1:1"));
	CHECK(have("192.0.2.1", "192.0.2.1:1") && !have("192.0.2.1", "192.0.2.2:1"));
	CHECK(have("0.0.0.0/0", "192.0.2.1:1") && !have("0.0.0.0/0", "[::1]:1"));
	CHECK(have("127.0.0.0/8", "[::ffff:127.0.0.1]:1") && !have("::/0", "[::ffff:127.0.0.1]:1"));
	CHECK(have("2001:db8::/33", "[2001:db8:7fff::1]:1") &&
		!have("2001:db8::/33", "[2001:db8:8000::1]:1"));
	CHECK(have("10.0.0.0/8,::1+unix", "[::1]:1") && have("10.0.0.0/8,::1+unix", "unix:/a"));
	CHECK(!have("10.0.0.0/8,::1", "unix:/a") && !have("unix", "127.0.0.1:1"));
	CHECK(have("any", "unix:/a") && have("any", "[::1]:1"));
}

TEST(networks_that_are_none_are_refused)
{
	static const char *const texts[] = { "", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "::/129",
		"10.0.0/8", "10.0.0.0/8,", "name", "10.0.0.1/8", "::1/64", "none,any", "10.0.0.0/8 ",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
	struct gb__proxy_networks *list = NULL;
	struct gb_error error;

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		if (gb__proxy_networks_parse(texts[i], &list, &error) != -GB_EUSAGE)
			test_fail(__FILE__, __LINE__, "\"%s\"", texts[i]);
	gb__proxy_networks_parse("10.1.2.3/12", &list, &error);
	CHECK(strstr(error.text, "10.0.0.0/12?"));
	CHECK_INT(gb__proxy_networks_parse("none", &list, &error), 0);
	CHECK(!list);
}
