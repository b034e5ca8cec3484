/*
 * What is signed (RFC 8945, 4.3): the message as it was before, behind the request's signature where it answers one, and
 * the variables of the signature itself, all as they are sent, names in lower case and whole.
 */
#include "announce/sign.h"

#include "base/alloc.h"
#include "tls/mac.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define ALGORITHM "hmac-sha384."
#define DIGEST "SHA384"
#define VARIABLES_MAX (2u * LDNS_MAX_DOMAINLEN + 64u)
#define OTHER_MAX 16u /* bytes of a time */

enum { FIELD_ALGORITHM, FIELD_TIME, FIELD_FUDGE, FIELD_MAC, FIELD_ID, FIELD_ERROR, FIELD_OTHER, FIELDS };

struct text {
	uint8_t *bytes;
	size_t size;
};

static void put(struct text *text, const void *data, size_t size)
{
	memcpy(text->bytes + text->size, data, size);
	text->size += size;
}

static void put_number(struct text *text, uint64_t number, unsigned bytes)
{
	while (bytes-- > 0)
		text->bytes[text->size++] = (uint8_t)(number >> 8 * bytes);
}

static void put_name(struct text *text, const ldns_rdf *name)
{
	for (size_t i = 0; i < ldns_rdf_size(name); i++) {
		const uint8_t byte = ldns_rdf_data(name)[i];

		text->bytes[text->size++] = byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
	}
}

bool gb__dns_signs(const struct gb__dns_key *key)
{
	return strcasecmp(key->algorithm, ALGORITHM) == 0;
}

/* The code of what is in `text`, which has room for the variables of this signature; these are put behind it. */
static int code_of(struct text *text, const ldns_rr *signature, const struct gb__dns_key *key,
	unsigned char ret[GB__MAC_MAX], size_t *ret_size)
{
	ldns_rdf *secret = NULL;
	int result;

	put_name(text, ldns_rr_owner(signature));
	put_number(text, LDNS_RR_CLASS_ANY, 2);
	put_number(text, 0, 4);
	put_name(text, ldns_rr_rdf(signature, FIELD_ALGORITHM));
	for (int field = FIELD_TIME; field < FIELDS; field++)
		if (field != FIELD_MAC && field != FIELD_ID)
			put(text, ldns_rdf_data(ldns_rr_rdf(signature, (size_t)field)),
				ldns_rdf_size(ldns_rr_rdf(signature, (size_t)field)));
	if (ldns_str2rdf_b64(&secret, key->secret) != LDNS_STATUS_OK)
		return -EOPNOTSUPP;
	result = gb__tls_mac(
		DIGEST, ldns_rdf_data(secret), ldns_rdf_size(secret), text->bytes, text->size, ret, ret_size);
	explicit_bzero(ldns_rdf_data(secret), ldns_rdf_size(secret));
	ldns_rdf_deep_free(secret);
	return result;
}

static bool push(ldns_rr *signature, ldns_rdf_type type, size_t size, const void *data)
{
	ldns_rdf *field = ldns_rdf_new_frm_data(type, size, data);

	if (field && ldns_rr_push_rdf(signature, field))
		return true;
	ldns_rdf_deep_free(field);
	return false;
}

/* Without a code, whose place has no length. NULL: no memory. */
static ldns_rr *signature_of(const struct gb__dns_key *key, uint16_t id, unsigned fudge_s)
{
	ldns_rr *signature = ldns_rr_new();
	ldns_rdf *owner = ldns_dname_new_frm_str(key->name), *algorithm = ldns_dname_new_frm_str(ALGORITHM);
	uint8_t bytes[12] = { 0 };
	struct text fields = { bytes, 0 };

	if (!signature || !owner || !algorithm) {
		ldns_rr_free(signature);
		ldns_rdf_deep_free(owner);
		ldns_rdf_deep_free(algorithm);
		return NULL;
	}
	ldns_rr_set_owner(signature, owner);
	ldns_rr_set_class(signature, LDNS_RR_CLASS_ANY);
	ldns_rr_set_type(signature, LDNS_RR_TYPE_TSIG);
	ldns_rr_set_ttl(signature, 0);
	put_number(&fields, (uint64_t)time(NULL), 6);
	put_number(&fields, fudge_s, 2);
	put_number(&fields, id, 2);
	if (!ldns_rr_push_rdf(signature, algorithm)) {
		ldns_rdf_deep_free(algorithm);
		ldns_rr_free(signature);
		return NULL;
	}
	if (push(signature, LDNS_RDF_TYPE_TSIGTIME, 6, bytes) &&
		push(signature, LDNS_RDF_TYPE_INT16, 2, bytes + 6) &&
		push(signature, LDNS_RDF_TYPE_INT16_DATA, 2, bytes + 10) &&
		push(signature, LDNS_RDF_TYPE_INT16, 2, bytes + 8) &&
		push(signature, LDNS_RDF_TYPE_INT16, 2, bytes + 10) &&
		push(signature, LDNS_RDF_TYPE_INT16_DATA, 2, bytes + 10))
		return signature;
	ldns_rr_free(signature);
	return NULL;
}

