/*
 * A version that does not load is told of, and the one that serves goes on. One that loads takes the place of the other: that
 * drains, which begins with letting go of its addresses, and as soon as nobody listens there the new one is started. Ports that
 * the kernel chose stay: a socket that is bound to each, and does not listen, keeps it for the next version.
 */
#include "watch.h"

#include "child.h"
#include "command.h"
#include "model/listen_place.h"
#include "object.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DRAINING_MAX 8  /* former versions that still have connections */
#define LISTEN_MAX 16   /* addresses of a command line that are looked at */
#define LOOK_MS 10      /* between two looks whether somebody still listens */
#define LOAD_SECONDS 20 /* for initializers to run */

struct watch {
	int argc;
	char **argv;
	const char *path, *base; /* of the object */
	int changes, signals;    /* descriptors */
	sigset_t mask;           /* of who started us */
	pid_t serving;           /* 0: nobody */
	pid_t draining[DRAINING_MAX];
	unsigned draining_count;
	int next; /* a copy that is to be served once the addresses are free; -1: none */
	char *listens[LISTEN_MAX];
	unsigned listens_count;
	int kept[LISTEN_MAX]; /* sockets whose ports stay */
	unsigned kept_count;
	bool stopping;
	unsigned versions; /* that were started */
	int exit_code;
};

int gb__watch_wanted(int *argc, char **argv)
{
	int wanted = 0, kept = 0;

	for (int i = 0; i < *argc; i++) {
		if (strcmp(argv[i], "--watch") == 0)
			wanted = 1;
		else
			argv[kept++] = argv[i];
	}
	argv[kept] = NULL;
	*argc = kept;
	return wanted;
}

/* The object as it is now: who writes over the file does not write over what is served. Returns a descriptor or -1. */
static int copy_of(const char *path)
{
	const int from = open(path, O_RDONLY | O_CLOEXEC), copy = memfd_create("handler.so", MFD_CLOEXEC);
	ssize_t done = -1;

	while (from >= 0 && copy >= 0 && (done = sendfile(copy, from, NULL, 1 << 20)) > 0)
		;
	if (from >= 0)
		close(from);
	if (done < 0 && copy >= 0)
		close(copy);
	return done < 0 ? -1 : copy;
}

static int load(const char *path, int copy, const struct gb_service **ret)
{
	struct gb_error error;
	char name[32];

	snprintf(name, sizeof(name), "/proc/self/fd/%d", copy);
	if (copy < 0)
		return gb__object_check(path, path, &error) < 0
			? gb__command_fail(EXIT_WRONG_USAGE, "%s", error.text)
			: gb__command_fail(EXIT_FAILED, "cannot read %s", path);
	if (gb__object_load_from(path, name, ret, &error) < 0)
		return gb__command_fail(EXIT_WRONG_USAGE, "%s", error.text);
	return EXIT_DONE;
}

/* In a child: as it was before there was somebody who watches. */
static void become_child(const struct watch *watch)
{
	close(watch->changes);
	close(watch->signals);
	for (unsigned i = 0; i < watch->kept_count; i++)
		close(watch->kept[i]);
	sigprocmask(SIG_SETMASK, &watch->mask, NULL);
}

/* Whether a copy can be loaded: tried where nothing is harmed if it cannot. Returns an exit code; why not was told. */
static int try_out(const struct watch *watch, int copy)
{
	const struct gb_service *service;
	const pid_t pid = gb__child_fork();
	int status;

	if (pid == 0) {
		become_child(watch);
		alarm(LOAD_SECONDS);
		_exit(load(watch->path, copy, &service));
	}
	if (pid < 0)
		return gb__command_fail(EXIT_FAILED, "cannot start a process: %s", strerror(-pid));
	status = gb__child_wait(pid);
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	return gb__command_fail(EXIT_FAILED, "%s ended the process that loaded it: %s", watch->path,
		strsignal(WTERMSIG(status)));
}

static void start(struct watch *watch, int copy)
{
	const struct gb_service *service = NULL;
	const pid_t pid = gb__child_fork();

	if (pid == 0) {
		become_child(watch);
		if (load(watch->path, copy, &service) != EXIT_DONE)
			_exit(EXIT_FAILED);
		exit(gb_serve_main_services(watch->argc, watch->argv, service, gb__program.services));
	}
	close(copy);
	watch->versions++;
	if (pid < 0)
		gb_log(GB_LOG_ERROR, "cannot start a process: %s", strerror(-pid));
	watch->serving = pid > 0 ? pid : 0;
}

static bool are_free(const struct watch *watch)
{
	for (unsigned i = 0; i < watch->listens_count; i++)
		if (gb__listen_is_taken(watch->listens[i]))
			return false;
	return true;
}

/* Note an address; a port 0 in it becomes one that is ours for as long as this process runs. Returns what is served. */
static char *note(struct watch *watch, char *listen)
{
	char *named;

	if (watch->listens_count == LISTEN_MAX)
		return listen;
	named = gb__listen_with_port(listen, &watch->kept[watch->kept_count]);
	watch->kept_count += named != NULL;
	watch->listens[watch->listens_count] = named ? named : listen;
	return watch->listens[watch->listens_count++];
}

/* Those of the command line. */
static void note_addresses(struct watch *watch)
{
	static const char with_value[] = "--listen=";
	const size_t size = sizeof(with_value) - 1;

	for (int i = 1; i < watch->argc; i++) {
		char *given = watch->argv[i], *noted;

		if (strcmp(given, "--listen") == 0 && i + 1 < watch->argc) {
			i++;
			watch->argv[i] = note(watch, watch->argv[i]);
		} else if (strncmp(given, with_value, size) == 0) {
			noted = note(watch, given + size);
			if (noted != given + size && asprintf(&watch->argv[i], "%s%s", with_value, noted) < 0)
				watch->argv[i] = given;
		}
	}
}

