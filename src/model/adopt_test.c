/* Connections that somebody else made become clients, under every preset that has room for one more. */
#include "base/macros.h"
#include "harness.h"
#include "model/server_test_driver.h"

#include <gearbox/stream.h>
#include <gearbox/worker.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void serve(struct gb_stream *stream)
{
	struct gb_bytes line;

	while (gb_read_message(stream, &line) > 0)
		gb_write_format(stream, "%.*s, %s\n", (int)line.size, (const char *)line.data,
			gb_worker_clients(gb_coro_worker(gb_stream_coro(stream))) > 1 ? "one of several"
										      : "alone");
}

static const struct gb_service straight = { GB_SERVICE_INIT, .name = "straight", .codec = &gb_codec_line,
	.state = GB_STATE_NONE, .serve = serve };

static int opened(struct gb_conn *conn)
{
	return gb_conn_send(conn, "hello\n", 6);
}

static void echo(struct gb_conn *conn, struct gb_bytes message)
{
	gb_conn_printf(conn, "%.*s!\n", (int)message.size, (const char *)message.data);
}

static const struct gb_service callbacks = { GB_SERVICE_INIT, .name = "callbacks", .codec = &gb_codec_line,
	.state = GB_STATE_NONE, .on_open = opened, .on_message = echo };

