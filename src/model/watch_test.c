/* Descriptors of handlers in their worker's loop, under every preset, in both styles; and how they end. */
#include "base/macros.h"
#include "harness.h"
#include "model/server_test_driver.h"

#include <gearbox/stream.h>
#include <gearbox/watch.h>
#include <gearbox/worker.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A request is a word; what comes of it is the answer. */
struct request {
	struct gb_handle conn;
	struct gb_readiness readiness;
	struct gb_watch *watch, *second;
	int fds[2];
	unsigned told, second_told;
};

static void finish(struct request *request, int result)
{
	struct gb_conn *conn = gb_handle_conn(request->conn);

	if (conn) {
		gb_conn_printf(conn, "%d\n", result);
		gb_conn_release(conn);
	}
}

static void pair_close(struct request *request)
{
	close(request->fds[0]);
	if (request->fds[1] >= 0)
		close(request->fds[1]);
}

static void on_done(struct gb_operation *operation, void *user)
{
	struct request *request = user;

	CHECK(!gb_operation_pending(operation));
	pair_close(request);
	finish(request, gb_operation_result(operation));
}

static void *write_later(void *arg)
{
	const int fd = (int)(intptr_t)arg;

	usleep(1000);
	CHECK(write(fd, "x", 1) == 1);
	close(fd);
	return NULL;
}

static void help(const struct request *request)
{
	const int fd = fcntl(
		request->fds[1], F_DUPFD_CLOEXEC, 0); /* the thread's own: who is told may close at once */
	pthread_t thread;

	CHECK(fd >= 0);
	CHECK(pthread_create(&thread, NULL, write_later, (void *)(intptr_t)fd) == 0);
	pthread_detach(thread);
}

/* Told again while the byte lies there; silent once it was read; ended in its own callback, and closed at once. */
static void again_and_again(struct gb_watch *watch, unsigned ready, void *user)
{
	struct request *request = user;
	char byte;

	CHECK(ready & GB_READY_IN);
	CHECK_INT(gb_watch_descriptor(watch), request->fds[0]);
	if (++request->told == 3)
		CHECK(read(request->fds[0], &byte, 1) == 1);
	if (request->told == 3 || request->told == 4)
		CHECK(write(request->fds[1], "y", 1) == 1);
	if (request->told < 5)
		return;
	gb_watch_remove(watch);
	pair_close(request);
	finish(request, (int)request->told);
}

/* Room first, then what the other end has sent, then its end. */
static void out_then_in(struct gb_watch *watch, unsigned ready, void *user)
{
	struct request *request = user;
	char byte;

	switch (request->told++) {
	case 0:
		CHECK_INT(ready, GB_READY_OUT);
		CHECK_INT(gb_watch_change(watch, GB_READY_IN | 2u), -EINVAL);
		CHECK_INT(gb_watch_change(watch, GB_READY_IN), 0);
		help(request);
		break;
	case 1:
		CHECK_INT(ready, GB_READY_IN);
		CHECK(read(request->fds[0], &byte, 1) == 1);
		close(request->fds[1]);
		request->fds[1] = -1;
		break;
	default:
		CHECK(ready & (GB_READY_IN | GB_READY_HANGUP));
		CHECK_INT(read(request->fds[0], &byte, 1), 0);
		CHECK_INT(gb_watch_change(watch, 0), 0);
		gb_watch_remove(watch);
		pair_close(request);
		finish(request, (int)request->told);
	}
}

/* One descriptor, two watches: each is told of its own, and either may end the other. */
static void twice(struct gb_watch *watch, unsigned ready, void *user)
{
	struct request *request = user;
	const bool second = watch == request->second;

	CHECK_INT(ready, second ? GB_READY_IN : GB_READY_OUT);
	second ? request->second_told++ : request->told++;
	if (request->told == 2)
		CHECK_INT(gb_watch_change(request->watch, 0), 0);
	if (request->told == 2 && !second)
		help(request);
	if (request->second_told < 3)
		return;
	gb_watch_remove(request->watch);
	gb_watch_remove(request->second);
	pair_close(request);
	finish(request, (int)(request->told + request->second_told));
}

