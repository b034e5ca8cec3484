/* Worker processes that end although nobody told them to. */
#include "model/server_test_driver.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

/* "@" ends its process by a signal, "." by an exit. */
static void on_message(struct gb_conn *conn, struct gb_bytes message)
{
	if (message.data[0] == '@')
		raise(SIGKILL);
	if (message.data[0] == '.')
		_exit(0);
	gb_conn_send(conn, message.data, message.size);
}

static const struct gb_service service = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "crash",
	.on_message = on_message };

/* A server in a child whose standard error is read from `ret_log`. */
static pid_t host_with_log(struct gb_server *server, int *ret_log)
{
	int ends[2], before = dup(STDERR_FILENO);
	pid_t pid;

	CHECK(pipe2(ends, O_CLOEXEC) == 0);
	dup2(ends[1], STDERR_FILENO);
	pid = driver_host(server);
	dup2(before, STDERR_FILENO);
	close(before);
	close(ends[1]);
	*ret_log = ends[0];
	return pid;
}

static void read_line(int fd, char *text, size_t size)
{
	size_t used = 0;

	while (used < size - 1 && read(fd, text + used, 1) == 1 && text[used] != '\n')
		used++;
	text[used] = '\0';
}

static void is_reported(const char *model)
{
	struct gb_server *server;
	char byte, log[1024];
	int client, log_fd;
	pid_t pid;

	if (!strstr(model, "unit=process"))
		return;
	server = driver_server(model, &service, NULL);
	pid = host_with_log(server, &log_fd);
	client = driver_client(server);
	driver_send(client, ".");
	CHECK(driver_receive(client, &byte, 1) < 1);
	close(client);
	read_line(log_fd, log, sizeof(log));
	if (!strstr(log, "ended unexpectedly: exit code 0"))
		test_fail(__FILE__, __LINE__, "%s: not told, but: %s", model, log);
	driver_visit(server);
	gb_server_stop(server);
	CHECK_INT(driver_await(pid), 0);
	close(log_fd);
	gb_server_destroy(server);
}

TEST(a_handler_that_calls_exit_is_a_crash)
{
	driver_each_preset(is_reported);
}

static void crash_at_the_end(struct gb_conn *conn, int reason)
{
	raise(SIGKILL);
}

static void counts_once(const char *model)
{
	static const struct gb_service ends = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "ends",
		.on_message = on_message, .on_close = crash_at_the_end };
	struct gb_server *server;
	struct gb_stats stats;
	char log[1024];
	int log_fd;
	pid_t pid;

	if (!strstr(model, "unit=process"))
		return;
	server = driver_server(model, &ends, NULL);
	pid = host_with_log(server, &log_fd);
	driver_visit(server);
	read_line(log_fd, log, sizeof(log));
	gb_server_stop(server);
	CHECK_INT(driver_await(pid), 0);
	close(log_fd);
	gb_server_stats(server, &stats);
	CHECK_INT(stats.accepted, 1);
	CHECK_INT(stats.closed[GB_CLOSE_CRASHED], 1);
	CHECK_INT(driver_closed(&stats), 1);
	gb_server_destroy(server);
}

TEST(a_connection_whose_end_crashes_its_worker_counts_once)
{
	driver_each_preset(counts_once);
}

TEST(one_that_crashes_again_and_again_waits_twice_as_long_each_time)
{
	static const char *const waits[] = { "in 100 ms", "in 200 ms", "in 400 ms" };
	struct gb_server *server = driver_server("prefork,workers=1", &service, NULL);
	char byte, log[1024];
	int log_fd;
	pid_t pid = host_with_log(server, &log_fd);

	for (unsigned i = 0; i < 3; i++) {
		int client = driver_client(server);

		driver_send(client, "@");
		CHECK(driver_receive(client, &byte, 1) < 1);
		close(client);
		do
			read_line(log_fd, log, sizeof(log));
		while (log[0] && !strstr(log, "ended unexpectedly"));
		if (!strstr(log, waits[i]))
			test_fail(__FILE__, __LINE__, "crash %u: %s", i, log);
	}
	gb_server_stop(server);
	CHECK_INT(driver_await(pid), 0);
	close(log_fd);
	gb_server_destroy(server);
}
