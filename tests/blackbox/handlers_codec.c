/* Services with codecs of their own. */
#include "handlers.h"

#include <string.h>

/* SIZE:bytes, as in D. J. Bernstein's netstrings. */
static int decode_netstring(const void *options, void *state, struct gb_bytes input, size_t max_message,
	uint32_t *scanned, struct gb_frame *ret)
{
	size_t at = 0, size = 0;

	(void)options;
	(void)state;
	(void)scanned;
	for (; at < input.size && input.data[at] >= '0' && input.data[at] <= '9'; at++) {
		size = size * 10 + (size_t)(input.data[at] - '0');
		if (size > max_message)
			return -GB_ETOOLARGE;
	}
	if (at == input.size)
		return 0;
	if (at == 0 || input.data[at] != ':') {
		ret->problem = "a length and a colon must come first";
		return -GB_EBADFRAME;
	}
	if (input.size < at + 1 + size + 1)
		return 0;
	if (input.data[at + 1 + size] != ',')
		return -GB_EBADFRAME;
	ret->offset = at + 1;
	ret->size = size;
	ret->consumed = at + 1 + size + 1;
	return 1;
}

static void answer_netstring(struct gb_conn *conn, struct gb_bytes message)
{
	gb_conn_printf(conn, "%zu:", message.size);
	gb_conn_send(conn, message.data, message.size);
	gb_conn_send(conn, ",", 1);
}

static const struct gb_codec_ops netstring = { .name = "netstring", .decode = decode_netstring };
/* The last one is for amounts that fill buffers. */
#define TEN(text) text text text text text text text text text text
static const char *const netstring_samples[] = { "5:hello,", "0:,", "3:\\0\\n\\xff,",
	"2000:" TEN(TEN("a netstring, of many")) ",", NULL };

const struct gb_service netstring_service = {
	GB_SERVICE_INIT,
	.name = "netstring",
	.summary = "echoes netstrings",
	.codec = &netstring,
	.state = GB_STATE_NONE,
	.samples = netstring_samples,
	.on_message = answer_netstring,
};

const struct gb_service unknown_service = {
	GB_SERVICE_INIT,
	.name = "unknown",
	.summary = "the same, of which nobody says what its clients say",
	.codec = &netstring,
	.state = GB_STATE_NONE,
	.on_message = answer_netstring,
};

static void answer_curtly(struct gb_conn *conn, struct gb_bytes line)
{
	if (line.size > 100) {
		gb_conn_fail(conn, GB_CLOSE_REFUSED);
		return;
	}
	gb_conn_printf(conn, "%zu\n", line.size);
}

const struct gb_service curt_service = {
	GB_SERVICE_INIT,
	.name = "curt",
	.summary = "counts short lines, and refuses long ones",
	.codec = &gb_codec_line,
	.state = GB_STATE_NONE,
	.on_message = answer_curtly,
};

/* Lines up to an empty one. */
static int decode_stanza(const void *options, void *state, struct gb_bytes input, size_t max_message,
	uint32_t *scanned, struct gb_frame *ret)
{
	const unsigned char *end = memmem(input.data, input.size, "\r\n\r\n", 4);

	(void)options;
	(void)state;
	(void)scanned;
	if (!end)
		return input.size > max_message + 4 ? -GB_ETOOLARGE : 0;
	ret->offset = 0;
	ret->size = (size_t)(end - input.data);
	ret->consumed = ret->size + 4;
	return ret->size > max_message ? -GB_ETOOLARGE : 1;
}

static void answer_stanza(struct gb_conn *conn, struct gb_bytes message)
{
	gb_conn_send(conn, message.data, message.size);
	gb_conn_send(conn, "\r\n\r\n", 4);
}

static const struct gb_codec_ops stanza = { .name = "stanza", .decode = decode_stanza };

const struct gb_service stanza_service = {
	GB_SERVICE_INIT,
	.name = "stanza",
	.summary = "echoes what ends in an empty line",
	.codec = &stanza,
	.state = GB_STATE_NONE,
	.on_message = answer_stanza,
};

/* What it takes for a message no codec says: it reads up to a newline. */
static void serve_until(struct gb_stream *stream)
{
	struct gb_bytes line;

	while (gb_read_until(stream, "\n", 1, &line) > 0) {
		gb_write_format(stream, "%zu: ", line.size);
		gb_write(stream, line.data, line.size);
	}
}

const struct gb_service until_service = {
	GB_SERVICE_INIT,
	.name = "until",
	.summary = "echoes lines behind their size, and frames them itself",
	.state = GB_STATE_NONE,
	.serve = serve_until,
};
