/*
 * A handler that holds its loop is reported while it does so, under every model. The test holds it and lets it go once the
 * report is there, however late that is.
 */
#include "model/server_test_driver.h"

#include "base/macros.h"
#include "model/server.h"

#include <gearbox/route.h>
#include <gearbox/stream.h>
#include <gearbox/worker.h>

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#define LIMIT "50ms"
#define LIMIT_NS 50000000u
#define PATIENCE_MS 120000
#define TEXT (64u << 10)

static int go[2]; /* a byte lets a handler go */

/* Whose own frame is the innermost is not told where the C library has no unwind tables. */
static __attribute__((noinline)) void await_go(void)
{
	char byte;

	CHECK(read(go[0], &byte, 1) == 1);
	__asm__ volatile("" ::: "memory"); /* no tail calls: they are to be on the stack */
}

static __attribute__((noinline)) void held_by_the_test(void)
{
	await_go();
	__asm__ volatile("" ::: "memory");
}

/* "h" is held; anything is answered. */
static void on_message(struct gb_conn *conn, struct gb_bytes message)
{
	if (message.data[0] == 'h')
		held_by_the_test();
	gb_conn_send(conn, message.data, 1);
}

static const struct gb_service holder = { GB_SERVICE_INIT, .name = "holder", .state = GB_STATE_NONE,
	.on_message = on_message };

static void serve(struct gb_stream *stream)
{
	char byte;

	while (gb_read(stream, &byte, 1) > 0) {
		if (byte == 'h')
			held_by_the_test();
		gb_write(stream, &byte, 1);
	}
}

static const struct gb_service straight = { GB_SERVICE_INIT, .name = "straight", .state = GB_STATE_NONE,
	.serve = serve };

static const struct gb_route table[] = { { "held-route", .key = 'h', .on_message = on_message },
	{ "other", .otherwise = true, .on_message = on_message }, { NULL } };
static const struct gb_routes routes = { .by = GB_ROUTE_BY_BYTE, .table = table };
static const struct gb_service routed = { GB_SERVICE_INIT, .name = "routed", .state = GB_STATE_NONE,
	.codec = &gb_codec_line, .routes = &routes };

/* A server whose standard error is read here. */
struct watched {
	struct gb_server *server;
	pid_t pid;
	int errors;
	char text[TEXT];
	size_t size;
};

static void start(struct watched *watched, struct gb_server *server)
{
	int kept = dup(STDERR_FILENO), ends[2];

	CHECK(pipe(go) == 0 && pipe(ends) == 0 && kept >= 0);
	CHECK(dup2(ends[1], STDERR_FILENO) >= 0);
	close(ends[1]);
	*watched = (struct watched){ .server = server, .errors = ends[0] };
	watched->pid = driver_host(server);
	CHECK(dup2(kept, STDERR_FILENO) >= 0);
	close(kept);
}

static bool has_backtraces(void)
{
#ifdef __SANITIZE_THREAD__
	return false; /* it delivers signals when it likes */
#else
	return true;
#endif
}

/* Until its standard error says so, from there on. */
static void await_text(struct watched *watched, size_t from, const char *text)
{
	struct pollfd errors = { .fd = watched->errors, .events = POLLIN };

	while (!strstr(watched->text + from, text)) {
		ssize_t got;

		if (poll(&errors, 1, PATIENCE_MS) != 1)
			test_fail(__FILE__, __LINE__, "%s: it does not say \"%s\": %s",
				gb_server_model(watched->server), text, watched->text);
		got = read(watched->errors, watched->text + watched->size, TEXT - 1 - watched->size);
		CHECK(got > 0);
		watched->size += (size_t)got;
		watched->text[watched->size] = '\0';
	}
}

/* A machine with others on it may hold a loop as well: so its own function is looked for where that can be had. */
static void await_held(struct watched *watched)
{
	await_text(watched, 0, has_backtraces() ? "held_by_the_test+" : "has held its loop for");
}

static void finish(struct watched *watched)
{
	driver_finish(watched->server, watched->pid);
	close(watched->errors);
	close(go[0]);
	close(go[1]);
}

/* The port of a client's own end, as reports have it. */
static void check_named(const struct watched *watched, int client, const char *service)
{
	struct sockaddr_in address;
	socklen_t size = sizeof(address);
	char named[128];

	CHECK(getsockname(client, (struct sockaddr *)&address, &size) == 0);
	snprintf(named, sizeof(named), "service %s, connection 127.0.0.1:%u", service,
		ntohs(address.sin_port));
	if (!strstr(watched->text, named))
		test_fail(__FILE__, __LINE__, "%s: \"%s\" is not in %s", gb_server_model(watched->server),
			named, watched->text);
}

