/* Messages: signed and known again, and whatever else comes back told apart. */
#include "announce/message.h"
#include "announce/sign.h"
#include "base/alloc.h"

#include "harness.h"

#include <arpa/inet.h>
#include <errno.h>

static const struct gb__dns_key key = { "host.example", "hmac-sha256.",
	"Wg2SpCWhQ4TDQiMpo/XeCl5RyWAJpSq0/1kp7VZWKmM=" };
static const struct gb__dns_key other = { "host.example", "hmac-sha256.",
	"AAAApCWhQ4TDQiMpo/XeCl5RyWAJpSq0/1kp7VZWKmM=" };

static const struct gb__dns_key longer = { "host.example", "hmac-sha512.",
	"Wg2SpCWhQ4TDQiMpo/XeCl5RyWAJpSq0/1kp7VZWKmM=" };

static const struct gb__dns_key own_one = { "host.example", "hmac-sha384.",
	"Wg2SpCWhQ4TDQiMpo/XeCl5RyWAJpSq0/1kp7VZWKmM=" };
static const struct gb__dns_key own_other = { "host.example", "hmac-sha384.",
	"AAAApCWhQ4TDQiMpo/XeCl5RyWAJpSq0/1kp7VZWKmM=" };

/* What a server would answer to it, signed by `by` or by nobody. */
static size_t answer_to(const struct gb__dns_request *request, const struct gb__dns_key *by,
	ldns_pkt_rcode code, uint32_t granted_s, uint8_t *ret)
{
	ldns_pkt *message = gb__dns_update("example.org", NULL, &(ldns_rr_list){ 0 }, granted_s);
	uint8_t *wire;
	size_t size;

	CHECK(message);
	ldns_pkt_set_qr(message, true);
	ldns_pkt_set_id(message, request->id);
	ldns_pkt_set_rcode(message, (uint8_t)code);
	if (by && gb__dns_signs(by))
		CHECK_INT(gb__dns_sign(message, by, 300, request->mac), 0);
	else if (by)
		CHECK_INT(ldns_pkt_tsig_sign(message, by->name, by->secret, 300, by->algorithm, request->mac),
			LDNS_STATUS_OK);
	CHECK_INT(ldns_pkt2wire(&wire, message, &size), LDNS_STATUS_OK);
	memcpy(ret, wire, size);
	free(wire);
	ldns_pkt_free(message);
	return size;
}

static void check_opened(const struct gb__dns_key *with, const struct gb__dns_key *by, ldns_pkt_rcode code,
	int expected, const char *said)
{
	struct gb__dns_request request;
	struct gb_error error = { .text = "" };
	ldns_pkt *message = NULL;
	uint8_t bytes[1024];
	size_t size;
	int result;

	CHECK_INT(gb__dns_seal(gb__dns_query("_echo._tcp.example.org", LDNS_RR_TYPE_TXT), with, &request), 0);
	CHECK_INT(request.size, 2 + (request.bytes[0] << 8 | request.bytes[1]));
	size = answer_to(&request, by, code, 60, bytes);
	result = gb__dns_open(&request, with, bytes, size, &message, &error);
	if (result != expected || (said && !strstr(error.text, said)))
		test_fail(__FILE__, __LINE__, "%d %s", result, error.text);
	if (result == 0)
		CHECK_INT(gb__dns_granted(message), 60);
	ldns_pkt_free(message);
	gb__dns_request_finish(&request);
}

TEST(only_signed_answers_are_believed)
{
	check_opened(&key, &key, LDNS_RCODE_NOERROR, 0, NULL);
	check_opened(&key, &key, LDNS_RCODE_REFUSED, 0, NULL);
	check_opened(&longer, &longer, LDNS_RCODE_NOERROR, 0, NULL);
	check_opened(&longer, &key, LDNS_RCODE_NOERROR, -EACCES, "not signed");
	if (gb__dns_key_check(&own_one) == 0) { /* else it is built without OpenSSL */
		check_opened(&own_one, &own_one, LDNS_RCODE_NOERROR, 0, NULL);
		check_opened(&own_one, &own_other, LDNS_RCODE_NOERROR, -EACCES, "not signed");
		check_opened(&own_one, &longer, LDNS_RCODE_NOERROR, -EACCES, "not signed");
		check_opened(&own_one, NULL, LDNS_RCODE_NOERROR, -EACCES, "not signed");
	}
	check_opened(&key, &other, LDNS_RCODE_NOERROR, -EACCES, "not signed");
	check_opened(&key, NULL, LDNS_RCODE_NOERROR, -EACCES, "not signed");
	check_opened(&key, NULL, LDNS_RCODE_REFUSED, -EACCES, "REFUSED");
	check_opened(NULL, NULL, LDNS_RCODE_NOERROR, 0, NULL);
}

