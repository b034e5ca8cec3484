/* What a server shares its process with: other services, other servers, children that are not its own. */
#include "model/server_test_driver.h"

#include "os/process.h"

#include <gearbox/worker.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void greet(struct gb_conn *conn, struct gb_bytes message)
{
	gb_conn_send(conn, gb_conn_user(conn), strlen(gb_conn_user(conn)));
}

static const struct gb_service greeting = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "greeting",
	.on_message = greet };

static void check_answer(const struct gb_server *server, size_t n, const char *expected)
{
	int client = driver_client_at(server, n);
	char text[16] = "";

	driver_send(client, "hello");
	CHECK_INT(driver_receive(client, text, strlen(expected)), strlen(expected));
	CHECK_STR(text, expected);
	close(client);
}

static void serves_each_on_its_address(const char *model)
{
	static char first[] = "one", second[] = "another";
	struct gb_server *server = driver_server(model, &driver_echo, NULL);
	struct gb_error error;
	pid_t pid;

	CHECK_INT(gb_server_listen(server, "127.0.0.1:0", &greeting, first, &error), 0);
	CHECK_INT(gb_server_listen(server, "127.0.0.1:0", &greeting, second, &error), 0);
	CHECK(!gb_server_address(server, 3));
	pid = driver_host(server);
	for (int i = 0; i < 3; i++) {
		check_answer(server, 0, "hello");
		check_answer(server, 1, first);
		check_answer(server, 2, second);
	}
	driver_finish(server, pid);
}

TEST(services_are_told_apart_by_their_addresses)
{
	driver_each_preset(serves_each_on_its_address);
}

static void *run(void *server)
{
	struct gb_error error;

	CHECK_INT(gb_server_run(server, &error), 0);
	return NULL;
}

/* A second one is tried while the first runs: from a thread that starts when that has forked. */
struct beside {
	struct gb_server *first, *second;
	const char *text;
	pthread_t thread;
};

static void *try_second(void *arg)
{
	const struct beside *beside = arg;
	struct gb_error error = { 0 };

	CHECK_INT(gb_server_run(beside->second, &error), -EBUSY);
	if (!strstr(error.text, beside->text))
		test_fail(__FILE__, __LINE__, "it says \"%s\"", error.text);
	gb_server_stop(beside->first);
	return NULL;
}

static void on_ready(struct gb_server *server, void *arg)
{
	struct beside *beside = arg;

	(void)server;
	CHECK_INT(pthread_create(&beside->thread, NULL, try_second, beside), 0);
}

/* Each way round, and once the first has ended it is as if it had never been there. */
TEST(worker_processes_are_not_started_beside_another_server)
{
	static const char *const models[][2] = { { "reactor", "prefork" }, { "prefork", "reactor" },
		{ "prefork,workers=2", "fork" },
		{ "reactor,compute=processes,compute-workers=1", "prefork" } };
	static const char *const texts[] = { "beside another server", "so no other can",
		"beside another server", "beside another server" };

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct beside beside = { driver_server(models[i][0], &driver_echo, NULL),
			driver_server(models[i][1], &driver_echo, NULL), texts[i], 0 };
		struct gb_error error = { 0 };

		gb_server_on_ready(beside.first, on_ready, &beside);
		CHECK_INT(gb_server_run(beside.first, &error), 0);
		pthread_join(beside.thread, NULL);
		gb_server_destroy(beside.first);
		gb_server_stop(beside.second);
		CHECK_INT(gb_server_run(beside.second, &error), 0);
		gb_server_destroy(beside.second);
	}
}

TEST(servers_on_several_threads_do_not_notice_one_another)
{
	static const char *const models[] = { "reactor", "multi-reactor", "thread-pool", "thread",
		"reactor-pool" };
	enum { SERVERS = sizeof(models) / sizeof(*models) };
	struct gb_server *servers[SERVERS];
	pthread_t threads[SERVERS];

	for (int i = 0; i < SERVERS; i++) {
		servers[i] = driver_server(models[i], &driver_echo, NULL);
		CHECK_INT(pthread_create(&threads[i], NULL, run, servers[i]), 0);
	}
	for (int i = 0; i < SERVERS; i++) {
		for (int j = i; j < SERVERS; j++)
			check_answer(servers[j], 0, "hello");
		gb_server_stop(servers[i]);
		pthread_join(threads[i], NULL);
		gb_server_destroy(servers[i]);
	}
}

