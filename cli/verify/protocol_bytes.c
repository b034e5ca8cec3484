/* Services without messages: RFC 862 (echo) and RFC 863 (discard). */
#include "verify/protocol.h"

static void append_random(struct verify_talk *talk, size_t size)
{
	unsigned char *data = verify_bytes_reserve(&talk->sent, size);

	for (size_t i = 0; i < size; i++)
		data[i] = (unsigned char)verify_random(&talk->random);
	talk->sent.size += size;
}

static void echo_exchange(struct verify_talk *talk, size_t size)
{
	append_random(talk, size);
	verify_bytes_append(&talk->wanted, talk->sent.data + talk->sent.size - size, size);
}

const struct verify_protocol verify_echo = {
	.service = "echo",
	.settings = { NULL, "once=yes" },
	.exchange = echo_exchange,
	.once = true,
};

const struct verify_protocol verify_discard = {
	.service = "discard",
	.exchange = append_random,
	.mute = true,
};
