/* A handler in a shared object, which `gearbox serve ./handler.so` loads; docs/handlers.md. */
#include <gearbox/gearbox.h>

#include <string.h>

struct settings {
	char *greeting;
};

static const struct gb_setting settings[] = {
	{ "greeting", GB_SETTING_TEXT, offsetof(struct settings, greeting), .fallback = "hello",
		.argument = "WORD", .summary = "what comes before the name" },
	{ NULL },
};

static void greet(struct gb_conn *conn, struct gb_bytes name)
{
	const struct settings *settings = gb_conn_user(conn);

	gb_conn_send(conn, settings->greeting, strlen(settings->greeting));
	gb_conn_send(conn, ", ", 2);
	gb_conn_send(conn, name.data, name.size);
	gb_conn_send(conn, "\n", 1);
}

static const struct gb_service greeter = {
	GB_SERVICE_INIT,
	.name = "greeter",
	.summary = "greets whoever sends a name",
	.codec = &gb_codec_line,
	.state = GB_STATE_NONE,
	.settings = settings,
	.settings_size = sizeof(struct settings),
	.on_message = greet,
};

GB_HANDLER(greeter);
