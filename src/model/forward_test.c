/* A server that connects onward says for whom, by a PROXY header, in either style and under every preset. */
#include "harness.h"
#include "model/server_test_driver.h"

#include <gearbox/gearbox.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* It wants a header, and answers each line with whom the connection is for. */
static void tell(struct gb_conn *conn, struct gb_bytes line)
{
	char peer[GB_ADDRESS_TEXT];

	(void)line;
	CHECK_INT(gb_conn_peer(conn, peer, sizeof(peer)), 0);
	gb_conn_printf(conn, "%s\n", peer);
}

static const struct gb_service far = { GB_SERVICE_INIT, .name = "far", .codec = &gb_codec_line,
	.state = GB_STATE_NONE, .on_message = tell };

static char far_address[64];
static const char *const addresses[] = { "127.0.0.1:1", far_address }; /* nobody is at the first */

static const struct gb_service lines = { GB_SERVICE_INIT, .name = "lines", .codec = &gb_codec_line,
	.state = GB_STATE_NONE };

/* A line says which version is sent: 0: none, which the other does not take; 7: there is no such one. */
static enum gb_proxy_version version_of(struct gb_bytes line)
{
	return (enum gb_proxy_version)(line.data[0] - '0');
}

static void serve(struct gb_stream *stream)
{
	struct gb_bytes line, answer;
	struct gb_stream *onward;

	while (gb_read_message(stream, &line) > 0) {
		struct gb_error error;
		int result = gb_stream_connect_proxy(gb_stream_coro(stream), addresses, 2, &lines,
			gb_stream_conn(stream), version_of(line), &onward, &error);

		if (result < 0) {
			gb_write_format(stream, "%d %s\n", result, error.text);
			continue;
		}
		gb_write(onward, "who\n", 4);
		result = gb_read_message(onward, &answer);
		if (result > 0)
			gb_write_format(stream, "%.*s\n", (int)answer.size, (const char *)answer.data);
		else
			gb_write_format(stream, "nobody\n");
		gb_stream_close(onward);
	}
}

static const struct gb_service straight = { GB_SERVICE_INIT, .name = "straight", .codec = &gb_codec_line,
	.state = GB_STATE_NONE, .serve = serve };

/* The same by callbacks. The client is held until it has its answer; a request lasts as long as its connection. */
struct request {
	struct gb_handle client;
	struct gb_connecting_any any;
	bool answered;
};

static void answer(struct gb_conn *client, int status, void *text)
{
	CHECK_INT(status, 0);
	gb_conn_printf(client, "%s\n", (char *)text);
	gb_conn_release(client);
	free(text);
}

static void answer_later(struct request *request, const char *text, size_t size)
{
	request->answered = true;
	CHECK_INT(gb_handle_post(request->client, answer, strndup(text, size)), 0);
}

/* Perhaps on a thread of the pool. */
static void on_answer(struct gb_conn *conn, struct gb_bytes line)
{
	answer_later(gb_conn_user(conn), (const char *)line.data, line.size);
	gb_conn_close(conn);
}

static void on_far_close(struct gb_conn *conn, int reason)
{
	struct request *request = gb_conn_user(conn);

	(void)reason;
	if (!request->answered)
		answer_later(request, "nobody", 6);
	free(request);
}

static const struct gb_service onward_lines = { GB_SERVICE_INIT, .name = "onward", .codec = &gb_codec_line,
	.state = GB_STATE_NONE, .on_message = on_answer, .on_close = on_far_close };

static void on_connected(struct gb_operation *operation, void *user)
{
	struct request *request = user;

	CHECK_INT(gb_operation_result(operation), 0);
	gb_conn_send(request->any.conn, "who\n", 4);
}

static void begin(struct gb_conn *conn, int status, void *arg)
{
	struct request *request = calloc(1, sizeof(*request));
	struct gb_error error;
	int result;

	CHECK_INT(status, 0);
	request->client = gb_conn_handle(conn);
	gb_conn_hold(conn);
	result = gb_connect_any_proxy_begin(gb_conn_worker(conn), &request->any, addresses, 2, &onward_lines,
		request, conn, (enum gb_proxy_version)(intptr_t)arg, on_connected, request, &error);
	if (result < 0) {
		char text[600];

		answer_later(
			request, text, (size_t)snprintf(text, sizeof(text), "%d %s", result, error.text));
		free(request);
	}
}

/* Perhaps on a thread of the pool. */
static void on_line(struct gb_conn *conn, struct gb_bytes line)
{
	CHECK_INT(gb_handle_post(gb_conn_handle(conn), begin, (void *)(intptr_t)version_of(line)), 0);
}

static const struct gb_service callbacks = { GB_SERVICE_INIT, .name = "callbacks", .codec = &gb_codec_line,
	.state = GB_STATE_NONE, .on_message = on_line };

static void forwards(const char *model, const struct gb_service *service)
{
	struct gb_server *server = driver_server_with(model, "log-level", "error", service, NULL);
	struct sockaddr_in own;
	socklen_t size = sizeof(own);
	char peer[32], none[600];
	int client;
	pid_t pid;

	if (!server)
		return;
	pid = driver_host(server);
	client = driver_client(server);
	CHECK_INT(getsockname(client, (struct sockaddr *)&own, &size), 0);
	snprintf(peer, sizeof(peer), "127.0.0.1:%u\n", ntohs(own.sin_port));
	snprintf(none, sizeof(none), "%d cannot connect to 127.0.0.1:1: no PROXY header can be made: %s\n",
		-EINVAL, gb_strerror(-EINVAL));
	driver_ask(client, "1\n", peer);
	driver_ask(client, "2\n", peer);
	driver_ask(client, "0\n", "nobody\n");
	driver_ask(client, "7\n", none);
	close(client);
	driver_finish(server, pid);
}

static void forwards_straight(const char *model)
{
	forwards(model, &straight);
}

static void forwards_by_callbacks(const char *model)
{
	forwards(model, &callbacks);
}

static void beside_the_far_one(void (*run)(const char *model))
{
	static const struct driver_option set[] = { { "proxy-protocol", "127.0.0.0/8" },
		{ "log-level", "error" }, { 0 } };
	struct gb_server *other = driver_server_set("multi-reactor", set, &far, NULL);
	pid_t pid;

	CHECK(other);
	snprintf(far_address, sizeof(far_address), "%s", gb_server_address(other, 0));
	pid = driver_host(other);
	driver_each_preset(run);
	driver_finish(other, pid);
}

TEST(straight_line_handler_says_for_whom_it_connects)
{
	beside_the_far_one(forwards_straight);
}

TEST(connect_to_any_says_for_whom_it_is)
{
	beside_the_far_one(forwards_by_callbacks);
}
