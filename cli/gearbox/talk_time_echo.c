/* Lines that come back behind a frozen time. */
#include "gearbox/protocols.h"

#include <string.h>

static const char *const stamps[VERIFY_ADDRESSES] = { "[Thu Apr 20 12:00:00 2017] ",
	"[Fri Feb 13 23:31:30 2009] " };

static void append_line(struct verify_talk *talk, size_t size)
{
	unsigned char *line = gb__verify_bytes_reserve(&talk->sent, size);

	/* Any byte but a line feed; a carriage return not at the end, where it would belong to that. */
	for (size_t i = 0; i < size; i++) {
		line[i] = (unsigned char)gb__verify_random(&talk->random);
		if (line[i] == '\n' || (line[i] == '\r' && i + 1 == size))
			line[i] = 'x';
	}
	talk->sent.size += size;
}

static void time_echo_exchange(struct verify_talk *talk, size_t size)
{
	const char *stamp = stamps[talk->address];

	if (size > VERIFY_MESSAGE_MAX)
		size = VERIFY_MESSAGE_MAX;
	append_line(talk, size);
	gb__verify_bytes_append(&talk->wanted, stamp, strlen(stamp));
	gb__verify_bytes_append(&talk->wanted, talk->sent.data + talk->sent.size - size, size);
	gb__verify_bytes_append(&talk->wanted, "\n", 1);
	if (talk->exchanges % 3 == 1)
		gb__verify_bytes_append(&talk->sent, "\r\n", 2);
	else
		gb__verify_bytes_append(&talk->sent, "\n", 1);
}

static void too_long(struct verify_talk *talk)
{
	append_line(talk, VERIFY_MESSAGE_MAX + 1);
	gb__verify_bytes_append(&talk->sent, "\n", 1);
}

static void without_end(struct verify_talk *talk)
{
	append_line(talk, 3 * VERIFY_MESSAGE_MAX);
}

static const struct verify_fault faults[] = {
	{ "a line one byte too long", too_long, GB_CLOSE_MESSAGE_TOO_LARGE },
	{ "a line that never ends", without_end, GB_CLOSE_MESSAGE_TOO_LARGE },
	{ NULL },
};

const struct verify_protocol gb__verify_time_echo = {
	.service = "time-echo",
	.load = "time-echo",
	.settings = { "clock=1492689600", "clock=1234567890" },
	.exchange = time_echo_exchange,
	.framed = true,
	.faults = faults,
};
