/* compute=processes: a handler that crashes costs its message, and what it does comes back as from a thread. */
#include "base/macros.h"
#include "model/apart_test_driver.h"

#include <gearbox/log.h>
#include <gearbox/route.h>

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static void a_crash(const char *model)
{
	static const char *const crashes[] = { "abort\n", "release\n", "kill\n", "exit\n", "null\n",
		"stack\n", "leak\n" };
	const unsigned count = SANITIZED ? 4 : 7; /* a sanitizer has its own end for the others */
	struct gb_server *server = apart_server(model);
	struct gb_stats stats;
	int beside[2];
	pid_t pid;

	if (!server)
		return;
	pid = driver_host(server);
	for (unsigned i = 0; i < 2; i++)
		driver_ask(beside[i] = driver_client(server), "a\n", "1:a\n");
	for (unsigned i = 0; i < count; i++) {
		int client = driver_client(server);
		char expected[32], byte;

		driver_ask(client, "before\n", "1:before\n");
		driver_send(client, crashes[i]);
		if (driver_receive(client, &byte, 1) != -1)
			test_fail(__FILE__, __LINE__, "%s: %s: no reset", model, crashes[i]);
		close(client);
		snprintf(expected, sizeof(expected), "%u:b\n", i + 2);
		for (unsigned j = 0; j < 2; j++)
			driver_ask(beside[j], "b\n", expected);
	}
	for (unsigned i = 0; i < 2; i++)
		close(beside[i]);
	stats = driver_finish_counted(server, pid);
	CHECK_INT(stats.closed[GB_CLOSE_CRASHED], count);
	CHECK_INT(shared->closed_crashed, count);
	CHECK_INT(stats.accepted, count + 2);
	CHECK_INT(driver_closed(&stats), count + 2);
}

TEST(a_handler_that_crashes_costs_its_connection_alone)
{
	test_side_by_side(a_crash, apart_models, APART_MODELS);
}

/* One process, which has messages behind the one that kills it. */
static void the_rest_of_a_crash(const char *model)
{
	struct gb_server *server = apart_server(model);
	int first, others[20];
	char text[64];
	pid_t pid;

	if (!server)
		return;
	pid = driver_host(server);
	first = driver_client(server);
	driver_send(first, "die\n");
	apart_await(&shared->began, 1);
	for (unsigned i = 0; i < 20; i++) {
		others[i] = driver_client(server);
		driver_send(others[i], "x\ny\n");
	}
	atomic_store(&shared->released, 1);
	CHECK_INT(driver_receive(first, text, 1), -1);
	for (unsigned i = 0; i < 20; i++) {
		driver_ask(others[i], "z\n", "1:x\n2:y\n3:z\n");
		close(others[i]);
	}
	close(first);
	CHECK_INT(driver_finish_counted(server, pid).closed[GB_CLOSE_CRASHED], 1);
}

TEST(what_a_process_that_crashes_had_not_begun_goes_to_another)
{
	static const char *const specs[] = { "reactor,compute=processes,compute-workers=1",
		"multi-proactor,workers=2,compute=processes,compute-workers=1" };

	test_side_by_side(the_rest_of_a_crash, specs, 2);
}

static void a_long_one(const char *model)
{
	struct gb_server *server = apart_server(model);
	int first, others[20];
	pid_t pid;

	if (!server)
		return;
	pid = driver_host(server);
	first = driver_client(server);
	driver_send(first, "wait\n");
	apart_await(&shared->began, 1);
	for (unsigned i = 0; i < 20; i++)
		others[i] = driver_client(server);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 20; i++)
			driver_send(others[i], "x\n");
		for (unsigned i = 0; i < 20; i++) {
			char text[8];

			CHECK_INT(driver_receive(others[i], text, 4), 4);
		}
	}
	atomic_store(&shared->released, 1);
	driver_ask(first, "", "1:wait\n");
	for (unsigned i = 0; i < 20; i++)
		close(others[i]);
	close(first);
	driver_finish(server, pid);
}

TEST(no_message_waits_behind_a_long_one_while_there_is_another_process)
{
	static const char *const specs[] = { "reactor,compute=processes,compute-workers=2",
		"multi-reactor,workers=2,compute=processes,compute-workers=2" };

	test_side_by_side(a_long_one, specs, 2);
}

