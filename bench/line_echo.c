/*
 * echo by lines, with the library: each line, its end included, is a message and goes back as it came. What it
 * costs beyond `gearbox serve echo` is the codec. It is measured, and measures nothing.
 */
#include <gearbox/gearbox.h>

static const struct gb_line_options whole = { .keep_end = 1 };

static void on_line(struct gb_conn *conn, struct gb_bytes line)
{
	gb_conn_send(conn, line.data, line.size);
}

static const struct gb_service line_echo = {
	GB_SERVICE_INIT,
	.state = GB_STATE_NONE,
	.name = "line-echo",
	.summary = "sends back each line",
	.codec = &gb_codec_line,
	.codec_options = &whole,
	.on_message = on_line,
};

int main(int argc, char **argv)
{
	return gb_main(argc, argv, &line_echo);
}
