#include "announce/message.h"
#include "announce/sign.h"

#include "base/alloc.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FUDGE_S 300u
#define UPDATE_LEASE 2 /* RFC 9664 */
#define UDP_SIZE 1232u /* what EDNS says; the transport is TCP */

enum { BADSIG = 16, BADKEY = 17, BADTIME = 18, BADTRUNC = 22 };

ldns_pkt *gb__dns_query(const char *name, ldns_rr_type type)
{
	ldns_rdf *owner = ldns_dname_new_frm_str(name);
	ldns_pkt *message = owner ? ldns_pkt_query_new(owner, type, LDNS_RR_CLASS_IN, 0) : NULL;

	if (message)
		ldns_pkt_set_random_id(message);
	else
		ldns_rdf_deep_free(owner);
	return message;
}

static void ask_lease(ldns_pkt *message, uint32_t lease_s)
{
	uint8_t data[] = { (uint8_t)(lease_s >> 24), (uint8_t)(lease_s >> 16), (uint8_t)(lease_s >> 8),
		(uint8_t)lease_s };
	ldns_edns_option_list *options = ldns_edns_option_list_new();
	ldns_edns_option *option = ldns_edns_new_from_data(UPDATE_LEASE, sizeof(data), data);

	if (!options || !option || !ldns_edns_option_list_push(options, option)) {
		ldns_edns_option_list_deep_free(options);
		return; /* it is a wish */
	}
	ldns_pkt_set_edns_udp_size(message, UDP_SIZE);
	ldns_pkt_set_edns_option_list(message, options);
}

ldns_pkt *gb__dns_update(
	const char *zone, const ldns_rr_list *prerequisites, const ldns_rr_list *changes, uint32_t lease_s)
{
	ldns_rdf *owner = ldns_dname_new_frm_str(zone);
	ldns_pkt *message =
		owner ? ldns_update_pkt_new(owner, LDNS_RR_CLASS_IN, prerequisites, changes, NULL) : NULL;

	if (!message) {
		ldns_rdf_deep_free(owner);
		return NULL;
	}
	ldns_pkt_set_rd(message, false);
	ldns_pkt_set_random_id(message);
	ask_lease(message, lease_s);
	return message;
}

ldns_rr *gb__dns_record(const char *name, uint32_t ttl_s, ldns_rr_class class, const char *text)
{
	char line[2048];
	ldns_rr *record;
	int length = snprintf(line, sizeof(line), "%s. %u IN %s", name, ttl_s, text);

	if (length < 0 || (size_t)length >= sizeof(line) ||
		ldns_rr_new_frm_str(&record, line, 0, NULL, NULL) != LDNS_STATUS_OK)
		return NULL;
	ldns_rr_set_class(record, class);
	return record;
}

static int sign(ldns_pkt *message, const struct gb__dns_key *key)
{
	if (gb__dns_signs(key))
		return gb__dns_sign(message, key, FUDGE_S, NULL);
	return ldns_pkt_tsig_sign(message, key->name, key->secret, FUDGE_S, key->algorithm, NULL) ==
			LDNS_STATUS_OK
		? 0
		: -EOPNOTSUPP;
}

int gb__dns_seal(ldns_pkt *message, const struct gb__dns_key *key, struct gb__dns_request *ret)
{
	uint8_t *wire = NULL;
	size_t size;
	int result = -ENOMEM;

	*ret = (struct gb__dns_request){ 0 };
	if (!message)
		return result;
	if (key && sign(message, key) < 0)
		goto out;
	if (ldns_pkt2wire(&wire, message, &size) != LDNS_STATUS_OK || size > UINT16_MAX)
		goto out;
	ret->bytes = gb__alloc(size + 2);
	if (!ret->bytes)
		goto out;
	ret->bytes[0] = (uint8_t)(size >> 8);
	ret->bytes[1] = (uint8_t)size;
	memcpy(ret->bytes + 2, wire, size);
	ret->size = size + 2;
	ret->id = ldns_pkt_id(message);
	if (key)
		ret->mac = ldns_rdf_clone(ldns_rr_rdf(ldns_pkt_tsig(message), 3));
	result = key && !ret->mac ? -ENOMEM : 0;
out:
	if (result < 0)
		gb__dns_request_finish(ret);
	free(wire);
	ldns_pkt_free(message);
	return result;
}

