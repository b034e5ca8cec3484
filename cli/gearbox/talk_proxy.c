/* Messages that come back from an echo behind a proxy, but for those that it refuses: every third begins with such a word. */
#include "gearbox/protocols.h"

#include "services.h"

#include <string.h>

#define WORD "keys "
#define REFUSAL "refused"

/* So many bytes, of which the first are the word of every third message. */
static void append_body(struct verify_talk *talk, size_t size, bool line)
{
	unsigned char *bytes = gb__verify_bytes_reserve(&talk->sent, size);

	for (size_t i = 0; i < size; i++) {
		bytes[i] = (unsigned char)gb__verify_random(&talk->random);
		if (line && (bytes[i] == '\n' || bytes[i] == '\r'))
			bytes[i] = 'x';
	}
	if (talk->exchanges % 3 == 2)
		for (size_t i = 0; i < size && WORD[i]; i++)
			bytes[i] = (unsigned char)WORD[i];
	talk->sent.size += size;
}

static size_t fit(size_t size)
{
	size = size < strlen(WORD) ? strlen(WORD) : size;
	return size > VERIFY_MESSAGE_MAX ? VERIFY_MESSAGE_MAX : size;
}

/* By the first address refused, by the second offloaded, and answered like any other. */
static bool is_refused(const struct verify_talk *talk)
{
	return talk->address == 0 && talk->exchanges % 3 == 2;
}

static void line_exchange(struct verify_talk *talk, size_t size)
{
	const size_t begin = talk->sent.size;

	append_body(talk, fit(size), true);
	gb__verify_bytes_append(&talk->sent, "\r\n", 2);
	if (is_refused(talk))
		gb__verify_bytes_append(&talk->wanted, REFUSAL "\n", strlen(REFUSAL "\n"));
	else
		gb__verify_bytes_append(&talk->wanted, talk->sent.data + begin, talk->sent.size - begin);
}

static void append_length(struct verify_bytes *bytes, size_t size)
{
	const unsigned char header[] = { (unsigned char)(size >> 24), (unsigned char)(size >> 16),
		(unsigned char)(size >> 8), (unsigned char)size };

	gb__verify_bytes_append(bytes, header, sizeof(header));
}

static void length_exchange(struct verify_talk *talk, size_t size)
{
	const size_t begin = talk->sent.size;

	append_length(&talk->sent, fit(size));
	append_body(talk, fit(size), false);
	if (is_refused(talk)) {
		append_length(&talk->wanted, strlen(REFUSAL));
		gb__verify_bytes_append(&talk->wanted, REFUSAL, strlen(REFUSAL));
	} else {
		gb__verify_bytes_append(&talk->wanted, talk->sent.data + begin, talk->sent.size - begin);
	}
}

static void line_too_long(struct verify_talk *talk)
{
	append_body(talk, VERIFY_MESSAGE_MAX + 1, true);
	gb__verify_bytes_append(&talk->sent, "\n", 1);
}

static void length_too_large(struct verify_talk *talk)
{
	append_length(&talk->sent, VERIFY_MESSAGE_MAX + 1);
}

static const struct verify_fault line_faults[] = {
	{ "a line one byte too long", line_too_long, GB_CLOSE_MESSAGE_TOO_LARGE },
	{ NULL },
};

static const struct verify_fault length_faults[] = {
	{ "a length one byte too large", length_too_large, GB_CLOSE_MESSAGE_TOO_LARGE },
	{ NULL },
};

const struct verify_protocol gb__verify_proxy_line = {
	.service = "proxy-line",
	.settings = { "refuse=keys", "offload=keys" },
	.upstream = &gb_service_echo,
	.upstream_key = "upstream",
	.exchange = line_exchange,
	.framed = true,
	.coded = true,
	.faults = line_faults,
};

const struct verify_protocol gb__verify_proxy_length = {
	.service = "proxy-length",
	.settings = { "refuse=keys", "offload=keys" },
	.upstream = &gb_service_echo,
	.upstream_key = "upstream",
	.exchange = length_exchange,
	.framed = true,
	.coded = true,
	.faults = length_faults,
};
