/* A chat: each line goes to everybody else in the room, whichever worker serves them, be it a thread or a process. */
#include <gearbox/gearbox.h>

static int join(struct gb_conn *conn)
{
	struct gb_stats stats;

	gb_server_stats(gb_worker_server(gb_conn_worker(conn)), &stats);
	gb_conn_printf(conn, "%llu here\n", (unsigned long long)stats.connections);
	/* Who does not read loses what is beyond the bounds of a subscription; nobody waits for it. */
	return gb_conn_subscribe(conn, gb_conn_state(conn), "room", NULL);
}

static void leave(struct gb_conn *conn, int reason)
{
	gb_unsubscribe(gb_conn_state(conn));
}

/* One copy for all but who says it. */
static void say(struct gb_conn *conn, struct gb_bytes line)
{
	struct gb_buffer *text;
	int result = gb_buffer_create(line.data, line.size, &text);

	if (result == 0) {
		result =
			gb_publish(gb_worker_server(gb_conn_worker(conn)), "room", text, gb_conn_state(conn));
		gb_buffer_unref(text);
	}
	if (result < 0)
		gb_conn_printf(conn, "not heard: %s\n", gb_strerror(result));
}

static const struct gb_service chat = {
	GB_SERVICE_INIT,
	.name = "chat",
	.summary = "passes each line on to everybody else in the room",
	.codec = &gb_codec_line,
	.codec_options = &(const struct gb_line_options){ .keep_end = 1 },
	.state = GB_STATE_NONE,
	.conn_state_size = sizeof(struct gb_subscription),
	.on_open = join,
	.on_message = say,
	.on_close = leave,
};

int main(int argc, char **argv)
{
	return gb_main(argc, argv, &chat);
}
