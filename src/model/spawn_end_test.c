/* Child processes of handlers: that they end with their worker, and leave nothing. */
#include "base/alloc.h"
#include "harness.h"
#include "model/server_test_driver.h"

#include <gearbox/child.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHELL(script) \
	(const char *const[]) \
	{ \
		"sh", "-c", script, NULL \
	}
/* Ends by SIGKILL alone, once it has said so. */
#define STUBBORN SHELL("trap '' TERM; echo; exec sleep 1000")

/* Of each worker one, which ends by SIGKILL alone, until the server does. */
struct stubborn {
	struct gb_child child;
	int result;
};

static pid_t *pids; /* shared with worker processes */

static void on_stubborn_done(struct gb_operation *operation, void *user)
{
	((struct stubborn *)user)->result = gb_operation_result(operation);
}

static void on_late_done(struct gb_operation *operation, void *user)
{
	CHECK_INT(gb_operation_result(operation), -ESHUTDOWN);
	free(user);
}

static int start_stubborn(struct gb_worker *worker, void *user)
{
	struct stubborn *own = calloc(1, sizeof(*own));
	int fds[2];
	char byte;

	CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
	const struct gb_child_options options = {
		.arguments = STUBBORN, .out = { GB_CHILD_DESCRIPTOR, .fd = fds[1] }, .grace_ms = 1
	};

	CHECK(own);
	CHECK_INT(gb_worker_set_data(worker, user, own), 0);
	gb_child_begin(worker, &own->child, &options, on_stubborn_done, own);
	CHECK(own->child.pid > 0);
	CHECK_INT(read(fds[0], &byte, 1), 1);
	close(fds[0]);
	close(fds[1]);
	pids[gb_worker_id(worker)] = own->child.pid;
	return 0;
}

static void stop_stubborn(struct gb_worker *worker, void *user)
{
	struct stubborn *own = gb_worker_data(worker, user);
	const struct gb_child_options late = { .arguments = STUBBORN };

	CHECK_INT(own->result, -ECANCELED);
	CHECK_INT(own->child.signal, SIGKILL);
	/* What was posted runs as the loop ends. */
	gb_child_begin(worker, &own->child, &late, on_late_done, own);
	CHECK_INT(own->child.error.code, -ESHUTDOWN);
}

static void echo(struct gb_conn *conn, struct gb_bytes message)
{
	gb_conn_send(conn, message.data, message.size);
}

static void ends(const char *model)
{
	static const struct gb_service stubborn = { GB_SERVICE_INIT, .name = "stubborn",
		.state = GB_STATE_NONE, .on_start = start_stubborn, .on_stop = stop_stubborn,
		.on_message = echo };
	static char key;
	struct gb_server *server;
	char model_text[256];
	pid_t pid;
	int count = 0;

	pids = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(pids != MAP_FAILED);
	server = driver_server(model, &stubborn, &key);
	if (!server)
		return;
	snprintf(model_text, sizeof(model_text), "%s", gb_server_model(server));
	pid = driver_host(server);
	driver_visit(server);
	driver_finish(server, pid);
	for (size_t i = 0; i < 4096 / sizeof(*pids); i++) {
		if (!pids[i])
			continue;
		count++;
		/* A worker process that was stopped for a second on a busy machine was killed itself. */
		if (kill(pids[i], SIGKILL) == 0)
			CHECK(strstr(model_text, "unit=process"));
		else
			CHECK_INT(errno, ESRCH);
	}
	CHECK(count > 0);
	munmap(pids, 4096);
}

TEST(a_child_that_does_not_end_keeps_no_server_under_every_preset)
{
	driver_each_preset(ends);
}

/* Its client waits for it; `x` is answered once it is there. */
static void hang(struct gb_stream *stream)
{
	const struct gb_child_options options = { .arguments = STUBBORN, .out = { GB_CHILD_STREAM } };
	struct gb_child child;
	char byte;

	CHECK_INT(gb_read(stream, &byte, 1), 1);
	CHECK_INT(gb_child_start(gb_stream_coro(stream), &child, &options, NULL), 0);
	CHECK_INT(gb_read(child.out.stream, &byte, 1), 1);
	gb_write(stream, "x", 1);
	CHECK_INT(gb_child_wait(gb_stream_coro(stream), &child), -ECANCELED);
	CHECK_INT(child.signal, SIGKILL);
}

