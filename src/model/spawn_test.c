/* Child processes of handlers, in both styles, under every preset: how they end, what they are given, what is left of them. */
#include "base/macros.h"
#include "harness.h"
#include "model/server_test_driver.h"

#include <gearbox/child.h>
#include <gearbox/watch.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define SHELL(script) \
	(const char *const[]) \
	{ \
		"sh", "-c", script, NULL \
	}
/* Ends by SIGKILL alone, once it has said so. */
#define STUBBORN SHELL("trap '' TERM; echo; exec sleep 1000")
#define NO_OTHERS \
	"for i in 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do [ -e /proc/$$/fd/$i ] && exit 1; done; exit 0"

static const struct {
	const char *word;
	struct gb_child_options options;
	const char *answer;
} rows[] = {
	{ "exit", { .arguments = SHELL("exit 7") }, "7" },
	{ "signal", { .arguments = SHELL("kill -9 $$") }, "265" },
	{ "missing", { .arguments = SHELL(""), .program = "/nonexistent/program" }, "-2" },
	{ "nowhere", { .arguments = SHELL(""), .directory = "/nonexistent" }, "-2" },
	{ "directory", { .arguments = SHELL("[ \"$(pwd)\" = /proc ]"), .directory = "/proc" }, "0" },
	{ "environment",
		{ .arguments = SHELL("[ \"$A\" = b ] && [ -z \"$HOME\" ]"),
			.environment = (const char *const[]){ "A=b", "PATH=/bin:/usr/bin", NULL } },
		"0" },
	{ "descriptors", { .arguments = SHELL(NO_OTHERS) }, "0" },
	{ "null", { .arguments = SHELL("read line && exit 1; echo word && exit 0") }, "0" },
	{ "deadline", { .arguments = STUBBORN, .deadline_ms = 1, .grace_ms = 1 }, "-110" },
	{ "group",
		{ .arguments = SHELL("trap '' TERM; sleep 1000 & wait"),
			.deadline_ms = 1,
			.grace_ms = 1,
			.group = true },
		"-110" },
	{ "nothing", { .arguments = NULL }, "-22" },
	{ "kind", { .arguments = SHELL(""), .in = { GB_CHILD_SAME } }, "-22" },
	{ "closed", { .arguments = SHELL(""), .in = { GB_CHILD_DESCRIPTOR, .fd = 1000000 } }, "-9" },
};

/* A request is a word of that table; what comes of it is the answer. */
struct request {
	struct gb_handle conn;
	struct gb_child child;
	char got[64]; /* of its output */
	size_t got_size;
	bool done, eof;
};

static void answer(const struct request *request, const char *text)
{
	struct gb_conn *conn = gb_handle_conn(request->conn);

	CHECK(conn);
	gb_conn_printf(conn, "%s\n", text);
	gb_conn_release(conn);
}

static void on_done(struct gb_operation *operation, void *user)
{
	struct request *request = user;
	const struct gb_child *child = &request->child;
	const int result = gb_operation_result(operation);
	char text[32];

	CHECK(operation == &child->operation);
	CHECK_INT(gb_child_signal(&request->child, SIGKILL), -ESRCH);
	CHECK(result < 0 ? child->error.code == result && *child->error.text : !*child->error.text);
	if (child->pid == 0)
		CHECK(strstr(child->error.text, "cannot start"));
	if (result >= GB_CHILD_SIGNALLED)
		CHECK(child->exit_code == -1 && child->signal == result - GB_CHILD_SIGNALLED);
	else if (result >= 0)
		CHECK(child->exit_code == result && child->signal == 0);
	snprintf(text, sizeof(text), "%d", result);
	answer(request, text);
	free(request);
}

/* What a filter has said, when it has ended and said all of it, whichever is known first. */
static void filtered(struct request *request)
{
	if (!request->done || !request->eof)
		return;
	CHECK_INT(gb_operation_result(&request->child.operation), 0);
	answer(request, request->got);
	free(request);
}

static void on_filter_done(struct gb_operation *operation, void *user)
{
	struct request *request = user;

	request->done = true;
	filtered(request);
}

static void on_output(struct gb_conn *conn, struct gb_bytes bytes)
{
	struct request *request = gb_conn_user(conn);

	CHECK(request->got_size + bytes.size < sizeof(request->got));
	memcpy(request->got + request->got_size, bytes.data, bytes.size);
	request->got_size += bytes.size;
}

static void on_output_closed(struct gb_conn *conn, int reason)
{
	struct request *request = gb_conn_user(conn);

	CHECK_INT(reason, GB_CLOSE_EOF);
	request->eof = true;
	filtered(request);
}

static const struct gb_service output = { GB_SERVICE_INIT, .name = "output", .on_message = on_output,
	.on_close = on_output_closed };

