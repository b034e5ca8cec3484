/* A server inside a program of one's own: each connection is told the server's counters, ten times a second. */
#include <gearbox/gearbox.h>

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

static struct gb_server *server; /* under process models each process has its copy */

static void tell(struct gb_timer *timer, void *conn)
{
	struct gb_stats stats;

	gb_server_stats(server, &stats);
	gb_conn_printf(conn, "%" PRIu64 " accepted, %" PRIu64 " open\n", stats.accepted, stats.connections);
	if (gb_timer_start(gb_conn_worker(conn), timer, 100, tell, conn) < 0)
		gb_conn_abort(conn);
}

static int on_open(struct gb_conn *conn)
{
	return gb_timer_start(gb_conn_worker(conn), gb_conn_state(conn), 0, tell, conn);
}

static void on_message(struct gb_conn *conn, struct gb_bytes bytes)
{
	gb_conn_close(conn); /* any key ends it */
}

static void on_close(struct gb_conn *conn, int reason)
{
	gb_timer_stop(gb_conn_state(conn)); /* its memory goes with the connection */
}

static const struct gb_service ticker = { GB_SERVICE_INIT, .name = "ticker", .on_open = on_open,
	.state = GB_STATE_NONE, .on_message = on_message, .on_close = on_close,
	.conn_state_size = sizeof(struct gb_timer) };

static void on_signal(int number)
{
	gb_server_stop(server); /* NOLINT(bugprone-signal-handler): it is async-signal-safe */
}

int main(int argc, char **argv)
{
	struct gb_error error = { .text = "no memory" };
	struct gb_options *options = NULL;
	int fine = gb_options_create(&options) == 0 &&
		gb_options_set(options, "model", argc > 1 ? argv[1] : "reactor", &error) == 0 &&
		gb_server_create(options, &server, &error) == 0 &&
		gb_server_listen(server, "127.0.0.1:0", &ticker, NULL, &error) == 0;

	gb_options_destroy(options);
	if (fine) {
		signal(SIGTERM, on_signal);
		gb_server_notify(server); /* systemd, where that has started it with Type=notify */
		fprintf(stderr, "ticker: %s, %s\n", gb_server_address(server, 0), gb_server_model(server));
		fine = gb_server_run(server, &error) == 0;
	}
	gb_server_destroy(server);
	return fine ? 0 : (fprintf(stderr, "ticker: %s\n", error.text), 1);
}
