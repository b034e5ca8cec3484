/* The parent's side: starts the child and hears what it tells. */
#include "verify/subject.h"

#include "child.h"
#include "clock.h"
#include "same.h"
#include "verify/subject_child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 20000 /* for what should take a moment */
#define LOG_MAX 65536     /* bytes of a server's log that are looked at */
#define LOG_LINES_MAX 32  /* different ones */

/* Returns 0, -ETIME or -ECHILD (its end of the pipe is closed). */
static int hear(int fd, struct verify_report *told)
{
	uint64_t deadline_ms = gb__clock_ms() + PATIENCE_MS;
	ssize_t got;
	int ready;

	for (;;) {
		struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
		uint64_t at_ms = gb__clock_ms();

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

static void pipes_close(const struct verify_subject_pipes *pipes)
{
	const int fds[] = { pipes->told[0], pipes->told[1], pipes->notes[0], pipes->notes[1], pipes->log };

	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static int pipes_open(struct verify_subject_pipes *pipes)
{
	int result = 0;

	*pipes = (struct verify_subject_pipes){ { -1, -1 }, { -1, -1 }, -1 };
	if (pipe2(pipes->told, O_CLOEXEC) < 0 || pipe2(pipes->notes, O_CLOEXEC) < 0)
		result = -errno;
	if (result == 0) {
		pipes->log = memfd_create("log", MFD_CLOEXEC);
		if (pipes->log < 0)
			result = -errno;
	}
	if (result < 0)
		pipes_close(pipes);
	return result;
}

static pid_t fork_child(const char *spec, const struct verify_target *target, enum verify_stage stage,
	const struct verify_subject_pipes *pipes)
{
	pid_t pid = gb__child_fork();

	if (pid == 0)
		gb__verify_subject_serve(spec, target, stage, pipes);
	return pid;
}

int gb__verify_subject_start(struct verify_subject *subject, const char *spec,
	const struct verify_target *target, enum verify_stage stage, struct gb_error *error)
{
	struct verify_subject_pipes pipes;
	struct verify_report told;
	int result = pipes_open(&pipes);

	*subject = (struct verify_subject){ .pid = -1, .told = -1, .notes = -1, .log = -1 };
	if (result == 0) {
		result = fork_child(spec, target, stage, &pipes);
		if (result < 0)
			pipes_close(&pipes);
	}
	if (result < 0)
		return gb_error_set(error, result, "cannot start a process: %s", gb_strerror(result));
	close(pipes.told[1]);
	close(pipes.notes[1]);
	*subject = (struct verify_subject){
		.pid = result, .told = pipes.told[0], .notes = pipes.notes[0], .log = pipes.log
	};
	fcntl(subject->notes, F_SETFL, O_NONBLOCK);
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

void gb__verify_subject_stop(const struct verify_subject *subject)
{
	kill(subject->pid, SIGTERM);
}

void gb__verify_subject_halt(const struct verify_subject *subject, bool halt)
{
	kill(-subject->pid, halt ? SIGSTOP : SIGCONT);
}

void gb__verify_subject_end(struct verify_subject *subject, struct verify_outcome *ret)
{
	struct verify_report told;
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
		gb__child_kill(subject->pid);
	status = gb__child_wait(subject->pid);
	if (result == -ECHILD)
		snprintf(ret->trouble, sizeof(ret->trouble),
			WIFSIGNALED(status) ? "it was ended by signal %d" : "it ended with code %d",
			WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	close(subject->told);
	close(subject->notes);
	subject->pid = -1;
}

/* Lines that differ in numbers alone, as ports and pids do, are one with a count. */
static size_t fold(char *log, char *lines[LOG_LINES_MAX], unsigned counts[LOG_LINES_MAX])
{
	size_t count = 0, at;

	for (char *save, *line = strtok_r(log, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		for (at = 0; at < count && !gb__same_but_numbers(lines[at], line); at++)
			;
		if (at == LOG_LINES_MAX)
			break;
		counts[at] = at == count ? 1 : counts[at] + 1;
		if (at == count)
			lines[count++] = line;
	}
	return count;
}

void gb__verify_subject_log(struct verify_subject *subject, char *text, size_t size)
{
	char *log = gb__verify_grow(NULL, LOG_MAX + 1, 1), *lines[LOG_LINES_MAX];
	unsigned counts[LOG_LINES_MAX];
	ssize_t got = pread(subject->log, log, LOG_MAX, 0);
	size_t count, used = 0;

	close(subject->log);
	log[got > 0 ? got : 0] = '\0';
	if (got == LOG_MAX && strrchr(log, '\n'))
		*strrchr(log, '\n') = '\0'; /* behind it is a part of a line */
	count = fold(log, lines, counts);
	*text = '\0';
	for (size_t i = 0; i < count && used + strlen(lines[i]) + 32 < size; i++) {
		used += (size_t)snprintf(text + used, size - used, "%s%s", i ? "|" : "", lines[i]);
		if (counts[i] > 1)
			used += (size_t)snprintf(
				text + used, size - used, " (and %u more like it)", counts[i] - 1);
	}
	free(log);
}