static void on_nothing(struct gb_conn *conn, struct gb_bytes bytes)
{
	CHECK(!"its input says nothing");
}

static const struct gb_service input = { GB_SERVICE_INIT, .name = "input", .on_message = on_nothing };

static void begin_filter(struct gb_worker *worker, struct request *request)
{
	const struct gb_child_options options = { .arguments =
							  (const char *const[]){ "tr", "a-z", "A-Z", NULL },
		.in = { GB_CHILD_STREAM, .service = &input },
		.out = { GB_CHILD_STREAM, .service = &output, .user = request } };

	gb_child_begin(worker, &request->child, &options, on_filter_done, request);
	CHECK(request->child.pid > 0);
	gb_conn_send(request->child.in.conn, "word", 4);
	gb_conn_end_output(request->child.in.conn);
}

static void begin(struct gb_conn *conn, int status, void *arg)
{
	struct request *request = calloc(1, sizeof(*request));
	struct gb_worker *worker = gb_conn_worker(conn);
	char *word = arg;

	CHECK(request && status == 0);
	request->conn = gb_conn_handle(conn);
	gb_conn_hold(conn);
	for (size_t i = 0; i < gb__countof(rows); i++)
		if (strcmp(word, rows[i].word) == 0)
			gb_child_begin(worker, &request->child, &rows[i].options, on_done, request);
	if (strcmp(word, "filter") == 0) {
		begin_filter(worker, request);
	} else if (strcmp(word, "cancel") == 0) {
		const struct gb_child_options options = { .arguments = STUBBORN, .grace_ms = 1 };

		gb_child_begin(worker, &request->child, &options, on_done, request);
		gb_operation_cancel(&request->child.operation);
		gb_operation_cancel(&request->child.operation);
		CHECK(gb_operation_pending(&request->child.operation));
	} else if (strcmp(word, "signalled") == 0) {
		const struct gb_child_options options = { .arguments = SHELL("exec sleep 1000") };

		gb_child_begin(worker, &request->child, &options, on_done, request);
		CHECK_INT(gb_child_signal(&request->child, 1000), -EINVAL);
		CHECK_INT(gb_child_signal(&request->child, SIGUSR2), 0);
	}
	free(word);
}

/* They are their worker's; under compute=threads on_message is not there. */
static void on_message(struct gb_conn *conn, struct gb_bytes message)
{
	CHECK_INT(gb_handle_post(
			  gb_conn_handle(conn), begin, strndup((const char *)message.data, message.size)),
		0);
}

static const struct gb_service service = { GB_SERVICE_INIT, .name = "children", .state = GB_STATE_NONE,
	.codec = &gb_codec_line, .on_message = on_message };

static const char *const other_pollers[] = { "reactor,engine=poll", "reactor,engine=select",
	"reactor,engine=busy" };

static void ask(int client, const char *word, const char *expected)
{
	char question[64], answered[64];

	snprintf(question, sizeof(question), "%s\n", word);
	snprintf(answered, sizeof(answered), "%s\n", expected);
	driver_ask(client, question, answered);
}

static void by_callbacks(const char *model)
{
	struct gb_server *server = driver_server(model, &service, NULL);
	pid_t pid;
	int client;

	if (!server)
		return;
	pid = driver_host(server);
	client = driver_client(server);
	for (size_t i = 0; i < gb__countof(rows); i++)
		ask(client, rows[i].word, rows[i].answer);
	ask(client, "filter", "WORD");
	ask(client, "cancel", "-125");
	ask(client, "signalled", "268");
	close(client);
	driver_finish(server, pid);
}

TEST(a_handler_runs_programs_under_every_preset)
{
	driver_each_preset(by_callbacks);
	test_side_by_side(by_callbacks, other_pollers, gb__countof(other_pollers));
}

#define LARGE (1u << 20) /* more than sockets and watermarks hold */

static unsigned char byte_at(size_t i)
{
	return (unsigned char)(i * 31 >> 3);
}

static int write_large(struct gb_coro *coro, void *arg)
{
	struct gb_stream *stream = arg;
	unsigned char block[4096];

	(void)coro;
	for (size_t i = 0; i < LARGE; i += sizeof(block)) {
		for (size_t j = 0; j < sizeof(block); j++)
			block[j] = byte_at(i + j);
		CHECK_INT(gb_write(stream, block, sizeof(block)), sizeof(block));
	}
	return gb_end_output(stream);
}

