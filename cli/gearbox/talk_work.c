/* Requests behind their length that say how long to compute and to block; the reply has id and payload. */
#include "gearbox/protocols.h"

#define HEADER 12u /* of a request: id, microseconds to compute, microseconds to block */

static void append_number(struct verify_bytes *bytes, uint32_t number)
{
	const unsigned char data[] = { (unsigned char)(number >> 24), (unsigned char)(number >> 16),
		(unsigned char)(number >> 8), (unsigned char)number };

	gb__verify_bytes_append(bytes, data, sizeof(data));
}

static void append_request(struct verify_talk *talk, size_t payload, uint32_t compute_us, uint32_t block_us)
{
	append_number(&talk->sent, (uint32_t)(HEADER + payload));
	append_number(&talk->sent, talk->exchanges);
	append_number(&talk->sent, compute_us);
	append_number(&talk->sent, block_us);
	gb__verify_talk_noise(talk, payload);
}

static void exchange(struct verify_talk *talk, size_t payload, uint32_t compute_us, uint32_t block_us)
{
	append_request(talk, payload, compute_us, block_us);
	append_number(&talk->wanted, (uint32_t)(4 + payload));
	append_number(&talk->wanted, talk->exchanges);
	gb__verify_bytes_append(&talk->wanted, talk->sent.data + talk->sent.size - payload, payload);
}

/* Every fourth takes a while, and every eighth, so that replies would overtake one another if they could. */
static void work_exchange(struct verify_talk *talk, size_t size)
{
	size_t payload = size > HEADER ? size - HEADER : 0;

	if (payload > VERIFY_MESSAGE_MAX - HEADER)
		payload = VERIFY_MESSAGE_MAX - HEADER;
	exchange(talk, payload, talk->exchanges % 4 == 1 ? 50 : 0, talk->exchanges % 8 == 0 ? 500 : 0);
}

static void work_for(struct verify_talk *talk, unsigned ms)
{
	exchange(talk, 20, 0, 1000 * ms);
	talk->exchanges++;
}

static void too_long(struct verify_talk *talk)
{
	append_request(talk, VERIFY_MESSAGE_MAX + 1 - HEADER, 0, 0);
}

static void huge_length(struct verify_talk *talk)
{
	append_number(&talk->sent, UINT32_MAX);
}

static void short_request(struct verify_talk *talk)
{
	append_number(&talk->sent, HEADER - 1);
	append_number(&talk->sent, talk->exchanges);
	append_number(&talk->sent, 0);
	gb__verify_bytes_append(&talk->sent, "\0\0\0", 3);
}

static void too_much_work(struct verify_talk *talk)
{
	append_request(talk, 10, 2000001, 0);
}

static void too_long_a_block(struct verify_talk *talk)
{
	append_request(talk, 10, 0, 2000001);
}

static size_t answer_size(struct gb_bytes bytes)
{
	uint32_t size;

	if (bytes.size < 4)
		return 0;
	size = (uint32_t)bytes.data[0] << 24 | (uint32_t)bytes.data[1] << 16 | (uint32_t)bytes.data[2] << 8 |
		bytes.data[3];
	return size <= bytes.size - 4 ? 4 + (size_t)size : 0;
}

static const struct verify_fault faults[] = {
	{ "a request one byte too long", too_long, GB_CLOSE_MESSAGE_TOO_LARGE },
	{ "a length of 4 GiB", huge_length, GB_CLOSE_MESSAGE_TOO_LARGE },
	{ "a request that is too short", short_request, GB_CLOSE_BAD_FRAME },
	{ "a request to compute for too long", too_much_work, GB_CLOSE_REFUSED },
	{ "a request to block for too long", too_long_a_block, GB_CLOSE_REFUSED },
	{ NULL },
};

const struct verify_protocol gb__verify_work = {
	.service = "work",
	.load = "work",
	.twins = { "work-deferred", "work-routed", "work-sequential" },
	.settings = { "max-compute=2s", "max-block=2s" },
	.exchange = work_exchange,
	.answer_size = answer_size,
	.framed = true,
	.work = work_for,
	.faults = faults,
};
