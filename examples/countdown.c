/* Counts down from the digit in a line, ten numbers a second, while it serves others. */
#include <gearbox/gearbox.h>

static void serve(struct gb_stream *stream)
{
	struct gb_bytes line;

	while (gb_read_message(stream, &line) > 0) {
		if (gb_bytes_is(line, "quit"))
			return;
		for (int left = line.size ? line.data[0] - '0' : 0; left > 0; left--)
			if (gb_write_format(stream, "%d\n", left) < 0 ||
				gb_sleep(gb_stream_coro(stream), 100) < 0)
				return;
		gb_write_format(stream, "lift-off\n");
	}
}

static const struct gb_service countdown = { GB_SERVICE_INIT, .name = "countdown",
	.summary = "counts down from a digit", .codec = &gb_codec_line, .state = GB_STATE_NONE,
	.serve = serve };

int main(int argc, char **argv)
{
	return gb_main(argc, argv, &countdown);
}