static int connect_to(int port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	CHECK(fd >= 0);
	CHECK(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	return fd;
}

static void check_refused(struct gb_worker *worker, int fd, int code, const char *part)
{
	struct gb_error error = { 0 };

	CHECK_INT(gb_worker_adopt(worker, fd, &callbacks, NULL, &error), code);
	if (!strstr(error.text, part))
		test_fail(__FILE__, __LINE__, "\"%s\" lacks \"%s\"", error.text, part);
	if (fd >= 0)
		close(fd); /* it is still ours */
}

static int refuse_all(struct gb_worker *worker)
{
	int fds[2];

	check_refused(worker, -1, -EBADF, "descriptor -1");
	CHECK(pipe(fds) == 0);
	check_refused(worker, fds[0], -ENOTSOCK, "no socket");
	check_refused(worker, fds[1], -ENOTSOCK, "no socket");
	check_refused(worker, socket(AF_INET, SOCK_DGRAM, 0), -EPROTOTYPE, "no stream");
	check_refused(worker, socket(AF_INET, SOCK_STREAM, 0), -ENOTCONN, "not connected");
	check_refused(worker, socket(AF_NETLINK, SOCK_RAW, 0), -EPROTOTYPE, "no stream");
	return 0;
}

/* "connect PORT STYLE": to the test's own listening socket, and served there as a client. */
static int obey(struct gb_worker *worker, const char *text)
{
	struct gb_error error = { 0 };
	int port, result, fd;
	char style;

	if (sscanf(text, "connect %d %c", &port, &style) != 2)
		return refuse_all(worker);
	fd = connect_to(port);
	result = gb_worker_adopt(worker, fd, style == 's' ? &straight : &callbacks, NULL, &error);
	if (result < 0) {
		CHECK(strstr(error.text, result == -GB_ELIMIT ? "max-connections" : "event engine"));
		close(fd);
	}
	return result;
}

static void begin(struct gb_conn *conn, int status, void *arg)
{
	CHECK_INT(status, 0);
	gb_conn_printf(conn, "%d\n", obey(gb_conn_worker(conn), arg));
	free(arg);
}

/* Under compute=threads on_message is not on the worker's thread. */
static void on_message(struct gb_conn *conn, struct gb_bytes message)
{
	CHECK_INT(gb_handle_post(
			  gb_conn_handle(conn), begin, strndup((const char *)message.data, message.size)),
		0);
}

static const struct gb_service service = { GB_SERVICE_INIT, .name = "adopting", .state = GB_STATE_NONE,
	.codec = &gb_codec_line, .on_message = on_message };

static int listen_here(int *ret_port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	CHECK(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	CHECK(listen(fd, 8) == 0);
	CHECK(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
	*ret_port = ntohs(address.sin_port);
	return fd;
}

/* Those that serve the one client they are given, or have, say so. */
static int expected(const char *model)
{
	if (!strstr(model, "engine=blocking"))
		return 0;
	return strstr(model, "accept=acceptor") && !strstr(model, "workers=1") ? -ENOTSUP : -EBUSY;
}

static void by_message(const char *model)
{
	struct gb_server *server = driver_server(model, &service, NULL);
	pid_t pid = driver_host(server);
	int client = driver_client(server), port, listener = listen_here(&port);
	const int code = expected(model);
	struct gb_stats stats;
	char text[64], answer[64];

	snprintf(answer, sizeof(answer), "%d\n", code);
	driver_ask(client, "refuse\n", "0\n");
	for (unsigned i = 0; i < 2; i++) {
		int adopted;

		snprintf(text, sizeof(text), "connect %d %c\n", port, i ? 's' : 'c');
		driver_ask(client, text, answer);
		adopted = accept(listener, NULL, NULL);
		CHECK(adopted >= 0);
		if (code < 0)
			CHECK_INT(driver_receive(adopted, text, 1), 0);
		else if (i)
			driver_ask(adopted, "one\ntwo\n", "one, one of several\ntwo, one of several\n");
		else
			driver_ask(adopted, "one\ntwo\n", "hello\none!\ntwo!\n");
		close(adopted);
	}
	close(client);
	close(listener);
	stats = driver_finish_counted(server, pid);
	CHECK_INT(stats.accepted, code < 0 ? 1 : 3);
	CHECK_INT(stats.connected, 0);
	CHECK_INT(driver_closed(&stats), stats.accepted);
}

TEST(a_connection_that_a_handler_made_is_a_client_under_every_preset)
{
	driver_each_preset(by_message);
}

static int port_at_start;

static int on_start(struct gb_worker *worker, void *user)
{
	struct gb_error error = { 0 };
	int fd = connect_to(port_at_start);

	(void)user;
	if (gb_worker_adopt(worker, fd, &callbacks, NULL, &error) < 0)
		close(fd);
	return 0;
}

static const struct gb_service starting = { GB_SERVICE_INIT, .name = "starting", .state = GB_STATE_NONE,
	.codec = &gb_codec_line, .on_start = on_start, .on_message = echo };

/* Who serves one at a time has the adopted one first, and then takes who has waited. */
static void at_start(const char *model)
{
	int listener = listen_here(&port_at_start), adopted, client;
	struct gb_server *server = driver_server(model, &starting, NULL);
	pid_t pid;

	if (!server)
		return;
	pid = driver_host(server);
	adopted = accept(listener, NULL, NULL);
	client = driver_client(server);
	driver_send(client, "waits\n");
	driver_ask(adopted, "one\n", "hello\none!\n");
	close(adopted);
	driver_ask(client, "", "waits!\n");
	close(client);
	close(listener);
	driver_finish(server, pid);
}

TEST(a_worker_begins_with_a_client_of_its_own)
{
	static const char *const models[] = { "iterative", "reactor", "proactor",
		"accept=shared,unit=process,workers=1,engine=blocking,compute=inline" };

	test_side_by_side(at_start, models, gb__countof(models));
}

/* max-connections counts it. */
TEST(a_limit_refuses_an_adopted_connection)
{
	struct gb_server *server = driver_server_with("reactor", "max-connections", "2", &service, NULL);
	pid_t pid = driver_host(server);
	int client = driver_client(server), port, listener = listen_here(&port), adopted;
	char text[64], answer[16];

	snprintf(text, sizeof(text), "connect %d c\n", port);
	driver_ask(client, text, "0\n");
	adopted = accept(listener, NULL, NULL);
	driver_ask(adopted, "one\n", "hello\none!\n");
	snprintf(answer, sizeof(answer), "%d\n", -GB_ELIMIT);
	driver_ask(client, text, answer);
	close(client);
	close(adopted);
	close(listener);
	driver_finish(server, pid);
}
