/* Requests of any size behind their length, which say how much is to be sent back. */
#include "gearbox/protocols.h"

#define NUMBER 8u

static void append_number(struct verify_bytes *bytes, uint64_t number)
{
	unsigned char data[NUMBER];

	for (unsigned i = 0; i < NUMBER; i++)
		data[i] = (unsigned char)(number >> (56 - 8 * i));
	gb__verify_bytes_append(bytes, data, sizeof(data));
}

static void append_request(struct verify_talk *talk, size_t size, uint64_t reply)
{
	append_number(&talk->sent, NUMBER + size);
	append_number(&talk->sent, reply);
	gb__verify_talk_noise(talk, size);
}

/* As much comes back as there is of it, but for every third, of which the digest alone does. */
static void bulk_exchange(struct verify_talk *talk, size_t size)
{
	const size_t payload = size > NUMBER ? size - NUMBER : 0,
		     reply = talk->exchanges % 3 == 2 ? 0 : payload;
	uint64_t digest = 14695981039346656037u;
	unsigned char next;

	append_request(talk, payload, reply);
	for (size_t i = 0; i < payload; i++)
		digest = (digest ^ talk->sent.data[talk->sent.size - payload + i]) * 1099511628211u;
	append_number(&talk->wanted, NUMBER + reply);
	append_number(&talk->wanted, digest);
	next = (unsigned char)digest;
	for (size_t i = 0; i < reply; i++, next++)
		gb__verify_bytes_append(&talk->wanted, &next, 1);
}

static void too_long(struct verify_talk *talk)
{
	append_number(&talk->sent, VERIFY_BODY_MAX + 1);
	append_number(&talk->sent, 0);
}

static void huge_length(struct verify_talk *talk)
{
	append_number(&talk->sent, UINT64_MAX);
}

static void short_request(struct verify_talk *talk)
{
	append_number(&talk->sent, NUMBER - 1);
	gb__verify_bytes_append(&talk->sent, "\0\0\0\0\0\0\0", NUMBER - 1);
}

static void too_large_a_reply(struct verify_talk *talk)
{
	append_request(talk, 10, 2000001);
}

static const struct verify_fault faults[] = {
	{ "a request one byte too long", too_long, GB_CLOSE_MESSAGE_TOO_LARGE },
	{ "a length of almost 2^64", huge_length, GB_CLOSE_MESSAGE_TOO_LARGE },
	{ "a request that is too short", short_request, GB_CLOSE_BAD_FRAME },
	{ "a request for too much", too_large_a_reply, GB_CLOSE_REFUSED },
	{ NULL },
};

const struct verify_protocol gb__verify_bulk = {
	.service = "bulk",
	.twins = { "bulk-sequential" },
	.settings = { "max-reply=2000000", "max-reply=2000000" },
	.exchange = bulk_exchange,
	.framed = true,
	.coded = true,
	.unbounded = true,
	.faults = faults,
};
