/* Runs a program for each connection, as inetd does: `filter --listen ADDRESS --set command='tr a-z A-Z'`. */
#include <gearbox/gearbox.h>

struct settings {
	char *command;
};

static const struct gb_setting settings[] = {
	{ "command", GB_SETTING_TEXT, offsetof(struct settings, command), "cat", 0, 0, NULL, "COMMAND",
		"what the shell runs, with the client as its input and output" },
	{ NULL }
};

static void serve(struct gb_stream *stream)
{
	const struct settings *set = gb_stream_user(stream);
	const char *const arguments[] = { "sh", "-c", set->command, NULL };
	const struct gb_child_options options = {
		.arguments = arguments,
		.in = { GB_CHILD_STREAM },
		.out = { GB_CHILD_SAME }, /* one stream, both ways */
		.err = { GB_CHILD_INHERIT },
		.group = true, /* what the shell starts ends with it */
	};
	struct gb_coro *coro = gb_stream_coro(stream);
	struct gb_error error;
	struct gb_child child;

	if (gb_child_start(coro, &child, &options, &error) < 0) {
		gb_log(GB_LOG_WARNING, "%s", error.text);
		gb_stream_abort(stream);
		return;
	}
	/* Who has gone needs no answer any more. */
	if (gb_stream_relay(stream, child.in.stream) < 0)
		gb_operation_cancel(&child.operation);
	gb_child_wait(coro, &child);
}

static const struct gb_service filter = {
	GB_SERVICE_INIT,
	.name = "filter",
	.summary = "runs a program for each connection",
	.state = GB_STATE_NONE,
	.settings = settings,
	.settings_size = sizeof(struct settings),
	.serve = serve,
};

int main(int argc, char **argv)
{
	return gb_main(argc, argv, &filter);
}
