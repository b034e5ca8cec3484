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
	pid_t pid;

	clients_early(server, clients);
	gb_server_stop(server);
	pid = driver_host(server);
	for (int i = 0; i < CLIENTS; i++) {
		if (driver_receive(clients[i], text, sizeof(text)) != 1)
			test_fail(__FILE__, __LINE__, "%s: client %d is not answered, then ended", model, i);
		shutdown(clients[i], SHUT_RDWR); /* the child has it as well */
		close(clients[i]);
	}
	CHECK_INT(driver_await(pid), 0);
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
	int client;

	for (int i = 0; i < 8; i++) {
		bool aborted = i == 3;

		client = driver_client(server);
		driver_send(client, aborted ? "?" : "hello");
		CHECK_INT(driver_receive(client, text, 5), aborted ? -1 : 5);
		close(client);
	}
	client = driver_client(server);
	driver_send(client, "!");
	CHECK_INT(driver_receive(client, text, 1), 0);
	close(client);
	CHECK_INT(driver_await(pid), 0);
	gb_server_stats(server, &stats);
	if (stats.accepted != 9 || driver_closed(&stats) != 9 || stats.connections != 0)
		test_fail(__FILE__, __LINE__, "%s: %llu accepted and %llu closed of 9, %llu open", model,
			(unsigned long long)stats.accepted, (unsigned long long)driver_closed(&stats),
			(unsigned long long)stats.connections);
	gb_server_destroy(server);
}

/* Which runs in another process, or on another thread, under most models. */
TEST(a_handler_stops_it)
{
	driver_each_preset(serves_then_stops);
}

/* Never without a connection of its own. */
static void connect_again(struct gb_worker *worker);

static void again_closed(struct gb_conn *conn, int reason)
{
	connect_again(gb_conn_worker(conn));
}

static void again_message(struct gb_conn *conn, struct gb_bytes message)
{
}

static const struct gb_service again = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "again",
	.on_message = again_message, .on_close = again_closed };

static void connect_again(struct gb_worker *worker)
{
	struct gb_error error;
	struct gb_conn *conn;

	gb_connect(worker, gb_server_address(gb_worker_server(worker), 0), &again, NULL, &conn, &error);
}

static int again_start(struct gb_worker *worker, void *user)
{
	connect_again(worker);
	return 0;
}

static void nobody_reconnects_for_ever(const char *model)
{
	static const struct gb_service service = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "again",
		.on_message = again_message, .on_start = again_start };
	struct gb_server *server;

	if (strstr(model, "per-connection"))
		return; /* each new worker would connect, and so make another one */
	server = driver_server_with(model, "drain-timeout", "50ms", &service, NULL);
	gb_server_stop(server);
	run_here(server);
	gb_server_destroy(server);
}

TEST(handlers_that_connect_again_do_not_keep_it)
{
	driver_each_preset(nobody_reconnects_for_ever);
}

static void *stop_it(void *server)
{
	gb_server_stop(server);
	gb_server_stop(server);
	return NULL;
}

static void stopped_from_outside(const char *model)
{
	struct gb_server *server;
	pthread_t thread;

	if (strstr(model, "unit=process"))
		return; /* a process that forks has no other threads */
	for (int round = 0; round < 5; round++) {
		server = driver_server(model, &driver_echo, NULL);
		CHECK(pthread_create(&thread, NULL, stop_it, server) == 0);
		run_here(server);
		pthread_join(thread, NULL);
		gb_server_destroy(server);
	}
}

TEST(another_thread_stops_it_whenever_it_likes)
{
	driver_each_preset(stopped_from_outside);
}
