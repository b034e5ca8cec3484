#include "os/address.h"

#include "base/macros.h"

#include "harness.h"

#include <unistd.h>

#include <errno.h>
#include <net/if.h>
#include <stddef.h>

static void check_kept(const char *text)
{
	struct gb__address address;
	struct gb_error error = { 0 };
	char again[GB__ADDRESS_TEXT];

	if (gb__address_parse(text, false, &address, &error) < 0)
		test_fail(__FILE__, __LINE__, "%s", error.text);
	CHECK_INT(gb__address_format(&address, again, sizeof(again)), 0);
	CHECK_STR(again, text);
	CHECK_INT(gb__address_format(&address, again, strlen(text)), -ENOBUFS);
	CHECK_INT(gb__address_format(&address, again, strlen(text) + 1), 0);
}

TEST(text_of_an_address_comes_back)
{
	check_kept("127.0.0.1:0");
	check_kept("255.255.255.255:65535");
	check_kept("[::1]:7000");
	check_kept("[2001:db8::1]:1");
	check_kept("*:7000");
	check_kept("unix:/a");
	check_kept("unix:relative");
	check_kept("unix:@name");
}

TEST(scope_of_an_address_comes_back)
{
	struct gb__address address;
	struct gb_error error;
	char text[GB__ADDRESS_TEXT];

	check_kept("[fe80::1%lo]:7000");
	CHECK_INT(gb__address_parse("[fe80::1%lo]:7000", false, &address, &error), 0);
	CHECK_INT(address.v6.sin6_scope_id, if_nametoindex("lo"));
	address.v6.sin6_scope_id = 4000000; /* an interface that has gone */
	CHECK_INT(gb__address_format(&address, text, sizeof(text)), 0);
	CHECK_STR(text, "[fe80::1%4000000]:7000");
}

TEST(nothing_and_a_star_are_every_address_of_both_families)
{
	static const char *const texts[] = { "*:80", ":80" };
	struct gb__address address;
	struct gb_error error;
	char text[GB__ADDRESS_TEXT];

	for (size_t i = 0; i < 2; i++) {
		CHECK_INT(gb__address_parse(texts[i], false, &address, &error), 0);
		CHECK(address.every && address.any.sa_family == AF_INET6);
		CHECK(IN6_IS_ADDR_UNSPECIFIED(&address.v6.sin6_addr));
		CHECK_INT(gb__address_format(&address, text, sizeof(text)), 0);
		CHECK_STR(text, "*:80");
	}
	CHECK_INT(gb__address_parse("[::]:80", false, &address, &error), 0);
	CHECK(!address.every);
	CHECK_INT(gb__address_parse("0.0.0.0:80", false, &address, &error), 0);
	CHECK(!address.every && address.any.sa_family == AF_INET);
}

TEST(a_client_of_every_address_takes_the_loopback)
{
	struct gb__address address;
	struct gb_error error;
	char text[GB__ADDRESS_TEXT];

	CHECK_INT(gb__address_parse("*:80", false, &address, &error), 0);
	gb__address_to_client(&address);
	CHECK_INT(gb__address_format(&address, text, sizeof(text)), 0);
	CHECK_STR(text, "127.0.0.1:80");
	CHECK_INT(gb__address_parse("[::1]:80", false, &address, &error), 0);
	gb__address_to_client(&address);
	CHECK_INT(gb__address_format(&address, text, sizeof(text)), 0);
	CHECK_STR(text, "[::1]:80");
}

TEST(ipv4_within_ipv6_is_the_same_as_ipv4_once_it_is_unmapped)
{
	static const char *const texts[] = { "[::ffff:10.1.2.3]:80", "10.1.2.3:80", "[::10.1.2.3]:80",
		"10.1.2.3:81", "10.1.2.4:80", "unix:/10.1.2.3" };
	struct gb__address plain[gb__countof(texts)], given;
	struct gb_error error;

	for (size_t i = 0; i < gb__countof(texts); i++) {
		CHECK_INT(gb__address_parse(texts[i], false, &given, &error), 0);
		plain[i] = gb__address_unmapped(&given);
		CHECK(gb__address_equal(&plain[i], &given) == (i != 0));
		CHECK(gb__address_equal(&plain[i], &plain[0]) == (i < 2));
	}
}

TEST(ipv4_within_ipv6_is_shown_as_such)
{
	struct gb__address address;
	struct gb_error error;
	char text[GB__ADDRESS_TEXT];

	CHECK_INT(gb__address_parse("[::ffff:10.1.2.3]:80", false, &address, &error), 0);
	CHECK_INT(gb__address_format(&address, text, sizeof(text)), 0);
	CHECK_STR(text, "10.1.2.3:80");
}

