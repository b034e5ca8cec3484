/* Sockets of packets under every preset: replies, topics, connections of our own making; and who is refused there. */
#include "base/macros.h"
#include "harness.h"
#include "model/server_test_driver.h"

#include <gearbox/reply.h>
#include <gearbox/stream.h>
#include <gearbox/topic.h>
#include <gearbox/worker.h>

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char address[64]; /* of the server that runs, an abstract name */

static int publish(struct gb_conn *conn, const char *text)
{
	struct gb_buffer *buffer;
	int result;

	CHECK_INT(gb_buffer_create(text, strlen(text), &buffer), 0);
	result = gb_publish(gb_worker_server(gb_conn_worker(conn)), "all", buffer, NULL);
	gb_buffer_unref(buffer);
	return result;
}

static int on_open(struct gb_conn *conn)
{
	return gb_conn_subscribe(conn, gb_conn_state(conn), "all", NULL);
}

static void on_close(struct gb_conn *conn, int reason)
{
	(void)reason;
	gb_unsubscribe(gb_conn_state(conn));
}

/* A client of the server that it is in: it asks itself, and tells who has asked. */
struct hop {
	struct gb_reply reply;
	struct gb_handle handle;
};

static int hop_open(struct gb_conn *conn)
{
	CHECK_INT(gb_conn_send(conn, "to", 2), 0);
	return gb_conn_send(conn, "itself", 6);
}

static void hop_message(struct gb_conn *conn, struct gb_bytes message)
{
	struct hop *hop = gb_conn_user(conn);

	if (message.size == 2) {
		CHECK_INT(gb_reply_send(hop->reply, message.data, message.size), 0);
		return;
	}
	CHECK_INT(gb_reply_finish(hop->reply, message.data, message.size), 0);
	gb_conn_close(conn);
}

static void hop_close(struct gb_conn *conn, int reason)
{
	CHECK_INT(reason, GB_CLOSE_LOCAL);
	free(gb_conn_user(conn));
}

static const struct gb_service hopping = { GB_SERVICE_INIT, .name = "hopping", .state = GB_STATE_NONE,
	.codec = &gb_codec_packet, .on_open = hop_open, .on_message = hop_message, .on_close = hop_close };
static const struct gb_service lines = { GB_SERVICE_INIT, .name = "lines", .state = GB_STATE_NONE,
	.codec = &gb_codec_line, .on_message = hop_message };

static void begin_hop(struct gb_conn *conn, int status, void *arg)
{
	struct gb_worker *worker = gb_conn_worker(conn);
	struct gb_error error = { 0 };
	struct gb_conn *made;

	CHECK_INT(status, 0);
	CHECK_INT(gb_connect(worker, address, &lines, arg, &made, &error), -EPROTOTYPE);
	CHECK(strstr(error.text, "socket of packets"));
	CHECK_INT(gb_connect(worker, "127.0.0.1:9", &hopping, arg, &made, &error), -EPROTOTYPE);
	CHECK(strstr(error.text, "unix-seqpacket"));
	if (gb_connect(worker, address, &hopping, arg, &made, &error) < 0)
		test_fail(__FILE__, __LINE__, "%s", error.text);
}

static bool is(struct gb_bytes message, const char *text)
{
	return message.size == strlen(text) && memcmp(message.data, text, message.size) == 0;
}

/* On a thread of the pool the replies come from another than the connection's. */
static void on_message(struct gb_conn *conn, struct gb_bytes message)
{
	struct hop *hop;

	if (is(message, "publish")) {
		CHECK_INT(publish(conn, "published"), 0);
	} else if (is(message, "hop")) {
		hop = calloc(1, sizeof(*hop));
		CHECK(hop);
		CHECK_INT(gb_conn_defer(conn, &hop->reply), 0);
		CHECK_INT(gb_handle_post(gb_conn_handle(conn), begin_hop, hop), 0);
	} else if (is(message, "defer")) {
		struct gb_reply reply;

		CHECK_INT(gb_conn_defer(conn, &reply), 0);
		CHECK_INT(gb_conn_send(conn, "behind", 6), 0);
		CHECK_INT(gb_reply_send(reply, "first", 5), 0);
		CHECK_INT(gb_reply_finish(reply, "second", 6), 0);
	} else {
		gb_conn_send(conn, message.data, message.size);
	}
}

static const struct gb_service packets = { GB_SERVICE_INIT, .name = "packets", .state = GB_STATE_NONE,
	.traits = GB_TRAIT_THREAD_SAFE, .codec = &gb_codec_packet,
	.conn_state_size = sizeof(struct gb_subscription), .on_open = on_open, .on_message = on_message,
	.on_close = on_close };