/* A client whose handler is held until it was reported, by name, with a backtrace that has the function it is in. */
static void hold_one(struct watched *watched, const char *request, const char *service)
{
	struct gb_stall_stats stats;
	int client = driver_client(watched->server);
	char answer;
	size_t reported;

	driver_send(client, request);
	await_held(watched);
	if (has_backtraces())
		check_named(watched, client, service);
	reported = watched->size;
	gb_server_stall_stats(watched->server, &stats);
	CHECK(stats.stalls >= 1 && stats.now >= 1);
	CHECK(write(go[1], "g", 1) == 1);
	CHECK(driver_receive(client, &answer, 1) == 1);
	await_text(watched, reported, "its loop goes on");
	gb_server_stall_stats(watched->server, &stats);
	CHECK(stats.longest_ns >= LIMIT_NS && stats.ns >= stats.longest_ns);
	close(client);
}

static void stall_is_reported(const char *model)
{
	struct watched watched;

	if (strstr(model, "compute=threads"))
		return; /* a handler there holds no loop: see below */
	start(&watched, driver_server_with(model, "stall-limit", LIMIT, &holder, NULL));
	hold_one(&watched, "h", "holder");
	finish(&watched);
}

TEST(handler_that_holds_its_loop_is_reported_while_it_does)
{
	driver_each_preset(stall_is_reported);
}

TEST(straight_line_handler_that_holds_its_loop_is_reported)
{
	struct watched watched;

	start(&watched, driver_server_with("reactor", "stall-limit", LIMIT, &straight, NULL));
	hold_one(&watched, "h", "straight");
	finish(&watched);
}

TEST(route_of_a_held_loop_is_named)
{
	struct watched watched;

	start(&watched, driver_server_with("multi-reactor,workers=2", "stall-limit", LIMIT, &routed, NULL));
	hold_one(&watched, "h\n", "routed, route held-route");
	finish(&watched);
}

static int wait_opens;

static int on_open(struct gb_conn *conn)
{
	(void)conn;
	if (wait_opens)
		held_by_the_test();
	return 0;
}

/* The pool's thread is held by "h"; the loop by a connection that opens afterwards: the loop alone is counted. */
static void on_pooled(struct gb_conn *conn, struct gb_bytes message)
{
	if (message.data[0] == 'w')
		wait_opens = 1;
	on_message(conn, message);
}

static const struct gb_service pooled = { GB_SERVICE_INIT, .name = "pooled", .state = GB_STATE_NONE,
	.traits = GB_TRAIT_THREAD_SAFE, .on_open = on_open, .on_message = on_pooled };

TEST(handler_in_the_pool_holds_no_loop)
{
	struct watched watched;
	struct gb_stall_stats stats;
	int first, second, third;
	char answer;

	start(&watched,
		driver_server_with("reactor-pool,compute-workers=2", "stall-limit", LIMIT, &pooled, NULL));
	first = driver_client(watched.server);
	second = driver_client(watched.server);
	driver_ask(second, "x", "x");
	driver_send(first, "h");
	driver_ask(second, "w", "w");
	third = driver_client(watched.server);
	await_held(&watched);
	gb_server_stall_stats(watched.server, &stats);
	CHECK(stats.stalls >= 1);
	/* The pool's was held for longer. */
	if (has_backtraces())
		CHECK(!strstr(strstr(watched.text, "held_by_the_test+") + 1, "held_by_the_test+"));
	CHECK(write(go[1], "gg", 2) == 2);
	CHECK(driver_receive(first, &answer, 1) == 1);
	close(first);
	close(second);
	close(third);
	finish(&watched);
}

static void stall_ends_with_the_server(const char *model)
{
	struct gb_stall_stats stats;
	struct watched watched;
	int client;

	start(&watched, driver_server_with(model, "stall-limit", LIMIT, &holder, NULL));
	client = driver_client(watched.server);
	driver_send(client, "h");
	await_held(&watched);
	close(client);
	gb_server_stop(watched.server);
	CHECK(write(go[1], "g", 1) == 1);
	CHECK_INT(driver_await(watched.pid), 0);
	gb_server_stall_stats(watched.server, &stats);
	CHECK_INT(stats.now, 0);
	CHECK(stats.stalls >= 1 && stats.longest_ns >= LIMIT_NS);
	gb_server_destroy(watched.server);
	close(watched.errors);
	close(go[0]);
	close(go[1]);
}

TEST(who_is_held_when_the_server_stops_is_not_held_after_it)
{
	stall_ends_with_the_server("reactor");
	stall_ends_with_the_server("multi-reactor,workers=2");
	stall_ends_with_the_server("prefork,workers=2");
}

TEST(limit_of_0_watches_nothing)
{
	struct gb_server *server = driver_server_with("reactor", "stall-limit", "0", &holder, NULL);
	struct gb_stall_stats stats;
	pid_t pid = driver_host(server);

	driver_visit(server);
	gb_server_stall_stats(server, &stats);
	CHECK_INT(stats.stalls, 0);
	driver_finish(server, pid);
}
