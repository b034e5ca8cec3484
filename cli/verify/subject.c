/*
 * The child makes the server, tells the ports when it serves, runs until SIGTERM, and tells at last what was
 * counted and what is left over: descriptors, threads, children. Its workers' children would become its own,
 * and all die with it.
 */
#include "verify/subject.h"

#include "verify/wrap.h"

#include "services.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LEFTOVER_MS 2000u /* until threads must have ended */
#define PATIENCE_MS 20000 /* for what should take a moment */

/* What the child tells: when it serves or cannot, then at its end. */
struct told {
	struct gb_error error;
	uint16_t ports[VERIFY_ADDRESSES];
	char model[VERIFY_SPEC_MAX];
	struct verify_outcome outcome;
};
_Static_assert(sizeof(struct told) <= 4096, "written to a pipe in one piece");

struct option {
	const char *key, *value;
};

/* Small buffers and marks, so that what a connection holds back and takes up again is a matter of kilobytes. */
static const struct option common[] = {
	{ "max-message", "16KiB" },
	{ "output-high", "32KiB" },
	{ "output-low", "8KiB" },
	{ "turn-messages", "16" },
	{ "sndbuf", "16KiB" },
	{ "rcvbuf", "16KiB" },
	{ "max-connections", "1000" },
	{ "drain-timeout", "15s" },
	{ NULL, NULL },
};
static const struct option patient[] = {
	{ "idle-timeout", "60s" },
	{ "read-timeout", "60s" },
	{ "write-timeout", "60s" },
	{ "linger-timeout", "30s" },
	{ NULL, NULL },
};
static const struct option impatient[] = {
	{ "idle-timeout", "60s" },
	{ "read-timeout", "100ms" },
	{ "write-timeout", "100ms" },
	{ "linger-timeout", "50ms" },
	{ NULL, NULL },
};
static const struct option drowsy[] = {
	{ "idle-timeout", VERIFY_IDLE_TIMEOUT },
	{ "read-timeout", "60s" },
	{ "write-timeout", "300ms" },
	{ "linger-timeout", "50ms" },
	{ NULL, NULL },
};
static const struct option *const options_of[VERIFY_STAGES] = { [VERIFY_PATIENT] = patient,
	[VERIFY_LAST] = patient,
	[VERIFY_IMPATIENT] = impatient,
	[VERIFY_DROWSY] = drowsy };

/* In the child: what its signal handler stops. */
static struct gb_server *served;

static void on_terminate(int number)
{
	(void)number;
	gb_server_stop(served);
}

static void tell(int fd, const struct told *told)
{
	ssize_t written;

	do
		written = write(fd, told, sizeof(*told));
	while (written < 0 && errno == EINTR);
}

static int set_options(struct gb_options *options, const struct option *rows, struct gb_error *error)
{
	int result = 0;

	for (; rows->key && result == 0; rows++)
		result = gb_options_set(options, rows->key, rows->value, error);
	return result;
}

static int make_server(
	const char *spec, enum verify_stage stage, struct gb_server **ret, struct gb_error *error)
{
	struct gb_options *options;
	int result = gb_options_create(&options);

	if (result < 0)
		return gb_error_set(error, result, "%s", gb_strerror(result));
	result = gb_options_set(options, "model", spec, error);
	if (result == 0)
		result = set_options(options, common, error);
	if (result == 0)
		result = set_options(options, options_of[stage], error);
	if (result == 0)
		result = gb_server_create(options, ret, error);
	gb_options_destroy(options);
	return result;
}

/* The settings struct of an address, or NULL for a service without. */
static int make_user(
	const struct gb_service *service, const char *setting, void **ret, struct gb_error *error)
{
	char key[64];
	void *user;
	int result;

	*ret = NULL;
	if (service->settings_size == 0)
		return 0;
	user = verify_grow(NULL, service->settings_size, 1);
	result = gb_settings_init(service->settings, user, service->settings_size);
	if (result == 0 && setting) {
		snprintf(key, sizeof(key), "%.*s", (int)strcspn(setting, "="), setting);
		result = gb_settings_set(service->settings, user, key, strchr(setting, '=') + 1, error);
	}
	*ret = user;
	return result;
}

struct child {
	const struct verify_protocol *protocol;
	struct gb_service service;
	void *users[VERIFY_ADDRESSES];
	struct told *told;
	int fd;
};