/* Lines of sizes at and around the parts in which they go. */
static void sizes(const char *model)
{
	static const size_t lengths[] = { 0, 1, (32u << 10) - 1, 32u << 10, (32u << 10) + 1, (64u << 10) - 2,
		(64u << 10) + 1, 1000000 };
	struct gb_server *server = apart_server(model);
	pid_t pid;

	if (!server)
		return;
	pid = driver_host(server);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		const size_t size = lengths[i];
		char *line = malloc(size + 2), *got = malloc(size + 4);
		int client = driver_client(server);

		for (size_t j = 0; j < size; j++)
			line[j] = (char)('a' + (j * 7 + j / 26) % 26);
		line[size] = '\n';
		line[size + 1] = '\0';
		driver_send(client, line);
		CHECK_INT(driver_receive(client, got, size + 3), size + 3);
		CHECK(memcmp(got, "1:", 2) == 0 && memcmp(got + 2, line, size + 1) == 0);
		close(client);
		free(line);
		free(got);
	}
	driver_finish(server, pid);
}

TEST(a_message_and_its_reply_may_be_longer_than_what_is_shared)
{
	test_side_by_side(sizes, apart_models, APART_MODELS);
}

static void wordy_message(struct gb_conn *conn, struct gb_bytes message)
{
	static char bytes[100000];

	while (gb_conn_send(conn, bytes, sizeof(bytes)) == 0)
		;
}

TEST(a_reply_above_output_max_ends_its_connection)
{
	static const struct gb_service wordy = { GB_SERVICE_INIT, .name = "wordy", .state = GB_STATE_NONE,
		.on_message = wordy_message };
	struct gb_server *server =
		driver_server_with("reactor,compute=processes", "output-max", "1MiB", &wordy, NULL);
	pid_t pid = driver_host(server);
	int client = driver_client(server);
	char byte;

	driver_send(client, "x");
	CHECK_INT(driver_receive(client, &byte, 1), -1);
	close(client);
	CHECK_INT(driver_finish_counted(server, pid).closed[GB_CLOSE_OUTPUT_LIMIT], 1);
}

TEST(what_the_handler_does_to_its_connection_comes_back)
{
	struct gb_server *server = apart_server("reactor,compute=processes,compute-workers=1");
	pid_t pid = driver_host(server);
	struct gb_stats stats;
	int client = driver_client(server);
	char text[64];

	driver_ask(client, "refused\n", "1 1 1 1 1 1 1 1 -1 epoll\n");
	driver_ask(client, "x\nbye\n", "2:x\nbye\n");
	CHECK_INT(driver_receive(client, text, 1), 0);
	close(client);
	client = driver_client(server);
	driver_send(client, "reset\n");
	CHECK_INT(driver_receive(client, text, 1), -1);
	close(client);
	client = driver_client(server);
	driver_send(client, "fail\n");
	CHECK_INT(driver_receive(client, text, 1), 0);
	close(client);
	client = driver_client(server);
	driver_ask(client, "end\n", "last\n");
	CHECK_INT(driver_receive(client, text, 1), 0);
	close(client);
	stats = driver_finish_counted(server, pid);
	CHECK_INT(stats.closed[GB_CLOSE_LOCAL], 2);
	CHECK_INT(stats.closed[GB_CLOSE_REFUSED], 1);
	CHECK_INT(stats.closed[GB_CLOSE_EOF], 1);
	CHECK_INT(stats.closed[GB_CLOSE_CRASHED], 0);
}

TEST(a_broken_rule_costs_the_message_that_broke_it)
{
	struct gb_server *server = apart_server("reactor,compute=processes,compute-workers=1");
	pid_t pid = driver_host(server);
	int client = driver_client(server);
	char byte;

	driver_send(client, "operation\n");
	CHECK_INT(driver_receive(client, &byte, 1), -1);
	close(client);
	driver_ask(client = driver_client(server), "x\n", "1:x\n");
	close(client);
	CHECK_INT(driver_finish_counted(server, pid).closed[GB_CLOSE_CRASHED], 1);
}

TEST(services_begin_and_end_in_each_process)
{
	struct gb_server *server =
		apart_server("multi-reactor,workers=2,compute=processes,compute-workers=3");
	pid_t pid = driver_host(server);

	CHECK_INT(shared->started_apart, 3);
	CHECK_INT(shared->started, 2);
	driver_finish(server, pid);
	CHECK_INT(shared->stopped_apart, 3);
	CHECK_INT(shared->stopped, 2);
}

