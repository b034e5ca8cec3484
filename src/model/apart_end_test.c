/* compute=processes: drains, stops, and who ends with whom. */
#include "model/apart_test_driver.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void a_hang(const char *model)
{
	struct gb_server *server = apart_server(model);
	struct gb_stats stats;
	int client;
	char byte;
	pid_t pid;

	if (!server)
		return;
	pid = driver_host(server);
	client = driver_client(server);
	driver_send(client, "hang\n");
	apart_await(&shared->began, 1);
	gb_server_stop(server);
	gb_server_stop(server);
	CHECK_INT(driver_receive(client, &byte, 1), -1);
	close(client);
	CHECK_INT(driver_await(pid), 0);
	gb_server_stats(server, &stats);
	CHECK_INT(stats.closed[GB_CLOSE_DRAIN], 1);
	gb_server_destroy(server);
}

TEST(a_handler_that_hangs_is_killed_after_a_stop)
{
	test_side_by_side(a_hang, apart_models, APART_MODELS);
}

static void a_drain(const char *model)
{
	struct gb_server *server = apart_server(model);
	int client;
	pid_t pid;

	if (!server)
		return;
	pid = driver_host(server);
	client = driver_client(server);
	driver_send(client, "wait\n");
	apart_await(&shared->began, 1);
	gb_server_stop(server);
	atomic_store(&shared->released, 1);
	driver_ask(client, "", "1:wait\n");
	close(client);
	CHECK_INT(driver_await(pid), 0);
	gb_server_destroy(server);
}

TEST(a_drain_waits_for_the_reply)
{
	test_side_by_side(a_drain, apart_models, APART_MODELS);
}

TEST(a_handler_learns_that_its_connection_has_ended)
{
	struct gb_server *server = apart_server("reactor,compute=processes,compute-workers=1");
	pid_t pid = driver_host(server);
	int client = driver_client(server);
	const struct linger at_once = { 1, 0 };

	driver_send(client, "cancelled\n");
	apart_await(&shared->began, 1);
	setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(client); /* with a reset */
	apart_await(&shared->released, 1);
	driver_finish(server, pid);
}

/* A process of the pool, and the one that forks them. */
static void pids_of(const struct gb_server *server, pid_t *ret_process, pid_t *ret_forker)
{
	int client = driver_client(server);
	char text[19] = "";

	driver_send(client, "pids\n");
	CHECK_INT(driver_receive(client, text, 18), 18);
	CHECK_INT(sscanf(text, "%d %d", ret_process, ret_forker), 2);
	close(client);
}

/* As whoever adopts orphans. */
static void await_end(pid_t pid)
{
	while (kill(pid, 0) == 0 && waitpid(pid, NULL, WNOHANG) != pid)
		usleep(1000);
}

static void is_killed(const char *model)
{
	struct gb_server *server = apart_server(model);
	pid_t pid, process, forker;

	if (!server)
		return;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid = driver_host(server);
	pids_of(server, &process, &forker);
	kill(pid, SIGKILL);
	CHECK_INT(driver_await(pid), 128 + SIGKILL);
	await_end(process);
	await_end(forker);
	gb_server_destroy(server);
}

TEST(no_process_of_the_pool_outlives_its_server)
{
	test_side_by_side(is_killed, apart_models, APART_MODELS);
}

static void forker_is_killed(const char *model)
{
	struct gb_server *server = apart_server(model);
	pid_t pid, process, forker;
	int client;
	char byte;

	if (!server)
		return;
	pid = driver_host(server);
	pids_of(server, &process, &forker);
	client = driver_client(server);
	driver_send(client, "wait\n");
	apart_await(&shared->began, 1);
	kill(forker, SIGKILL);
	CHECK_INT(driver_receive(client, &byte, 1), -1);
	close(client);
	CHECK_INT(driver_await(pid), 1);
	gb_server_destroy(server);
}

TEST(a_server_whose_pool_cannot_be_replaced_ends_with_an_error)
{
	static const char *const specs[] = { "reactor,compute=processes,compute-workers=2",
		"multi-proactor,workers=2,compute=processes,compute-workers=2" };

	test_side_by_side(forker_is_killed, specs, 2);
}

TEST(a_handler_may_stop_the_server)
{
	struct gb_server *server = apart_server("multi-reactor,workers=2,compute=processes");
	pid_t pid = driver_host(server);
	int client = driver_client(server);

	driver_ask(client, "stop\n", "1:stop\n");
	close(client);
	CHECK_INT(driver_await(pid), 0);
	gb_server_destroy(server);
}
