/* RFC 862: whatever a client sends comes back. */
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

	gb_conn_send(conn, message.data, message.size);
	if (settings->once)
		gb_conn_close(conn);
}

const struct gb_service gb_service_echo = {
	GB_SERVICE_INIT,
	.name = "echo",
	.summary = "sends back what it receives (RFC 862)",
	.traits = GB_TRAIT_THREAD_SAFE | GB_TRAIT_MOVABLE_IDLE,
	.settings = echo_settings,
	.settings_size = sizeof(struct echo_settings),
	.on_message = echo_message,
};
