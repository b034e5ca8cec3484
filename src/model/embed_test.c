/* A server in a loop of somebody else's, and who cannot be there; a process model beside threads. */
#include "base/macros.h"
#include "harness.h"
#include "model/server_test_driver.h"

#include <gearbox/stream.h>
#include <gearbox/worker.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static const char *const models[] = { "reactor,engine=epoll", "proactor", "reactor-pool,compute-workers=1",
	"proactor,compute=threads,compute-workers=1" };

/* Until it has drained; `turns` bounds a loop that spins. */
static void serve_by_poll(struct gb_server *server, unsigned *ret_turns)
{
	unsigned turns = 0;

	do {
		struct pollfd fd = { .fd = gb_server_descriptor(server), .events = POLLIN };

		CHECK(poll(&fd, 1, gb_server_timeout_ms(server)) >= 0);
		turns++;
	} while (gb_server_step(server));
	*ret_turns = turns;
}

static void posted(struct gb_worker *worker, void *arg)
{
	CHECK(worker);
	atomic_store((_Atomic bool *)arg, true);
}

static struct gb_worker *_Atomic the_worker;

static int on_start(struct gb_worker *worker, void *user)
{
	atomic_store(&the_worker, worker);
	return 0;
}

static void on_message(struct gb_conn *conn, struct gb_bytes message)
{
	gb_conn_send(conn, message.data, message.size);
}

static const struct gb_service echo = { GB_SERVICE_INIT, .name = "echo", .state = GB_STATE_NONE,
	.on_start = on_start, .on_message = on_message };

#define EXCHANGES 50u

static void *visit(void *arg)
{
	struct gb_server *server = arg;
	_Atomic bool ran = false;

	for (unsigned i = 0; i < 3; i++) {
		int client = driver_client(server);

		for (unsigned n = 0; n < EXCHANGES; n++)
			driver_ask(client, "hello", "hello");
		close(client);
	}
	CHECK_INT(gb_worker_post(atomic_load(&the_worker), posted, (void *)&ran), 0);
	while (!atomic_load(&ran))
		usleep(1000);
	gb_server_stop(server);
	return NULL;
}

static void embedded(const char *model)
{
	struct gb_server *server = driver_server(model, &echo, NULL);
	struct gb_error error = { 0 };
	struct gb_stats stats;
	pthread_t thread;
	unsigned turns;

	if (!server)
		return;
	if (gb_server_begin(server, &error) < 0)
		test_fail(__FILE__, __LINE__, "%s: %s", model, error.text);
	CHECK_INT(gb_server_begin(server, &error), -EBUSY);
	CHECK_INT(gb_server_run(server, &error), -EBUSY);
	CHECK_INT(pthread_create(&thread, NULL, visit, server), 0);
	serve_by_poll(server, &turns);
	CHECK_INT(pthread_join(thread, NULL), 0);
	gb_server_end(server);
	gb_server_stats(server, &stats);
	CHECK_INT(stats.accepted, 3);
	CHECK_INT(driver_closed(&stats), 3);
	CHECK_INT(stats.bytes_in, 3 * EXCHANGES * 5);
	/* Some for each message, and for each end; not round and round. */
	if (turns > 3 * EXCHANGES * 8 + 500)
		test_fail(__FILE__, __LINE__, "%s: %u turns", model, turns);
	gb_server_destroy(server);
}

TEST(a_server_serves_in_another_loop)
{
	test_side_by_side(embedded, models, gb__countof(models));
}

/* What comes by time comes, with nobody at the descriptor. */
static int sleeps(struct gb_coro *coro, void *arg)
{
	for (unsigned i = 0; i < 5; i++)
		CHECK_INT(gb_sleep(coro, 3), 0);
	gb_server_stop(gb_worker_server(gb_coro_worker(coro)));
	return 0;
}

static int start_sleeper(struct gb_worker *worker, void *user)
{
	return gb_coro_start(worker, "sleeper", sleeps, NULL);
}

static const struct gb_service sleeping = { GB_SERVICE_INIT, .name = "sleeping", .state = GB_STATE_NONE,
	.on_start = start_sleeper, .on_message = on_message };

