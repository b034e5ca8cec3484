/* The end of a server, at every moment and from everywhere, under every preset. */
#include "model/server_test_driver.h"

#include <gearbox/worker.h>

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS 12

/* Clients in the backlog of a server that does not run yet; each has sent a byte. */
static void clients_early(const struct gb_server *server, int clients[CLIENTS])
{
	for (int i = 0; i < CLIENTS; i++) {
		clients[i] = driver_client(server);
		driver_send(clients[i], "x");
	}
}

static void run_here(struct gb_server *server)
{
	struct gb_error error = { 0 };

	if (gb_server_run(server, &error) < 0)
		test_fail(__FILE__, __LINE__, "%s: %s", gb_server_model(server), error.text);
}

static void answers_who_waited(const char *model)
{
	struct gb_server *server = driver_server(model, &driver_echo, NULL);
	struct gb_stats stats;
	int clients[CLIENTS];
	char text[2];

	clients_early(server, clients);
	gb_server_stop(server);
	run_here(server);
	for (int i = 0; i < CLIENTS; i++) {
		if (driver_receive(clients[i], text, sizeof(text)) != 1)
			test_fail(__FILE__, __LINE__, "%s: client %d is not answered, then ended", model, i);
		close(clients[i]);
	}
	gb_server_stats(server, &stats);
	CHECK_INT(stats.accepted, CLIENTS);
	CHECK_INT(stats.connections, 0);
	CHECK_INT(driver_closed(&stats), CLIENTS);
	gb_server_destroy(server);
}

TEST(a_stop_before_the_run_drains_the_backlog)
{
	driver_each_preset(answers_who_waited);
}

static void ends_at_once(const char *model)
{
	struct gb_server *server = driver_server(model, &driver_echo, NULL);
	struct gb_stats stats;
	int clients[CLIENTS];

	clients_early(server, clients);
	gb_server_stop(server);
	gb_server_stop(server);
	run_here(server);
	gb_server_stats(server, &stats);
	CHECK_INT(stats.connections, 0);
	CHECK_INT(driver_closed(&stats), stats.accepted);
	for (int i = 0; i < CLIENTS; i++)
		close(clients[i]);
	gb_server_destroy(server);
}

TEST(two_stops_before_the_run_end_it_at_once)
{
	driver_each_preset(ends_at_once);
}

static void serves_then_stops(const char *model)
{
	struct gb_server *server = driver_server(model, &driver_echo, NULL);
	pid_t pid = driver_host(server);
	struct gb_stats stats;
	char text[8];

	for (int i = 0; i < 8; i++) {
		int client = driver_client(server);

		driver_send(client, i == 3 ? "?" : "hello");
		if (i != 3)
			CHECK_INT(driver_receive(client, text, 5), 5);
		else
			CHECK_INT(driver_receive(client, text, 5), -1);
		close(client);
	}
	/* From a handler, which is in another process or on another thread under most models. */
	int client = driver_client(server);

	driver_send(client, "!");
	CHECK_INT(driver_receive(client, text, 1), 0);
	close(client);
	while (kill(pid, 0) == 0 && (gb_server_stats(server, &stats), stats.connections > 0))
		usleep(100);
	gb_server_stats(server, &stats);
	if (stats.accepted != 9 || driver_closed(&stats) != 9)
		test_fail(__FILE__, __LINE__, "%s: %llu accepted, %llu closed of 9", model,
			(unsigned long long)stats.accepted, (unsigned long long)driver_closed(&stats));
	CHECK_INT(driver_await(server, pid), 0);
}

TEST(a_handler_stops_it)
{
	driver_each_preset(serves_then_stops);
}

/* A connection under way that never becomes idle by itself. */
static int greedy_open(struct gb_conn *conn)
{
	static char block[1 << 20];

	return gb_conn_send(conn, block, sizeof(block));
}

static const struct gb_service greedy = { GB_SERVICE_INIT,
	.name = "greedy",
	.on_open = greedy_open,
	.on_message = NULL };

static void *stop_twice(void *server)
{
	gb_server_stop(server);
	gb_server_stop(server);
	return NULL;
}
