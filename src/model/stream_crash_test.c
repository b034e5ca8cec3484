/* Straight-line handlers that end their process: it is told whose they were, and costs what the model promises. */
#include "model/server_test_driver.h"

#include <gearbox/stream.h>
#include <gearbox/worker.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define WITNESSES_MAX 4

static volatile int bottomless = 1;

static __attribute__((noinline)) int dive(int level)
{
	volatile char room[512];

	room[0] = (char)level;
	return bottomless ? dive(level + 1) + room[0] : level;
}

static int dive_apart(struct gb_coro *coro, void *arg)
{
	return dive(0);
}

/* On a coroutine's stack under every engine: of the handler itself, or of one that it starts. */
static void overflow(struct gb_stream *stream)
{
	struct gb_scope scope;

	if (!gb_stream_user(stream))
		dive(0);
	gb_scope_begin(gb_stream_coro(stream), &scope);
	gb_scope_start(&scope, dive_apart, NULL);
	gb_scope_end(&scope);
}

static void serve(struct gb_stream *stream)
{
	struct gb_bytes line;

	while (gb_read_message(stream, &line) > 0) {
		if (gb_bytes_is(line, "overflow"))
			overflow(stream);
		if (gb_bytes_is(line, "abort"))
			abort();
		if (gb_bytes_is(line, "exit"))
			_exit(7);
		gb_write_format(stream, "%08d\n", (int)getpid());
	}
}

static const struct gb_service doomed = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "doomed",
	.codec = &gb_codec_line, .serve = serve };

static bool is_blocking(const char *model)
{
	return strstr(model, "engine=blocking");
}

/* A server in a child whose standard error is read from `ret_log`. */
static struct gb_server *host(const char *model, pid_t *ret_pid, FILE **ret_log)
{
	const struct rlimit none = { 0 };
	struct gb_server *server =
		driver_server(model, &doomed, is_blocking(model) ? (void *)(uintptr_t) "apart" : NULL);
	int ends[2], before = dup(STDERR_FILENO);

	setrlimit(RLIMIT_CORE, &none);
	CHECK(pipe2(ends, O_CLOEXEC) == 0);
	dup2(ends[1], STDERR_FILENO);
	*ret_pid = driver_host(server);
	dup2(before, STDERR_FILENO);
	close(before);
	close(ends[1]);
	*ret_log = fdopen(ends[0], "r");
	return server;
}

/* The log goes on with a line that has this, whatever is between. */
static void expect(FILE *log, const char *model, const char *word, const char *text)
{
	char line[1024];

	do
		if (!fgets(line, sizeof(line), log))
			test_fail(__FILE__, __LINE__, "%s, %s: the log ends without: %s", model, word, text);
	while (!strstr(line, text));
}

/* Which process serves it; 0: it is not served any more. */
static int server_of(int client)
{
	char text[10];

	if (send(client, "who\n", 4, MSG_NOSIGNAL) != 4)
		return 0;
	if (driver_receive(client, text, 9) != 9)
		return 0;
	text[9] = '\0';
	return atoi(text);
}

/* The client tells its handler to go down, and is cut. Returns which process that was. */
static int go_down(const struct gb_server *server, const char *word)
{
	int client = driver_client(server), pid = server_of(client);
	char text[32], byte;

	CHECK(pid > 0);
	snprintf(text, sizeof(text), "%s\n", word);
	driver_send(client, text);
	CHECK(driver_receive(client, &byte, 1) < 1);
	close(client);
	return pid;
}

static void costs_a_process_of_many(const char *model, const char *word, const char *how)
{
	/* A worker that blocks has one client; that of the other stays. */
	const int witnesses = is_blocking(model) && !strstr(model, "per-connection") ? 1 : WITNESSES_MAX;
	int clients[WITNESSES_MAX], pids[WITNESSES_MAX], gone, further, lost = 1;
	struct gb_server *server;
	struct gb_stats stats;
	FILE *log;
	pid_t pid;

	server = host(model, &pid, &log);
	for (int i = 0; i < witnesses; i++) {
		clients[i] = driver_client(server);
		pids[i] = server_of(clients[i]);
		CHECK(pids[i] > 0);
	}
	gone = go_down(server, word);
	if (strcmp(word, "overflow") == 0)
		expect(log, model, word,
			"the coroutine of service doomed overflowed its stack of 131072 bytes");
	expect(log, model, word, how);
	further = driver_client(server);
	for (int i = 0; i < witnesses; i++) {
		int now = server_of(clients[i]);

		if (now != (pids[i] == gone ? 0 : pids[i]))
			test_fail(__FILE__, __LINE__, "%s, %s: one of %d is served by %d when %d has gone",
				model, word, pids[i], now, gone);
		lost += now == 0;
	}
	/* Where every other worker has its client this is the one that came instead. */
	CHECK(server_of(further) > 0);
	for (int i = 0; i < witnesses; i++)
		close(clients[i]);
	close(further);
	gb_server_stop(server);
	CHECK_INT(driver_await(pid), 0);
	gb_server_stats(server, &stats);
	CHECK_INT(stats.closed[GB_CLOSE_CRASHED], lost);
	CHECK_INT(stats.accepted, witnesses + 2);
	fclose(log);
	gb_server_destroy(server);
}

static void costs_the_process(const char *model, const char *word)
{
	FILE *log;
	pid_t pid;
	struct gb_server *server = host(model, &pid, &log);

	CHECK_INT(go_down(server, word), pid);
	if (strcmp(word, "overflow") == 0)
		expect(log, model, word,
			"the coroutine of service doomed overflowed its stack of 131072 bytes");
	CHECK(driver_await(pid) != 0);
	fclose(log);
	gb_server_destroy(server);
}

/* Sanitizers end a process that faults by an exit of their own, so what is said of the end is checked elsewhere. */
static void goes_down(const char *model)
{
	static const struct {
		const char *word, *how;
	} ways[] = { { "overflow", "; it served doomed" }, { "abort", "; it served doomed" },
		{ "exit", "ended unexpectedly: exit code 7; it served doomed" } };

	for (unsigned i = 0; i < sizeof(ways) / sizeof(*ways); i++)
		if (strstr(model, "unit=process"))
			costs_a_process_of_many(model, ways[i].word, ways[i].how);
		else
			costs_the_process(model, ways[i].word);
}

TEST(a_straight_line_handler_that_goes_down_is_told_by_service_and_costs_what_the_model_promises)
{
	driver_each_preset(goes_down);
}
