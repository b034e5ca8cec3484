/* RFC 862: whatever a client sends comes back. By callbacks, and from top to bottom. */
#include "services.h"

#include <stdbool.h>

struct echo_settings {
	bool once;
};

static const struct gb_setting echo_settings[] = {
	{ "once", GB_SETTING_SWITCH, offsetof(struct echo_settings, once), .fallback = "no",
		.argument = "yes|no", .summary = "answer the first bytes that arrive, then close" },
	{ NULL },
};

static void echo_message(struct gb_conn *conn, struct gb_bytes message)
{
	const struct echo_settings *settings = gb_conn_user(conn);

	/* Written twice, so that the send is mostly the last call: a jump, over which no register is saved. That is 10 of the 215
	 * instructions of a message. */
	if (settings->once) {
		gb_conn_send(conn, message.data, message.size);
		gb_conn_close(conn);
		return;
	}
	gb_conn_send(conn, message.data, message.size);
}

static void echo_serve(struct gb_stream *stream)
{
	const struct echo_settings *settings = gb_stream_user(stream);
	struct gb_bytes bytes;

	while (gb_read_message(stream, &bytes) > 0) {
		gb_write(stream, bytes.data, bytes.size);
		if (settings->once)
			return;
	}
}

const struct gb_service gb_service_echo = {
	GB_SERVICE_INIT,
	.name = "echo",
	.summary = "sends back what it receives (RFC 862)",
	.state = GB_STATE_NONE,
	.traits = GB_TRAIT_THREAD_SAFE | GB_TRAIT_MOVABLE_IDLE,
	.settings = echo_settings,
	.settings_size = sizeof(struct echo_settings),
	.on_message = echo_message,
};

const struct gb_service gb_service_echo_sequential = {
	GB_SERVICE_INIT,
	.name = "echo-sequential",
	.summary = "echo, by a straight-line handler",
	.state = GB_STATE_NONE,
	.traits = GB_TRAIT_THREAD_SAFE,
	.settings = echo_settings,
	.settings_size = sizeof(struct echo_settings),
	.serve = echo_serve,
};
