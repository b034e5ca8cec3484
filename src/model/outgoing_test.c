/*
 * Connections that workers make themselves are no clients: who holds one accepts as before, max-connections does not
 * count them, and a worker that lives for one client does not outlive it for their sake.
 */
#include "model/server_test_driver.h"

#include "os/process.h"

#include <gearbox/worker.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUNDS 5

/* Takes connections, and bytes, and says nothing. */
struct upstream {
	int fd;
	char address[32];
};

static struct upstream upstream_open(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct upstream upstream = { .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	socklen_t size = sizeof(address);

	CHECK(bind(upstream.fd, (struct sockaddr *)&address, size) == 0 && listen(upstream.fd, 100) == 0);
	CHECK(getsockname(upstream.fd, (struct sockaddr *)&address, &size) == 0);
	snprintf(upstream.address, sizeof(upstream.address), "127.0.0.1:%u", ntohs(address.sin_port));
	return upstream;
}

static void ignore(struct gb_conn *conn, struct gb_bytes message)
{
}

static const struct gb_service link_service = { GB_SERVICE_INIT, .name = "link", .state = GB_STATE_NONE,
	.on_message = ignore };

/* Each worker keeps a connection to the upstream, as a pool of a database does. */
static int link_up(struct gb_worker *worker, void *user)
{
	const struct upstream *upstream = user;
	struct gb_error error;
	struct gb_conn *conn;

	return gb_connect(worker, upstream->address, &link_service, NULL, &conn, &error);
}

static int look_who_is_there(struct gb_conn *conn)
{
	struct gb_worker *worker = gb_conn_worker(conn);

	CHECK_INT(gb_worker_connections(worker), gb_worker_clients(worker) + 1);
	return 0;
}

static void answer(struct gb_conn *conn, struct gb_bytes message)
{
	gb_conn_send(conn, message.data, message.size);
}

static const struct gb_service linked = { GB_SERVICE_INIT, .name = "linked", .state = GB_STATE_NONE,
	.on_start = link_up, .on_open = look_who_is_there, .on_message = answer };

/* The upstream never ends: who has said its last word waits for it no longer than this. */
#define SHORT_LINGER \
	{ \
		"linger-timeout", "20ms" \
	}

static void serve_rounds(const char *model, const char *key, const char *value)
{
	const struct driver_option set[] = { SHORT_LINGER, { key, value }, { 0 } };
	struct upstream upstream = upstream_open();
	struct gb_server *server = driver_server_set(model, set, &linked, &upstream);
	struct gb_stats stats;
	pid_t pid;

	if (!server)
		return;
	pid = driver_host(server);
	for (int i = 0; i < ROUNDS; i++) {
		int client = driver_client(server);
		char text[2];

		driver_send(client, "x");
		shutdown(client, SHUT_WR);
		if (driver_receive(client, text, sizeof(text)) != 1)
			test_fail(__FILE__, __LINE__, "%s: client %d is not answered", model, i);
		close(client);
	}
	stats = driver_finish_counted(server, pid);
	CHECK_INT(stats.accepted, ROUNDS);
	CHECK(stats.connected >= 1);
	CHECK_INT(stats.connections, 0);
	CHECK_INT(stats.outgoing, 0);
	CHECK_INT(stats.accepted + stats.connected, driver_closed(&stats));
	CHECK_INT(stats.closed[GB_CLOSE_OVER_LIMIT], 0);
	close(upstream.fd);
}

static void serves_beside_its_own(const char *model)
{
	serve_rounds(model, NULL, NULL);
}

TEST(a_worker_with_a_connection_of_its_own_accepts_as_before)
{
	driver_each_preset(serves_beside_its_own);
}

static void serves_up_to_the_limit(const char *model)
{
	serve_rounds(model, "max-connections", "1");
}

TEST(connections_of_its_own_take_no_clients_place)
{
	driver_each_preset(serves_up_to_the_limit);
}

/* What ends with the worker is told: on_stop writes a byte. */
struct board {
	struct upstream upstream;
	int stopped[2];
};

static int link_up_for_one(struct gb_worker *worker, void *user)
{
	return link_up(worker, &((struct board *)user)->upstream);
}

static void tell_stopped(struct gb_worker *worker, void *user)
{
	CHECK(write(((struct board *)user)->stopped[1], "s", 1) == 1);
}

/* Each visit of a client is the life of a worker, whatever its own connection does. */
static void workers_end(const char *model, const struct gb_service *service,
	void (*visit)(const struct gb_server *server), unsigned rounds)
{
	static const struct driver_option set[] = { SHORT_LINGER, { "drain-timeout", "1h" }, { 0 } };
	struct board board = { .upstream = upstream_open() };
	struct gb_server *server;
	char byte;
	pid_t pid;

	CHECK(pipe(board.stopped) == 0);
	server = driver_server_set(model, set, service, &board);
	pid = driver_host(server);
	for (unsigned i = 0; i < rounds; i++) {
		visit(server);
		CHECK(read(board.stopped[0], &byte, 1) == 1);
	}
	driver_finish(server, pid);
	close(board.upstream.fd);
	close(board.stopped[0]);
	close(board.stopped[1]);
}

TEST(a_worker_of_one_client_ends_with_it)
{
	static const struct gb_service service = { GB_SERVICE_INIT, .name = "linked-once",
		.state = GB_STATE_NONE, .on_start = link_up_for_one, .on_stop = tell_stopped,
		.on_message = answer };

	workers_end("thread", &service, driver_visit, ROUNDS);
	workers_end("fork", &service, driver_visit, ROUNDS);
}

/* One that connects again whenever it lost the connection: it is refused once the client has gone. */
static void again(struct gb_conn *conn, int reason);
static const struct gb_service stubborn_link = { GB_SERVICE_INIT, .name = "stubborn-link",
	.state = GB_STATE_NONE, .on_message = ignore, .on_close = again };

static void again(struct gb_conn *conn, int reason)
{
	struct gb_error error;
	struct gb_conn *next;

	gb_connect(
		gb_conn_worker(conn), gb_conn_user(conn), &stubborn_link, gb_conn_user(conn), &next, &error);
}

static int link_stubbornly(struct gb_worker *worker, void *user)
{
	struct board *board = user;
	struct gb_error error;
	struct gb_conn *conn;

	return gb_connect(
		worker, board->upstream.address, &stubborn_link, board->upstream.address, &conn, &error);
}

static void look_in(const struct gb_server *server)
{
	close(driver_client(server));
}

TEST(a_worker_of_one_client_connects_no_more_once_it_has_gone)
{
	static const struct gb_service service = { GB_SERVICE_INIT, .name = "stubborn",
		.state = GB_STATE_NONE, .on_start = link_stubbornly, .on_stop = tell_stopped,
		.on_message = answer };

	workers_end("thread", &service, look_in, 1);
	workers_end("fork", &service, look_in, 1);
}

/* A service without an address beside one that listens: both run on every worker. */
static int note_start(struct gb_worker *worker, void *user)
{
	atomic_fetch_add((_Atomic unsigned *)user, 1);
	return 0;
}

static void runs_both(const char *model)
{
	static const struct gb_service attached = { GB_SERVICE_INIT, .name = "attached",
		.state = GB_STATE_NONE, .on_start = note_start, .on_message = ignore };
	_Atomic unsigned *started = gb__shared_map(sizeof(*started));
	struct gb_server *server = driver_server(model, &driver_echo, NULL);
	struct gb_error error = { 0 };
	pid_t pid;

	if (gb_server_attach(server, &attached, started, &error) < 0)
		test_fail(__FILE__, __LINE__, "%s: %s", model, error.text);
	pid = driver_host(server);
	driver_visit(server);
	CHECK(*started >= 1);
	driver_finish(server, pid);
	gb__shared_unmap(started, sizeof(*started));
}

TEST(a_server_listens_and_attaches)
{
	driver_each_preset(runs_both);
}

TEST(without_any_address_there_is_no_client_to_start_a_worker_for)
{
	struct gb_error error = { 0 };
	struct gb_options *options;
	struct gb_server *server;

	CHECK_INT(gb_options_create(&options), 0);
	CHECK_INT(gb_options_set(options, "model", "thread", &error), 0);
	CHECK_INT(gb_server_create(options, &server, &error), 0);
	gb_options_destroy(options);
	CHECK_INT(gb_server_attach(server, &driver_echo, NULL, &error), 0);
	CHECK_INT(gb_server_run(server, &error), -GB_EILLEGAL);
	CHECK(strstr(error.text, "no connection to start a worker for"));
	gb_server_destroy(server);
}

/* From a handler, in whatever thread or process: what is decided before the run is refused during it. */
static void change_late(struct gb_conn *conn, struct gb_bytes message)
{
	struct gb_server *server = gb_worker_server(gb_conn_worker(conn));
	struct gb_error error = { 0 };

	CHECK_INT(gb_server_listen(server, "127.0.0.1:0", &driver_echo, NULL, &error), -EBUSY);
	CHECK(strstr(error.text, "before gb_server_run"));
	CHECK_INT(gb_server_attach(server, &driver_echo, NULL, &error), -EBUSY);
	CHECK_INT(gb_server_on_ready(server, NULL, NULL), -EBUSY);
	CHECK_INT(gb_server_run(server, &error), -EBUSY);
	gb_conn_send(conn, message.data, message.size);
}

static void refuses_changes(const char *model)
{
	static const struct gb_service service = { GB_SERVICE_INIT, .name = "late", .state = GB_STATE_NONE,
		.on_message = change_late };
	struct gb_server *server = driver_server(model, &service, NULL);
	struct gb_error error;
	pid_t pid = driver_host(server);
	int client = driver_client(server);
	char byte;

	driver_send(client, "x");
	CHECK_INT(driver_receive(client, &byte, 1), 1);
	close(client);
	gb_server_stop(server);
	CHECK_INT(driver_await(pid), 0);
	/* Here it has not run, but its sockets are closed. */
	CHECK_INT(gb_server_listen(server, "127.0.0.1:0", &driver_echo, NULL, &error), -GB_EUSAGE);
	gb_server_destroy(server);
}

TEST(what_is_served_is_decided_before_the_run)
{
	driver_each_preset(refuses_changes);
}