static void on_ready(struct gb_server *server, void *arg)
{
	const struct child *child = arg;
	struct told *told = child->told;

	snprintf(told->model, sizeof(told->model), "%s", gb_server_model(server));
	for (size_t i = 0; i < VERIFY_ADDRESSES; i++)
		told->ports[i] = (uint16_t)strtoul(strrchr(gb_server_address(server, i), ':') + 1, NULL, 10);
	tell(child->fd, told);
}

static int serve(struct child *child, struct gb_server *server)
{
	const struct gb_service *service = gb_service_find(child->protocol->service);
	struct told *told = child->told;
	int result = 0;

	for (size_t i = 0; i < VERIFY_ADDRESSES && result == 0; i++) {
		result = make_user(service, child->protocol->settings[i], &child->users[i], &told->error);
		if (result == 0)
			result = gb_server_listen(
				server, "127.0.0.1:0", &child->service, child->users[i], &told->error);
	}
	if (result < 0)
		return result;
	served = server;
	sigaction(SIGTERM, &(struct sigaction){ .sa_handler = on_terminate }, NULL);
	gb_server_on_ready(server, on_ready, child);
	result = gb_server_run(server, &told->error);
	gb_server_stats(server, &told->outcome.stats);
	return result;
}

/* Entries of a folder of /proc, the two dots and the one that reading it takes not counted. */
static unsigned entries(const char *path, unsigned own)
{
	DIR *folder = opendir(path);
	unsigned count = 0;

	while (folder && readdir(folder))
		count++;
	if (folder)
		closedir(folder);
	return count > 2 + own ? count - 2 - own : 0;
}

/* The kernel's own threads for a ring end a moment after it. */
static unsigned threads_left(void)
{
	const struct timespec moment = { .tv_nsec = 1000000 };
	unsigned threads = entries("/proc/self/task", 0);

	for (unsigned i = 0; i < LEFTOVER_MS && threads > 1; i++) {
		nanosleep(&moment, NULL);
		threads = entries("/proc/self/task", 0);
	}
	return threads - 1;
}

static void look_for_leftovers(unsigned descriptors, struct verify_outcome *outcome)
{
	unsigned now = entries("/proc/self/fd", 1), threads = threads_left();
	pid_t child = waitpid(-1, NULL, WNOHANG);

	if (child >= 0)
		snprintf(outcome->trouble, sizeof(outcome->trouble), "a child is left over");
	else if (now != descriptors)
		snprintf(outcome->trouble, sizeof(outcome->trouble),
			"%u descriptors are open, %u were before it", now, descriptors);
	else if (threads > 0)
		snprintf(outcome->trouble, sizeof(outcome->trouble), "threads left over: %u", threads);
}