static int stop_after_crash(struct gb_conn *conn)
{
	_Atomic unsigned *opened = gb_conn_user(conn);

	if ((*opened)++ == 0)
		raise(SIGKILL);
	gb_server_stop(gb_worker_server(gb_conn_worker(conn)));
	return 0;
}

static void leaves_other_children_alone(const char *model)
{
	static const struct gb_service service = { GB_SERVICE_INIT, .state = GB_STATE_NONE,
		.name = "crash-once", .on_message = greet, .on_open = stop_after_crash };
	struct gb_server *server;
	struct gb_error error;
	_Atomic unsigned *opened;
	pid_t stranger;
	int status;

	if (!strstr(model, "unit=process"))
		return;
	opened = gb__shared_map(sizeof(*opened));
	server = driver_server(model, &service, opened);
	stranger = fork();
	if (stranger == 0)
		_exit(7);
	/* It stays to be asked for, in front of the workers that end meanwhile. */
	CHECK(waitid(P_PID, (id_t)stranger, &(siginfo_t){ 0 }, WEXITED | WNOWAIT) == 0);
	close(driver_client(server));
	close(driver_client(server));
	CHECK_INT(gb_server_run(server, &error), 0);
	CHECK_INT(*opened, 2);
	CHECK(waitpid(stranger, &status, 0) == stranger);
	CHECK_INT(WEXITSTATUS(status), 7);
	CHECK(waitpid(-1, &status, WNOHANG) < 0); /* and none of the server's is left */
	gb_server_destroy(server);
	gb__shared_unmap(opened, sizeof(*opened));
}

TEST(children_of_others_keep_their_exit_codes)
{
	driver_each_preset(leaves_other_children_alone);
}

/* A thread's seat is taken again and again, by an engine of its own each time: a handle may be of any of them. */
static void no_message(struct gb_conn *conn, struct gb_bytes message)
{
}

static const struct gb_service quiet = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "quiet",
	.on_message = no_message };
static struct gb_handle kept;

static void stale(struct gb_conn *conn, int status, void *arg)
{
	CHECK(!conn);
	CHECK_INT(status, -ESTALE);
}

/* "k": make a handle far into the table of slots. "u": use it, if this is its seat again; "y" says so. */
static void keep_or_use(struct gb_conn *conn, struct gb_bytes message)
{
	struct gb_worker *worker = gb_conn_worker(conn);
	struct gb_error error;
	bool same = message.data[0] == 'u' && worker == kept.worker;

	for (int i = 0; i < 100 && message.data[0] == 'k'; i++) {
		struct gb_conn *outgoing;

		CHECK_INT(gb_connect(worker, gb_server_address(gb_worker_server(worker), 0), &quiet, NULL,
				  &outgoing, &error),
			0);
		kept = gb_conn_handle(outgoing);
		gb_conn_abort(outgoing);
	}
	if (same)
		CHECK_INT(gb_handle_post(kept, stale, NULL), 0);
	gb_conn_send(conn, same ? "y" : "n", 1);
}

TEST(a_handle_outlives_the_engine_that_it_is_of)
{
	static const struct gb_service service = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "keeper",
		.on_message = keep_or_use };
	enum { CLIENTS = 200 };
	struct gb_server *server = driver_server_with("thread", "max-connections", "500", &service, NULL);
	pid_t pid = driver_host(server);
	int clients[CLIENTS], count = 0;
	char answer = 'n';

	/* Those who stay have the other seats; the first one is free once its thread has ended. */
	while (count < CLIENTS && answer == 'n') {
		int client = driver_client(server);

		driver_send(client, count == 0 ? "k" : "u");
		CHECK_INT(driver_receive(client, &answer, 1), 1);
		clients[count++] = client;
		if (count == 1)
			shutdown(client, SHUT_WR);
		usleep(1000);
	}
	while (count > 0)
		close(clients[--count]);
	gb_server_stop(server);
	CHECK_INT(driver_await(pid), 0);
	CHECK_INT(answer, 'y');
	gb_server_destroy(server);
}
