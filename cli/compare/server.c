/*
 * A model is served by `serve` in a child of ours, so what is measured is what anybody would start. It waits for a byte
 * before it begins, so that all it does is counted.
 */
#include "compare/server.h"

#include "child.h"
#include "clock.h"
#include "command.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 60000 /* for what should take a moment */
#define END_MS 30000      /* until it must have ended */
#define LOOK_NS 5000000   /* between two looks whether somebody listens */
#define ARGUMENTS_MAX 256

/* In the child: streams of its own, and no part in our signals. */
static void settle(int said, int go)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	char byte;

	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(said, STDERR_FILENO);
	signal(SIGINT, SIG_IGN); /* of a terminal: who started us decides */
	signal(SIGTERM, SIG_DFL);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	while (read(go, &byte, 1) < 0 && errno == EINTR)
		;
	close(go);
}

/* Start what `run` does in a child. Returns 0 or a code. */
static int start(struct compare_server *server, void (*run)(const void *arg), const void *arg)
{
	int said[2], go[2], result; /* from the child, and to it */

	server->said = -1;
	server->pid = 0;
	server->line_used = 0;
	server->log[0] = '\0';
	result = gb__child_pipes(said, go);
	if (result < 0)
		return result;
	result = gb__child_fork();
	if (result == 0) {
		close(said[0]);
		close(go[1]);
		settle(said[1], go[0]);
		run(arg);
		_exit(EXIT_FAILED);
	}
	close(said[1]);
	close(go[0]);
	if (result < 0) {
		close(said[0]);
		close(go[1]);
		return result;
	}
	server->pid = result;
	server->said = said[0];
	gb__counters_open(server->pid, &server->counters);
	while (write(go[1], "", 1) < 0 && errno == EINTR)
		; /* if it died, its output tells */
	close(go[1]);
	return 0;
}

/* Take the next line of what it says, without its end. Returns 1, 0 (its end) or -ETIME. */
static int hear(struct compare_server *server, uint64_t deadline_ms, char *ret, size_t size)
{
	for (;;) {
		char *end = memchr(server->line, '\n', server->line_used);
		uint64_t at_ms = gb__clock_ms();
		struct pollfd poll_fd = { .fd = server->said, .events = POLLIN };
		ssize_t got;

		if (end || server->line_used == sizeof(server->line)) {
			size_t length = end ? (size_t)(end - server->line) : server->line_used;

			snprintf(ret, size, "%.*s", (int)length, server->line);
			length += end != NULL;
			server->line_used -= length;
			memmove(server->line, server->line + length, server->line_used);
			return 1;
		}
		got = poll(&poll_fd, 1, at_ms < deadline_ms ? (int)(deadline_ms - at_ms) : 0);
		if (got == 0)
			return -ETIME;
		if (got < 0)
			continue;
		got = read(server->said, server->line + server->line_used,
			sizeof(server->line) - server->line_used);
		if (got == 0)
			return 0;
		if (got > 0)
			server->line_used += (size_t)got;
	}
}

/* What it says of itself, without the name that begins each line. */
static const char *without_name(const char *line)
{
	size_t name = strlen(gb__program.name);

	return strncmp(line, gb__program.name, name) == 0 && strncmp(line + name, ": ", 2) == 0
		? line + name + 2
		: line;
}

static void keep(struct compare_server *server, const char *line)
{
	if (!server->log[0])
		snprintf(server->log, sizeof(server->log), "%.*s", (int)sizeof(server->log) - 1,
			without_name(line));
}

struct model {
	const struct compare_serving *serving;
	const char *spec;
};

static void serve(const void *arg)
{
	const struct model *model = arg;
	const struct compare_serving *serving = model->serving;
	char *arguments[ARGUMENTS_MAX], flag[4096];
	int count = 0;

	arguments[count++] = gb__program.name;
	arguments[count++] = (char *)"--listen=127.0.0.1:0";
	snprintf(flag, sizeof(flag), "--model=%s", model->spec);
	arguments[count++] = flag;
	for (size_t i = 0; i < serving->sets_count && count + 3 < ARGUMENTS_MAX; i++) {
		arguments[count++] = (char *)"--set";
		arguments[count++] = (char *)serving->sets[i];
	}
	for (size_t i = 0; i < serving->options_count && count + 3 < ARGUMENTS_MAX; i++) {
		char *option = NULL;

		if (asprintf(&option, "--%s", serving->options[i]) >= 0)
			arguments[count++] = option;
	}
	arguments[count] = NULL;
	_exit(gb_serve_main(count, arguments, serving->service));
}