static int refused(struct gb_worker *worker)
{
	int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct gb_error error = { 0 };
	struct gb_watch *watch = NULL;

	CHECK_INT(gb_watch_add(worker, file, GB_READY_IN, twice, NULL, &watch, &error), -EPERM);
	CHECK(strstr(error.text, "file or directory"));
	CHECK_INT(gb_watch_add(worker, -1, GB_READY_IN, twice, NULL, &watch, &error), -EBADF);
	CHECK_INT(gb_watch_add(worker, 0, GB_READY_HANGUP, twice, NULL, &watch, &error), -EINVAL);
	CHECK_INT(gb_watch_add(worker, 0, GB_READY_IN, NULL, NULL, &watch, &error), -EINVAL);
	CHECK(!watch);
	gb_watch_remove(watch);
	close(file);
	return -EPERM;
}

static void start(struct gb_conn *conn, struct request *request, const char *word)
{
	struct gb_worker *worker = gb_conn_worker(conn);

	request->told = request->second_told = 0;
	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, request->fds), 0);
	if (strcmp(word, "ready") == 0) {
		gb_readiness_begin(
			worker, &request->readiness, request->fds[0], GB_READY_IN, on_done, request);
		help(request);
	} else if (strcmp(word, "both") == 0) {
		gb_readiness_begin(worker, &request->readiness, request->fds[0], GB_READY_IN | GB_READY_OUT,
			on_done, request);
	} else if (strcmp(word, "cancel") == 0) {
		gb_readiness_begin(
			worker, &request->readiness, request->fds[0], GB_READY_IN, on_done, request);
		gb_operation_cancel(&request->readiness.operation);
		gb_operation_cancel(&request->readiness.operation);
		CHECK(gb_operation_pending(&request->readiness.operation)); /* it is told later */
	} else if (strcmp(word, "again") == 0) {
		CHECK(write(request->fds[1], "x", 1) == 1);
		CHECK_INT(gb_watch_add(worker, request->fds[0], GB_READY_IN, again_and_again, request,
				  &request->watch, NULL),
			0);
	} else if (strcmp(word, "change") == 0) {
		CHECK_INT(gb_watch_add(worker, request->fds[0], GB_READY_OUT, out_then_in, request,
				  &request->watch, NULL),
			0);
	} else if (strcmp(word, "twice") == 0) {
		CHECK_INT(gb_watch_add(worker, request->fds[0], GB_READY_OUT, twice, request, &request->watch,
				  NULL),
			0);
		CHECK_INT(gb_watch_add(worker, request->fds[0], GB_READY_IN, twice, request, &request->second,
				  NULL),
			0);
	} else {
		pair_close(request);
		finish(request, refused(worker));
	}
}

/* Watches are their worker's; under compute=threads on_message is not there. */
static void begin(struct gb_conn *conn, int status, void *arg)
{
	struct request *request = gb_conn_state(conn);

	CHECK_INT(status, 0);
	request->conn = gb_conn_handle(conn);
	gb_conn_hold(conn);
	start(conn, request, arg);
	free(arg);
}

static void on_message(struct gb_conn *conn, struct gb_bytes message)
{
	CHECK_INT(gb_handle_post(
			  gb_conn_handle(conn), begin, strndup((const char *)message.data, message.size)),
		0);
}

static const struct gb_service service = { GB_SERVICE_INIT, .name = "watches", .state = GB_STATE_NONE,
	.codec = &gb_codec_line, .conn_state_size = sizeof(struct request), .on_message = on_message };

/* The presets are on epoll, io_uring and blocking calls. */
static const char *const other_pollers[] = { "reactor,engine=poll", "reactor,engine=select",
	"reactor,engine=busy" };