/* Its memory is the library's, which a program may have an allocator of its own for. */
TEST(without_memory_there_is_no_request)
{
	struct gb__dns_request request;

	gb__alloc_fail_at(1);
	CHECK_INT(gb__dns_seal(gb__dns_query("a.example", LDNS_RR_TYPE_A), &key, &request), -ENOMEM);
	CHECK(!request.bytes && !request.mac);
}

TEST(what_is_no_answer_is_told)
{
	struct gb__dns_request request, second;
	struct gb_error error = { 0 };
	ldns_pkt *message = NULL;
	uint8_t bytes[1024];
	size_t size;

	CHECK_INT(gb__dns_seal(gb__dns_query("a.example", LDNS_RR_TYPE_A), NULL, &request), 0);
	second = request;
	second.id++;
	size = answer_to(&second, NULL, LDNS_RCODE_NOERROR, 1, bytes);
	CHECK_INT(gb__dns_open(&request, NULL, bytes, size, &message, &error), -EBADMSG);
	CHECK_INT(gb__dns_open(&request, NULL, request.bytes + 2, request.size - 2, &message, &error),
		-EBADMSG);
	for (size_t cut = 0; cut < size; cut++)
		if (gb__dns_open(&second, &key, bytes, cut, &message, &error) == 0)
			test_fail(__FILE__, __LINE__, "%zu of %zu bytes are believed", cut, size);
	gb__dns_request_finish(&request);
}

/* One that was signed, with a byte of it changed. */
static void check_changed(const struct gb__dns_key *with)
{
	struct gb__dns_request request;
	struct gb_error error = { 0 };
	uint8_t bytes[1024];
	size_t size;

	CHECK_INT(gb__dns_seal(gb__dns_query("a.example", LDNS_RR_TYPE_A), with, &request), 0);
	size = answer_to(&request, with, LDNS_RCODE_NOERROR, 60, bytes);
	for (size_t i = 0; i < size; i++) {
		ldns_pkt *message = NULL;

		bytes[i] ^= 0x15;
		/* Not covered by the signature is by whom it says it is, which is not asked. */
		if (gb__dns_open(&request, with, bytes, size, &message, &error) == 0) {
			if (gb__dns_granted(message) != 60 || gb__dns_problem(message) ||
				!ldns_pkt_qr(message))
				test_fail(__FILE__, __LINE__, "byte %zu of %zu may be another", i, size);
			ldns_pkt_free(message);
		}
		bytes[i] ^= 0x15;
	}
	gb__dns_request_finish(&request);
}

TEST(changed_answers_are_not_believed)
{
	check_changed(&key);
	if (gb__dns_key_check(&own_one) == 0)
		check_changed(&own_one);
}

TEST(codes_have_words)
{
	ldns_pkt *message = ldns_pkt_new();

	CHECK(!gb__dns_problem(message));
	for (int code = 1; code < 16; code++) {
		ldns_pkt_set_rcode(message, (uint8_t)code);
		CHECK(gb__dns_problem(message));
	}
	CHECK_INT(gb__dns_granted(message), 0);
	ldns_pkt_free(message);
}

TEST(the_zone_is_that_of_the_authority)
{
	ldns_pkt *message = ldns_pkt_new();
	char zone[64];

	CHECK_INT(gb__dns_zone(message, zone, sizeof(zone)), -ENOENT);
	ldns_pkt_push_rr(message, LDNS_SECTION_AUTHORITY,
		gb__dns_record(
			"Example.ORG", 60, LDNS_RR_CLASS_IN, "SOA ns.example.org. a.example.org. 1 2 3 4 5"));
	CHECK_INT(gb__dns_zone(message, zone, sizeof(zone)), 0);
	CHECK_STR(zone, "example.org");
	CHECK(!gb__dns_record("example.org", 60, LDNS_RR_CLASS_IN, "A nowhere"));
	ldns_pkt_free(message);
}

TEST(keys_of_each_algorithm_can_be_signed_with)
{
	struct gb__dns_key own = key;

	CHECK_INT(gb__dns_key_check(&key), 0);
	CHECK_INT(gb__dns_key_check(&longer), 0);
	snprintf(own.algorithm, sizeof(own.algorithm), "hmac-sha1.");
	CHECK_INT(gb__dns_key_check(&own), 0);
}