static void child_main(const char *spec, const struct verify_protocol *protocol, enum verify_stage stage,
	const int told_pipe[2], const int notes_pipe[2], int log)
{
	struct child child = { .protocol = protocol, .told = verify_grow(NULL, 1, sizeof(struct told)) };
	struct gb_server *server = NULL;
	unsigned descriptors;

	*child.told = (struct told){ 0 };
	dup2(log, STDERR_FILENO);
	close(log);
	close(told_pipe[0]);
	close(notes_pipe[0]);
	child.fd = told_pipe[1];
	setenv("TZ", "UTC0", 1);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	signal(SIGINT, SIG_IGN); /* of a terminal: who started us decides */
	descriptors = entries("/proc/self/fd", 1);
	verify_wrap(gb_service_find(protocol->service), notes_pipe[1], &child.service);
	child.told->error.code = make_server(spec, stage, &server, &child.told->error);
	if (server) {
		child.told->error.code = serve(&child, server);
		signal(SIGTERM, SIG_IGN);
		gb_server_destroy(server);
		look_for_leftovers(descriptors, &child.told->outcome);
	}
	tell(child.fd, child.told);
	_exit(child.told->error.code < 0);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

/* Returns 0, -ETIME or -ECHILD (its end of the pipe is closed). */
static int hear(int fd, struct told *told)
{
	uint64_t deadline_ms = now_ms() + PATIENCE_MS;
	ssize_t got;
	int ready;

	for (;;) {
		struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
		uint64_t at_ms = now_ms();

		ready = poll(&poll_fd, 1, at_ms < deadline_ms ? (int)(deadline_ms - at_ms) : 0);
		if (ready == 0)
			return -ETIME;
		if (ready < 0)
			continue;
		got = read(fd, told, sizeof(*told));
		if (got >= 0)
			return got == sizeof(*told) ? 0 : -ECHILD;
	}
}

static int open_pipes(int told_pipe[2], int notes_pipe[2], int *ret_log)
{
	if (pipe2(told_pipe, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(notes_pipe, O_CLOEXEC) < 0)
		goto fail_told;
	*ret_log = memfd_create("log", MFD_CLOEXEC);
	if (*ret_log >= 0)
		return 0;
	close(notes_pipe[0]);
	close(notes_pipe[1]);
fail_told:
	close(told_pipe[0]);
	close(told_pipe[1]);
	return -errno;
}

int verify_subject_start(struct verify_subject *subject, const char *spec,
	const struct verify_protocol *protocol, enum verify_stage stage, struct gb_error *error)
{
	int told_pipe[2] = { -1, -1 }, notes_pipe[2] = { -1, -1 },
	    result = open_pipes(told_pipe, notes_pipe, &subject->log);
	pid_t parent = getpid();
	struct told told;

	subject->pid = -1;
	if (result < 0)
		return gb_error_set(error, result, "cannot start a process: %s", gb_strerror(result));
	subject->pid = fork();
	if (subject->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setpgid(0, 0);
		if (getppid() == parent)
			child_main(spec, protocol, stage, told_pipe, notes_pipe, subject->log);
		_exit(1);
	}
	result = subject->pid < 0 ? -errno : 0;
	close(told_pipe[1]);
	close(notes_pipe[1]);
	subject->told = told_pipe[0];
	subject->notes = notes_pipe[0];
	fcntl(subject->notes, F_SETFL, O_NONBLOCK);
	if (result < 0) {
		close(subject->told);
		close(subject->notes);
		return gb_error_set(error, result, "cannot start a process: %s", gb_strerror(result));
	}
	setpgid(subject->pid, subject->pid); /* whoever of both is first */
	result = hear(subject->told, &told);
	if (result < 0)
		return gb_error_set(error, result,
			result == -ETIME ? "it does not begin to serve" : "it died before it served");
	if (told.error.code < 0) {
		*error = told.error;
		return told.error.code;
	}
	memcpy(subject->ports, told.ports, sizeof(subject->ports));
	memcpy(subject->model, told.model, sizeof(subject->model));
	return 0;
}

void verify_subject_stop(const struct verify_subject *subject)
{
	kill(subject->pid, SIGTERM);
}

void verify_subject_halt(const struct verify_subject *subject, bool halt)
{
	kill(-subject->pid, halt ? SIGSTOP : SIGCONT);
}

void verify_subject_end(struct verify_subject *subject, struct verify_outcome *ret)
{
	struct told told;
	int result, status;

	*ret = (struct verify_outcome){ 0 };
	if (subject->pid < 0)
		return;
	result = hear(subject->told, &told);
	if (result == 0) {
		*ret = told.outcome;
		if (told.error.code < 0)
			snprintf(ret->trouble, sizeof(ret->trouble), "it failed: %.200s", told.error.text);
	} else if (result == -ETIME) {
		snprintf(ret->trouble, sizeof(ret->trouble), "it does not end");
	}
	/* In order it has no children any more; else nobody of its group is to be left. */
	if (result < 0)
		kill(-subject->pid, SIGKILL);
	while (waitpid(subject->pid, &status, 0) < 0 && errno == EINTR)
		;
	if (result == -ECHILD)
		snprintf(ret->trouble, sizeof(ret->trouble),
			WIFSIGNALED(status) ? "it was ended by signal %d" : "it ended with code %d",
			WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	close(subject->told);
	close(subject->notes);
	subject->pid = -1;
}

void verify_subject_log(struct verify_subject *subject, char *text, size_t size)
{
	ssize_t got = pread(subject->log, text, size - 1, 0);

	close(subject->log);
	text[got > 0 ? got : 0] = '\0';
	for (char *at = text; *at; at++)
		if (*at == '\n')
			*at = at[1] ? '|' : '\0';
}
