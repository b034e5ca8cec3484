/* Idle worker processes that pull from one socket pair: who is woken for a connection. */
#include "model/server_test_driver.h"

#include <signal.h>
#include <unistd.h>

#define WORKERS "8"
#define CLIENTS 40
#define SLEEPS_MAX 240 /* three or four of the worker that serves a client, and none of the other seven */

/* How often a process has gone to sleep (proc(5)). */
static unsigned long sleeps_of(int pid)
{
	unsigned long sleeps = 0;
	char path[64], line[256];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "re");
	CHECK(file);
	while (fgets(line, sizeof(line), file))
		sscanf(line, "voluntary_ctxt_switches: %lu", &sleeps);
	fclose(file);
	return sleeps;
}

static unsigned long sleeps_of_children(int pid)
{
	unsigned long sum = 0;
	char path[64];
	FILE *file;
	int child;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	file = fopen(path, "re");
	CHECK(file);
	while (fscanf(file, "%d", &child) == 1)
		sum += sleeps_of(child);
	fclose(file);
	return sum;
}

TEST(one_idle_process_is_woken_for_a_connection)
{
	struct gb_server *server = driver_server("process-pool,workers=" WORKERS, &driver_echo, NULL);
	pid_t pid = driver_host(server);
	unsigned long before = sleeps_of_children(pid), slept;

	for (int i = 0; i < CLIENTS; i++) {
		int client = driver_client(server);
		char text[4];

		driver_send(client, "abcd");
		CHECK_INT(driver_receive(client, text, sizeof(text)), 4);
		close(client);
	}
	slept = sleeps_of_children(pid) - before;
	kill(pid, SIGTERM);
	driver_await(pid);
	CHECK(slept < SLEEPS_MAX);
	gb_server_destroy(server);
}