/* "serving echo on 127.0.0.1:40001 (model …": the port, or 0. */
static uint16_t port_of(const char *line)
{
	const char *on = strstr(line, " on 127.0.0.1:");

	return strncmp(line, "serving ", 8) == 0 && on ? (uint16_t)strtoul(on + 14, NULL, 10) : 0;
}

static void discard(struct compare_server *server)
{
	gb__child_kill(server->pid);
	gb__child_wait(server->pid);
	gb__counters_close(&server->counters);
	close(server->said);
	server->pid = 0;
}

int gb__compare_server_start(struct compare_server *server, const struct compare_serving *serving,
	const char *spec, struct gb_error *error)
{
	const struct model model = { serving, spec };
	uint64_t deadline_ms = gb__clock_ms() + PATIENCE_MS;
	char line[4096];
	int result;

	fflush(NULL);
	result = start(server, serve, &model);
	if (result < 0)
		return gb_error_set(error, result, "cannot start a process: %s", gb_strerror(result));
	server->model = true;
	while ((result = hear(server, deadline_ms, line, sizeof(line))) > 0) {
		server->port = port_of(without_name(line));
		if (server->port) {
			snprintf(server->address, sizeof(server->address), "127.0.0.1:%u", server->port);
			return 0;
		}
		keep(server, line);
	}
	discard(server);
	return gb_error_set(error, result == 0 ? -ECHILD : result, "%s",
		server->log[0]        ? server->log
			: result == 0 ? "it ended before it served"
				      : "it does not begin to serve");
}

static void execute(const void *arg)
{
	execl("/bin/sh", "sh", "-c", (const char *)arg, (char *)NULL);
	fprintf(stderr, "cannot run /bin/sh\n");
}

/* A port that nobody listens on now. Returns 0 or a code. */
static int free_port(uint16_t *ret)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), result = 0;

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&address, size) < 0 ||
		getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		result = -errno;
	close(fd);
	*ret = ntohs(address.sin_port);
	return result;
}

/* The command with each "{port}" replaced, to be freed; or NULL. */
static char *with_port(const char *command, uint16_t port)
{
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	for (const char *at = command; stream && *at;) {
		const char *place = strstr(at, "{port}");

		if (!place) {
			fputs(at, stream);
			break;
		}
		fprintf(stream, "%.*s%u", (int)(place - at), at, port);
		at = place + 6;
	}
	if (!stream || fclose(stream) != 0)
		return NULL;
	return text;
}

static bool answers(uint16_t port)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) }, .sin_port = htons(port)
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool yes = fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;

	if (fd >= 0)
		close(fd);
	return yes;
}

