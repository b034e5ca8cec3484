/* Greets whoever sends a name: one line in, one line out. */
#include <gearbox/gearbox.h>

static void greet(struct gb_conn *conn, struct gb_bytes name)
{
	gb_conn_send(conn, "hello, ", 7);
	gb_conn_send(conn, name.data, name.size);
	gb_conn_send(conn, "\n", 1);
}

static const struct gb_service hello = {
	GB_SERVICE_INIT,
	.name = "hello",
	.summary = "greets whoever sends a name",
	.codec = &gb_codec_line,
	.state = GB_STATE_NONE,
	.on_message = greet,
};

int main(int argc, char **argv)
{
	return gb_main(argc, argv, &hello);
}