static void drains(const char *model)
{
	static const struct gb_service hanging = { GB_SERVICE_INIT, .name = "hanging", .state = GB_STATE_NONE,
		.serve = hang };
	struct gb_server *server = driver_server_with(model, "drain-timeout", "10ms", &hanging, NULL);
	pid_t pid;
	int client;

	if (!server)
		return;
	pid = driver_host(server);
	client = driver_client(server);
	driver_ask(client, "x", "x");
	driver_finish(server, pid);
	close(client);
}

TEST(a_child_that_hangs_ends_with_the_drain_timeout_under_every_preset)
{
	driver_each_preset(drains);
}

/* Its connection would wait for it as long as the drain may take; the second one begins while that goes on. */
static void follow(struct gb_stream *stream)
{
	const struct gb_child_options options = { .arguments = SHELL("echo; exec sleep 1000"),
		.out = { GB_CHILD_STREAM },
		.ends_with_drain = true };
	struct gb_child child;
	char byte;

	CHECK_INT(gb_read(stream, &byte, 1), 1);
	CHECK_INT(gb_child_start(gb_stream_coro(stream), &child, &options, NULL), 0);
	CHECK_INT(gb_read(child.out.stream, &byte, 1), 1);
	gb_write(stream, "x", 1);
	gb_write_format(stream, "%d", gb_child_wait(gb_stream_coro(stream), &child));
	CHECK_INT(gb_child_start(gb_stream_coro(stream), &child, &options, NULL), 0);
	gb_write_format(stream, "%d", gb_child_wait(gb_stream_coro(stream), &child));
}

static void ends_with_drain(const char *model)
{
	static const struct gb_service following = { GB_SERVICE_INIT, .name = "following",
		.state = GB_STATE_NONE, .serve = follow };
	struct gb_server *server = driver_server_with(model, "drain-timeout", "1h", &following, NULL);
	char got[7] = "";
	pid_t pid;
	int client;

	if (!server)
		return;
	pid = driver_host(server);
	client = driver_client(server);
	driver_ask(client, "x", "x");
	gb_server_stop(server);
	CHECK_INT(driver_receive(client, got, 6), 6);
	CHECK_STR(got, "271271");
	close(client);
	driver_finish(server, pid);
}

TEST(a_child_may_be_told_of_a_drain_under_every_preset)
{
	driver_each_preset(ends_with_drain);
}

