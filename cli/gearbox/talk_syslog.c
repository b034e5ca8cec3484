/* Log records, by turns with their length and up to the end of a line; nobody answers. */
#include "gearbox/protocols.h"

#include <stdio.h>
#include <string.h>

/* A record of about so many bytes; any byte, but none that would end it. */
static void append_record(struct verify_talk *talk, size_t size)
{
	unsigned char *bytes;

	gb__verify_bytes_append(&talk->sent, "<13>", 4);
	size = size > 4 ? size - 4 : 0;
	bytes = gb__verify_bytes_reserve(&talk->sent, size);
	for (size_t i = 0; i < size; i++) {
		bytes[i] = (unsigned char)gb__verify_random(&talk->random);
		if (bytes[i] == '\n' || bytes[i] == '\r')
			bytes[i] = 'x';
	}
	talk->sent.size += size;
}

static void append_length(struct verify_talk *talk, size_t size)
{
	char text[32];

	gb__verify_bytes_append(&talk->sent, text, (size_t)snprintf(text, sizeof(text), "%zu ", size));
}

static void syslog_exchange(struct verify_talk *talk, size_t size)
{
	if (size > VERIFY_MESSAGE_MAX)
		size = VERIFY_MESSAGE_MAX;
	if (size < 4)
		size = 4;
	if (talk->exchanges % 2 == 0)
		append_length(talk, size);
	append_record(talk, size);
	if (talk->exchanges % 2 == 1)
		gb__verify_bytes_append(&talk->sent, "\n", 1);
}

static void length_too_large(struct verify_talk *talk)
{
	append_length(talk, VERIFY_MESSAGE_MAX + 1);
}

static void without_end(struct verify_talk *talk)
{
	append_record(talk, 3 * VERIFY_MESSAGE_MAX);
}

static void no_record(struct verify_talk *talk)
{
	gb__verify_bytes_append(&talk->sent, "GET / HTTP/1.0\r\n\r\n", 18);
}

static const struct verify_fault faults[] = {
	{ "a length one byte too large", length_too_large, GB_CLOSE_MESSAGE_TOO_LARGE },
	{ "a line that never ends", without_end, GB_CLOSE_MESSAGE_TOO_LARGE },
	{ "what is no record", no_record, GB_CLOSE_BAD_FRAME },
	{ NULL },
};

const struct verify_protocol gb__verify_syslog = {
	.service = "syslog",
	.load = "syslog",
	.settings = { "file=/dev/null", "file=/dev/null" },
	.exchange = syslog_exchange,
	.mute = true,
	.framed = true,
	.coded = true,
	.faults = faults,
};