static bool large(struct gb_coro *coro)
{
	const struct gb_child_options options = { .arguments = (const char *const[]){ "cat", NULL },
		.in = { GB_CHILD_STREAM },
		.out = { GB_CHILD_STREAM } };
	struct gb_child child;
	struct gb_scope scope;
	unsigned char block[4096];
	size_t got = 0;
	ssize_t size;

	CHECK_INT(gb_child_start(coro, &child, &options, NULL), 0);
	gb_scope_begin(coro, &scope);
	CHECK_INT(gb_scope_start(&scope, write_large, child.in.stream), 0);
	while ((size = gb_read(child.out.stream, block, sizeof(block))) > 0)
		for (ssize_t i = 0; i < size; i++)
			CHECK_INT(block[i], byte_at(got++));
	CHECK_INT(size, 0);
	CHECK_INT(gb_scope_end(&scope), 0);
	CHECK_INT(gb_child_wait(coro, &child), 0);
	return got == LARGE;
}

/* Of a program that says no more than a line. */
static void expect_output(struct gb_coro *coro, const struct gb_child_options *options, const char *expected)
{
	struct gb_child child;
	char got[64];
	size_t used = 0;
	ssize_t size;

	CHECK_INT(gb_child_start(coro, &child, options, NULL), 0);
	if (child.in.stream)
		CHECK_INT(gb_write_format(child.in.stream, "one\n"), 4);
	if (child.in.stream)
		CHECK_INT(gb_end_output(child.in.stream), 0);
	while ((size = gb_read(child.out.stream ? child.out.stream : child.in.stream, got + used,
			sizeof(got) - 1 - used)) > 0)
		used += (size_t)size;
	CHECK_INT(size, 0);
	got[used] = '\0';
	CHECK_STR(got, expected);
	CHECK_INT(gb_child_wait(coro, &child), 0);
}

static bool ways(struct gb_coro *coro)
{
	const struct gb_child_options both = { .arguments = SHELL("read word; echo $word two"),
		.in = { GB_CHILD_STREAM },
		.out = { GB_CHILD_SAME } };
	const struct gb_child_options errors = { .arguments = SHELL("echo three; echo four >&2"),
		.out = { GB_CHILD_STREAM },
		.err = { GB_CHILD_SAME } };

	expect_output(coro, &both, "one two\n");
	expect_output(coro, &errors, "three\nfour\n");
	return true;
}

/* A program may end without having read all: its output arrives whole all the same. */
static bool unread(struct gb_coro *coro)
{
	const struct gb_child_options options = { .arguments = SHELL("read word; echo $word"),
		.in = { GB_CHILD_STREAM },
		.out = { GB_CHILD_STREAM } };
	struct gb_child child;
	char got[8];

	CHECK_INT(gb_child_start(coro, &child, &options, NULL), 0);
	CHECK_INT(gb_write_format(child.in.stream, "five\nsix\n"), 9);
	CHECK_INT(gb_read_exact(child.out.stream, got, 5), 5);
	CHECK_INT(memcmp(got, "five\n", 5), 0);
	CHECK_INT(gb_read(child.out.stream, got, sizeof(got)), 0);
	CHECK_INT(gb_child_wait(coro, &child), 0);
	return true;
}

static bool by_pipe(struct gb_coro *coro)
{
	const struct gb_child_options options = { .arguments = SHELL("echo seven >/dev/stdout"),
		.out = { GB_CHILD_PIPE } };
	struct gb_child child;
	char got[8];

	CHECK_INT(gb_child_start(coro, &child, &options, NULL), 0);
	CHECK(gb_wait_ready(coro, child.out.fd, GB_READY_IN) > 0);
	CHECK_INT(read(child.out.fd, got, sizeof(got)), 6);
	CHECK_INT(memcmp(got, "seven\n", 6), 0);
	CHECK_INT(gb_child_wait(coro, &child), 0);
	close(child.out.fd);
	return true;
}

/* The server's idle timeout is not for a program that thinks. */
static bool patience(struct gb_coro *coro)
{
	const struct gb_child_options slow = { .arguments = SHELL("sleep 0.1; echo"),
		.out = { GB_CHILD_STREAM } };

	expect_output(coro, &slow, "\n");
	return true;
}

/* Many at once; and a deadline that strikes wherever it likes. */
static bool crowd(struct gb_coro *coro)
{
	const struct gb_child_options options = { .arguments = SHELL("read word; exit $word"),
		.in = { GB_CHILD_STREAM },
		.out = { GB_CHILD_STREAM },
		.grace_ms = 1 };
	struct gb_child children[24], child;

	for (int i = 0; i < 24; i++)
		CHECK_INT(gb_child_start(coro, &children[i], &options, NULL), 0);
	for (int i = 23; i >= 0; i--) {
		CHECK(gb_write_format(children[i].in.stream, "%d\n", i) > 0);
		CHECK_INT(gb_child_wait(coro, &children[i]), i);
	}
	for (int i = 0; i < 10; i++) {
		int result = 0;

		GB_WITH_DEADLINE(coro, 1)
		{
			result = gb_child_start(coro, &child, &options, NULL);
			if (result == 0)
				result = gb_child_wait(coro, &child);
		}
		/* Its input ends without a word. */
		CHECK(result == -ETIMEDOUT || result == 0 || result == 1 || result == 2);
		CHECK(!gb_operation_pending(&child.operation));
	}
	return true;
}