TEST(what_is_no_address_is_wrong_usage_and_says_what_would_be_right)
{
	static const struct {
		const char *text, *hint;
	} rows[] = {
		{ "", "HOST:PORT" },
		{ "host", "HOST:PORT" },
		{ "300.1.1.1:80", "four numbers" },
		{ "1.2.3.4.5:80", "four numbers" },
		{ " 127.0.0.1:0", "leave out the blank" },
		{ "127.0.0.1:0 ", "leave out the blank" },
		{ "127.0.0.1: 0", "leave out the blank" },
		{ "::1:7000", "[::1]:7000" },
		{ "fe80::1%lo:7000", "[fe80::1%lo]:7000" },
		{ "::1", "in brackets" },
		{ "[::1]", "[IPv6]:PORT" },
		{ "[::1", "[IPv6]:PORT" },
		{ "[::1]7000", "[IPv6]:PORT" },
		{ "[::g]:7000", "\"::g\" is not an IPv6 address" },
		{ "[1.2.3.4]:7000", "brackets are for IPv6" },
		{ "[fe80::1%nowhere9]:7000", "no interface \"nowhere9\"" },
		{ "127.0.0.1:", "0 to 65535" },
		{ "127.0.0.1:65536", "0 to 65535" },
		{ "127.0.0.1:-1", "0 to 65535" },
		{ "127.0.0.1:+1", "0 to 65535" },
		{ "127.0.0.1:80x", "0 to 65535" },
		{ "unix:", "1 to 107 bytes, not 0" },
		{ "unix:@", "behind @" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct gb__address address = { .size = 77 };
		struct gb_error error = { 0 };

		if (gb__address_parse(rows[i].text, true, &address, &error) != -GB_EUSAGE)
			test_fail(__FILE__, __LINE__, "\"%s\" is taken: %s", rows[i].text, error.text);
		if (!strstr(error.text, rows[i].hint))
			test_fail(__FILE__, __LINE__, "\"%s\": %s", rows[i].text, error.text);
		CHECK_INT(address.size, 77);
	}
}

TEST(names_are_for_those_who_may_wait)
{
	struct gb__address address;
	struct gb_error error;

	CHECK_INT(gb__address_parse("localhost:80", false, &address, &error), -GB_EUSAGE);
	CHECK(strstr(error.text, "must be numeric"));
	CHECK_INT(gb__address_parse("localhost:80", true, &address, &error), 0);
	CHECK_INT(ntohs(address.v4.sin_port), 80); /* at the same place in both families */
}

TEST(what_is_behind_the_comma_of_a_port_is_told_how_an_option_looks)
{
	struct gb__address address;
	struct gb_error error = { 0 };

	CHECK_INT(gb__address_parse("127.0.0.1:0,TLS=no", true, &address, &error), -GB_EUSAGE);
	CHECK(strstr(error.text, "KEY=VALUE"));
}

/* Where there is such a file. */
TEST(a_port_may_have_a_name)
{
	struct gb__address address;
	struct gb_error error = { 0 };

	CHECK_INT(gb__address_parse("127.0.0.1:no-such-service", false, &address, &error), -GB_EUSAGE);
	CHECK(strstr(error.text, "/etc/services, which \"no-such-service\" is not"));
	if (access("/etc/services", R_OK) < 0)
		return;
	CHECK_INT(gb__address_parse("127.0.0.1:domain", false, &address, &error), 0);
	CHECK_INT(ntohs(address.v4.sin_port), 53);
	CHECK_INT(gb__address_parse("[::1]:domain", false, &address, &error), 0);
	CHECK_INT(ntohs(address.v6.sin6_port), 53);
}

TEST(all_addresses_of_a_text_are_each_told_once)
{
	struct gb__address addresses[8];
	size_t count;

	CHECK_INT(gb__address_parse_all("127.0.0.1:7", addresses, 8, &count, NULL), 0);
	CHECK_INT(count, 1);
	CHECK_INT(gb__address_parse_all("*:7", addresses, 8, &count, NULL), 0);
	CHECK_INT(count, 1);
	CHECK_INT(gb__address_parse_all("localhost:7", addresses, 8, &count, NULL), 0);
	CHECK(count >= 1 && count <= 8);
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < i; j++)
			CHECK(addresses[i].size != addresses[j].size ||
				memcmp(&addresses[i].any, &addresses[j].any, addresses[i].size) != 0);
}