static void by_callbacks(const char *model)
{
	struct gb_server *server = driver_server(model, &service, NULL);
	pid_t pid = driver_host(server);
	int client = driver_client(server);

	for (unsigned i = 0; i < 2; i++) {
		driver_ask(client, "ready\n", "1\n");
		driver_ask(client, "both\n", "4\n");
		driver_ask(client, "cancel\n", "-125\n");
		driver_ask(client, "again\n", "5\n");
		driver_ask(client, "change\n", "3\n");
		driver_ask(client, "twice\n", "5\n");
		driver_ask(client, "refused\n", "-1\n");
	}
	close(client);
	driver_finish(server, pid);
}

TEST(a_handlers_descriptor_is_watched_under_every_preset)
{
	driver_each_preset(by_callbacks);
	test_side_by_side(by_callbacks, other_pollers, gb__countof(other_pollers));
}

static int wait_for_byte(struct gb_coro *coro)
{
	struct request request;
	int result = 0;

	CHECK_INT(pipe2(request.fds, O_CLOEXEC), 0);
	GB_WITH_DEADLINE(coro, 2)
	{
		CHECK_INT(gb_wait_ready(coro, request.fds[0], GB_READY_IN), -ETIMEDOUT);
	}
	help(&request);
	result = gb_wait_ready(coro, request.fds[0], GB_READY_IN);
	CHECK_INT(gb_wait_ready(coro, request.fds[1], GB_READY_OUT), GB_READY_OUT);
	pair_close(&request);
	CHECK_INT(gb_wait_ready(coro, -1, GB_READY_OUT), -EBADF);
	return result;
}

static void serve(struct gb_stream *stream)
{
	struct gb_bytes line;

	while (gb_read_message(stream, &line) > 0)
		gb_write_format(stream, "%d\n", wait_for_byte(gb_stream_coro(stream)));
}

static const struct gb_service straight = { GB_SERVICE_INIT, .name = "straight", .codec = &gb_codec_line,
	.state = GB_STATE_NONE, .serve = serve };

static void straight_line(const char *model)
{
	struct gb_server *server = driver_server(model, &straight, NULL);
	pid_t pid = driver_host(server);
	int client = driver_client(server);

	for (unsigned i = 0; i < 2; i++)
		driver_ask(client, "x\n", "1\n");
	close(client);
	driver_finish(server, pid);
}

TEST(a_straight_line_handler_waits_for_a_descriptor_under_every_preset)
{
	driver_each_preset(straight_line);
	test_side_by_side(straight_line, other_pollers, gb__countof(other_pollers));
}

/* What a worker still watches when it ends: an operation is told before on_stop, a watch can be removed there. */
struct kept {
	int fds[2];
	struct gb_watch *removed, *left, *third;
	struct gb_readiness readiness;
	int result;
};

static void never(struct gb_watch *watch, unsigned ready, void *user)
{
	CHECK(!"it is not ready");
}

static void told_at_the_end(struct gb_operation *operation, void *user)
{
	struct kept *kept = user;
	struct gb_worker *worker = operation->worker;

	kept->result = gb_operation_result(operation);
	gb_watch_remove(kept->third);
	CHECK_INT(
		gb_watch_add(worker, kept->fds[0], GB_READY_IN, never, NULL, &kept->third, NULL), -ESHUTDOWN);
}

static int on_start(struct gb_worker *worker, void *user)
{
	struct kept *kept = calloc(1, sizeof(*kept));

	CHECK(kept);
	CHECK_INT(gb_worker_set_data(worker, user, kept), 0);
	CHECK_INT(pipe2(kept->fds, O_CLOEXEC), 0);
	CHECK_INT(gb_watch_add(worker, kept->fds[0], GB_READY_IN, never, NULL, &kept->removed, NULL), 0);
	gb_readiness_begin(worker, &kept->readiness, kept->fds[0], GB_READY_IN, told_at_the_end, kept);
	CHECK_INT(gb_watch_add(worker, kept->fds[0], GB_READY_IN, never, NULL, &kept->left, NULL), 0);
	CHECK_INT(gb_watch_add(worker, kept->fds[0], 0, never, NULL, &kept->third, NULL), 0);
	return 0;
}

