/* What is announced: under which names, and which records are to stand there. */
#include "announce/register.h"

#include "harness.h"

#include <arpa/inet.h>

#define ECHO_NAME "_echo._tcp.example.org"

/* A name server by its address, the zone, a host; what is else is the case's. */
static struct gb__announce *announcing(const char *host, const char *address)
{
	struct gb__announce_options options = { .server = (char *)"192.0.2.53",
		.zone = (char *)"Example.ORG.",
		.host = (char *)host,
		.address = (char *)address,
		.ttl_ms = 60000 };
	struct gb__announce *announce;
	struct gb_error error = { 0 };

	if (gb__announce_create(&options, &announce, &error) < 0)
		test_fail(__FILE__, __LINE__, "%s", error.text);
	return announce;
}

static int add(struct gb__announce *announce, const char *name, const char *listening)
{
	struct gb__address address;
	struct gb_error error = { 0 };
	int result;

	CHECK_INT(gb__address_parse(listening, false, &address, &error), 0);
	result = gb__announce_add(announce, name, &address, 1, 2, &error);
	CHECK((result < 0) == (error.text[0] != '\0'));
	return result;
}

static void fill(struct gb__announce *announce)
{
	struct gb_error error = { 0 };

	CHECK_INT(gb__announce_settle_names(announce, &error), 0);
	CHECK_INT(gb__announce_fill(announce), 0);
}

/* A node's lease of that number, with its records, each behind a blank. */
static void check_lease(const struct gb__node *node, size_t number, const char *id, const char *records)
{
	char all[GB__LEASE_RECORDS * GB__LEASE_TEXT] = "";

	CHECK(number < node->own_count);
	CHECK_STR(node->own[number].id, id);
	for (unsigned i = 0; i < node->own[number].count; i++)
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", i ? ", " : "",
			node->own[number].records[i]);
	CHECK_STR(all, records);
}

TEST(a_name_is_one_however_it_is_written)
{
	struct gb__announce *announce = announcing("a", NULL);

	CHECK_INT(add(announce, "_Echo._TCP.example.org.", "192.0.2.1:7001"), 0);
	CHECK_INT(add(announce, ECHO_NAME, "192.0.2.1:7002"), 0);
	CHECK_INT(add(announce, "_time._tcp.sub.example.org", "192.0.2.1:7003"), 0);
	CHECK_STR(gb__announce_name(announce, 0), ECHO_NAME);
	CHECK_STR(gb__announce_name(announce, 1), "_time._tcp.sub.example.org");
	CHECK(!gb__announce_name(announce, 2));
	gb__announce_destroy(announce);
}

TEST(what_is_no_name_of_a_service_in_the_zone_is_refused)
{
	static const char *const names[] = { "", ".", "echo._tcp.example.org", "_._tcp.example.org",
		"_echo._udp.example.org", "_echo._tcp", "_echo._tcp..example.org", "_echo._tcp.exa mple.org",
		"_a123456789b123456789c123456789d123456789e123456789f123456789ghij._tcp.example.org",
		"_echo._tcp.example.com", "_echo._tcp.anexample.org" };
	struct gb__announce *announce = announcing("a", NULL);

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (add(announce, names[i], "192.0.2.1:7001") != -GB_EUSAGE)
			test_fail(__FILE__, __LINE__, "\"%s\" is taken", names[i]);
	CHECK(!gb__announce_name(announce, 0));
	/* A label of 63 letters is one. */
	CHECK_INT(add(announce,
			  "_a123456789b123456789c123456789d123456789e123456789f123456789gh._tcp.example.org",
			  "192.0.2.1:7001"),
		0);
	gb__announce_destroy(announce);
}

TEST(the_host_is_in_the_zone)
{
	static const struct {
		const char *host, *expected;
	} rows[] = { { "A", "a.example.org" }, { "a.b.example.org.", "a.b.example.org" },
		{ "a.example.com", NULL } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct gb__announce *announce = announcing(rows[i].host, NULL);
		struct gb_error error = { 0 };

		CHECK_INT(gb__announce_settle_names(announce, &error), rows[i].expected ? 0 : -GB_EUSAGE);
		if (rows[i].expected)
			CHECK_STR(announce->nodes[0].name, rows[i].expected);
		gb__announce_destroy(announce);
	}
}

