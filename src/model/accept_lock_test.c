/* wake=lock: whoever holds the lock accepts, whoever dies with it does not keep it. */
#include "model/server_test_driver.h"

#include "base/macros.h"

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *const models[] = { "prefork-reactor,workers=2,wake=lock", "prefork,workers=2,wake=lock",
	"multi-reactor,accept=shared,workers=2,wake=lock" };
#define OF_PROCESSES 2 /* the first of them */

static void tell_process(struct gb_conn *conn, struct gb_bytes message)
{
	gb_conn_printf(conn, "%08d", (int)getpid());
}

static const struct gb_service process_of = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "process",
	.on_message = tell_process };

static pid_t ask(int client)
{
	char text[9] = "";

	driver_send(client, "?");
	return driver_receive(client, text, 8) == 8 ? (pid_t)atoi(text) : -1;
}

TEST(clients_are_served_one_after_another)
{
	for (unsigned i = 0; i < gb__countof(models); i++) {
		struct gb_server *server = driver_server(models[i], &process_of, NULL);
		struct gb_stats stats;
		pid_t pid = driver_host(server);

		for (unsigned round = 0; round < 100; round++) {
			int client = driver_client(server);

			CHECK(ask(client) > 0);
			close(client);
		}
		stats = driver_finish_counted(server, pid);
		CHECK_INT(stats.accepted, 100);
	}
}

TEST(as_many_are_served_at_once_as_there_are_workers)
{
	for (unsigned i = 0; i < gb__countof(models); i++) {
		struct gb_server *server = driver_server(models[i], &process_of, NULL);
		pid_t pid = driver_host(server);

		for (unsigned round = 0; round < 20; round++) {
			int first = driver_client(server), second;

			CHECK(ask(first) > 0);
			second = driver_client(server);
			CHECK(ask(second) > 0); /* while the first one's worker has no end to see */
			CHECK(ask(first) > 0);
			close(first);
			close(second);
		}
		driver_finish(server, pid);
	}
}

TEST(a_worker_that_dies_with_the_lock_does_not_keep_it)
{
	for (unsigned i = 0; i < OF_PROCESSES; i++) {
		struct gb_server *server = driver_server(models[i], &process_of, NULL);
		pid_t pid = driver_host(server);

		/* One of the two holds it whenever both wait; each of these may be that one. */
		for (unsigned round = 0; round < 6; round++) {
			int client = driver_client(server);
			pid_t worker = ask(client);
			char byte;

			CHECK(worker > 0 && worker != pid);
			CHECK_INT(kill(worker, SIGKILL), 0);
			CHECK(driver_receive(client, &byte, 1) < 1);
			close(client);
		}
		driver_finish(server, pid);
	}
}
