/* Routes under every preset, in both styles: who runs where, what is counted, what is refused. */
#include "base/macros.h"
#include "harness.h"
#include "model/server_test_driver.h"

#include <gearbox/stream.h>
#include <gearbox/worker.h>

#include <errno.h>
#include <unistd.h>

static __thread bool works; /* this is a worker's thread */

static int note_thread(struct gb_worker *worker, void *user)
{
	works = true;
	return 0;
}

static void say_where(struct gb_conn *conn, struct gb_bytes message)
{
	gb_conn_printf(conn, "%s %s\n", gb_conn_route(conn)->name, works ? "here" : "pool");
}

static int where(struct gb_offload *offload, void *arg)
{
	*(bool *)arg = works;
	return 0;
}

static int offload_route(struct gb_stream *stream, struct gb_bytes message)
{
	bool here = false;

	CHECK(works);
	CHECK_INT(gb_offload(gb_stream_coro(stream), where, &here), 0);
	return gb_write_format(
		stream, "%.*s %s\n", (int)message.size, (const char *)message.data, here ? "here" : "pool");
}

static int short_route(struct gb_stream *stream, struct gb_bytes message)
{
	return gb_write_format(stream, "%s\n", works ? "short here" : "short pool");
}

static int end_route(struct gb_stream *stream, struct gb_bytes message)
{
	gb_write(stream, "bye\n", 4);
	return -1;
}

static void end_message(struct gb_conn *conn, struct gb_bytes message)
{
	gb_conn_send(conn, "bye\n", 4);
	gb_conn_close(conn);
}

static const struct gb_route table[] = {
	{ "short", .text = "short", .on_message = say_where, .serve = short_route },
	{ "report", .text = "report", .on_message = say_where, .serve = offload_route,
		.traits = GB_TRAIT_HEAVY_COMPUTE, .priority = GB_PRIORITY_LOW },
	{ "urgent", .text = "urgent", .on_message = say_where, .serve = offload_route,
		.traits = GB_TRAIT_MAY_BLOCK, .priority = GB_PRIORITY_HIGH },
	{ "end", .otherwise = true, .on_message = end_message, .serve = end_route },
	{ NULL },
};
static const struct gb_routes routes = { .by = GB_ROUTE_BY_WORD, .ignore_case = true, .table = table };
static const struct gb_service routed = { GB_SERVICE_INIT, .name = "routed", .state = GB_STATE_NONE,
	.codec = &gb_codec_line, .routes = &routes, .on_start = note_thread };
static const struct gb_service straight = { GB_SERVICE_INIT, .name = "straight", .state = GB_STATE_NONE,
	.codec = &gb_codec_line, .routes = &routes, .serve = gb_serve_routes, .on_start = note_thread };

static void converse(const struct gb_server *server, size_t address, bool pool)
{
	int client = driver_client_at(server, address);
	char byte;

	driver_ask(client, "short\n", "short here\n");
	driver_ask(client, "report\n", pool ? "report pool\n" : "report here\n");
	driver_ask(
		client, "urgent\nshort\n", pool ? "urgent pool\nshort here\n" : "urgent here\nshort here\n");
	driver_ask(client, "SHORT and more\n", "short here\n");
	driver_ask(client, "what\n", "bye\n");
	CHECK_INT(driver_receive(client, &byte, 1), 0);
	close(client);
}

static void check_route(
	const struct gb_server *server, size_t n, const char *service, const char *route, uint64_t messages)
{
	struct gb_route_stats stats;

	CHECK_INT(gb_server_route_stats(server, n, &stats), 0);
	CHECK_STR(stats.service, service);
	CHECK_STR(stats.route, route);
	CHECK_INT(stats.messages, messages);
}

static void check_pool(const struct gb_server *server, enum gb_priority priority, uint64_t jobs)
{
	struct gb_pool_stats stats;

	CHECK_INT(gb_server_pool_stats(server, priority, &stats), 0);
	CHECK_INT(stats.jobs, jobs);
	CHECK_INT(stats.waiting, 0);
	CHECK_INT(stats.waiting_max, jobs > 0);
	CHECK(stats.wait_ns >= stats.wait_max_ns && (jobs > 0 || stats.wait_max_ns == 0));
}

static void run(const char *model)
{
	const bool pool = strstr(model, "compute=threads");
	struct gb_server *server = driver_server(model, &routed, NULL);
	struct gb_error error;
	struct gb_stats stats;
	size_t n = 0;
	pid_t pid;

	CHECK(server);
	CHECK_INT(gb_server_listen(server, "127.0.0.1:0", &straight, NULL, &error), 0);
	pid = driver_host(server);
	converse(server, 0, pool);
	converse(server, 1, pool);
	gb_server_stop(server);
	CHECK_INT(driver_await(pid), 0);
	gb_server_stats(server, &stats);
	CHECK_INT(stats.messages, 12);
	for (size_t service = 0; service < 2; service++) {
		const char *name = service ? "straight" : "routed";

		check_route(server, n++, name, "short", 3);
		check_route(server, n++, name, "report", 1);
		check_route(server, n++, name, "urgent", 1);
		check_route(server, n++, name, "end", 1);
	}
	CHECK_INT(gb_server_route_stats(server, n, &(struct gb_route_stats){ 0 }), -ENOENT);
	check_pool(server, GB_PRIORITY_HIGH, pool ? 2 : 0);
	check_pool(server, GB_PRIORITY_NORMAL, 0);
	check_pool(server, GB_PRIORITY_LOW, pool ? 2 : 0);
	CHECK_INT(gb_server_pool_stats(server, (enum gb_priority)2, &(struct gb_pool_stats){ 0 }), -EINVAL);
	gb_server_destroy(server);
}

