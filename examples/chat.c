/* A chat: each line goes to everybody else in the room. The connections of a worker share a room. */
#include <gearbox/gearbox.h>

struct member { /* a connection's state; a room is a list of them */
	struct gb_conn *conn;
	struct member *next;
};
static const struct gb_service chat;

static int join(struct gb_conn *conn)
{
	struct gb_worker *worker = gb_conn_worker(conn);
	struct member *self = gb_conn_state(conn);

	*self = (struct member){ conn, gb_worker_data(worker, &chat) };
	gb_conn_printf(conn, "%zu here\n", gb_worker_connections(worker));
	return gb_worker_set_data(worker, &chat, self);
}

static void leave(struct gb_conn *conn, int reason)
{
	struct member *self = gb_conn_state(conn), *first = gb_worker_data(gb_conn_worker(conn), &chat);

	if (first == self)
		gb_worker_set_data(gb_conn_worker(conn), &chat, self->next);
	for (struct member *member = first; member; member = member->next)
		if (member->next == self)
			member->next = self->next;
}

/* One copy for all. Who does not read is closed by the limits on output; nobody waits for it. */
static void say(struct gb_conn *conn, struct gb_bytes line)
{
	struct gb_buffer *text;

	if (gb_buffer_create(line.data, line.size, &text) < 0)
		return gb_conn_abort(conn);
	for (struct member *to = gb_worker_data(gb_conn_worker(conn), &chat); to; to = to->next)
		if (to->conn != conn)
			gb_conn_send_ref(to->conn, text);
	gb_buffer_unref(text);
}

static const struct gb_service chat = {
	GB_SERVICE_INIT,
	.name = "chat",
	.summary = "passes each line on to everybody else in the room",
	.codec = &gb_codec_line,
	.codec_options = &(const struct gb_line_options){ .keep_end = 1 },
	.state = GB_STATE_WORKER,
	.conn_state_size = sizeof(struct member),
	.on_open = join,
	.on_message = say,
	.on_close = leave,
};

int main(int argc, char **argv)
{
	return gb_main(argc, argv, &chat);
}