static int descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int count = 0;

	CHECK(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static void many(struct gb_stream *stream)
{
	const struct gb_child_options options = { .arguments = (const char *const[]){ "true", NULL },
		.in = { GB_CHILD_STREAM },
		.out = { GB_CHILD_STREAM },
		.err = { GB_CHILD_SAME } };
	struct gb_coro *coro = gb_stream_coro(stream);
	char byte;
	int before = 0;

	CHECK_INT(gb_read(stream, &byte, 1), 1);
	for (int i = 0; i <= *(int *)gb_stream_user(stream); i++) {
		struct gb_child child;

		CHECK_INT(gb_child_start(coro, &child, &options, NULL), 0);
		CHECK_INT(gb_read(child.out.stream, &byte, 1), 0);
		CHECK_INT(gb_child_wait(coro, &child), 0);
		/* What was closed is let go of in the turn's end. */
		if (i == 0) {
			CHECK_INT(gb_sleep(coro, 1), 0);
			before = descriptors();
		}
	}
	CHECK_INT(waitpid(-1, NULL, WNOHANG), -1);
	CHECK_INT(errno, ECHILD);
	while (descriptors() > before)
		CHECK_INT(gb_sleep(coro, 1), 0);
	gb_write(stream, ".", 1);
}

static void leave_nothing(const char *model, int count)
{
	static const struct gb_service service_of_many = { GB_SERVICE_INIT, .name = "many",
		.state = GB_STATE_NONE, .serve = many };
	struct gb_server *server = driver_server(model, &service_of_many, &count);
	pid_t pid;
	int client;

	if (!server)
		return;
	pid = driver_host(server);
	client = driver_client(server);
	driver_ask(client, "x", ".");
	close(client);
	driver_finish(server, pid);
}

TEST(a_thousand_children_leave_nothing)
{
	leave_nothing("reactor", 1000);
	leave_nothing("iterative", 30);
	leave_nothing("proactor", 30);
}

static void run_it(const char *model, const struct gb_service *service)
{
	struct gb_server *server = driver_server(model, service, NULL);
	pid_t pid;
	int client;

	if (!server)
		return;
	pid = driver_host(server);
	client = driver_client(server);
	driver_ask(client, "x", ".");
	close(client);
	driver_finish(server, pid);
}

static void starve(struct gb_stream *stream)
{
	const struct gb_child_options options = {
		.arguments = SHELL(""), .in = { GB_CHILD_STREAM }, .out = { GB_CHILD_STREAM }
	};
	struct rlimit limit, small;
	char byte;

	CHECK_INT(gb_read(stream, &byte, 1), 1);
	CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
	small = limit;
	/* One more with each try, until all is there: at each of them nothing is left of what was. */
	for (small.rlim_cur = 4;; small.rlim_cur++) {
		struct gb_error error = { 0 };
		struct gb_child child;
		int result;

		CHECK_INT(setrlimit(RLIMIT_NOFILE, &small), 0);
		result = gb_child_start(gb_stream_coro(stream), &child, &options, &error);
		CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
		if (result == 0) {
			CHECK_INT(gb_child_wait(gb_stream_coro(stream), &child), 0);
			break;
		}
		CHECK_INT(result, -EMFILE);
		CHECK(strstr(error.text, " sh")); /* whom it was about */
		CHECK_INT(waitpid(-1, NULL, WNOHANG), -1);
	}
	gb_write(stream, ".", 1);
}

TEST(a_lack_of_descriptors_is_told_and_leaves_no_child)
{
	static const struct gb_service starving = { GB_SERVICE_INIT, .name = "starving",
		.state = GB_STATE_NONE, .serve = starve };
	run_it("reactor", &starving);
}

/* At whatever allocation it fails, no child is left, and no descriptor. */
static void run_short(struct gb_stream *stream)
{
	const struct gb_child_options options = { .arguments = SHELL(""),
		.in = { GB_CHILD_STREAM },
		.out = { GB_CHILD_STREAM },
		.err = { GB_CHILD_STREAM },
		.deadline_ms = 1u << 30 };
	struct gb_coro *coro = gb_stream_coro(stream);
	int before = 0, failures = 0;
	char byte;

	CHECK_INT(gb_read(stream, &byte, 1), 1);
	for (unsigned n = 0; n < 24; n++) {
		struct gb_error error = { 0 };
		struct gb_child child;
		int result;

		gb__alloc_fail_at(n);
		result = gb_child_start(coro, &child, &options, &error);
		gb__alloc_fail_at(0);
		if (result == 0) {
			CHECK_INT(gb_child_wait(coro, &child), 0);
		} else {
			CHECK_INT(result, -ENOMEM);
			CHECK(*error.text);
			failures++;
		}
		CHECK_INT(waitpid(-1, NULL, WNOHANG), -1);
		if (n == 0)
			CHECK_INT(gb_sleep(coro, 1), 0);
		before = before ? before : descriptors();
		while (descriptors() > before)
			CHECK_INT(gb_sleep(coro, 1), 0);
	}
	CHECK(failures > 0);
	gb_write(stream, ".", 1);
}

TEST(a_lack_of_memory_is_told_and_leaves_nothing)
{
	static const struct gb_service service = { GB_SERVICE_INIT, .name = "short", .state = GB_STATE_NONE,
		.serve = run_short };

	run_it("reactor", &service);
	run_it("iterative", &service);
	run_it("proactor", &service);
}

/* What select cannot name. */
static void run_high(struct gb_stream *stream)
{
	const struct gb_child_options options = { .arguments = SHELL(""), .in = { GB_CHILD_STREAM } };
	struct gb_error error = { 0 };
	struct gb_child child;
	char byte;

	CHECK_INT(gb_read(stream, &byte, 1), 1);
	for (int fd = 0; fd < 1024; fd = dup(STDIN_FILENO))
		CHECK(fd >= 0);
	CHECK_INT(gb_child_start(gb_stream_coro(stream), &child, &options, &error), -GB_ELIMIT);
	CHECK(strstr(error.text, "select"));
	CHECK_INT(waitpid(-1, NULL, WNOHANG), -1);
	gb_write(stream, ".", 1);
}

TEST(a_child_that_select_cannot_watch_is_not_kept)
{
	static const struct gb_service service = { GB_SERVICE_INIT, .name = "high", .state = GB_STATE_NONE,
		.serve = run_high };

	run_it("reactor,engine=select", &service);
}