static int connect_here(void)
{
	const struct timeval patience = { .tv_sec = 60 };
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const char *name = strchr(address, '@') + 1;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0);
	memcpy(to.sun_path + 1, name, strlen(name));
	CHECK(connect(fd, (const struct sockaddr *)&to,
		      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name))) == 0);
	return fd;
}

static void say(int fd, const char *text)
{
	CHECK_INT(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void hear(int fd, const char *text)
{
	char got[64];
	ssize_t size;

	do /* With a time limit a receive is not begun anew behind a ring that was tried on this thread (signal(7)). */
		size = recv(fd, got, sizeof(got) - 1, 0);
	while (size < 0 && errno == EINTR);
	if (size < 0)
		test_fail(__FILE__, __LINE__, "in place of \"%s\": %s", text, strerror(errno));
	got[size] = '\0';
	CHECK_STR(got, text);
}

static void talk(bool one_at_a_time)
{
	int fd = connect_here();

	say(fd, "one");
	say(fd, "two");
	say(fd, "defer");
	say(fd, "three");
	hear(fd, "one");
	hear(fd, "two");
	hear(fd, "first");
	hear(fd, "second");
	hear(fd, "behind");
	hear(fd, "three");
	say(fd, "publish");
	hear(fd, "published");
	if (!one_at_a_time) {
		say(fd, "hop");
		hear(fd, "to");
		hear(fd, "itself");
	}
	CHECK(shutdown(fd, SHUT_WR) == 0);
	hear(fd, "");
	close(fd);
}

static void run(const char *model)
{
	struct gb_server *server = driver_server(model, &driver_echo, NULL);
	const bool refused = strstr(model, "reuseport") || strstr(model, "compute=processes");
	struct gb_error error = { 0 };
	int result;

	snprintf(address, sizeof(address), "unix-seqpacket:@gearbox-packet-%d", (int)getpid());
	result = gb_server_listen(server, address, &packets, NULL, &error);
	if (refused) {
		CHECK_INT(result, -GB_EILLEGAL);
		gb_server_destroy(server);
		return;
	}
	if (result < 0)
		test_fail(__FILE__, __LINE__, "%s: %s", model, error.text);
	CHECK_STR(gb_server_address(server, 1), address);
	{
		pid_t pid = driver_host(server);

		talk(strstr(model, "engine=blocking") && !strstr(model, "workers=per-connection"));
		driver_finish(server, pid);
	}
}

TEST(packets_are_served_and_sent_under_every_preset)
{
	driver_each_preset(run);
}

static void join_by_hand(struct gb_stream *stream)
{
	gb_stream_fail(stream, GB_CLOSE_REFUSED);
}

static const struct gb_service joins = { GB_SERVICE_INIT, .name = "joins", .state = GB_STATE_NONE,
	.traits = GB_TRAIT_STREAM, .on_message = hop_message };
static const struct gb_service joins_sequential = { GB_SERVICE_INIT, .name = "joins-sequential",
	.state = GB_STATE_NONE, .traits = GB_TRAIT_STREAM, .serve = join_by_hand };

TEST(service_and_socket_must_be_of_the_same_type)
{
	struct gb_server *server = driver_server("reactor", &driver_echo, NULL);
	struct gb_error error = { 0 };

	CHECK_INT(gb_server_listen(server, "127.0.0.1:0", &packets, NULL, &error), -GB_EUSAGE);
	CHECK_STR(error.text,
		"127.0.0.1:0: service packets has the codec of packets, and this is a stream: write unix-seqpacket:PATH");
	CHECK_INT(gb_server_listen(server, "unix-seqpacket:@x", &lines, NULL, &error), -GB_EUSAGE);
	CHECK_STR(error.text,
		"unix-seqpacket:@x: service lines finds its messages in a stream (codec line), and this is a socket of "
		"packets: write unix:PATH, or give it gb_codec_packet");
	CHECK_INT(gb_server_listen(server, "unix-seqpacket:@x", &joins, NULL, &error), -GB_EUSAGE);
	CHECK_STR(error.text,
		"unix-seqpacket:@x: service joins needs a stream, and this is a socket of packets: write unix:PATH");
	CHECK_INT(gb_server_listen(server, "unix-seqpacket:@x", &joins_sequential, NULL, &error), -GB_EUSAGE);
	CHECK_STR(error.text,
		"unix-seqpacket:@x: service joins-sequential needs a stream, and this is a socket of packets: write unix:PATH");
	gb_server_destroy(server);
}