/* Whoever serves drains; of too many that do, the first one has to end. */
static void retire(struct watch *watch)
{
	if (!watch->serving)
		return;
	if (watch->draining_count == DRAINING_MAX) {
		gb__child_kill(watch->draining[0]);
		gb__child_wait(watch->draining[0]);
		memmove(watch->draining, watch->draining + 1,
			sizeof(*watch->draining) * --watch->draining_count);
	}
	kill(watch->serving, SIGTERM);
	watch->draining[watch->draining_count++] = watch->serving;
	watch->serving = 0;
}

/* Whether one of the events that are there is about the object. */
static bool has_changed(const struct watch *watch)
{
	_Alignas(struct inotify_event) char events[4096];
	bool changed = false;
	ssize_t got;

	while ((got = read(watch->changes, events, sizeof(events))) > 0)
		for (char *at = events; at < events + got;) {
			const struct inotify_event *event = (const struct inotify_event *)at;

			changed |= event->len > 0 && strcmp(event->name, watch->base) == 0;
			at += sizeof(*event) + event->len;
		}
	return changed;
}

static void on_change(struct watch *watch)
{
	int copy;

	if (!has_changed(watch) || watch->stopping)
		return;
	copy = copy_of(watch->path);
	if (try_out(watch, copy) != EXIT_DONE) {
		if (copy >= 0)
			close(copy);
		gb_log(GB_LOG_WARNING, "%s has changed and cannot be served: %s", watch->path,
			watch->serving ? "what it was before serves on" : "nobody serves");
		return;
	}
	gb_log(GB_LOG_NOTICE, "%s has changed: it is served anew", watch->path);
	if (watch->next >= 0)
		close(watch->next);
	watch->next = copy;
	retire(watch);
}

static void on_end(struct watch *watch, pid_t pid, int status)
{
	const int code = WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILED;

	for (unsigned i = 0; i < watch->draining_count; i++)
		if (watch->draining[i] == pid) {
			watch->draining[i] = watch->draining[--watch->draining_count];
			return;
		}
	if (pid != watch->serving)
		return;
	watch->serving = 0;
	watch->exit_code = code;
	if (code == EXIT_WRONG_USAGE && watch->versions == 1)
		watch->stopping = true; /* another object does not mend the command line */
	if (!watch->stopping && WIFSIGNALED(status))
		gb_log(GB_LOG_ERROR, "%s was ended by a signal: %s; it is served anew when it changes",
			watch->path, strsignal(WTERMSIG(status)));
	else if (!watch->stopping)
		gb_log(GB_LOG_WARNING, "%s ended with code %d; it is served anew when it changes",
			watch->path, code);
}

static void on_signal(struct watch *watch, int number)
{
	int status;
	pid_t pid;

	if (number == SIGCHLD) {
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
			on_end(watch, pid, status);
		return;
	}
	if (number == SIGUSR1) {
		if (watch->serving)
			kill(watch->serving, number);
		return;
	}
	/* The second one ends those at once that drain. */
	if (watch->stopping)
		for (unsigned i = 0; i < watch->draining_count; i++)
			kill(watch->draining[i], number);
	watch->stopping = true;
	if (watch->serving)
		kill(watch->serving, number);
}

static void run(struct watch *watch)
{
	struct pollfd polls[] = { { .fd = watch->changes, .events = POLLIN },
		{ .fd = watch->signals, .events = POLLIN } };
	struct signalfd_siginfo signal;

	while (!watch->stopping || watch->serving || watch->draining_count > 0) {
		if (watch->next >= 0 && !watch->stopping && are_free(watch)) {
			start(watch, watch->next);
			watch->next = -1;
		}
		poll(polls, 2, watch->next >= 0 && !watch->stopping ? LOOK_MS : -1);
		while (read(watch->signals, &signal, sizeof(signal)) == sizeof(signal))
			on_signal(watch, (int)signal.ssi_signo);
		if (polls[0].revents)
			on_change(watch);
	}
}

/* What its folder tells of, and signals. Returns an exit code. */
static int prepare(struct watch *watch)
{
	const char *slash = strrchr(watch->path, '/');
	char folder[4096] = ".";
	sigset_t signals;

	watch->base = slash ? slash + 1 : watch->path;
	if (slash)
		snprintf(folder, sizeof(folder), "%.*s/", (int)(slash - watch->path), watch->path);
	watch->changes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (watch->changes < 0 || inotify_add_watch(watch->changes, folder, IN_CLOSE_WRITE | IN_MOVED_TO) < 0)
		return gb__command_fail(EXIT_FAILED, "cannot watch %s: %s", folder, strerror(errno));
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGUSR1);
	sigprocmask(SIG_BLOCK, &signals, &watch->mask);
	watch->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	return watch->signals < 0 ? gb__command_fail(EXIT_FAILED, "signalfd: %s", strerror(errno))
				  : EXIT_DONE;
}

int gb__watch_serve(int argc, char **argv, const char *path)
{
	struct watch watch = { .argc = argc, .argv = argv, .path = path, .next = -1 };
	int code = prepare(&watch), copy;

	if (code != EXIT_DONE)
		return code;
	copy = copy_of(path);
	code = try_out(&watch, copy);
	if (code != EXIT_DONE)
		return code;
	note_addresses(&watch);
	start(&watch, copy);
	run(&watch);
	return watch.exit_code;
}
