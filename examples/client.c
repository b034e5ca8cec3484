/* A client: `client ADDRESS LINE…` sends the lines and prints an answer to each. */
#include <gearbox/gearbox.h>

#include <stdio.h>

struct client {
	const char *address; /* or a name */
	char **lines;        /* to send; ends with NULL */
	int missing;         /* answers */
};
static const struct gb_service client_service;

/* Outgoing connections begin where a worker does. */
static int on_start(struct gb_worker *worker, void *user)
{
	struct client *client = user;
	struct gb_conn *conn;

	return gb_connect(worker, client->address, &client_service, client, &conn, NULL);
}

static int on_open(struct gb_conn *conn)
{
	for (char **line = ((struct client *)gb_conn_user(conn))->lines; *line; line++)
		gb_conn_printf(conn, "%s\n", *line);
	return 0;
}

static void on_message(struct gb_conn *conn, struct gb_bytes answer)
{
	printf("%.*s\n", (int)answer.size, (const char *)answer.data);
	if (--((struct client *)gb_conn_user(conn))->missing == 0)
		gb_conn_close(conn);
}

static void on_close(struct gb_conn *conn, int reason)
{
	if (((struct client *)gb_conn_user(conn))->missing > 0)
		fprintf(stderr, "client: %s (%s)\n", gb_close_reason_name(reason),
			gb_strerror(gb_conn_error(conn)));
	gb_server_stop(gb_worker_server(gb_conn_worker(conn)));
}

static const struct gb_service client_service = { GB_SERVICE_INIT, .name = "client", .codec = &gb_codec_line,
	.state = GB_STATE_NONE, .on_start = on_start, .on_open = on_open, .on_message = on_message,
	.on_close = on_close };

int main(int argc, char **argv)
{
	struct client client = { .address = argv[1], .lines = argv + 2, .missing = argc - 2 };
	struct gb_error error = { .text = "usage: client ADDRESS LINE..." };
	struct gb_server *server = NULL;
	int fine = argc > 2 && gb_name_check(client.address, &error) >= 0 &&
		gb_server_create(NULL, &server, &error) == 0 &&
		gb_server_attach(server, &client_service, &client, &error) == 0 &&
		gb_server_run(server, &error) == 0;

	gb_server_destroy(server);
	return fine ? client.missing > 0 : (fprintf(stderr, "client: %s\n", error.text), 1);
}