static void by_time(const char *model)
{
	struct gb_server *server = driver_server(model, &sleeping, NULL);
	struct gb_error error;
	unsigned turns;

	if (!server)
		return;
	CHECK_INT(gb_server_begin(server, &error), 0);
	serve_by_poll(server, &turns);
	CHECK(turns < 500);
	gb_server_end(server);
	gb_server_destroy(server);
}

TEST(timers_are_told_in_another_loop)
{
	test_side_by_side(by_time, models, gb__countof(models));
}

/* Ended in the middle: who is connected is cut off. A server that was never stepped ends as well. */
static void cut_off(const char *model)
{
	for (unsigned steps = 0; steps < 2; steps++) {
		struct gb_server *server = driver_server(model, &echo, NULL);
		struct gb_error error;
		char byte;
		int client;

		if (!server)
			return;
		CHECK_INT(gb_server_begin(server, &error), 0);
		client = driver_client(server);
		if (steps) {
			struct pollfd answer = { .fd = client, .events = POLLIN };

			driver_send(client, "x");
			while (poll(&answer, 1, 0) == 0)
				CHECK_INT(gb_server_step(server), 1);
			CHECK_INT(driver_receive(client, &byte, 1), 1);
		}
		gb_server_end(server);
		CHECK(driver_receive(client, &byte, 1) <= 0);
		close(client);
		gb_server_destroy(server);
	}
}

TEST(a_server_in_another_loop_may_be_ended_at_any_time)
{
	test_side_by_side(cut_off, models, gb__countof(models));
}

static void check_cannot(const char *model, const char *part)
{
	struct gb_server *server = driver_server(model, &echo, NULL);
	struct gb_error error = { 0 };

	CHECK_INT(gb_server_begin(server, &error), -ENOTSUP);
	if (!strstr(error.text, part) || !strstr(error.text, "model=reactor"))
		test_fail(__FILE__, __LINE__, "%s: \"%s\" lacks \"%s\"", model, error.text, part);
	CHECK_INT(gb_server_descriptor(server), -EBADF);
	gb_server_destroy(server);
}

TEST(models_that_cannot_be_in_another_loop_say_which_can)
{
	check_cannot("iterative", "has none");
	check_cannot("reactor,engine=poll", "has none");
	check_cannot("reactor,engine=select", "has none");
	check_cannot("multi-reactor,workers=2", "workers of its own");
	check_cannot("prefork,workers=2", "workers of its own");
	check_cannot("thread-per-connection", "workers of its own");
}

static void *stop_then_step(void *server)
{
	gb_server_step(server);
	return NULL;
}

TEST(a_step_on_another_thread_aborts)
{
	pid_t pid = fork();

	if (pid == 0) {
		struct gb_server *server = driver_server("reactor,engine=epoll", &echo, NULL);
		pthread_t thread;

		CHECK_INT(gb_server_begin(server, NULL), 0);
		gb_server_step(server);
		pthread_create(&thread, NULL, stop_then_step, server);
		pthread_join(thread, NULL);
		_exit(0);
	}
	CHECK_INT(driver_await(pid), 128 + SIGABRT);
}

#ifndef __SANITIZE_THREAD__
static void *wait_for(void *arg)
{
	char byte;

	CHECK(read(*(int *)arg, &byte, 1) == 0);
	return NULL;
}

TEST(worker_processes_are_not_forked_from_a_program_with_threads)
{
	static const char *const forking[] = { "prefork,workers=2", "process-per-connection" };

	for (size_t i = 0; i < gb__countof(forking); i++) {
		struct gb_server *server = driver_server(forking[i], &driver_echo, NULL);
		struct gb_error error = { 0 };
		pthread_t thread;
		pid_t pid;
		int fds[2];

		CHECK_INT(pipe(fds), 0);
		CHECK_INT(pthread_create(&thread, NULL, wait_for, &fds[0]), 0);
		CHECK_INT(gb_server_run(server, &error), -EBUSY);
		if (!strstr(error.text, "2 threads") || !strstr(error.text, "multi-reactor"))
			test_fail(__FILE__, __LINE__, "%s", error.text);
		close(fds[1]);
		CHECK_INT(pthread_join(thread, NULL), 0);
		close(fds[0]);
		pid = driver_host(server);
		driver_visit(server);
		driver_finish(server, pid);
	}
}
#endif