TEST(length_of_a_path_is_bounded)
{
	struct gb__address address;
	struct gb_error error;
	char text[5 + 110], again[GB__ADDRESS_TEXT];

	memset(text, 'a', sizeof(text));
	memcpy(text, "unix:", 5);
	text[5 + 108] = '\0';
	CHECK_INT(gb__address_parse(text, false, &address, &error), -GB_EUSAGE);
	CHECK(strstr(error.text, "1 to 107 bytes, not 108"));
	text[5 + 107] = '\0';
	check_kept(text);
	text[5] = '@';
	check_kept(text);
	text[5 + 107] = 'a';
	check_kept(text);
	CHECK_INT(gb__address_parse(text, false, &address, &error), 0);
	CHECK_INT(address.size, offsetof(struct sockaddr_un, sun_path) + 108);
	CHECK_INT(address.local.sun_path[0], 0);
	text[5 + 108] = 'a';
	text[5 + 109] = '\0';
	CHECK_INT(gb__address_parse(text, false, &address, &error), -GB_EUSAGE);
	CHECK(strstr(error.text, "1 to 107 bytes, not 108"));
	/* Without a terminator, as a peer may bind. */
	memset(address.local.sun_path, 'b', sizeof(address.local.sun_path));
	address.size = sizeof(address.local);
	CHECK_INT(gb__address_format(&address, again, sizeof(again)), 0);
	CHECK_INT(strlen(again), 5 + 108);
}

static void check_shown(const char *path, size_t size, const char *wanted)
{
	struct gb__address address = { .local.sun_family = AF_UNIX };
	char text[GB__ADDRESS_TEXT];

	memcpy(address.local.sun_path, path, size);
	address.size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
	CHECK_INT(gb__address_format(&address, text, sizeof(text)), 0);
	CHECK_STR(text, wanted);
}

TEST(a_peers_name_is_fit_for_a_log)
{
	check_shown("", 0, "unix:");
	check_shown("/a\nb", 5, "unix:/a\\x0ab");
	check_shown("/a\x1b[2J", 7, "unix:/a\\x1b[2J");
	check_shown("\0a\0b\n", 5, "unix:@a@b\\x0a");
	check_shown("\0", 1, "unix:@");
	check_shown("/\xff", 3, "unix:/\\xff");
}

TEST(any_name_has_room)
{
	char path[108], wanted[GB__ADDRESS_TEXT] = "unix:";

	memset(path, 1, sizeof(path));
	for (size_t i = 0; i < sizeof(path); i++)
		strcat(wanted, "\\x01");
	check_shown(path, sizeof(path), wanted);
}

TEST(only_files_have_a_path)
{
	struct gb__address address;
	struct gb_error error;

	CHECK_INT(gb__address_parse("unix:/a/b", false, &address, &error), 0);
	CHECK_STR(gb__address_path(&address), "/a/b");
	CHECK_INT(gb__address_parse("unix:@a", false, &address, &error), 0);
	CHECK_STR(gb__address_path(&address), "");
	CHECK_INT(gb__address_parse("127.0.0.1:1", false, &address, &error), 0);
	CHECK_STR(gb__address_path(&address), "");
}

TEST(length_of_a_host_is_bounded)
{
	char text[300];
	struct gb__address address;
	struct gb_error error;

	for (int length = 255; length <= 256; length++) {
		snprintf(text, sizeof(text), "%.*s:80", length,
			"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
			"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
			"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
		CHECK_INT(gb__address_parse(text, false, &address, &error), -GB_EUSAGE);
		CHECK_INT(strstr(error.text, "numeric") != NULL, length == 255);
	}
}

TEST(port_of_a_server_may_be_left_out)
{
	static const char *const rows[][2] = { { "192.0.2.1", "192.0.2.1:53" },
		{ "192.0.2.1:5353", "192.0.2.1:5353" }, { "2001:db8::1", "[2001:db8::1]:53" },
		{ "[2001:db8::1]", "[2001:db8::1]:53" }, { "[2001:db8::1]:5353", "[2001:db8::1]:5353" } };
	static const char *const wrong[] = { "", "*", "*:53", ":53", "localhost", "localhost:53", "unix:/a",
		"1.2.3", "1.2.3:53", "192.0.2.1:", "[192.0.2.1", "2001:db8::1:port" };
	struct gb__address address;
	char text[GB__ADDRESS_TEXT];

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		CHECK_INT(gb__address_parse_server(rows[i][0], 53, &address), 0);
		CHECK_INT(gb__address_format(&address, text, sizeof(text)), 0);
		CHECK_STR(text, rows[i][1]);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		if (gb__address_parse_server(wrong[i], 53, &address) != -GB_EUSAGE)
			test_fail(__FILE__, __LINE__, "\"%s\" is taken", wrong[i]);
}
