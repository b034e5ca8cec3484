/* Services without messages: RFC 862 (echo), also behind a proxy, and RFC 863 (discard). */
#include "gearbox/protocols.h"

#include "services.h"

static void echo_exchange(struct verify_talk *talk, size_t size)
{
	gb__verify_talk_noise(talk, size);
	gb__verify_bytes_append(&talk->wanted, talk->sent.data + talk->sent.size - size, size);
}

const struct verify_protocol gb__verify_echo = {
	.service = "echo",
	.load = "echo",
	.twins = { "echo-sequential" },
	.settings = { NULL, "once=yes" },
	.exchange = echo_exchange,
	.once = true,
};

const struct verify_protocol gb__verify_proxy = {
	.service = "proxy",
	.load = "echo",
	.upstream = &gb_service_echo,
	.upstream_key = "upstream",
	.exchange = echo_exchange,
};

const struct verify_protocol gb__verify_discard = {
	.service = "discard",
	.exchange = gb__verify_talk_noise,
	.mute = true,
};
