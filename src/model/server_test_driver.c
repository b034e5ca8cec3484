#include "model/server_test_driver.h"

#include "model/server.h"

#include <gearbox/model.h>
#include <gearbox/worker.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PRESETS_MAX 64u

static void on_message(struct gb_conn *conn, struct gb_bytes message)
{
	if (message.data[0] == '!') {
		gb_server_stop(gb_worker_server(gb_conn_worker(conn)));
		gb_conn_close(conn); /* nobody is to wait for an answer */
	} else if (message.data[0] == '?')
		gb_conn_abort(conn);
	else
		gb_conn_send(conn, message.data, message.size);
}

const struct gb_service driver_echo = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "driver-echo",
	.on_message = on_message };

struct gb_server *driver_server_set(
	const char *model, const struct driver_option *options, const struct gb_service *service, void *user)
{
	struct gb_options *made;
	struct gb_server *server;
	struct gb_error error = { 0 };
	int result;

	CHECK_INT(gb_options_create(&made), 0);
	result = gb_options_set(made, "model", model, &error);
	for (; options->key && result == 0; options++)
		result = gb_options_set(made, options->key, options->value, &error);
	if (result < 0)
		test_fail(__FILE__, __LINE__, "%s", error.text);
	result = gb_server_create(made, &server, &error);
	gb_options_destroy(made);
	if (result < 0 && (strstr(model, "io_uring") || strstr(model, "proactor")) && error.text[0])
		return NULL;
	if (result == 0)
		result = gb_server_listen(server, "127.0.0.1:0", service, user, &error);
	if (result < 0)
		test_fail(__FILE__, __LINE__, "%s: %s", model, error.text);
	return server;
}

struct gb_server *driver_server_with(
	const char *model, const char *key, const char *value, const struct gb_service *service, void *user)
{
	return driver_server_set(
		model, (const struct driver_option[]){ { key, value }, { 0 } }, service, user);
}

struct gb_server *driver_server(const char *model, const struct gb_service *service, void *user)
{
	return driver_server_with(model, NULL, NULL, service, user);
}

void driver_each_preset(void (*run)(const char *model))
{
	const struct gb_preset *preset = NULL;
	char specs[PRESETS_MAX][256];
	const char *models[PRESETS_MAX];
	size_t count = 0;

	while ((preset = gb_preset_next(preset)) != NULL) {
		char *spec = specs[count];
		struct gb_server *server;

		CHECK(count < PRESETS_MAX);
		/* The axes rather than the name, so that what follows may look at them. */
		snprintf(spec, sizeof(specs[count]), "%s", preset->axes);
		if (strstr(spec, "workers=N"))
			memcpy(strstr(spec, "workers=N"), "workers=2", strlen("workers=2"));
		server = driver_server(spec, &driver_echo, NULL);
		if (!server)
			continue;
		gb_server_destroy(server);
		models[count++] = spec;
	}
	test_side_by_side(run, models, count);
}

static void tell_ready(struct gb_server *server, void *arg)
{
	const int *fd = arg;

	CHECK(write(*fd, "r", 1) == 1);
}

pid_t driver_host(struct gb_server *server)
{
	int ready[2];
	char byte;
	pid_t pid;

	CHECK(pipe(ready) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		struct gb_error error = { 0 };
		int result;

		prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody stops it when this test has failed */
		close(ready[0]);
		gb_server_on_ready(server, tell_ready, &ready[1]);
		result = gb_server_run(server, &error);
		if (result < 0)
			fprintf(stderr, "%s: %s\n", gb_server_model(server), error.text);
		gb_server_destroy(server);
		exit(result < 0);
	}
	close(ready[1]);
	CHECK(read(ready[0], &byte, 1) == 1);
	close(ready[0]);
	gb__server_unlisten(server);
	return pid;
}

int driver_await(pid_t pid)
{
	int status;

	CHECK(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

struct gb_stats driver_finish_counted(struct gb_server *server, pid_t pid)
{
	struct gb_stats stats;

	gb_server_stop(server);
	if (driver_await(pid) != 0)
		test_fail(__FILE__, __LINE__, "%s: it does not end in order", gb_server_model(server));
	gb_server_stats(server, &stats);
	gb_server_destroy(server);
	return stats;
}

void driver_finish(struct gb_server *server, pid_t pid)
{
	driver_finish_counted(server, pid);
}

void driver_run_beside(struct gb_server *server, void *(*client)(void *server))
{
	struct gb_error error = { 0 };
	pthread_t thread;

	CHECK_INT(pthread_create(&thread, NULL, client, server), 0);
	if (gb_server_run(server, &error) < 0)
		test_fail(__FILE__, __LINE__, "%s: %s", gb_server_model(server), error.text);
	CHECK_INT(pthread_join(thread, NULL), 0);
}

int driver_client(const struct gb_server *server)
{
	return driver_client_at(server, 0);
}

int driver_client_at(const struct gb_server *server, size_t n)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	address.sin_port = htons((uint16_t)atoi(strrchr(gb_server_address(server, n), ':') + 1));
	CHECK(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	return fd;
}

void driver_send(int client, const char *text)
{
	CHECK(send(client, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
}

long driver_receive(int client, char *text, size_t size)
{
	size_t used = 0;

	while (used < size) {
		ssize_t got = recv(client, text + used, size - used, 0);

		if (got < 0 && errno == EINTR)
			continue; /* a ring of this process ends late, and its receive has a bound */
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		used += (size_t)got;
	}
	return (long)used;
}

void driver_ask(int client, const char *text, const char *answer)
{
	char got[256];
	const size_t size = strlen(answer);
	long received;

	CHECK(size < sizeof(got));
	driver_send(client, text);
	received = driver_receive(client, got, size);
	CHECK(received >= 0);
	got[received] = '\0';
	CHECK_STR(got, answer);
}

int driver_guest(const struct gb_server *server)
{
	int client = driver_client(server);
	char answer;

	driver_send(client, "x");
	if (driver_receive(client, &answer, 1) != 1)
		test_fail(__FILE__, __LINE__, "%s: a client is not answered", gb_server_model(server));
	return client;
}

void driver_visit(const struct gb_server *server)
{
	close(driver_guest(server));
}

uint64_t driver_closed(const struct gb_stats *stats)
{
	uint64_t sum = 0;

	for (int i = 0; i < GB_CLOSE_REASON_COUNT; i++)
		sum += stats->closed[i];
	return sum;
}
