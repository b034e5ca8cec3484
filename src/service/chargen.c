/*
 * RFC 864: lines of 72 printable characters, each line beginning one character later than the one before.
 *
 * Bytes are queued until there is no room; on_writable goes on once the peer has taken most of them. So a
 * connection holds no more than the high watermark, however slow its peer is, and costs nothing while
 * nobody reads. A connection's state is the count of its bytes: they follow from it.
 *
 * The straight-line form is two coroutines of one scope: one speaks, and waits where there is no room; one hears.
 */
#include "services.h"

#include <errno.h>
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

/* The bytes that follow on the first `sent`, in a block. Returns how many, 0 once all are sent. */
static size_t next_bytes(const struct chargen_settings *settings, uint64_t sent, unsigned char *block,
	const unsigned char **ret)
{
	size_t begin = sent % LINE_SIZE, size = BLOCK_SIZE - begin;

	if (settings->bytes != 0 && size > settings->bytes - sent)
		size = (size_t)(settings->bytes - sent);
	if (size > 0)
		write_lines(sent / LINE_SIZE, block);
	*ret = block + begin;
	return size;
}

/* Queue what there is room for. */
static void chargen_fill(struct gb_conn *conn)
{
	const struct chargen_settings *settings = gb_conn_user(conn);
	struct chargen_state *state = gb_conn_state(conn);
	unsigned char block[BLOCK_SIZE];
	const unsigned char *bytes;
	size_t size;

	while ((size = next_bytes(settings, state->sent, block, &bytes)) > 0) {
		if (gb_conn_try_send(conn, bytes, size) < 0)
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
	.state = GB_STATE_NONE,
	.traits = GB_TRAIT_THREAD_SAFE | GB_TRAIT_MOVABLE_IDLE,
	.conn_state_size = sizeof(struct chargen_state),
	.settings = chargen_settings,
	.settings_size = sizeof(struct chargen_settings),
	.on_open = chargen_open,
	.on_message = chargen_message,
	.on_writable = chargen_fill,
	.on_eof = chargen_eof,
};

struct chargen_talk {
	struct gb_stream *stream;
	struct gb_scope scope;
};

static int chargen_speak(struct gb_coro *coro, void *arg)
{
	struct chargen_talk *talk = arg;
	unsigned char block[BLOCK_SIZE];
	const unsigned char *bytes;
	uint64_t sent = 0;
	size_t size;
	ssize_t result = 0;

	(void)coro;
	while (result >= 0 && (size = next_bytes(gb_stream_user(talk->stream), sent, block, &bytes)) > 0) {
		result = gb_write(talk->stream, bytes, size);
		sent += size;
	}
	gb_scope_cancel(&talk->scope); /* all is said */
	return 0;
}

/* What a client sends is thrown away. Its end is that of a speech that has none itself. */
static int chargen_hear(struct gb_coro *coro, void *arg)
{
	struct chargen_talk *talk = arg;
	const struct chargen_settings *settings = gb_stream_user(talk->stream);
	unsigned char bytes[512];
	ssize_t got;

	(void)coro;
	do
		got = gb_read(talk->stream, bytes, sizeof(bytes));
	while (got > 0);
	return got == 0 && settings->bytes == 0 ? -EPIPE : (int)got;
}

static void chargen_serve(struct gb_stream *stream)
{
	struct chargen_talk talk = { .stream = stream };

	gb_stream_fail(stream, GB_CLOSE_LOCAL); /* also when the client has ended: the end is ours */
	gb_scope_begin(gb_stream_coro(stream), &talk.scope);
	if (gb_scope_start(&talk.scope, chargen_speak, &talk) < 0 ||
		gb_scope_start(&talk.scope, chargen_hear, &talk) < 0)
		gb_scope_cancel(&talk.scope);
	gb_scope_end(&talk.scope);
}

const struct gb_service gb_service_chargen_sequential = {
	GB_SERVICE_INIT,
	.name = "chargen-sequential",
	.summary = "chargen, by a straight-line handler",
	.state = GB_STATE_NONE,
	.traits = GB_TRAIT_THREAD_SAFE,
	.settings = chargen_settings,
	.settings_size = sizeof(struct chargen_settings),
	.serve = chargen_serve,
};
