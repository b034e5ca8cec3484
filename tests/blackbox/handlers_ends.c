/* Services that have to do with ends: last words, holds, a half-closed output, a relay. */
#include "handlers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void echo_line(struct gb_conn *conn, struct gb_bytes message)
{
	gb_conn_send(conn, message.data, message.size);
	gb_conn_send(conn, "\n", 1);
}

static void last_answer(struct gb_conn *conn, int reason)
{
	gb_conn_printf(conn, "bye: %s\n", gb_close_reason_name(reason));
}

static void last_word(struct gb_conn *conn)
{
	gb_conn_send(conn, "we are closing\n", strlen("we are closing\n"));
}

const struct gb_service parting_service = {
	GB_SERVICE_INIT,
	.name = "parting",
	.summary = "echoes lines, and says a last word at timeouts and drains",
	.codec = &gb_codec_line,
	.state = GB_STATE_NONE,
	.on_message = echo_line,
	.on_error = last_answer,
	.on_drain = last_word,
};

/* Of a connection: answers that are still to come. */
struct owing {
	unsigned count;
	bool eof;
};

struct kept {
	size_t size;
	char line[];
};

static void answer_held(struct gb_conn *conn, int status, void *arg)
{
	struct kept *kept = arg;

	if (conn && status == 0) {
		struct owing *owing = gb_conn_state(conn);

		gb_conn_send(conn, kept->line, kept->size);
		gb_conn_release(conn);
		if (--owing->count == 0 && owing->eof)
			gb_conn_fail(conn, GB_CLOSE_EOF);
	}
	free(kept);
}

static void answer_all(struct gb_conn *conn)
{
	struct owing *owing = gb_conn_state(conn);

	owing->eof = true;
	if (owing->count == 0)
		gb_conn_fail(conn, GB_CLOSE_EOF);
}

static void hold_it(struct gb_conn *conn, struct gb_bytes message)
{
	struct owing *owing = gb_conn_state(conn);
	struct kept *kept = malloc(sizeof(*kept) + message.size + 1);

	if (!kept) {
		gb_conn_abort(conn);
		return;
	}
	kept->size = message.size + 1;
	memcpy(kept->line, message.data, message.size);
	kept->line[message.size] = '\n';
	gb_conn_hold(conn);
	owing->count++;
	if (gb_handle_post(gb_conn_handle(conn), answer_held, kept) < 0) {
		free(kept);
		gb_conn_abort(conn);
	}
}

const struct gb_service held_service = {
	GB_SERVICE_INIT,
	.name = "held",
	.summary = "answers each line later, and holds its connection until then",
	.codec = &gb_codec_line,
	.state = GB_STATE_NONE,
	.conn_state_size = sizeof(struct owing),
	.on_message = hold_it,
	.on_eof = answer_all,
};

static int say_and_end(struct gb_conn *conn)
{
	gb_conn_send(conn, "all I have to say\n", strlen("all I have to say\n"));
	return gb_conn_end_output(conn);
}

static void listen_on(struct gb_conn *conn, struct gb_bytes message)
{
	(void)conn;
	(void)message;
}

const struct gb_service ending_service = {
	GB_SERVICE_INIT,
	.name = "ending",
	.summary = "says a line, ends its output, and listens until the client ends as well",
	.codec = &gb_codec_line,
	.state = GB_STATE_NONE,
	.on_open = say_and_end,
	.on_message = listen_on,
};

struct relayed {
	char *upstream;
};

static const struct gb_setting relayed_settings[] = {
	{ "upstream", GB_SETTING_TEXT, offsetof(struct relayed, upstream),
		.summary = "who each connection is joined with" },
	{ NULL },
};

static const struct gb_service far_side = {
	GB_SERVICE_INIT,
	.name = "far",
	.state = GB_STATE_NONE,
	.on_message = listen_on,
};

static int join(struct gb_conn *conn)
{
	const struct relayed *relayed = gb_conn_user(conn);
	struct gb_conn *far;
	int result = gb_connect(gb_conn_worker(conn), relayed->upstream ? relayed->upstream : "127.0.0.1:1",
		&far_side, NULL, &far, NULL);

	return result < 0 ? result : gb_relay(conn, far);
}

const struct gb_service relayed_service = {
	GB_SERVICE_INIT,
	.name = "relayed",
	.summary = "joins each connection with one to another server",
	.state = GB_STATE_NONE,
	.traits = GB_TRAIT_STREAM,
	.settings = relayed_settings,
	.settings_size = sizeof(struct relayed),
	.on_open = join,
	.on_message = listen_on,
};

/* More than verify asks to learn what it answers. */
#define RIGHT_ANSWERS 20u

static void answer_otherwise(struct gb_conn *conn, struct gb_bytes message)
{
	static unsigned connections;
	unsigned *number = gb_conn_state(conn);

	if (*number == 0) {
		*number = ++connections;
		if (*number > RIGHT_ANSWERS)
			fprintf(stderr, "late for the connection %u\n", *number);
	}
	gb_conn_send(conn, *number > RIGHT_ANSWERS ? "?" : "!", 1);
	(void)message;
}

const struct gb_service differing_service = {
	GB_SERVICE_INIT,
	.name = "differing",
	.summary = "answers otherwise after some connections",
	.codec = &gb_codec_line,
	.state = GB_STATE_WORKER,
	.conn_state_size = sizeof(unsigned),
	.on_message = answer_otherwise,
};
