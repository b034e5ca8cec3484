#include "name/answer.h"

#include "base/macros.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define HEADER 12u
enum { TYPE_CNAME = 5, TYPE_SOA = 6, TYPE_SRV = 33, CLASS_IN = 1 };

struct reader {
	const unsigned char *message;
	size_t size, at;
	bool bad;
};

struct record {
	unsigned type, class;
	uint32_t ttl_s;
	size_t data, data_size;
};

static unsigned take_number(struct reader *reader, unsigned bytes)
{
	unsigned value = 0;

	if (reader->bad || reader->at > reader->size || reader->size - reader->at < bytes) {
		reader->bad = true;
		return 0;
	}
	while (bytes--)
		value = value << 8 | reader->message[reader->at++];
	return value;
}

/* A dot or a backslash within a label is nothing that a name of ours has: the name is not usable, and says so. */
static bool take_label(struct reader *reader, size_t at, unsigned length, char *name, size_t *used)
{
	if (at + length > reader->size || *used + length + 1 >= GB__NAME_SIZE)
		return false;
	for (unsigned i = 0; i < length; i++) {
		unsigned char byte = reader->message[at + i];

		if (byte <= ' ' || byte >= 0x7f || byte == '.' || byte == '\\')
			return false;
		name[(*used)++] = (char)(byte >= 'A' && byte <= 'Z' ? byte + ('a' - 'A') : byte);
	}
	name[(*used)++] = '.';
	return true;
}

/* A name, which may go on elsewhere, but only before where it does (so it ends). `name` NULL: it is passed over. */
static void take_name(struct reader *reader, char *name)
{
	size_t at = reader->at, used = 0, bound = reader->at;
	bool jumped = false;

	for (;;) {
		unsigned length;

		if (reader->bad || at >= reader->size) {
			reader->bad = true;
			return;
		}
		length = reader->message[at++];
		if (length >= 0xc0) {
			size_t to;

			if (at >= reader->size) {
				reader->bad = true;
				return;
			}
			to = (length & 0x3fu) << 8 | reader->message[at++];
			if (!jumped)
				reader->at = at;
			jumped = true;
			reader->bad = to >= bound;
			bound = at = to;
			if (!name)
				return;
			continue;
		}
		if (length > 63) {
			reader->bad = true;
			return;
		}
		if (length == 0)
			break;
		if (name && !take_label(reader, at, length, name, &used)) {
			reader->bad = true;
			return;
		}
		at += length;
	}
	if (!jumped)
		reader->at = at;
	if (!name)
		return;
	if (used == 0)
		name[used++] = '.';
	else if (used > 1)
		used--;
	name[used] = '\0';
}

static struct record take_record(struct reader *reader)
{
	struct record record;

	take_name(reader, NULL);
	record.type = take_number(reader, 2);
	record.class = take_number(reader, 2);
	record.ttl_s = take_number(reader, 4);
	if (record.ttl_s > INT32_MAX)
		record.ttl_s = 0; /* RFC 2181, section 8 */
	record.data_size = take_number(reader, 2);
	record.data = reader->at;
	if (reader->bad || reader->size - reader->at < record.data_size)
		reader->bad = true;
	else
		reader->at += record.data_size;
	return record;
}

/* Past the questions. */
static void begin(struct reader *reader, unsigned *ret_answers, unsigned *ret_authorities)
{
	unsigned questions;

	reader->at = 4;
	questions = take_number(reader, 2);
	*ret_answers = take_number(reader, 2);
	*ret_authorities = take_number(reader, 2);
	reader->at = HEADER;
	reader->bad = reader->bad || reader->size < HEADER;
	while (questions-- && !reader->bad) {
		take_name(reader, NULL);
		take_number(reader, 4);
	}
}

static void take_service(
	const struct reader *reader, const struct record *record, struct gb__srv *ret, bool *ret_bad)
{
	struct reader data = { reader->message, reader->size, record->data, false };

	ret->priority = (uint16_t)take_number(&data, 2);
	ret->weight = (uint16_t)take_number(&data, 2);
	ret->port = (uint16_t)take_number(&data, 2);
	take_name(&data, ret->target);
	*ret_bad = data.bad || data.at > record->data + record->data_size;
}

int gb__answer_services(
	const unsigned char *message, size_t size, struct gb__srv *ret, size_t max, uint32_t *ret_ttl_s)
{
	struct reader reader = { message, size, 0, false };
	unsigned answers, authorities;
	uint32_t ttl_s = UINT32_MAX;
	size_t count = 0;

	begin(&reader, &answers, &authorities);
	while (answers-- && !reader.bad) {
		struct record record = take_record(&reader);
		bool bad = false;

		if (reader.bad || record.class != CLASS_IN)
			continue;
		ttl_s = gb__min(ttl_s, record.ttl_s);
		if (record.type != TYPE_SRV || count == max)
			continue;
		take_service(&reader, &record, &ret[count], &bad);
		count += !bad;
	}
	if (reader.bad)
		return -EBADMSG;
	*ret_ttl_s = count ? ttl_s : 0;
	return (int)count;
}

int gb__answer_negative(const unsigned char *message, size_t size, uint32_t *ret_ttl_s)
{
	struct reader reader = { message, size, 0, false };
	unsigned answers, authorities;

	begin(&reader, &answers, &authorities);
	while (answers-- && !reader.bad)
		take_record(&reader);
	while (authorities-- && !reader.bad) {
		struct record record = take_record(&reader);
		struct reader data = { message, size, record.data, false };

		if (reader.bad || record.type != TYPE_SOA || record.class != CLASS_IN)
			continue;
		take_name(&data, NULL); /* MNAME, RNAME */
		take_name(&data, NULL);
		take_number(&data, 4); /* SERIAL, REFRESH, RETRY, EXPIRE */
		take_number(&data, 4);
		take_number(&data, 4);
		take_number(&data, 4);
		{
			uint32_t minimum_s = take_number(&data, 4);

			if (data.bad)
				return -EBADMSG;
			*ret_ttl_s = gb__min(record.ttl_s, minimum_s);
		}
		return 0;
	}
	return reader.bad ? -EBADMSG : -ENODATA;
}
