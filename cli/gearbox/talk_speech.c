/* Services that speak first: RFC 864 (chargen), RFC 867 (daytime) and RFC 868 (time), their clocks frozen. */
#include "gearbox/protocols.h"

#include <string.h>

#define CHARGEN_BYTES 40003u
#define CHARGEN_SETTING "bytes=40003"
#define LINE 74u /* 72 characters, CR, LF */
#define PRINTABLE 95u

static bool chargen_speech(struct verify_talk *talk, size_t size)
{
	bool all = talk->address == 0 && size >= CHARGEN_BYTES;

	if (all)
		size = CHARGEN_BYTES;
	for (size_t at = talk->wanted.size; at < size; at++) {
		size_t line = at / LINE, column = at % LINE;
		char byte = (char)(' ' + (line + column) % PRINTABLE);

		if (column >= 72)
			byte = column == 72 ? '\r' : '\n';
		gb__verify_bytes_append(&talk->wanted, &byte, 1);
	}
	return all;
}

static bool say(struct verify_talk *talk, const char *text, size_t length, size_t size)
{
	gb__verify_bytes_append(&talk->wanted, text, size < length ? size : length);
	return size >= length;
}

static bool daytime_speech(struct verify_talk *talk, size_t size)
{
	static const char *const lines[VERIFY_ADDRESSES] = { "Thursday, April 20, 2017 12:00:00-UTC\r\n",
		"Friday, February 13, 2009 23:31:30-UTC\r\n" };
	const char *line = lines[talk->address];

	return say(talk, line, strlen(line), size);
}

static bool time_speech(struct verify_talk *talk, size_t size)
{
	/* Seconds since 1900, of 1980 (the example of the RFC) and of 2036, where the number begins anew. */
	static const char numbers[VERIFY_ADDRESSES][4] = { { '\x96', '\x79', '\x24', '\x80' },
		{ 0, 0, 0, 1 } };

	return say(talk, numbers[talk->address], sizeof(numbers[0]), size);
}

const struct verify_protocol gb__verify_chargen = {
	.service = "chargen",
	.twins = { "chargen-sequential" },
	.settings = { CHARGEN_SETTING, "bytes=0" },
	.speech = chargen_speech,
	.endless = true,
};

const struct verify_protocol gb__verify_daytime = {
	.service = "daytime",
	.settings = { "clock=1492689600", "clock=1234567890" },
	.speech = daytime_speech,
};

const struct verify_protocol gb__verify_time = {
	.service = "time",
	.settings = { "clock=315532800", "clock=2085978497" },
	.speech = time_speech,
};
