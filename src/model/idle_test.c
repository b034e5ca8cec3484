/*
 * Is a new client served at once while a worker is idle, whatever the others do?
 *
 * Where workers take clients themselves or pull them, yes: all but one are held in their handlers, and each client is
 * answered by that one. Where somebody else chooses the worker (the kernel by a hash under accept=reuseport, the
 * acceptor by `place`) a client may be given to one that is busy: then those given to others are answered, and once
 * the busy one goes on all are.
 */
#include "model/server_test_driver.h"

#include "base/macros.h"
#include "model/legality.h"
#include "model/spec.h"

#include <gearbox/worker.h>

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define WORKERS 3
#define PATIENCE_S 30
#define ONE_AFTER_ANOTHER 6
#define TOGETHER 12

struct pipes {
	int held[2], go[2];
};

/* "h": tell that it is held, stay in the handler until told to go on. Anything is answered. */
static void on_message(struct gb_conn *conn, struct gb_bytes message)
{
	const struct pipes *pipes = gb_conn_user(conn);
	char byte;

	if (message.data[0] == 'h') {
		CHECK(write(pipes->held[1], "h", 1) == 1);
		CHECK(read(pipes->go[0], &byte, 1) == 1);
	}
	gb_conn_send(conn, message.data, 1);
}

static const struct gb_service holding = { GB_SERVICE_INIT, .name = "holding", .state = GB_STATE_NONE,
	.on_message = on_message };

static int client_of(const struct gb_server *server)
{
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	int client = driver_client(server);

	CHECK(setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0);
	return client;
}

static void await_answer(const char *model, int client, const char *who)
{
	char answer;

	if (driver_receive(client, &answer, 1) != 1)
		test_fail(__FILE__, __LINE__, "%s: %s is not answered", model, who);
}

/* A client whose worker stays in its handler. */
static int hold(const char *model, const struct gb_server *server, const struct pipes *pipes)
{
	struct pollfd held = { .fd = pipes->held[0], .events = POLLIN };
	int client = client_of(server);
	char byte;

	driver_send(client, "h");
	if (poll(&held, 1, PATIENCE_S * 1000) != 1)
		test_fail(__FILE__, __LINE__, "%s: a client waits beside idle workers", model);
	CHECK(read(held.fd, &byte, 1) == 1);
	return client;
}

/* Take answers until there are so many; who is answered leaves. */
static void await_answers(const char *model, int *clients, unsigned *answered, unsigned wanted)
{
	while (*answered < wanted) {
		struct pollfd polls[TOGETHER];

		for (unsigned i = 0; i < TOGETHER; i++)
			polls[i] = (struct pollfd){ .fd = clients[i], .events = POLLIN };
		if (poll(polls, TOGETHER, PATIENCE_S * 1000) < 1)
			test_fail(__FILE__, __LINE__, "%s: %u of %d clients are answered, not %u", model,
				*answered, TOGETHER, wanted);
		for (unsigned i = 0; i < TOGETHER; i++) {
			if (!polls[i].revents)
				continue;
			await_answer(model, clients[i], "one of many");
			close(clients[i]);
			clients[i] = -1;
			++*answered;
		}
	}
}

static void each_finds_the_idle_one(
	const char *model, const struct gb_server *server, const struct pipes *pipes)
{
	int holders[WORKERS - 1];

	for (unsigned i = 0; i < gb__countof(holders); i++)
		holders[i] = hold(model, server, pipes);
	for (unsigned i = 0; i < ONE_AFTER_ANOTHER; i++) {
		int client = client_of(server);

		driver_send(client, "x");
		await_answer(model, client, "a client beside an idle worker");
		close(client);
	}
	for (unsigned i = 0; i < gb__countof(holders); i++)
		CHECK(write(pipes->go[1], "g", 1) == 1);
	for (unsigned i = 0; i < gb__countof(holders); i++) {
		await_answer(model, holders[i], "one who was held");
		close(holders[i]);
	}
}

