/* Blocking workers that fetch connections: first come first served, nobody behind a busy worker, nobody forgotten. */
#include "model/server_test_driver.h"

#include "base/macros.h"
#include "model/pull.h"

#include <gearbox/log.h>
#include <gearbox/worker.h>

#include <pthread.h>

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BEYOND (GB__PULL_QUEUE_MAX + 60u) /* more clients than the queue holds */

/* Says in which order connections were served, by the number that each sends. */
static void number(struct gb_conn *conn, struct gb_bytes message)
{
	static _Atomic unsigned served; /* of this server: its workers are threads */

	gb_conn_printf(conn, "%04u", served++);
	gb_conn_close(conn);
}

static const struct gb_service numbers = { GB_SERVICE_INIT, .name = "numbers", .on_message = number };

static unsigned number_of(int client)
{
	char text[5] = "";

	CHECK_INT(driver_receive(client, text, 4), 4);
	return (unsigned)atoi(text);
}

TEST(those_who_wait_are_served_in_the_order_they_came)
{
	struct gb_server *server = driver_server("thread-pool,workers=1", &numbers, NULL);
	pid_t pid = driver_host(server);
	int first = driver_client(server), waiting[20];

	/* The only worker waits for the first one's message; with it the others move up one by one. */
	for (unsigned i = 0; i < gb__countof(waiting); i++) {
		waiting[i] = driver_client(server);
		driver_send(waiting[i], "x");
	}
	driver_send(first, "x");
	CHECK_INT(number_of(first), 0);
	close(first);
	for (unsigned i = 0; i < gb__countof(waiting); i++) {
		CHECK_INT(number_of(waiting[i]), i + 1);
		close(waiting[i]);
	}
	driver_finish(server, pid);
}

TEST(an_idle_worker_serves_at_once_while_another_is_busy)
{
	struct gb_server *server = driver_server("thread-pool,workers=2", &driver_echo, NULL);
	pid_t pid = driver_host(server);
	int busy = driver_guest(server);

	for (unsigned i = 0; i < 50; i++)
		close(driver_guest(server));
	close(busy);
	driver_finish(server, pid);
}

TEST(every_worker_serves_someone_at_the_same_time)
{
	struct gb_server *server = driver_server("thread-pool,workers=4", &driver_echo, NULL);
	pid_t pid = driver_host(server);
	int clients[4];

	for (unsigned round = 0; round < 10; round++) {
		for (unsigned i = 0; i < gb__countof(clients); i++)
			clients[i] = driver_guest(server);
		for (unsigned i = 0; i < gb__countof(clients); i++)
			close(clients[i]);
	}
	driver_finish(server, pid);
}

TEST(more_than_the_queue_holds_are_served_all_the_same)
{
	static int clients[BEYOND];
	struct rlimit limit;
	struct gb_server *server;
	struct gb_stats stats;
	pid_t pid;
	int first;

	CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_cur < 2 * BEYOND)
		return;
	server = driver_server("thread-pool,workers=1", &numbers, NULL);
	pid = driver_host(server);
	first = driver_client(server);
	for (unsigned i = 0; i < BEYOND; i++) {
		clients[i] = driver_client(server);
		driver_send(clients[i], "x");
	}
	do /* until the acceptor has filled the queue; what is beyond stays in the backlog */
		gb_server_stats(server, &stats);
	while (stats.connections < 1);
	driver_send(first, "x");
	CHECK_INT(number_of(first), 0);
	close(first);
	for (unsigned i = 0; i < BEYOND; i++) {
		CHECK_INT(number_of(clients[i]), i + 1);
		close(clients[i]);
	}
	stats = driver_finish_counted(server, pid);
	CHECK_INT(stats.accepted, BEYOND + 1);
	CHECK_INT(driver_closed(&stats), BEYOND + 1);
}

TEST(who_still_waits_when_the_time_to_drain_is_over_is_let_go)
{
	struct gb_server *server =
		driver_server_with("thread-pool,workers=1", "drain-timeout", "50ms", &driver_echo, NULL);
	pid_t pid = driver_host(server);
	int busy = driver_guest(server), waiting[3];
	struct gb_stats stats;
	char text[1];

	driver_send(busy, "x");
	CHECK_INT(driver_receive(busy, text, 1), 1);
	for (unsigned i = 0; i < gb__countof(waiting); i++)
		waiting[i] = driver_client(server);
	gb_server_stop(server);
	for (unsigned i = 0; i < gb__countof(waiting); i++) {
		CHECK(driver_receive(waiting[i], text, 1) <= 0);
		close(waiting[i]);
	}
	close(busy);
	CHECK_INT(driver_await(pid), 0);
	gb_server_stats(server, &stats);
	CHECK_INT(stats.connections, 0);
	CHECK_INT(stats.accepted, driver_closed(&stats));
	gb_server_destroy(server);
}

static char told[512];
static _Atomic unsigned tellings;

static void hear(enum gb_log_level level, const char *text, void *arg)
{
	if (level == GB_LOG_WARNING && tellings++ == 0)
		snprintf(told, sizeof(told), "%s", text);
}

static void *wait_to_be_told(void *arg)
{
	struct gb_server *server = arg;
	int clients[5];

	for (unsigned i = 0; i < gb__countof(clients); i++) {
		clients[i] = driver_client(server);
		driver_send(clients[i], "x");
	}
	while (!tellings) /* bounded by the test's own time */
		usleep(1000);
	for (unsigned i = 0; i < gb__countof(clients); i++)
		close(clients[i]);
	gb_server_stop(server);
	return NULL;
}

/* Behind the forks. */
static void start_clients(struct gb_server *server, void *thread)
{
	CHECK(pthread_create(thread, NULL, wait_to_be_told, server) == 0);
}

static void check_told(const char *model)
{
	struct gb_server *server = driver_server(model, &driver_echo, NULL);
	struct gb_error error = { 0 };
	pthread_t clients;

	gb_log_set(hear, NULL);
	gb_server_on_ready(server, start_clients, &clients);
	CHECK_INT(gb_server_run(server, &error), 0);
	pthread_join(clients, NULL);
	CHECK_INT(tellings, 1);
	CHECK(strstr(told, "for one of 2 workers"));
	CHECK(strstr(told, "serves so many at once"));
	gb_server_destroy(server);
}

TEST(workers_that_keep_clients_waiting_are_too_few_which_is_said_once)
{
	check_told("thread-pool,workers=2");
	CHECK(strstr(told, "3 connections wait for one of 2 workers"));
	CHECK(strstr(told, "workers=5 serves so many at once"));
}

TEST(so_it_is_where_threads_accept_for_themselves)
{
	check_told("prethread,workers=2");
	CHECK(strstr(told, "3 connections wait for one of 2 workers"));
	CHECK(strstr(told, "workers=5 serves so many at once"));
}

TEST(so_it_is_where_processes_do)
{
	check_told("prefork,workers=2");
	CHECK(strstr(told, "3 connections wait for one of 2 workers"));
}