TEST(routes_run_where_their_traits_say_and_are_counted_under_every_preset)
{
	driver_each_preset(run);
}

static void check_refused(const char *model, struct gb_service service, const char *text)
{
	struct gb_server *server = driver_server(model, &driver_echo, NULL);
	struct gb_error error = { 0 };

	CHECK(gb_server_listen(server, "127.0.0.1:0", &service, NULL, &error) < 0);
	if (!strstr(error.text, text))
		test_fail(__FILE__, __LINE__, "\"%s\" does not say \"%s\"", error.text, text);
	gb_server_destroy(server);
}

TEST(routes_that_make_no_sense_are_refused_when_the_server_is_told_to_listen)
{
	static const struct gb_route twice[] = { { "a", .key = 1, .on_message = say_where },
		{ "b", .key = 1, .on_message = say_where }, { NULL } };
	static const struct gb_route nobody[] = { { "a", .key = 1 }, { NULL } };
	static const struct gb_route half[] = { { "a", .key = 1, .on_message = say_where }, { NULL } };
	struct gb_routes wrong = { .by = GB_ROUTE_BY_BYTE, .table = twice };
	struct gb_service service = routed;

	service.routes = &wrong;
	check_refused("reactor", service, "service routed: routes a and b take the same messages");
	wrong.table = nobody;
	check_refused("reactor", service, "service routed: route a: .on_message is NULL");
	wrong.table = half;
	service.serve = gb_serve_routes;
	check_refused("reactor", service, "service routed: route a: .serve is NULL");
	service = routed;
	service.on_message = say_where;
	check_refused("reactor", service, "service routed: .on_message and .routes are both set");
	service = routed;
	service.codec = NULL;
	check_refused("reactor", service, "service routed: .routes: it has no .codec");
}

/* Handlers run beside one another only where a route goes to the pool. */
TEST(only_routes_that_go_to_the_pool_need_to_say_what_handlers_share)
{
	static const struct gb_route inline_table[] = { { "a", .key = 1, .on_message = say_where },
		{ NULL } };
	static const struct gb_routes inline_routes = { .by = GB_ROUTE_BY_BYTE, .table = inline_table };
	struct gb_service service = routed;
	struct gb_server *server = driver_server("reactor-pool", &driver_echo, NULL);
	struct gb_error error;

	service.state = GB_STATE_UNSPECIFIED;
	check_refused("reactor-pool", service, "it does not say what they share");
	service.routes = &inline_routes;
	CHECK_INT(gb_server_listen(server, "127.0.0.1:0", &service, NULL, &error), 0);
	service.routes = &routes;
	gb_server_destroy(server);
	server = driver_server("reactor", &service, NULL); /* no pool: it is just inline */
	CHECK(server);
	gb_server_destroy(server);
}

static int nothing(struct gb_offload *offload, void *arg)
{
	return 7;
}

static void offload_done(struct gb_operation *operation, void *user)
{
	int *results = user;

	results[*results + 1] = gb_operation_result(operation);
	if (++*results == 4)
		gb_server_stop(gb_worker_server(operation->worker));
}

static int offload_each(struct gb_worker *worker, void *user)
{
	static struct gb_offload offloads[4] = { { .priority = GB_PRIORITY_HIGH }, { .priority = 0 },
		{ .priority = GB_PRIORITY_LOW }, { .priority = (enum gb_priority)7 } };

	for (unsigned i = 0; i < 4; i++)
		gb_offload_begin(worker, &offloads[i], nothing, NULL, offload_done, user);
	return 0;
}

TEST(a_function_has_the_priority_that_it_is_offloaded_with)
{
	static const struct gb_service service = { GB_SERVICE_INIT, .name = "offloads",
		.state = GB_STATE_NONE, .on_start = offload_each, .on_message = say_where };
	int results[5] = { 0 }, refused = 0, done = 0;
	struct gb_server *server = driver_server("reactor-pool,compute-workers=1", &service, results);
	struct gb_error error;

	CHECK_INT(gb_server_run(server, &error), 0);
	for (unsigned i = 1; i < 5; i++) {
		refused += results[i] == -EINVAL;
		done += results[i] == 7;
	}
	CHECK_INT(refused, 1);
	CHECK_INT(done, 3);
	check_pool(server, GB_PRIORITY_HIGH, 1);
	check_pool(server, GB_PRIORITY_NORMAL, 1);
	check_pool(server, GB_PRIORITY_LOW, 1);
	gb_server_destroy(server);
}

/* Processes run what threads do: their on_start was there as well. */
TEST(routes_go_to_processes_as_to_threads)
{
	struct gb_server *server =
		driver_server("reactor,compute=processes,compute-workers=2", &routed, NULL);
	pid_t pid = driver_host(server);

	converse(server, 0, false);
	gb_server_stop(server);
	CHECK_INT(driver_await(pid), 0);
	check_route(server, 0, "routed", "short", 3);
	check_route(server, 1, "routed", "report", 1);
	check_pool(server, GB_PRIORITY_HIGH, 1);
	check_pool(server, GB_PRIORITY_NORMAL, 0);
	check_pool(server, GB_PRIORITY_LOW, 1);
	gb_server_destroy(server);
}
