/* A reset by the peer is noticed although nobody reads from it, under every preset and without an idle timeout. */
#include "model/server_test_driver.h"

#include <gearbox/stream.h>
#include <gearbox/worker.h>

#include <sys/socket.h>
#include <unistd.h>

static void reset(int client)
{
	const struct linger linger = { .l_onoff = 1 };

	CHECK(setsockopt(client, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0);
	close(client);
}

/* The client says `text` and, once it was answered, breaks off. */
static void check_noticed(const char *model, const struct gb_service *service, const char *text, bool ends)
{
	struct gb_server *server = driver_server_with(model, "idle-timeout", "0", service, NULL);
	pid_t pid = driver_host(server);
	int client = driver_client(server);
	struct gb_stats stats;
	char answer;

	driver_send(client, text);
	if (ends)
		CHECK(shutdown(client, SHUT_WR) == 0);
	CHECK_INT(driver_receive(client, &answer, 1), 1);
	reset(client);
	do
		gb_server_stats(server, &stats);
	while (driver_closed(&stats) == 0 && usleep(1000) == 0);
	if (stats.closed[GB_CLOSE_RESET] != 1)
		test_fail(__FILE__, __LINE__, "%s: it ended, but not by the reset", model);
	driver_finish(server, pid);
}

static void answer_and_pause(struct gb_conn *conn, struct gb_bytes message)
{
	gb_conn_send(conn, "p", 1);
	gb_conn_pause(conn);
}

static void while_paused(const char *model)
{
	static const struct gb_service pausing = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "pausing",
		.on_message = answer_and_pause };

	check_noticed(model, &pausing, "x", false);
}

TEST(a_reset_while_input_is_paused_is_noticed)
{
	driver_each_preset(while_paused);
}

static void ignore(struct gb_conn *conn, struct gb_bytes message)
{
}

static void answer_and_stay(struct gb_conn *conn)
{
	gb_conn_send(conn, "e", 1);
}

static void while_half_closed(const char *model)
{
	static const struct gb_service staying = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "staying",
		.on_message = ignore, .on_eof = answer_and_stay };

	check_noticed(model, &staying, "x", true);
}

TEST(a_reset_after_the_peers_end_is_noticed)
{
	driver_each_preset(while_half_closed);
}

static int greet(struct gb_conn *conn)
{
	return gb_conn_send(conn, "?", 1);
}

static void until_cancelled(struct gb_conn *conn, struct gb_bytes message)
{
	while (!gb_conn_cancelled(conn))
		usleep(1000);
}

static void while_a_handler_runs(const char *model)
{
	static const struct gb_service busy = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "busy",
		.on_open = greet, .on_message = until_cancelled };

	if (strstr(model, "compute=threads"))
		check_noticed(model, &busy, "x", false);
}

TEST(a_reset_cancels_the_handler_in_the_pool)
{
	driver_each_preset(while_a_handler_runs);
}

/* It ends as soon as a call says that its client has gone, although none of them reads or sends. */
static void sleep_in_bits(struct gb_stream *stream)
{
	gb_write(stream, "s", 1);
	while (gb_sleep(gb_stream_coro(stream), 5) == 0 && gb_write(stream, "", 0) == 0)
		;
}

static void while_a_straight_handler_sleeps(const char *model)
{
	static const struct gb_service sleepy = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "sleepy",
		.serve = sleep_in_bits };

	check_noticed(model, &sleepy, "x", false);
}

TEST(a_reset_while_a_straight_line_handler_sleeps_is_noticed)
{
	driver_each_preset(while_a_straight_handler_sleeps);
}