static void those_placed_elsewhere_are_served(
	const char *model, const struct gb_server *server, const struct pipes *pipes, unsigned wanted)
{
	int holder = hold(model, server, pipes), clients[TOGETHER];
	unsigned answered = 0;

	for (unsigned i = 0; i < TOGETHER; i++) {
		clients[i] = client_of(server);
		driver_send(clients[i], "x");
	}
	await_answers(model, clients, &answered, wanted);
	CHECK(write(pipes->go[1], "g", 1) == 1);
	await_answer(model, holder, "one who was held");
	close(holder);
	await_answers(model, clients, &answered, TOGETHER);
}

static void serve_beside_the_busy(const char *spec, const struct gb__model *model)
{
	struct pipes pipes;
	struct gb_server *server;
	pid_t pid;

	CHECK(pipe(pipes.held) == 0 && pipe(pipes.go) == 0);
	server = driver_server(spec, &holding, &pipes);
	if (server) {
		pid = driver_host(server);
		if (model->accept == GB__ACCEPT_REUSEPORT)
			those_placed_elsewhere_are_served(spec, server, &pipes, 1);
		else if (model->accept == GB__ACCEPT_ACCEPTOR && model->engine != GB__ENGINE_BLOCKING &&
			model->compute == GB__COMPUTE_INLINE)
			those_placed_elsewhere_are_served(
				spec, server, &pipes, TOGETHER - TOGETHER / WORKERS);
		else
			each_finds_the_idle_one(spec, server, &pipes);
		driver_finish(server, pid);
	}
	for (unsigned i = 0; i < 2; i++) {
		close(pipes.held[i]);
		close(pipes.go[i]);
	}
}

static void run_spec(const char *spec)
{
	struct gb_error error;
	struct gb__model model;

	CHECK_INT(gb__model_parse(spec, &model, &error), 0);
	if (model.workers != 1 && gb__model_check(&model, NULL) == 0)
		serve_beside_the_busy(spec, &model);
}

TEST(a_new_client_is_served_beside_busy_workers_under_every_preset)
{
	const struct gb_preset *preset = NULL;

	while ((preset = gb_preset_next(preset)) != NULL) {
		char spec[256];
		char *many;

		snprintf(spec, sizeof(spec), "%s", preset->axes);
		many = strstr(spec, "workers=N");
		if (many)
			many[strlen("workers=")] = '0' + WORKERS;
		if (strstr(spec, "compute=threads")) /* one of the pool is idle, too */
			snprintf(spec + strlen(spec), sizeof(spec) - strlen(spec), ",compute-workers=%d",
				WORKERS);
		run_spec(spec);
	}
}

static void with_every_engine(const char *axes)
{
	static const char *const engines[] = { "blocking", "select", "poll", "epoll", "io_uring", "busy" };

	for (size_t i = 0; i < gb__countof(engines); i++) {
		char spec[256];

		snprintf(spec, sizeof(spec), "workers=%d,engine=%s,%s", WORKERS, engines[i], axes);
		run_spec(spec);
	}
}

TEST(a_new_client_is_served_beside_busy_threads_on_a_shared_socket)
{
	with_every_engine("accept=shared,unit=thread");
	with_every_engine("accept=shared,unit=thread,wake=all");
	with_every_engine("accept=shared,unit=thread,accept-batch=1");
}

TEST(a_new_client_is_served_beside_busy_processes_on_a_shared_socket)
{
	with_every_engine("accept=shared,unit=process");
	with_every_engine("accept=shared,unit=process,wake=all");
}

TEST(a_new_client_is_served_beside_busy_workers_whoever_holds_the_lock)
{
	with_every_engine("accept=shared,unit=thread,wake=lock");
	with_every_engine("accept=shared,unit=process,wake=lock");
}

TEST(a_new_client_is_served_beside_busy_workers_when_it_is_handed_over)
{
	with_every_engine("accept=acceptor,unit=thread");
	with_every_engine("accept=acceptor,unit=process");
	with_every_engine("accept=acceptor,unit=thread,place=least-connections");
	with_every_engine("accept=acceptor,unit=process,place=least-connections");
}

TEST(a_new_client_is_served_beside_busy_workers_with_sockets_of_their_own)
{
	with_every_engine("accept=reuseport,unit=thread");
	with_every_engine("accept=reuseport,unit=process");
}