int gb__dns_key_check(const struct gb__dns_key *key)
{
	ldns_pkt *message = gb__dns_query(".", LDNS_RR_TYPE_SOA);
	int result = message ? sign(message, key) : -ENOMEM;

	ldns_pkt_free(message);
	return result;
}

void gb__dns_request_finish(struct gb__dns_request *request)
{
	gb__free(request->bytes);
	ldns_rdf_deep_free(request->mac);
	*request = (struct gb__dns_request){ 0 };
}

static const char *code_name(unsigned code, char *text, size_t size)
{
	ldns_lookup_table *row = ldns_lookup_by_id(ldns_rcodes, (int)code);

	if (row)
		return row->name;
	snprintf(text, size, "code %u", code);
	return text;
}

/* BADTIME: when the server says it is (RFC 8945, 5.2.3). */
static int bad_time(const ldns_rr *signature, struct gb_error *error)
{
	const ldns_rdf *other = ldns_rr_rdf(signature, 6);
	const uint8_t *data = other ? ldns_rdf_data(other) : NULL;
	long long there = 0;

	if (!data || ldns_rdf_size(other) < 8)
		return gb_error_set(error, -EACCES,
			"BADTIME: its clock and this machine's differ by more than five minutes");
	for (int i = 2; i < 8; i++)
		there = there << 8 | data[i];
	there -= (long long)time(NULL);
	return gb_error_set(error, -EACCES,
		"BADTIME: its clock is %lld s %s this machine's, and 300 s are allowed",
		there < 0 ? -there : there, there < 0 ? "behind" : "ahead of");
}

static int signature_problem(const ldns_pkt *message, const struct gb__dns_key *key, struct gb_error *error)
{
	const ldns_rr *signature = ldns_pkt_tsig(message);
	const ldns_rdf *code = signature ? ldns_rr_rdf(signature, 5) : NULL;
	char text[32];

	switch (code ? ldns_rdf2native_int16(code) : 0) {
	case BADSIG:
		return gb_error_set(
			error, -EACCES, "BADSIG: it has another secret for key \"%s\"", key->name);
	case BADKEY:
		return gb_error_set(error, -EACCES, "BADKEY: it takes no key \"%s\" (%.*s) here", key->name,
			(int)strlen(key->algorithm) - 1, key->algorithm);
	case BADTIME:
		return bad_time(signature, error);
	case BADTRUNC:
		return gb_error_set(error, -EACCES, "BADTRUNC: it wants a longer signature");
	default:
		if (ldns_pkt_get_rcode(message) != LDNS_RCODE_NOERROR)
			return gb_error_set(error, -EACCES, "%s, which is not signed by key \"%s\"",
				code_name(ldns_pkt_get_rcode(message), text, sizeof(text)), key->name);
		return gb_error_set(error, -EACCES, "an answer that is not signed by key \"%s\"", key->name);
	}
}

/* Whoever knows the secret may still not choose another algorithm (RFC 8945, 5.3). */
static bool is_algorithm(const ldns_pkt *message, const struct gb__dns_key *key)
{
	const ldns_rr *signature = ldns_pkt_tsig(message);
	ldns_rdf *algorithm = ldns_dname_new_frm_str(key->algorithm);
	const bool same = signature && algorithm && ldns_rr_rd_count(signature) > 0 &&
		ldns_dname_compare(algorithm, ldns_rr_rdf(signature, 0)) == 0;

	ldns_rdf_deep_free(algorithm);
	return same;
}

/* ldns takes the signature out meanwhile, and forgets it where it does not know the algorithm. */
static bool is_signed(ldns_pkt *message, const struct gb__dns_request *request, const struct gb__dns_key *key,
	const uint8_t *bytes, size_t size)
{
	ldns_rr *signature = ldns_pkt_tsig(message);
	const bool verified = gb__dns_signs(key)
		? gb__dns_signed(message, bytes, size, key, request->mac)
		: ldns_pkt_tsig_verify(message, bytes, size, key->name, key->secret, request->mac);

	if (!ldns_pkt_tsig(message))
		ldns_pkt_set_tsig(message, signature);
	return verified;
}

