#include "compare/drive.h"

#include "child.h"
#include "command.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define STEP_MS 200 /* between two looks for an interruption */

volatile sig_atomic_t gb__compare_signals;

/* What comes through a pipe, whole. */
struct text {
	char *data;
	size_t size;
};

static bool take(int fd, struct text *text)
{
	char *grown = realloc(text->data, text->size + 65536 + 1);
	ssize_t got = grown ? read(fd, grown + text->size, 65536) : 0;

	if (!grown)
		return false;
	text->data = grown;
	text->size += got > 0 ? (size_t)got : 0;
	grown[text->size] = '\0';
	return got > 0 || (got < 0 && (errno == EINTR || errno == EAGAIN));
}

static _Noreturn void generate(char **line, int count, const int out[2], const int err[2])
{
	int code;

	dup2(out[1], STDOUT_FILENO);
	dup2(err[1], STDERR_FILENO);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	code = gb__command_load(count, line);
	fflush(stdout);
	_exit(code);
}

/* Have it end in order, once; at once, when that is wanted. */
static void pass_on(pid_t pid, int *told)
{
	while (*told < gb__compare_signals && *told < 2) {
		kill(pid, SIGINT);
		++*told;
	}
}

/* Until both of its streams have ended. */
static void hear(struct compare_server *server, pid_t pid, const int fds[2], struct text texts[2])
{
	struct pollfd polls[3] = { { .fd = fds[0], .events = POLLIN }, { .fd = fds[1], .events = POLLIN },
		{ .fd = server->said, .events = POLLIN } };
	int told = 0;

	while (polls[0].fd >= 0 || polls[1].fd >= 0) {
		pass_on(pid, &told);
		if (poll(polls, 3, STEP_MS) <= 0)
			continue;
		for (int i = 0; i < 2; i++)
			if (polls[i].fd >= 0 && polls[i].revents && !take(polls[i].fd, &texts[i]))
				polls[i].fd = -1;
		if (polls[2].fd >= 0 && polls[2].revents && !gb__compare_server_drain(server))
			polls[2].fd = -1;
	}
}

/* The last line that it said, without what begins it. */
static void tell(struct text *text, const char *address, char ret[COMPARE_LOG_MAX])
{
	const char *at;
	char *end;

	if (!text->data)
		return;
	while (text->size > 0 && text->data[text->size - 1] == '\n')
		text->data[--text->size] = '\0';
	end = strrchr(text->data, '\n');
	at = end ? end + 1 : text->data;
	end = strstr(at, address);
	if (end && strncmp(end + strlen(address), ": ", 2) == 0)
		at = end + strlen(address) + 2;
	else if (strstr(at, ": load: "))
		at = strstr(at, ": load: ") + 8;
	snprintf(ret, COMPARE_LOG_MAX, "%s", at);
}

int gb__compare_drive(struct compare_server *server, char **line, int count, struct compare_outcome *ret,
	struct gb_error *error)
{
	int out[2], err[2], status, result = gb__child_pipes(out, err);
	struct text texts[2] = { 0 };
	pid_t pid;

	*ret = (struct compare_outcome){ 0 };
	if (result < 0)
		return gb_error_set(error, result, "cannot make a pipe: %s", gb_strerror(result));
	fflush(NULL);
	pid = gb__child_fork();
	if (pid == 0)
		generate(line, count, out, err);
	close(out[1]);
	close(err[1]);
	if (pid > 0)
		hear(server, pid, (const int[]){ out[0], err[0] }, texts);
	close(out[0]);
	close(err[0]);
	if (pid < 0)
		return gb_error_set(error, (int)pid, "cannot start a process: %s", gb_strerror((int)pid));
	status = gb__child_wait(pid);
	ret->result = texts[0].data ? json_loads(texts[0].data, 0, NULL) : NULL;
	ret->right = ret->result && json_is_true(json_object_get(ret->result, "ok"));
	tell(&texts[1], server->address, ret->trouble);
	free(texts[0].data);
	free(texts[1].data);
	if (ret->result)
		return 0;
	return gb_error_set(error, -ECHILD, "the load %s%s%s",
		WIFSIGNALED(status) ? "was ended by a signal" : "did not run", ret->trouble[0] ? ": " : "",
		ret->trouble);
}

int gb__compare_outcome_check(const struct compare_outcome *outcome, struct gb_error *error)
{
	if (outcome->right)
		return 0;
	return gb_error_set(error, -EBADMSG, "%s",
		outcome->trouble[0] ? outcome->trouble : "not every message was answered rightly");
}

void gb__compare_outcome_finish(struct compare_outcome *outcome)
{
	json_decref(outcome->result);
	outcome->result = NULL;
}