static void on_stop(struct gb_worker *worker, void *user)
{
	struct kept *kept = gb_worker_data(worker, user);

	CHECK_INT(kept->result, -ECANCELED);
	CHECK_INT(gb_watch_change(kept->removed, GB_READY_OUT), -ESHUTDOWN);
	close(kept->fds[0]);
	close(kept->fds[1]);
	gb_watch_remove(kept->removed);
	free(kept);
}

static void echo(struct gb_conn *conn, struct gb_bytes message)
{
	gb_conn_send(conn, message.data, message.size);
}

static const struct gb_service keeping = { GB_SERVICE_INIT, .name = "keeping", .state = GB_STATE_NONE,
	.on_start = on_start, .on_stop = on_stop, .on_message = echo };

static void ends(const char *model)
{
	static char key;
	struct gb_server *server = driver_server(model, &keeping, &key);
	pid_t pid = driver_host(server);

	driver_visit(server);
	driver_finish(server, pid);
}

TEST(a_worker_ends_although_it_watches_under_every_preset)
{
	driver_each_preset(ends);
}

static int fds[2];

static void broken(struct gb_conn *conn, struct gb_bytes message)
{
	struct gb_watch *watch;
	int other;

	CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
	CHECK_INT(gb_watch_add(gb_conn_worker(conn), fds[0], GB_READY_IN, never, NULL, &watch, NULL), 0);
	close(fds[0]);
	if (message.data[0] == 'w')
		return; /* the next wait tells, where a wait names descriptors */
	if (message.data[0] == 'r') {
		other = dup(fds[1]);
		CHECK_INT(other, fds[0]);
	}
	gb_watch_remove(watch);
}

static void check_broken(const char *model, const char *word)
{
	static const struct gb_service breaking = { GB_SERVICE_INIT, .name = "breaking",
		.state = GB_STATE_NONE, .on_message = broken };
	struct gb_server *server = driver_server(model, &breaking, NULL);
	int client;
	pid_t pid;

	if (!server)
		return;
	pid = driver_host(server);
	client = driver_client(server);
	driver_send(client, word);
	CHECK_INT(driver_await(pid), 128 + SIGABRT);
	close(client);
	gb_server_destroy(server);
}

TEST(a_descriptor_that_is_closed_before_its_watch_is_removed_aborts)
{
	static const char *const engines[] = { "epoll", "io_uring", "poll", "select", "busy" };
	char model[64];

	for (size_t i = 0; i < gb__countof(engines); i++) {
		snprintf(model, sizeof(model), "%s,engine=%s",
			strcmp(engines[i], "io_uring") == 0 ? "proactor" : "reactor", engines[i]);
		check_broken(model, "closed");
		if (i > 1)
			check_broken(model, "waited");
	}
	check_broken("reactor,engine=epoll", "reused");
	check_broken("iterative", "closed");
	check_broken("iterative", "waited");
}

static void elsewhere(struct gb_conn *conn, struct gb_bytes message)
{
	struct gb_watch *watch;

	gb_watch_add(gb_conn_worker(conn), 0, GB_READY_IN, never, NULL, &watch, NULL);
}

TEST(a_watch_added_on_a_pool_thread_aborts)
{
	static const struct gb_service wrong = { GB_SERVICE_INIT, .name = "wrong", .state = GB_STATE_NONE,
		.on_message = elsewhere };
	struct gb_server *server = driver_server("reactor-pool,compute-workers=1", &wrong, NULL);
	pid_t pid = driver_host(server);
	int client = driver_client(server);

	driver_send(client, "x");
	CHECK_INT(driver_await(pid), 128 + SIGABRT);
	close(client);
	gb_server_destroy(server);
}