static bool failures(struct gb_coro *coro)
{
	const struct gb_child_options missing = { .arguments = (const char *const[]){ "/nonexistent", NULL },
		.in = { GB_CHILD_STREAM },
		.out = { GB_CHILD_PIPE } };
	const struct gb_child_options stubborn = {
		.arguments = STUBBORN, .out = { GB_CHILD_STREAM }, .grace_ms = 1
	};
	struct gb_error error = { 0 };
	struct gb_child child;
	char byte;

	CHECK_INT(gb_child_start(coro, &child, &missing, &error), -ENOENT);
	CHECK(strstr(error.text, "/nonexistent"));
	CHECK(child.out.fd == -1 && !child.in.stream && child.pid == 0);
	CHECK_INT(gb_child_start(coro, &child, &stubborn, NULL), 0);
	CHECK_INT(gb_read(child.out.stream, &byte, 1), 1);
	GB_WITH_DEADLINE(coro, 1)
	{
		CHECK_INT(gb_child_wait(coro, &child), -ETIMEDOUT);
	}
	CHECK_INT(child.signal, SIGKILL);
	return true;
}

static void serve(struct gb_stream *stream)
{
	struct gb_coro *coro = gb_stream_coro(stream);
	struct gb_bytes line;

	while (gb_read_message(stream, &line) > 0) {
		bool well = false;

		if (gb_bytes_is(line, "large"))
			well = large(coro);
		else if (gb_bytes_is(line, "ways"))
			well = ways(coro) && unread(coro);
		else if (gb_bytes_is(line, "pipe"))
			well = by_pipe(coro);
		else if (gb_bytes_is(line, "crowd"))
			well = patience(coro) && crowd(coro);
		else if (gb_bytes_is(line, "failures"))
			well = failures(coro);
		gb_write_format(stream, "%s\n", well ? "well" : "not");
	}
}

static void straight_line(const char *model)
{
	static const struct gb_limit limits[] = { { GB_LIMIT_IDLE_TIMEOUT, 0 }, { GB_LIMIT_NONE, 0 } };
	static const struct gb_service straight = { GB_SERVICE_INIT, .name = "straight", .limits = limits,
		.codec = &gb_codec_line, .state = GB_STATE_NONE, .serve = serve };
	struct gb_server *server = driver_server_with(model, "idle-timeout", "10ms", &straight, NULL);
	pid_t pid;
	int client;

	if (!server)
		return;
	pid = driver_host(server);
	client = driver_client(server);
	ask(client, "ways", "well");
	ask(client, "pipe", "well");
	ask(client, "failures", "well");
	ask(client, "large", "well");
	ask(client, "crowd", "well");
	close(client);
	driver_finish(server, pid);
}

TEST(a_straight_line_handler_talks_to_programs_under_every_preset)
{
	driver_each_preset(straight_line);
	test_side_by_side(straight_line, other_pollers, gb__countof(other_pollers));
}

TEST(ends_that_the_program_ignores_are_told_as_lost)
{
	struct gb_server *server = driver_server("reactor", &service, NULL);
	pid_t pid;
	int client;

	signal(SIGCHLD, SIG_IGN);
	pid = driver_host(server);
	signal(SIGCHLD, SIG_DFL);
	client = driver_client(server);
	ask(client, "exit", "-10");
	ask(client, "deadline", "-10");
	close(client);
	driver_finish(server, pid);
}

/* The server reaps orphans there, and never these. */
static void beside_orphans(const char *model)
{
	struct gb_server *server = driver_server(model, &service, NULL);
	pid_t pid;
	int client;

	if (!server)
		return;
	CHECK_INT(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
	pid = driver_host(server);
	client = driver_client(server);
	for (int i = 0; i < 20; i++)
		ask(client, "exit", "7");
	close(client);
	driver_finish(server, pid);
}

TEST(children_of_handlers_are_no_orphans)
{
	beside_orphans("reactor");
	beside_orphans("prefork,workers=2");
}

static void elsewhere(struct gb_conn *conn, struct gb_bytes message)
{
	const struct gb_child_options options = { .arguments = SHELL("") };
	static struct gb_child child;

	gb_child_begin(gb_conn_worker(conn), &child, &options, NULL, NULL);
}

TEST(a_child_started_on_a_pool_thread_aborts)
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
