/*
 * RFC 864: lines of 72 printable characters, each line beginning one character later than the one before.
 *
 * Bytes are queued until there is no room; on_writable goes on once the peer has taken most of them. So a
 * connection holds no more than the high watermark, however slow its peer is, and costs nothing while
 * nobody reads. A connection's state is the count of its bytes: they follow from it.
 */
#include "services.h"

#include <string.h>

#define PRINTABLE 95u
#define LINE_CHARACTERS 72u
#define LINE_SIZE (LINE_CHARACTERS + 2)
#define BLOCK_LINES 64u
#define BLOCK_SIZE (BLOCK_LINES * LINE_SIZE)

struct chargen_settings {
	uint64_t bytes;
};

struct chargen_state {
	uint64_t sent;
};

static const struct gb_setting chargen_settings[] = {
	{ "bytes", GB_SETTING_SIZE, offsetof(struct chargen_settings, bytes), .fallback = "0",
		.argument = "SIZE",
		.summary = "send so many bytes, then close; 0 to go on until the client ends" },
	{ NULL },
};

/* BLOCK_LINES lines from number `first` on. The ring goes on behind its end as far as the last line needs. */
static void write_lines(uint64_t first, unsigned char *block)
{
	static const char ring[] =
		" !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`"
		"abcdefghijklmnopqrstuvwxyz{|}~"
		" !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdef";

	_Static_assert(
		sizeof(ring) == PRINTABLE + LINE_CHARACTERS, "the line from '~' on ends with the ring");
	for (uint64_t line = first; line < first + BLOCK_LINES; line++, block += LINE_SIZE) {
		memcpy(block, ring + line % PRINTABLE, LINE_CHARACTERS);
		block[LINE_CHARACTERS] = '\r';
		block[LINE_CHARACTERS + 1] = '\n';
	}
}

/* Queue what there is room for. */
static void chargen_fill(struct gb_conn *conn)
{
	const struct chargen_settings *settings = gb_conn_user(conn);
	struct chargen_state *state = gb_conn_state(conn);
	unsigned char block[BLOCK_SIZE];

	while (settings->bytes == 0 || state->sent < settings->bytes) {
		size_t begin = state->sent % LINE_SIZE, size = BLOCK_SIZE - begin;

		if (settings->bytes != 0 && size > settings->bytes - state->sent)
			size = (size_t)(settings->bytes - state->sent);
		write_lines(state->sent / LINE_SIZE, block);
		if (gb_conn_try_send(conn, block + begin, size) < 0)
			return; /* no room: on_writable follows; or closing */
		state->sent += size;
	}
	gb_conn_close(conn);
}

static int chargen_open(struct gb_conn *conn)
{
	chargen_fill(conn);
	return 0;
}

static void chargen_message(struct gb_conn *conn, struct gb_bytes message)
{
	/* What a client sends is thrown away. */
	(void)conn;
	(void)message;
}

/* A client may half-close and still read: an end that is near is waited for. */
static void chargen_eof(struct gb_conn *conn)
{
	const struct chargen_settings *settings = gb_conn_user(conn);

	if (settings->bytes == 0)
		gb_conn_close(conn);
}

const struct gb_service gb_service_chargen = {
	GB_SERVICE_INIT,
	.name = "chargen",
	.summary = "sends lines of characters as fast as they are taken (RFC 864)",
	.traits = GB_TRAIT_THREAD_SAFE,
	.conn_state_size = sizeof(struct chargen_state),
	.settings = chargen_settings,
	.settings_size = sizeof(struct chargen_settings),
	.on_open = chargen_open,
	.on_message = chargen_message,
	.on_writable = chargen_fill,
	.on_eof = chargen_eof,
};