/* A code with its length in front, as it is sent. */
static int set_code(ldns_rr *signature, const unsigned char *code, size_t size)
{
	uint8_t bytes[2 + GB__MAC_MAX] = { (uint8_t)(size >> 8), (uint8_t)size };
	ldns_rdf *field;

	memcpy(bytes + 2, code, size);
	field = ldns_rdf_new_frm_data(LDNS_RDF_TYPE_INT16_DATA, size + 2, bytes);
	if (!field)
		return -ENOMEM;
	ldns_rdf_deep_free(ldns_rr_set_rdf(signature, field, FIELD_MAC));
	return 0;
}

int gb__dns_sign(ldns_pkt *message, const struct gb__dns_key *key, unsigned fudge_s, const ldns_rdf *mac)
{
	ldns_rr *signature = signature_of(key, ldns_pkt_id(message), fudge_s);
	unsigned char code[GB__MAC_MAX];
	struct text text = { 0 };
	uint8_t *wire = NULL;
	size_t size;
	int result = -ENOMEM;

	if (signature && ldns_pkt2wire(&wire, message, &size) == LDNS_STATUS_OK)
		text.bytes = gb__alloc((mac ? ldns_rdf_size(mac) : 0) + size + VARIABLES_MAX);
	if (text.bytes) {
		if (mac)
			put(&text, ldns_rdf_data(mac), ldns_rdf_size(mac));
		put(&text, wire, size);
		result = code_of(&text, signature, key, code, &size);
	}
	if (result == 0)
		result = set_code(signature, code, size);
	if (result == 0)
		ldns_pkt_set_tsig(message, signature);
	else
		ldns_rr_free(signature);
	gb__free(text.bytes);
	free(wire);
	return result;
}

/* Where the last record begins; 0: it is no message, or has none. */
static size_t last_record(const uint8_t *bytes, size_t size)
{
	size_t at = LDNS_HEADER_SIZE, begin = 0;
	unsigned questions, all;

	if (size < LDNS_HEADER_SIZE)
		return 0;
	questions = LDNS_QDCOUNT(bytes);
	all = questions + LDNS_ANCOUNT(bytes) + LDNS_NSCOUNT(bytes) + LDNS_ARCOUNT(bytes);
	for (unsigned i = 0; i < all; i++) {
		const bool asks = i < questions;
		ldns_rr *record;

		begin = asks ? 0 : at;
		if (ldns_wire2rr(&record, bytes, size, &at,
			    asks ? LDNS_SECTION_QUESTION : LDNS_SECTION_ADDITIONAL) != LDNS_STATUS_OK)
			return 0;
		ldns_rr_free(record);
	}
	return begin;
}

static bool is_by(const ldns_rr *signature, const struct gb__dns_key *key)
{
	ldns_rdf *owner = ldns_dname_new_frm_str(key->name), *algorithm = ldns_dname_new_frm_str(ALGORITHM);
	const bool same = owner && algorithm && ldns_rr_rd_count(signature) == FIELDS &&
		ldns_dname_compare(owner, ldns_rr_owner(signature)) == 0 &&
		ldns_dname_compare(algorithm, ldns_rr_rdf(signature, FIELD_ALGORITHM)) == 0 &&
		ldns_rdf_size(ldns_rr_rdf(signature, FIELD_OTHER)) <= OTHER_MAX;

	ldns_rdf_deep_free(owner);
	ldns_rdf_deep_free(algorithm);
	return same;
}

/* In a time that does not tell where they differ. */
static bool same_code(const ldns_rdf *field, const unsigned char *code, size_t size)
{
	unsigned char difference = 0;

	if (ldns_rdf_size(field) != size + 2)
		return false;
	for (size_t i = 0; i < size; i++)
		difference |= ldns_rdf_data(field)[2 + i] ^ code[i];
	return difference == 0;
}

bool gb__dns_signed(const ldns_pkt *message, const uint8_t *bytes, size_t size, const struct gb__dns_key *key,
	const ldns_rdf *mac)
{
	const ldns_rr *signature = ldns_pkt_tsig(message);
	const size_t end = last_record(bytes, size);
	unsigned char code[GB__MAC_MAX];
	struct text text = { 0 };
	bool fine = false;
	uint8_t *header;
	size_t code_size;

	if (signature && end > 0 && LDNS_ARCOUNT(bytes) > 0 && is_by(signature, key))
		text.bytes = gb__alloc(ldns_rdf_size(mac) + end + VARIABLES_MAX);
	if (!text.bytes)
		return false;
	put(&text, ldns_rdf_data(mac), ldns_rdf_size(mac));
	header = text.bytes + text.size;
	put(&text, bytes, end);
	memcpy(header, ldns_rdf_data(ldns_rr_rdf(signature, FIELD_ID)), 2);
	ldns_write_uint16(header + LDNS_ARCOUNT_OFF, (uint16_t)(LDNS_ARCOUNT(bytes) - 1));
	if (code_of(&text, signature, key, code, &code_size) == 0)
		fine = same_code(ldns_rr_rdf(signature, FIELD_MAC), code, code_size);
	gb__free(text.bytes);
	return fine;
}