/* Until somebody listens, or it has ended. Returns 0, -ETIME or -ECHILD. */
static int wait_for_port(struct compare_server *server)
{
	uint64_t deadline_ms = gb__clock_ms() + PATIENCE_MS;

	while (gb__clock_ms() < deadline_ms) {
		siginfo_t ended = { 0 };

		if (answers(server->port))
			return 0;
		if (waitid(P_PID, (id_t)server->pid, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
			ended.si_pid == server->pid)
			return -ECHILD;
		gb__clock_pause(LOOK_NS);
	}
	return -ETIME;
}

int gb__compare_server_start_command(
	struct compare_server *server, const char *command, struct gb_error *error)
{
	char line[1024], *text;
	int result = free_port(&server->port);

	if (result < 0)
		return gb_error_set(error, result, "no free port: %s", gb_strerror(result));
	text = with_port(command, server->port);
	if (!text)
		return gb_error_set(error, -ENOMEM, "no memory for a command");
	fflush(NULL);
	result = start(server, execute, text);
	free(text);
	if (result < 0)
		return gb_error_set(error, result, "cannot start a process: %s", gb_strerror(result));
	server->model = false;
	snprintf(server->address, sizeof(server->address), "127.0.0.1:%u", server->port);
	result = wait_for_port(server);
	if (result == 0)
		return 0;
	while (hear(server, gb__clock_ms(), line, sizeof(line)) > 0)
		keep(server, line);
	discard(server);
	return gb_error_set(error, result, "%s%s%s",
		result == -ECHILD ? "it ended before it listened" : "nobody listens on its port",
		server->log[0] ? ": " : "", server->log);
}

bool gb__compare_server_drain(struct compare_server *server)
{
	char line[1024];
	int result;

	while ((result = hear(server, 0, line, sizeof(line))) > 0)
		keep(server, line);
	return result == -ETIME;
}

json_t *gb__compare_server_summary(struct compare_server *server)
{
	static char line[sizeof(server->line) + 1];
	uint64_t deadline_ms = gb__clock_ms() + PATIENCE_MS;

	if (!server->model || kill(server->pid, SIGUSR1) < 0)
		return NULL;
	while (hear(server, deadline_ms, line, sizeof(line)) > 0) {
		if (line[0] == '{')
			return json_loads(line, 0, NULL);
		keep(server, line);
	}
	return NULL;
}

/* Wait for its end, hearing what it says; beyond the deadline it is killed. */
static int await_end(struct compare_server *server)
{
	uint64_t deadline_ms = gb__clock_ms() + END_MS;
	char line[1024];
	int result;

	while ((result = hear(server, deadline_ms, line, sizeof(line))) > 0)
		keep(server, line);
	return result;
}

int gb__compare_server_stop(struct compare_server *server, struct gb_error *error)
{
	int status, result = 0;
	bool late;

	if (server->pid == 0)
		return 0;
	kill(server->model ? server->pid : -server->pid, SIGTERM);
	late = await_end(server) < 0;
	if (late || !server->model)
		gb__child_kill(server->pid);
	status = gb__child_wait(server->pid);
	if (late && server->model)
		result = gb_error_set(error, -ETIME, "it did not end when it was asked to");
	else if (server->model && WIFSIGNALED(status))
		result = gb_error_set(error, -ECHILD, "it was ended by signal %d", WTERMSIG(status));
	else if (server->model && WEXITSTATUS(status) != EXIT_DONE)
		result = gb_error_set(error, -ECHILD, "it ended with code %d%s%s", WEXITSTATUS(status),
			server->log[0] ? ": " : "", server->log);
	gb__counters_close(&server->counters);
	close(server->said);
	server->pid = 0;
	return result;
}

/* What a probe tells. */
struct verdict {
	struct gb_error error;
	char spec[COMPARE_SPEC_MAX];
};

/* In the child: making a server looks at the machine, too. */
static void judge(const struct compare_serving *serving, const char *spec, struct verdict *ret)
{
	struct gb_server *server = NULL;
	struct gb_options *options = NULL;
	int result = gb_options_create(&options);

	if (result == 0)
		result = gb_options_set(options, "model", spec, &ret->error);
	for (size_t i = 0; i < serving->options_count && result == 0; i++) {
		const char *pair = serving->options[i], *equals = strchr(pair, '=');
		char key[64];

		if (!equals) {
			result = gb_error_set(&ret->error, -GB_EUSAGE, "option %s: write KEY=VALUE", pair);
			break;
		}
		snprintf(key, sizeof(key), "%.*s", (int)(equals - pair), pair);
		result = gb_options_set(options, key, equals + 1, &ret->error);
	}
	if (result == 0)
		result = gb_model_check(spec, serving->service, true, &ret->error);
	if (result >= 0)
		result = gb_server_create(options, &server, &ret->error);
	if (server)
		snprintf(ret->spec, sizeof(ret->spec), "%s", gb_server_model(server));
	ret->error.code = result;
}

int gb__compare_probe(const struct compare_serving *serving, const char *spec,
	char ret_spec[COMPARE_SPEC_MAX], struct gb_error *error)
{
	struct verdict verdict = { 0 };
	int pipe_fds[2], result;
	ssize_t got;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return gb_error_set(error, -errno, "cannot make a pipe: %s", gb_strerror(-errno));
	fflush(NULL);
	result = gb__child_fork();
	if (result == 0) {
		judge(serving, spec, &verdict);
		if (write(pipe_fds[1], &verdict, sizeof(verdict)) < 0)
			_exit(EXIT_FAILED);
		_exit(EXIT_DONE);
	}
	close(pipe_fds[1]);
	do
		got = result > 0 ? read(pipe_fds[0], &verdict, sizeof(verdict)) : 0;
	while (got < 0 && errno == EINTR);
	close(pipe_fds[0]);
	if (result < 0)
		return gb_error_set(error, result, "cannot start a process: %s", gb_strerror(result));
	gb__child_wait(result);
	if (got != sizeof(verdict))
		return gb_error_set(error, -ECHILD, "%s: asking for this model ended the process", spec);
	if (verdict.error.code < 0) {
		*error = verdict.error;
		return error->code;
	}
	memcpy(ret_spec, verdict.spec, sizeof(verdict.spec));
	return 0;
}