/* Each address that is served has a lease of its own at both names. */
TEST(an_address_that_is_listened_on_is_that_of_the_host)
{
	struct gb__announce *announce = announcing("a", NULL);

	CHECK_INT(add(announce, ECHO_NAME, "192.0.2.1:7001"), 0);
	CHECK_INT(add(announce, ECHO_NAME, "[2001:db8::1]:7002"), 0);
	for (int times = 0; times < 2; times++) {
		fill(announce);
		CHECK_INT(announce->nodes[1].own_count, 2);
		check_lease(&announce->nodes[1], 0, "a.example.org:7001", "SRV 1 2 7001 a.example.org.");
		check_lease(&announce->nodes[1], 1, "a.example.org:7002", "SRV 1 2 7002 a.example.org.");
		CHECK_INT(announce->nodes[0].own_count, 2);
		check_lease(&announce->nodes[0], 0, ECHO_NAME ":7001", "A 192.0.2.1");
		check_lease(&announce->nodes[0], 1, ECHO_NAME ":7002", "AAAA 2001:db8::1");
	}
	gb__announce_destroy(announce);
}

/* Of whoever listens on all of them it is the one that the name server is reached from, and what else its interface has. */
TEST(every_address_is_that_of_the_interface)
{
	struct gb__announce *announce = announcing("a", NULL);

	CHECK_INT(add(announce, ECHO_NAME, "0.0.0.0:7001"), 0);
	CHECK_INT(add(announce, ECHO_NAME, "*:7002"), 0);
	CHECK_INT(add(announce, ECHO_NAME, "[::]:7003"), 0);
	CHECK_INT(gb__address_parse("192.0.2.9:1", false, &announce->local, NULL),
		0); /* of no interface here */
	fill(announce);
	check_lease(&announce->nodes[0], 0, ECHO_NAME ":7001", "A 192.0.2.9");
	check_lease(&announce->nodes[0], 1, ECHO_NAME ":7002", "A 192.0.2.9");
	check_lease(&announce->nodes[0], 2, ECHO_NAME ":7003", "");
	gb__announce_destroy(announce);
}

TEST(addresses_that_were_asked_for_are_those_of_all)
{
	struct gb__announce *announce = announcing("a", "192.0.2.7,2001:db8::7");

	CHECK_INT(add(announce, ECHO_NAME, "192.0.2.1:7001"), 0);
	CHECK_INT(add(announce, ECHO_NAME, "*:7002"), 0);
	fill(announce);
	check_lease(&announce->nodes[0], 0, ECHO_NAME ":7001", "A 192.0.2.7, AAAA 2001:db8::7");
	check_lease(&announce->nodes[0], 1, ECHO_NAME ":7002", "A 192.0.2.7, AAAA 2001:db8::7");
	gb__announce_destroy(announce);
}

/* Who removes it again would take it from its owner. */
TEST(an_address_that_somebody_else_has_put_there_is_not_leased)
{
	struct gb__announce *announce = announcing("a", "192.0.2.7,192.0.2.8");

	CHECK_INT(add(announce, ECHO_NAME, "*:7001"), 0);
	announce->there = ldns_rr_list_new();
	CHECK(ldns_rr_list_push_rr(
		announce->there, gb__dns_record("a.example.org", 0, LDNS_RR_CLASS_IN, "A 192.0.2.8")));
	fill(announce);
	check_lease(&announce->nodes[0], 0, ECHO_NAME ":7001", "A 192.0.2.7");
	ldns_rr_list_deep_free(announce->there);
	announce->there = NULL;
	gb__announce_destroy(announce);
}

static void check_options(const char *server, const char *address, int expected)
{
	struct gb__announce_options options = { .server = (char *)server, .address = (char *)address };
	struct gb__announce *announce;
	struct gb_error error = { 0 };
	int result = gb__announce_create(&options, &announce, &error);

	if (result != expected)
		test_fail(__FILE__, __LINE__, "%s, %s: %d %s", server, address, result, error.text);
	if (result == 0)
		gb__announce_destroy(announce);
}

#define FIFTEEN \
	"192.0.2.1,192.0.2.2,192.0.2.3,192.0.2.4,192.0.2.5,192.0.2.6,192.0.2.7,192.0.2.8,192.0.2.9,192.0.2.10," \
	"192.0.2.11,192.0.2.12,192.0.2.13,192.0.2.14,192.0.2.15"

TEST(options_that_say_nothing_are_refused)
{
	check_options("", NULL, -GB_EUSAGE);
	check_options("192.0.2.53:99999", NULL, -GB_EUSAGE);
	check_options("ns.example.org", NULL, 0);
	check_options("ns.example.org:5353", NULL, 0);
	check_options("[2001:db8::53]:5353", NULL, 0);
	check_options("192.0.2.53", "192.0.2.1,", 0);
	check_options("192.0.2.53", "192.0.2.256", -GB_EUSAGE);
	check_options("192.0.2.53", "192.0.2.1,,192.0.2.2", -GB_EUSAGE);
	check_options("192.0.2.53", FIFTEEN, 0);
	check_options("192.0.2.53", FIFTEEN ",192.0.2.16", -GB_EUSAGE);
}
