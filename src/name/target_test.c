#include "name/target.h"

#include "harness.h"

#include <string.h>

static struct gb__target parsed(const char *text)
{
	struct gb__target target = { .port = 0 };
	struct gb_error error = { 0 };

	if (gb__target_parse(text, &target, &error) < 0)
		test_fail(__FILE__, __LINE__, "\"%s\": %s", text, error.text);
	return target;
}

TEST(an_address_is_no_name)
{
	static const char *const texts[] = { "127.0.0.1:80", "[::1]:80", "*:80", ":80", "unix:/a/b.c:80",
		"unix:@name", "1.2.3.4.5:80", "::1:80" };

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		if (gb__target_is_name(texts[i]))
			test_fail(__FILE__, __LINE__, "\"%s\"", texts[i]);
	CHECK_INT(parsed("127.0.0.1:80").kind, GB__TARGET_ADDRESS);
	CHECK_INT(parsed("*:80").address.any.sa_family, AF_INET);
}

TEST(a_host_has_a_port)
{
	struct gb__target target = parsed("Mail.Example.org:65535");

	CHECK_INT(target.kind, GB__TARGET_HOST);
	CHECK_INT(target.port, 65535);
	CHECK(strcmp(target.name, "mail.example.org") == 0);
	CHECK_INT(parsed("3com.example:80").kind, GB__TARGET_HOST);
	CHECK_INT(parsed("localhost:80").kind, GB__TARGET_HOST);
}

TEST(a_service_has_none)
{
	CHECK_INT(parsed("_xmpp._tcp.example.org").kind, GB__TARGET_SERVICE);
	CHECK(strcmp(parsed("srv:_xmpp._tcp.example.org").name, "_xmpp._tcp.example.org") == 0);
	CHECK(strcmp(parsed("srv:any.example.org").name, "any.example.org") == 0);
}

TEST(what_is_neither_is_refused_with_its_reason)
{
	static const struct {
		const char *text, *reason;
	} rows[] = {
		{ "example.org", "write HOST:PORT" },
		{ "example.org:http", "port" },
		{ "example.org:65536", "port" },
		{ "_xmpp._tcp.example.org:80x", "SRV" },
		{ "a..b:80", "labels" },
		{ ".a:80", "labels" },
		{ "exa mple:80", "labels" },
		{ "b\xc3\xbc"
		  "cher.example:80",
			"xn--" },
		{ "srv:", "labels" },
		{ "_xmpp", "srv:NAME" },
		{ "_xmpp.example.org", "_service._proto.NAME" },
		{ "1.2.3.4.5:80", "IPv4" },
	};
	struct gb__target target;
	struct gb_error error;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		error.text[0] = '\0';
		if (gb__target_parse(rows[i].text, &target, &error) != -GB_EUSAGE ||
			!strstr(error.text, rows[i].reason))
			test_fail(__FILE__, __LINE__, "\"%s\": %s", rows[i].text, error.text);
	}
}

/* Of `bytes`, by labels of 50. */
static void make_name(char *text, size_t bytes, const char *behind)
{
	for (size_t i = 0; i < bytes; i++)
		text[i] = i % 51 == 50 && i + 1 < bytes ? '.' : 'a';
	strcpy(text + bytes, behind);
}

TEST(a_name_has_253_bytes_at_most)
{
	struct gb__target target;
	struct gb_error error;
	char text[400];

	make_name(text, 253, ":80");
	CHECK_INT(gb__target_parse(text, &target, &error), 0);
	make_name(text, 253, ".:80");
	CHECK_INT(gb__target_parse(text, &target, &error), 0);
	make_name(text, 254, ":80");
	CHECK_INT(gb__target_parse(text, &target, &error), -GB_EUSAGE);
	make_name(text, 254, ".:80");
	CHECK_INT(gb__target_parse(text, &target, &error), -GB_EUSAGE);
	make_name(text, 300, ":80");
	CHECK_INT(gb__target_parse(text, &target, &error), -GB_EUSAGE);
	memset(text, 'a', 64);
	strcpy(text + 64, ".example:80");
	CHECK_INT(gb__target_parse(text, &target, &error), -GB_EUSAGE);
}

TEST(name_servers_are_addresses)
{
	static const char *const good[] = { "127.0.0.1", "127.0.0.1:5353", "::1", "[::1]:53", "[::1]",
		"192.0.2.1,192.0.2.2:54" };
	static const char *const bad[] = { "localhost", "127.0.0.1,", ",127.0.0.1", "127.0.0.1:dns",
		"unix:/x", "*", "*:53", "1.2.3" };
	struct gb_error error;

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		if (gb__servers_check(good[i], &error) != 0)
			test_fail(__FILE__, __LINE__, "\"%s\": %s", good[i], error.text);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (gb__servers_check(bad[i], &error) != -GB_EUSAGE)
			test_fail(__FILE__, __LINE__, "\"%s\" is taken", bad[i]);
}