/* More than all that is shared has room for, and in order. */
static void many(const char *model)
{
	enum { CLIENTS = 50, LINES = 40 };
	struct gb_server *server = apart_server(model);
	int clients[CLIENTS];
	pid_t pid;

	if (!server)
		return;
	pid = driver_host(server);
	for (unsigned i = 0; i < CLIENTS; i++)
		clients[i] = driver_client(server);
	for (unsigned line = 0; line < LINES; line++)
		for (unsigned i = 0; i < CLIENTS; i++)
			driver_send(clients[i], "x\n");
	for (unsigned i = 0; i < CLIENTS; i++)
		for (unsigned line = 1; line <= LINES; line++) {
			char expected[16];

			snprintf(expected, sizeof(expected), "%u:x\n", line);
			driver_ask(clients[i], "", expected);
		}
	for (unsigned i = 0; i < CLIENTS; i++)
		close(clients[i]);
	driver_finish(server, pid);
}

TEST(many_messages_are_answered_in_their_order)
{
	test_side_by_side(many, apart_models, APART_MODELS);
}

static void slow_message(struct gb_conn *conn, struct gb_bytes message)
{
	/* The first of a connection takes until the second has begun, which only another process can do. */
	if (message.data[0] == '1')
		apart_await(&shared->began, 1);
	else
		shared->began++;
	gb_conn_printf(conn, "%c", message.data[0]);
}

TEST(messages_of_an_unordered_service_run_in_several_processes_at_once)
{
	static const struct gb_fixed_options one = { 1 };
	static const struct gb_service unordered = { GB_SERVICE_INIT, .name = "unordered",
		.state = GB_STATE_NONE, .traits = GB_TRAIT_UNORDERED, .codec = &gb_codec_fixed,
		.codec_options = &one, .on_message = slow_message };
	struct gb_server *server;
	char text[2];
	int client;
	pid_t pid;

	apart_share();
	server = driver_server("reactor,compute=processes,compute-workers=2", &unordered, NULL);
	pid = driver_host(server);
	client = driver_client(server);
	driver_send(client, "12");
	CHECK_INT(driver_receive(client, text, 2), 2);
	CHECK(text[0] + text[1] == '1' + '2');
	close(client);
	driver_finish(server, pid);
}

static void ranked_message(struct gb_conn *conn, struct gb_bytes message)
{
	if (message.data[0] == 'h') {
		shared->began++;
		apart_await(&shared->released, 1);
	}
	gb_conn_printf(conn, "%c%u\n", message.data[0], shared->started++);
}

TEST(the_urgent_are_run_before_others_that_came_first)
{
	static const struct gb_route rows[] = {
		{ .name = "hold",
			.text = "hold",
			.on_message = ranked_message,
			.traits = GB_TRAIT_MAY_BLOCK },
		{ .name = "low",
			.text = "low",
			.on_message = ranked_message,
			.traits = GB_TRAIT_MAY_BLOCK,
			.priority = GB_PRIORITY_LOW },
		{ .name = "urgent",
			.text = "urgent",
			.on_message = ranked_message,
			.traits = GB_TRAIT_MAY_BLOCK,
			.priority = GB_PRIORITY_HIGH },
		{ 0 },
	};
	static const struct gb_routes routes = { .by = GB_ROUTE_BY_WORD, .table = rows };
	static const struct gb_service ranked = { GB_SERVICE_INIT, .name = "ranked", .state = GB_STATE_NONE,
		.codec = &gb_codec_line, .routes = &routes };
	struct gb_pool_stats stats = { 0 };
	struct gb_server *server;
	int first, lows[4], urgent;
	pid_t pid;

	apart_share();
	server = driver_server("reactor,compute=processes,compute-workers=1", &ranked, NULL);
	pid = driver_host(server);
	first = driver_client(server);
	driver_send(first, "hold\n");
	apart_await(&shared->began, 1);
	for (unsigned i = 0; i < 4; i++)
		driver_send(lows[i] = driver_client(server), "low\n");
	while (stats.waiting < 4)
		CHECK_INT(gb_server_pool_stats(server, GB_PRIORITY_LOW, &stats), 0);
	urgent = driver_client(server);
	driver_send(urgent, "urgent\n");
	while (stats.jobs < 1)
		CHECK_INT(gb_server_pool_stats(server, GB_PRIORITY_HIGH, &stats), 0);
	atomic_store(&shared->released, 1);
	driver_ask(first, "", "h0\n");
	driver_ask(urgent, "", "u1\n");
	for (unsigned i = 0; i < 4; i++) {
		char text[3];

		CHECK_INT(driver_receive(lows[i], text, 3), 3);
		CHECK(text[0] == 'l' && text[1] > '1');
		close(lows[i]);
	}
	close(first);
	close(urgent);
	driver_finish(server, pid);
}

