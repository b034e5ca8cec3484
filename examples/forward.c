/* Forwards each connection: `forward --listen ADDRESS --set to=HOST:PORT`. */
#include <gearbox/gearbox.h>

struct settings {
	char *to;
};

static const struct gb_setting settings[] = { { "to", GB_SETTING_TEXT, offsetof(struct settings, to),
						      "127.0.0.1:7001", 0, 0, NULL, "ADDRESS",
						      "where connections are forwarded to" },
	{ NULL } };

static void unused(struct gb_conn *conn, struct gb_bytes bytes)
{
}

/* What the far side is sent on: all that differs is how long to wait for it. */
static const struct gb_limit limits[] = { { GB_LIMIT_CONNECT_TIMEOUT, 3000 }, { GB_LIMIT_NONE, 0 } };
static const struct gb_service far = { GB_SERVICE_INIT, .name = "far", .state = GB_STATE_NONE,
	.limits = limits, .on_message = unused };

/* From here on the two are one: bytes, back-pressure and ends pass both ways. */
static int join(struct gb_conn *conn)
{
	const struct settings *set = gb_conn_user(conn);
	struct gb_conn *other;
	int result = gb_connect(gb_conn_worker(conn), set->to, &far, NULL, &other, NULL);

	return result < 0 ? result : gb_relay(conn, other);
}

static const struct gb_service forward = {
	GB_SERVICE_INIT,
	.name = "forward",
	.summary = "passes each connection on to another server",
	.state = GB_STATE_NONE,
	.traits = GB_TRAIT_STREAM,
	.settings = settings,
	.settings_size = sizeof(struct settings),
	.on_open = join,
	.on_message = unused,
};

int main(int argc, char **argv)
{
	return gb_main(argc, argv, &forward);
}
