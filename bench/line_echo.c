/* A subject, not a tool: echo by lines. Beside `gearbox serve echo` under the same load it shows what the codec costs. */
#include <gearbox/gearbox.h>

static void echo(struct gb_conn *conn, struct gb_bytes line)
{
	gb_conn_send(conn, line.data, line.size);
}

static const struct gb_line_options whole_lines = { .keep_end = 1 };

static const struct gb_service line_echo = {
	GB_SERVICE_INIT,
	.name = "line-echo",
	.summary = "sends back each line",
	.codec = &gb_codec_line,
	.codec_options = &whole_lines,
	.on_message = echo,
};

int main(int argc, char **argv)
{
	return gb_main(argc, argv, &line_echo);
}
