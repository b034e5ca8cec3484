/*
 * Tells the ports when it serves, runs until SIGTERM, and tells at last what was counted and what is left
 * over: descriptors, threads, children. Orphans of its workers would become its own children, and all die
 * with it.
 */
#include "verify/subject_child.h"

#include "clock.h"
#include "verify/wrap.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define LEFTOVER_MS 2000u /* until threads must have ended */
#ifdef __SANITIZE_THREAD__
#define THREADS 3u /* our own and up to two of the sanitizer's */
#else
#define THREADS 1u
#endif

struct option {
	const char *key, *value;
};

/* Small buffers and marks, so that what a connection holds back and takes up again is a matter of kilobytes. */
static const struct option common[] = {
	{ "max-message", "16KiB" },
	{ "max-body", "4MiB" },
	{ "output-high", "32KiB" },
	{ "output-low", "8KiB" },
	{ "turn-messages", "16" },
	{ "sndbuf", "16KiB" },
	{ "rcvbuf", "16KiB" },
	{ "max-connections", "1000" },
	{ "drain-timeout", "15s" },
	{ "log-level", "warning" }, /* transcripts say the rest */
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

static void tell(int fd, const struct verify_report *told)
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

/* Without tickets, which clients that only send would leave unread: to close then is a reset. */
static int set_tls(struct gb_options *options, const struct verify_target *target, struct gb_error *error)
{
	const struct option rows[] = { { "tls-cert", target->certificate }, { "tls-key", target->key },
		{ "tls-tickets", "0" }, { NULL, NULL } };

	return target->certificate ? set_options(options, rows, error) : 0;
}

static int make_server(const char *spec, const struct verify_target *target, enum verify_stage stage,
	struct gb_server **ret, struct gb_error *error)
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
		result = set_tls(options, target, error);
	if (result == 0)
		result = gb_server_create(options, ret, error);
	gb_options_destroy(options);
	return result;
}

static int set_pair(const struct gb_service *service, void *user, const char *pair, struct gb_error *error)
{
	const char *equals = strchr(pair, '=');
	char key[64];

	if (!equals)
		return gb_error_set(error, -GB_EUSAGE, "set %s: write KEY=VALUE", pair);
	if (!user || !service->settings)
		return gb_error_set(error, -GB_EUSAGE, "set %s: %s has no settings", pair, service->name);
	snprintf(key, sizeof(key), "%.*s", (int)(equals - pair), pair);
	return gb_settings_set(service->settings, user, key, equals + 1, error);
}

/* The settings struct of an address, or NULL for a service without. */
static int make_user(const struct verify_target *target, unsigned address, void **ret, struct gb_error *error)
{
	const struct gb_service *service = target->service;
	const char *setting = target->protocol->settings[address];
	void *user = NULL;
	int result = 0;

	if (service->settings_size > 0) {
		user = gb__verify_grow(NULL, service->settings_size, 1);
		memset(user, 0, service->settings_size);
		if (service->settings)
			result = gb_settings_init(service->settings, user, service->settings_size);
	}
	for (size_t i = 0; i < target->sets_count && result == 0; i++)
		result = set_pair(service, user, target->sets[i], error);
	if (setting && result == 0)
		result = set_pair(service, user, setting, error);
	*ret = user;
	return result;
}

struct child {
	const struct verify_target *target;
	struct gb_service service;
	void *users[VERIFY_ADDRESSES];
	struct verify_report *told;
	int fd;
};

static void on_ready(struct gb_server *server, void *arg)
{
	const struct child *child = arg;
	struct verify_report *told = child->told;

	snprintf(told->model, sizeof(told->model), "%s", gb_server_model(server));
	for (size_t i = 0; i < VERIFY_ADDRESSES; i++)
		told->ports[i] = (uint16_t)strtoul(strrchr(gb_server_address(server, i), ':') + 1, NULL, 10);
	tell(child->fd, told);
}

static int serve(struct child *child, struct gb_server *server)
{
	struct verify_report *told = child->told;
	int result = 0;

	for (unsigned i = 0; i < VERIFY_ADDRESSES && result == 0; i++) {
		result = make_user(child->target, i, &child->users[i], &told->error);
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
	unsigned threads = entries("/proc/self/task", 0);

	for (unsigned i = 0; i < LEFTOVER_MS && threads > THREADS; i++) {
		gb__clock_pause(1000000);
		threads = entries("/proc/self/task", 0);
	}
	return threads > THREADS ? threads - THREADS : 0;
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

_Noreturn void gb__verify_subject_serve(const char *spec, const struct verify_target *target,
	enum verify_stage stage, const struct verify_subject_pipes *pipes)
{
	struct child child = { .target = target,
		.told = gb__verify_grow(NULL, 1, sizeof(struct verify_report)) };
	struct gb_server *server = NULL;
	unsigned descriptors;

	*child.told = (struct verify_report){ 0 };
	dup2(pipes->log, STDERR_FILENO);
	close(pipes->log);
	close(pipes->told[0]);
	close(pipes->notes[0]);
	child.fd = pipes->told[1];
	setenv("TZ", "UTC0", 1);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	signal(SIGINT, SIG_IGN); /* of a terminal: who started us decides */
	descriptors = entries("/proc/self/fd", 1);
	child.told->error.code = gb__verify_wrap(target->service, pipes->notes[1], &child.service);
	if (child.told->error.code == 0)
		child.told->error.code = make_server(spec, target, stage, &server, &child.told->error);
	if (server) {
		child.told->error.code = serve(&child, server);
		signal(SIGTERM, SIG_IGN);
		gb_server_destroy(server);
		look_for_leftovers(descriptors, &child.told->outcome);
	}
	tell(child.fd, child.told);
	_exit(child.told->error.code < 0);
}