int gb__dns_open(const struct gb__dns_request *request, const struct gb__dns_key *key, const uint8_t *bytes,
	size_t size, ldns_pkt **ret, struct gb_error *error)
{
	ldns_pkt *message = NULL;
	int result = 0;

	if (ldns_wire2pkt(&message, bytes, size) != LDNS_STATUS_OK)
		return gb_error_set(error, -EBADMSG, "bytes that are no DNS message");
	if (ldns_pkt_id(message) != request->id || !ldns_pkt_qr(message))
		result = gb_error_set(error, -EBADMSG, "an answer to something else");
	else if (key && (!is_algorithm(message, key) || !is_signed(message, request, key, bytes, size)))
		result = signature_problem(message, key, error);
	else if (key && ldns_rdf2native_int16(ldns_rr_rdf(ldns_pkt_tsig(message), 5)) == BADTIME)
		result = bad_time(ldns_pkt_tsig(message), error);
	if (result < 0)
		ldns_pkt_free(message);
	else
		*ret = message;
	return result;
}

const char *gb__dns_problem(const ldns_pkt *message)
{
	switch (ldns_pkt_get_rcode(message)) {
	case LDNS_RCODE_NOERROR:
		return NULL;
	case LDNS_RCODE_REFUSED:
		return "REFUSED: its rules do not allow it";
	case LDNS_RCODE_NOTAUTH:
		return "NOTAUTH: it is not authoritative for the zone, or does not know the key";
	case LDNS_RCODE_NOTZONE:
		return "NOTZONE: a name is not in the zone";
	case LDNS_RCODE_NOTIMPL:
		return "NOTIMP: it takes no updates";
	case LDNS_RCODE_SERVFAIL:
		return "SERVFAIL: it cannot at present";
	case LDNS_RCODE_FORMERR:
		return "FORMERR: it does not understand the message";
	case LDNS_RCODE_NXDOMAIN:
		return "NXDOMAIN: there is no such name";
	case LDNS_RCODE_NXRRSET:
		return "NXRRSET: records have changed meanwhile";
	case LDNS_RCODE_YXRRSET:
		return "YXRRSET: records have come meanwhile";
	case LDNS_RCODE_YXDOMAIN:
		return "YXDOMAIN: a name is there that must not be";
	}
	return "an error that updates do not have";
}

uint32_t gb__dns_granted(ldns_pkt *message)
{
	ldns_edns_option_list *options =
		ldns_pkt_edns(message) ? ldns_pkt_edns_get_option_list(message) : NULL;

	for (size_t i = 0; options && i < ldns_edns_option_list_get_count(options); i++) {
		const ldns_edns_option *option = ldns_edns_option_list_get_option(options, i);

		if ((int)ldns_edns_get_code(option) == UPDATE_LEASE && ldns_edns_get_size(option) >= 4)
			return ldns_read_uint32(ldns_edns_get_data(option));
	}
	return 0;
}

/* In lower case, and without the last dot. */
static void write_name(const ldns_rdf *name, char *text, size_t size)
{
	char *formatted = ldns_rdf2str(name);

	snprintf(text, size, "%s", formatted ? formatted : "");
	free(formatted);
	for (size_t i = 0; text[i]; i++)
		text[i] = (char)tolower((unsigned char)text[i]);
	for (size_t length = strlen(text); length > 1 && text[length - 1] == '.'; length--)
		text[length - 1] = '\0';
}

static int zone_among(const ldns_rr_list *records, char *name, size_t size)
{
	for (size_t i = 0; i < ldns_rr_list_rr_count(records); i++) {
		const ldns_rr *record = ldns_rr_list_rr(records, i);

		if (ldns_rr_get_type(record) == LDNS_RR_TYPE_SOA) {
			write_name(ldns_rr_owner(record), name, size);
			return 0;
		}
	}
	return -ENOENT;
}

int gb__dns_zone(const ldns_pkt *message, char *name, size_t size)
{
	if (zone_among(ldns_pkt_answer(message), name, size) == 0)
		return 0;
	return zone_among(ldns_pkt_authority(message), name, size);
}
