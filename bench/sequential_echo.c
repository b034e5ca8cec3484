/*
 * echo by straight-line handlers, with the library: as bytes arrive, as `gearbox serve echo`, or with --lines first as
 * line_echo. What it costs beyond those is the coroutine. It is measured, and measures nothing.
 */
#include <gearbox/gearbox.h>
#include <gearbox/stream.h>

#include <string.h>

static const struct gb_line_options whole = { .keep_end = 1 };

static void serve(struct gb_stream *stream)
{
	struct gb_bytes message;

	while (gb_read_message(stream, &message) > 0)
		if (gb_write(stream, message.data, message.size) < 0)
			return;
}

static const struct gb_service echo = {
	GB_SERVICE_INIT,
	.state = GB_STATE_NONE,
	.name = "sequential-echo",
	.summary = "sends back what it receives",
	.serve = serve,
};

static const struct gb_service line_echo = {
	GB_SERVICE_INIT,
	.state = GB_STATE_NONE,
	.name = "sequential-line-echo",
	.summary = "sends back each line",
	.codec = &gb_codec_line,
	.codec_options = &whole,
	.serve = serve,
};

int main(int argc, char **argv)
{
	const bool lines = argc > 1 && strcmp(argv[1], "--lines") == 0;

	if (lines) {
		argv[1] = argv[0];
		argv++;
		argc--;
	}
	return gb_main(argc, argv, lines ? &line_echo : &echo);
}
