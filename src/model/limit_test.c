/* The limit of connections over all workers: who leaves makes room at once, by whatever end. */
#include "model/server_test_driver.h"

#include <gearbox/worker.h>

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUNDS 30

static void has_room_for_the_next(const char *model)
{
	struct gb_server *server = driver_server_with(model, "max-connections", "1", &driver_echo, NULL);
	pid_t pid = driver_host(server);
	struct gb_stats stats;
	char text[2];

	for (int i = 0; i < ROUNDS; i++) {
		int client = driver_client(server);

		driver_send(client, "x");
		shutdown(client, SHUT_WR);
		if (driver_receive(client, text, sizeof(text)) != 1)
			test_fail(__FILE__, __LINE__, "%s: client %d is not answered", model, i);
		close(client);
	}
	stats = driver_finish_counted(server, pid);
	CHECK_INT(stats.closed[GB_CLOSE_EOF], ROUNDS);
	CHECK_INT(stats.connections, 0);
}

TEST(who_sees_it_closed_may_come_again_at_once)
{
	driver_each_preset(has_room_for_the_next);
}

static void one_too_many_is_refused(const char *model)
{
	struct gb_server *server;
	struct gb_stats stats;
	int first, second;
	char text[1];
	pid_t pid;

	if (strstr(model, "engine=blocking") && strstr(model, "workers=1,"))
		return; /* nobody is there to refuse while it serves */
	server = driver_server_with(model, "max-connections", "1", &driver_echo, NULL);
	pid = driver_host(server);
	first = driver_client(server);
	driver_send(first, "x");
	CHECK_INT(driver_receive(first, text, 1), 1);
	second = driver_client(server);
	CHECK_INT(driver_receive(second, text, 1), 0);
	close(second);
	driver_send(first, "y");
	CHECK_INT(driver_receive(first, text, 1), 1);
	close(first);
	stats = driver_finish_counted(server, pid);
	CHECK_INT(stats.accepted, 2);
	CHECK_INT(stats.closed[GB_CLOSE_OVER_LIMIT], 1);
}

TEST(one_beyond_the_limit_is_refused_and_counted)
{
	driver_each_preset(one_too_many_is_refused);
}

/* Ends its whole process, as a crash does. */
static void crash(struct gb_conn *conn, struct gb_bytes message)
{
	if (message.data[0] == '@')
		raise(SIGKILL);
	gb_conn_send(conn, message.data, message.size);
}

static void crashes_free_places(const char *model)
{
	static const struct gb_service service = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "crash",
		.on_message = crash };
	struct gb_server *server;
	struct gb_stats stats;
	char text[1];
	pid_t pid;

	if (!strstr(model, "unit=process"))
		return;
	server = driver_server_with(model, "max-connections", "1", &service, NULL);
	pid = driver_host(server);
	for (int crashes = 0; crashes < 3;) {
		int client = driver_client(server);

		/* Until the end of the one before was seen, this one is refused. */
		if (send(client, "x", 1, MSG_NOSIGNAL) == 1 && driver_receive(client, text, 1) == 1) {
			driver_send(client, "@");
			CHECK(driver_receive(client, text, 1) < 1);
			crashes++;
		}
		close(client);
	}
	stats = driver_finish_counted(server, pid);
	CHECK_INT(stats.connections, 0);
	CHECK_INT(stats.accepted, driver_closed(&stats));
	CHECK_INT(stats.closed[GB_CLOSE_CRASHED], 3);
}

TEST(a_crash_makes_room_as_well)
{
	driver_each_preset(crashes_free_places);
}