static void hear(enum gb_log_level level, const char *text, void *arg)
{
	(void)level;
	(void)arg;
	shared->began +=
		strstr(text, "the compute pool is the bottleneck") && strstr(text, "compute-workers=");
}

/* Waits, until somebody has said that this makes others wait. */
static void sleepy_message(struct gb_conn *conn, struct gb_bytes message)
{
	if (!shared->began)
		usleep(30000);
	gb_conn_send(conn, message.data, message.size);
}

TEST(a_pool_of_processes_that_is_the_bottleneck_says_so_once)
{
	static const struct gb_service sleepy = { GB_SERVICE_INIT, .name = "sleepy", .state = GB_STATE_NONE,
		.codec = &gb_codec_line, .on_message = sleepy_message };
	struct gb_server *server;
	int clients[3];
	pid_t pid;

	apart_share();
	gb_log_set(hear, NULL);
	server = driver_server("reactor,compute=processes,compute-workers=1", &sleepy, NULL);
	pid = driver_host(server);
	for (unsigned i = 0; i < 3; i++) {
		clients[i] = driver_client(server);
		for (unsigned n = 0; n < 100; n++)
			driver_send(clients[i], "x\n");
	}
	for (unsigned i = 0; i < 3; i++) {
		char text[100];

		CHECK_INT(driver_receive(clients[i], text, 100), 100);
		close(clients[i]);
	}
	driver_finish(server, pid);
	CHECK_INT(shared->began, 1);
}

static int refuse_start(struct gb_worker *worker, void *user)
{
	(void)user;
	return gb_worker_computes(worker) ? -EACCES : 0;
}

TEST(a_process_that_cannot_start_is_named)
{
	static const struct gb_service refusing = { GB_SERVICE_INIT, .name = "refusing",
		.state = GB_STATE_NONE, .on_start = refuse_start, .on_message = wordy_message };
	struct gb_server *server =
		driver_server("reactor,compute=processes,compute-workers=2", &refusing, NULL);
	struct gb_error error = { 0 };

	CHECK_INT(gb_server_run(server, &error), -EACCES);
	CHECK_STR(error.text, "refusing: cannot start in a process of the compute pool: Permission denied");
	gb_server_destroy(server);
}

/* Of services that the processes know nothing of: by a message, and by a route for the pool. */
static void as_guest(struct gb_conn *conn, struct gb_bytes message)
{
	(void)message;
	if (!gb_worker_computes(gb_conn_worker(conn)))
		shared->began++;
}

static const struct gb_route guest_rows[] = {
	{ "any", .otherwise = true, .traits = GB_TRAIT_HEAVY_COMPUTE, .on_message = as_guest }, { NULL }
};
static const struct gb_routes guest_routes = { .by = GB_ROUTE_BY_BYTE, .table = guest_rows };
static const struct gb_service guests[] = {
	{ GB_SERVICE_INIT, .name = "guest", .state = GB_STATE_NONE, .codec = &gb_codec_line,
		.on_message = as_guest },
	{ GB_SERVICE_INIT, .name = "routed guest", .state = GB_STATE_NONE, .codec = &gb_codec_line,
		.routes = &guest_routes },
};

static int bring_guests(struct gb_conn *conn)
{
	for (size_t i = 0; i < gb__countof(guests); i++) {
		int fds[2];

		CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
		CHECK(write(fds[1], "x\n", 2) == 2);
		close(fds[1]);
		CHECK_INT(gb_worker_adopt(gb_conn_worker(conn), fds[0], &guests[i], NULL, NULL), 0);
	}
	return 0;
}

static void answer(struct gb_conn *conn, struct gb_bytes message)
{
	gb_conn_printf(conn, "%.*s\n", (int)message.size, (const char *)message.data);
}

static const struct gb_service host = { GB_SERVICE_INIT, .name = "host", .state = GB_STATE_NONE,
	.codec = &gb_codec_line, .on_open = bring_guests, .on_message = answer };

TEST(services_that_the_processes_do_not_know_are_handled_by_the_worker)
{
	struct gb_server *server;
	int client;
	pid_t pid;

	apart_share();
	server = driver_server("reactor,compute=processes,compute-workers=1", &host, NULL);
	pid = driver_host(server);
	client = driver_client(server);
	driver_ask(client, "a\n", "a\n");
	apart_await(&shared->began, gb__countof(guests));
	driver_ask(client, "b\n", "b\n");
	close(client);
	driver_finish(server, pid);
}
