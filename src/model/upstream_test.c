/* Pools of upstream connections in both styles, under every preset: a line is asked of another server and its answer passed on. */
#include "model/server_test_driver.h"

#include "base/macros.h"

#include <gearbox/upstream.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROUNDS 10

static const char *far_address;

static int start(struct gb_worker *worker, void *user, bool streams);

/* A question under way; its asker may be gone when it is answered. */
struct question {
	struct gb_taking taking;
	struct gb_handle asker;
	char *text;
};

/* Of the far connection, on its worker's thread. */
static void answered(struct gb_conn *conn, int status, void *arg)
{
	struct question *question = conn ? gb_conn_user(conn) : NULL;

	if (question) {
		struct gb_conn *asker = gb_handle_conn(question->asker);

		CHECK_INT(gb_upstream_give(conn, true), 0);
		if (asker) {
			gb_conn_printf(asker, "%s\n", (const char *)arg);
			gb_conn_release(asker);
		}
		free(question->text);
		free(question);
	}
	free(arg);
}

/* Perhaps on a pool thread. */
static void far_message(struct gb_conn *conn, struct gb_bytes message)
{
	CHECK_INT(gb_handle_post(
			  gb_conn_handle(conn), answered, strndup((const char *)message.data, message.size)),
		0);
}

static const struct gb_service far = { GB_SERVICE_INIT, .name = "far", .state = GB_STATE_NONE,
	.codec = &gb_codec_line, .on_message = far_message };

static void on_taken(struct gb_operation *operation, void *user)
{
	struct question *question = user;

	CHECK_INT(gb_operation_result(operation), 0);
	CHECK(gb_conn_user(question->taking.conn) == question);
	gb_conn_printf(question->taking.conn, "%s\n", question->text);
}

static void begin(struct gb_conn *conn, int status, void *arg)
{
	struct question *question = calloc(1, sizeof(*question));
	struct gb_upstream *upstream = gb_worker_data(gb_conn_worker(conn), &far);

	CHECK_INT(status, 0);
	CHECK(question);
	question->asker = gb_conn_handle(conn);
	question->text = arg;
	gb_conn_hold(conn);
	gb_upstream_take_begin(upstream, &question->taking, question, on_taken, question);
}

static void on_message(struct gb_conn *conn, struct gb_bytes message)
{
	CHECK_INT(gb_handle_post(
			  gb_conn_handle(conn), begin, strndup((const char *)message.data, message.size)),
		0);
}

static int start_callbacks(struct gb_worker *worker, void *user)
{
	return start(worker, user, false);
}

static void stop(struct gb_worker *worker, void *user)
{
	struct gb_upstream *upstream = gb_worker_data(worker, &far);
	struct gb_upstream_stats stats;

	gb_upstream_stats(upstream, &stats);
	CHECK_INT(stats.open + stats.idle + stats.connecting + stats.waiting, 0);
	CHECK(stats.taken == 0 || stats.reused == stats.taken - stats.connected);
	gb_upstream_destroy(upstream);
}

static const struct gb_service callbacks = { GB_SERVICE_INIT, .name = "callbacks", .state = GB_STATE_NONE,
	.codec = &gb_codec_line, .on_start = start_callbacks, .on_stop = stop, .on_message = on_message };

static const struct gb_service lines = { GB_SERVICE_INIT, .name = "lines", .codec = &gb_codec_line,
	.state = GB_STATE_NONE };

static int start_streams(struct gb_worker *worker, void *user)
{
	return start(worker, user, true);
}

static void serve(struct gb_stream *asker)
{
	struct gb_coro *coro = gb_stream_coro(asker);
	struct gb_upstream *upstream = gb_worker_data(gb_coro_worker(coro), &far);
	struct gb_bytes question, answer;
	struct gb_stream *stream;

	while (gb_read_message(asker, &question) > 0) {
		CHECK_INT(gb_upstream_take(coro, upstream, &stream, NULL), 0);
		gb_write_format(stream, "%.*s\n", (int)question.size, (const char *)question.data);
		CHECK_INT(gb_read_message(stream, &answer), 1);
		gb_write_format(asker, "%.*s\n", (int)answer.size, (const char *)answer.data);
		CHECK_INT(gb_upstream_give_stream(stream, true), 0);
	}
}

static const struct gb_service straight = { GB_SERVICE_INIT, .name = "straight", .state = GB_STATE_NONE,
	.codec = &gb_codec_line, .on_start = start_streams, .on_stop = stop, .serve = serve };

static int start(struct gb_worker *worker, void *user, bool streams)
{
	const char *addresses[] = { "127.0.0.1:1", far_address };
	const struct gb_upstream_options options = { .service = streams ? &lines : &far, .streams = streams };
	const struct gb_upstream_options bytes = { .streams = streams };
	struct gb_upstream *upstream;
	struct gb_error error = { 0 };

	(void)user;
	/* Who takes streams need not say how their bytes are cut. */
	CHECK_INT(gb_upstream_create(worker, addresses, 2, &bytes, &upstream, &error) == 0, streams);
	if (streams)
		gb_upstream_destroy(upstream);
	CHECK_INT(gb_upstream_create(worker, addresses, 0, &options, &upstream, &error), -EINVAL);
	CHECK_INT(gb_upstream_create(worker, (const char *[]){ "nowhere" }, 1, &options, &upstream, &error),
		-GB_EUSAGE);
	CHECK_INT(gb_upstream_create(worker, addresses, 2, &options, &upstream, &error), 0);
	return gb_worker_set_data(worker, &far, upstream);
}

static void visit(const struct gb_server *server)
{
	int client = driver_client(server);

	for (unsigned i = 0; i < ROUNDS; i++)
		driver_ask(client, "a question\n", "a question\n");
	close(client);
}

static void check(const char *model, const struct gb_service *service)
{
	static const struct driver_option set[] = { { "linger-timeout", "20ms" }, { 0 } };
	struct gb_server *other = driver_server("reactor", &driver_echo, NULL), *server;
	pid_t other_pid, pid;
	struct gb_stats stats;

	far_address = gb_server_address(other, 0);
	server = driver_server_set(model, set, service, NULL);
	other_pid = driver_host(other);
	pid = driver_host(server);
	visit(server);
	visit(server);
	driver_finish(server, pid);
	stats = driver_finish_counted(other, other_pid);
	CHECK(stats.accepted >= 1 && stats.accepted <= 2); /* for each client at most one */
}

static void asks_by_callbacks(const char *model)
{
	check(model, &callbacks);
}

TEST(connections_of_a_pool_answer_under_every_preset)
{
	driver_each_preset(asks_by_callbacks);
}

static void asks_by_streams(const char *model)
{
	check(model, &straight);
}

TEST(streams_of_a_pool_answer_under_every_preset)
{
	driver_each_preset(asks_by_streams);
}
