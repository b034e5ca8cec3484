/* Idle worker processes that pull from one socket pair: who is told of a connection. */
#include "model/server_test_driver.h"

#include <signal.h>
#include <unistd.h>

#define WORKERS "8"
#define CLIENTS 40
#define WAITS_MAX 300 /* three or four of the worker that serves it, and none of the other seven */

static uint64_t waits(const struct gb_server *server)
{
	uint64_t sum = 0;

	for (size_t i = 0; i + 1 < gb_server_workers(server); i++) { /* the last is the acceptor */
		struct gb_worker_stats stats;

		gb_server_worker_stats(server, i, &stats);
		sum += stats.waits;
	}
	return sum;
}

TEST(one_idle_process_is_told_of_a_connection)
{
	struct gb_server *server = driver_server("process-pool,workers=" WORKERS, &driver_echo, NULL);
	pid_t pid = driver_host(server);
	uint64_t before = waits(server);

	for (int i = 0; i < CLIENTS; i++) {
		int client = driver_client(server);
		char text[4];

		driver_send(client, "abcd");
		CHECK_INT(driver_receive(client, text, sizeof(text)), 4);
		close(client);
	}
	CHECK(waits(server) - before < WAITS_MAX);
	kill(pid, SIGTERM);
	driver_await(pid);
	gb_server_destroy(server);
}
