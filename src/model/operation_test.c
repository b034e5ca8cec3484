/* Operations in callback style, under every preset: timers, connects, results of other threads, functions on the pool. */
#include "base/macros.h"
#include "harness.h"
#include "model/server_test_driver.h"

#include <gearbox/stream.h>
#include <gearbox/worker.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A request is a word; what comes of it is the answer. */
struct request {
	struct gb_handle conn;
	struct gb_timer timer;
	struct gb_posted posted;
	struct gb_offload offload;
	struct gb_connecting connecting;
	struct gb_connecting_any any;
	pthread_t helper;
};

static void answer(struct gb_conn *conn, int status, void *arg)
{
	if (conn)
		gb_conn_printf(conn, "%d\n", *(int *)arg);
	(void)status;
}

static void on_done(struct gb_operation *operation, void *user)
{
	struct request *request = user;
	struct gb_conn *conn = gb_handle_conn(request->conn);
	int result = gb_operation_result(operation);

	CHECK(!gb_operation_pending(operation));
	if (conn) {
		answer(conn, 0, &result);
		gb_conn_release(conn);
	}
}

static void on_any(struct gb_operation *operation, void *user)
{
	struct request *request = user;

	if (gb_operation_result(operation) == 0)
		gb_conn_abort(request->any.conn);
	on_done(operation, user);
}

static void any(struct gb_worker *worker, struct request *request, size_t count)
{
	const char *addresses[] = { "127.0.0.1:1", "unix:/nobody/there", "127.0.0.1:1",
		gb_server_address(gb_worker_server(worker), 0) };
	struct gb_error error;

	CHECK_INT(gb_connect_any_begin(worker, &request->any, addresses, count, &driver_echo, NULL, on_any,
			  request, &error),
		0);
}

static void *help(void *arg)
{
	struct request *request = arg;

	usleep(1000);
	CHECK_INT(gb_posted_finish(&request->posted, 42), 0);
	return NULL;
}

static int compute(struct gb_offload *offload, void *arg)
{
	return gb_offload_cancelled(offload) ? -EINTR : *(int *)arg;
}

/* Whether or not a thread has taken it by then. */
static int until_cancelled(struct gb_offload *offload, void *arg)
{
	while (!gb_offload_cancelled(offload))
		usleep(1000);
	return -ECANCELED;
}

/* Operations begin on the worker's thread; under compute=threads on_message is not there. */
static void begin(struct gb_conn *conn, int status, void *arg)
{
	static int seven = 7;
	struct gb_bytes message = { arg, strlen(arg) };
	struct request *request = gb_conn_state(conn);
	struct gb_worker *worker = gb_conn_worker(conn);
	struct gb_error error;

	CHECK_INT(status, 0);
	request->conn = gb_conn_handle(conn);
	gb_conn_hold(conn);
	if (gb_bytes_is(message, "timer")) {
		CHECK(gb_operation_pending(gb_timer_begin(worker, &request->timer, 2, on_done, request)));
	} else if (gb_bytes_is(message, "cancel")) {
		gb_operation_cancel(gb_timer_begin(worker, &request->timer, 1000000, on_done, request));
		CHECK(gb_operation_pending(&request->timer.operation)); /* it is told later */
	} else if (gb_bytes_is(message, "posted")) {
		gb_posted_begin(worker, &request->posted, on_done, request);
		CHECK(pthread_create(&request->helper, NULL, help, request) == 0);
		pthread_detach(request->helper);
	} else if (gb_bytes_is(message, "offload")) {
		gb_offload_begin(worker, &request->offload, compute, &seven, on_done, request);
	} else if (gb_bytes_is(message, "give up")) {
		gb_operation_cancel(
			gb_offload_begin(worker, &request->offload, until_cancelled, NULL, on_done, request));
	} else if (gb_bytes_is(message, "refused")) {
		CHECK_INT(gb_connect_begin(worker, &request->connecting, "127.0.0.1:1", &driver_echo, NULL,
				  on_done, request, &error),
			0);
	} else if (gb_bytes_is(message, "any")) {
		any(worker, request, 4);
	} else if (gb_bytes_is(message, "none")) {
		any(worker, request, 3);
	} else {
		gb_conn_close(conn);
	}
	free(arg);
}

static void on_message(struct gb_conn *conn, struct gb_bytes message)
{
	CHECK_INT(gb_handle_post(
			  gb_conn_handle(conn), begin, strndup((const char *)message.data, message.size)),
		0);
}

static const struct gb_service service = { GB_SERVICE_INIT, .name = "operations", .state = GB_STATE_NONE,
	.codec = &gb_codec_line, .conn_state_size = sizeof(struct request), .on_message = on_message };

static void run(const char *model)
{
	struct gb_server *server;
	pid_t pid;
	int client;

	server = driver_server(model, &service, NULL);
	pid = driver_host(server);
	client = driver_client(server);
	driver_ask(client, "timer\n", "0\n");
	driver_ask(client, "cancel\n", "-125\n");
	driver_ask(client, "posted\n", "42\n");
	driver_ask(client, "offload\n", "7\n");
	driver_ask(client, "give up\n", "-125\n");
	driver_ask(client, "refused\n", "-111\n");
	driver_ask(client, "any\n", "0\n");
	driver_ask(client, "none\n", "-111\n");
	close(client);
	driver_finish(server, pid);
}

TEST(every_operation_is_told_once_with_what_came_of_it)
{
	driver_each_preset(run);
}
