/* compute=threads: a connection is one thread's at a time, and whoever breaks the rule is told where. */
#include "model/server_test_driver.h"

#include <errno.h>
#include <gearbox/worker.h>

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

static sem_t leave;
static _Atomic bool handling;
static _Atomic unsigned tasks;

static void look(struct gb_conn *conn, int status, void *arg)
{
	CHECK(!handling);
	if (conn)
		gb_conn_printf(conn, "task %u\n", tasks + 1);
	tasks++;
}

static void from_worker(struct gb_worker *worker, void *arg)
{
	sem_post(&leave);
}

/* Posts to its own connection, then waits until the worker has had a turn in which it could have run that. */
static void handle_long(struct gb_conn *conn, struct gb_bytes message)
{
	handling = true;
	for (unsigned i = 0; i < 2; i++)
		CHECK_INT(gb_handle_post(gb_conn_handle(conn), look, NULL), 0);
	CHECK_INT(gb_worker_post(gb_conn_worker(conn), from_worker, NULL), 0);
	sem_wait(&leave); /* the worker goes on meanwhile */
	gb_conn_send(conn, "handled\n", 8);
	handling = false;
}

static const struct gb_service long_service = { GB_SERVICE_INIT, .name = "long", .state = GB_STATE_NONE,
	.codec = &gb_codec_line, .on_message = handle_long };

static void ask_then_stop(struct gb_server *server, const char *question, const char *expected)
{
	const size_t size = strlen(expected);
	int client = driver_client(server);
	char text[64] = "";

	CHECK(size < sizeof(text));
	driver_send(client, question);
	CHECK_INT(driver_receive(client, text, size), size);
	CHECK_STR(text, expected);
	close(client);
	gb_server_stop(server);
}

static void *ask(void *server)
{
	ask_then_stop(server, "go\n", "handled\ntask 1\ntask 2\n");
	return NULL;
}

static void check_tasks_wait(const char *model)
{
	struct gb_server *server = driver_server(model, &long_service, NULL);

	if (!server)
		return;
	tasks = 0;
	CHECK(sem_init(&leave, 0, 0) == 0);
	driver_run_beside(server, ask);
	CHECK_INT(tasks, 2);
	gb_server_destroy(server);
}

TEST(tasks_posted_to_a_connection_wait_for_its_handler)
{
	check_tasks_wait("reactor-pool,compute-workers=2");
	check_tasks_wait("proactor-pool,compute-workers=2");
	check_tasks_wait("multi-reactor-pool,workers=2,compute-workers=2");
}

static struct gb_conn *_Atomic first;

static int note_first(struct gb_conn *conn)
{
	struct gb_conn *none = NULL;

	atomic_compare_exchange_strong(&first, &none, conn);
	return 0;
}

/* What a chat does that takes its handlers for the only ones. */
static void send_to_first(struct gb_conn *conn, struct gb_bytes message)
{
	gb_conn_send(first, message.data, message.size);
}

static void close_first(struct gb_conn *conn, struct gb_bytes message)
{
	gb_conn_close(first);
}

static void resume_first(struct gb_conn *conn, struct gb_bytes message)
{
	gb_conn_resume(first);
}

static void start_timer(struct gb_conn *conn, struct gb_bytes message)
{
	static struct gb_timer timer;

	gb_timer_start(gb_conn_worker(conn), &timer, 1, NULL, NULL);
}

static void check_broken(void (*on_message)(struct gb_conn *, struct gb_bytes))
{
	const struct gb_service service = { GB_SERVICE_INIT, .name = "wrong", .state = GB_STATE_NONE,
		.on_open = note_first, .on_message = on_message };
	struct gb_server *server = driver_server("reactor-pool,compute-workers=1", &service, NULL);
	pid_t pid;
	int clients[2];
	char byte;

	pid = driver_host(server);
	for (unsigned i = 0; i < 2; i++)
		clients[i] = driver_client(server);
	driver_send(clients[1], "x");
	driver_receive(clients[1], &byte, 1);
	CHECK_INT(driver_await(pid), 128 + SIGABRT);
	close(clients[0]);
	close(clients[1]);
	gb_server_destroy(server);
}

static struct gb_conn *kept;

static void send_to_kept(struct gb_conn *conn, int status, void *arg)
{
	gb_conn_send(kept, "late", 4);
}

/* What is posted runs once the handler has returned: its facade is gone, and who sends on it would send to nobody. */
static void keep_the_facade(struct gb_conn *conn, struct gb_bytes message)
{
	kept = conn;
	gb_handle_post(gb_conn_handle(conn), send_to_kept, NULL);
}

TEST(another_connection_used_on_a_pool_thread_aborts)
{
	check_broken(send_to_first);
	check_broken(close_first);
	check_broken(resume_first);
}

TEST(a_facade_used_after_its_handler_aborts)
{
	check_broken(keep_the_facade);
}

TEST(a_timer_started_on_a_pool_thread_aborts)
{
	check_broken(start_timer);
}

/* A codec of one's own: a digit is the kind, then a line. What it parsed reaches the handler. */
struct digits {
	char last[2];
};

static int digits_decode(const void *options, void *state, struct gb_bytes input, size_t max_message,
	uint32_t *scanned, struct gb_frame *ret)
{
	struct digits *digits = state;
	int found = gb_codec_line.decode(NULL, NULL, input, max_message, scanned, ret);

	if (found <= 0)
		return found;
	digits->last[0] = (char)input.data[0];
	ret->key = (uint64_t)(input.data[0] - '0');
	ret->parsed = digits->last;
	return found;
}

static const struct gb_codec_ops digits_codec = { "digits", sizeof(struct digits), digits_decode };

static void tell_frame(struct gb_conn *conn, struct gb_bytes message)
{
	const struct gb_frame *frame = gb_conn_frame(conn);

	gb_conn_printf(conn, "%u%s%zu\n", (unsigned)frame->key, (const char *)frame->parsed, frame->size);
}

static const struct gb_service frame_service = { GB_SERVICE_INIT, .name = "frame", .state = GB_STATE_NONE,
	.codec = &digits_codec, .on_message = tell_frame };

static void *ask_frames(void *server)
{
	ask_then_stop(server, "1\n2ab\n9c\n", "111\n223\n992\n");
	return NULL;
}

TEST(what_a_codec_parsed_reaches_the_handler)
{
	static const char *const models[] = { "reactor", "iterative", "proactor", "reactor-pool" };

	for (size_t i = 0; i < sizeof(models) / sizeof(*models); i++) {
		struct gb_server *server = driver_server(models[i], &frame_service, NULL);

		if (!server)
			continue;
		driver_run_beside(server, ask_frames);
		gb_server_destroy(server);
	}
}

static struct gb_handle limited;
static sem_t limit_set;

static void change_limits(struct gb_worker *worker, void *arg)
{
	struct gb_conn *conn = worker ? gb_handle_conn(limited) : NULL;

	(void)arg;
	for (uint64_t i = 0; conn && i < 200; i++) {
		CHECK_INT(gb_conn_set(conn, GB_LIMIT_OUTPUT_LOW, 1000 + i), 0);
		CHECK_INT(gb_conn_set(conn, GB_LIMIT_OUTPUT_HIGH, 20000 + i), 0);
		CHECK_INT(gb_conn_set(conn, GB_LIMIT_OUTPUT_MAX, 1000000 + i), 0);
	}
	sem_post(&limit_set);
}

/* Limits are looked at here while the worker changes them: the thread sanitizer sees whether that is in order. */
static void send_meanwhile(struct gb_conn *conn, struct gb_bytes message)
{
	CHECK_INT(gb_conn_set(conn, GB_LIMIT_OUTPUT_LOW, 1), -EWOULDBLOCK);
	limited = gb_conn_handle(conn);
	CHECK_INT(gb_worker_post(gb_conn_worker(conn), change_limits, NULL), 0);
	do
		gb_conn_try_send(conn, ".", 1);
	while (sem_trywait(&limit_set) < 0);
	gb_conn_send(conn, message.data, message.size);
	gb_conn_close(conn);
}

/* From here on it has limits of its own, which its tasks see. */
static int have_own_limits(struct gb_conn *conn)
{
	return gb_conn_set(conn, GB_LIMIT_OUTPUT_LOW, 500);
}

TEST(limits_may_change_while_a_handler_runs_in_the_pool)
{
	static const struct gb_limit limits[] = { { GB_LIMIT_OUTPUT_LOW, 2000 },
		{ GB_LIMIT_OUTPUT_HIGH, 30000 }, { GB_LIMIT_NONE, 0 } };
	static const struct gb_service service = { GB_SERVICE_INIT, .name = "limited", .state = GB_STATE_NONE,
		.limits = limits, .on_open = have_own_limits, .on_message = send_meanwhile };
	static const char *const models[] = { "reactor-pool", "multi-reactor-pool,workers=2",
		"proactor-pool" };

	for (size_t i = 0; i < sizeof(models) / sizeof(*models); i++) {
		struct gb_server *server = driver_server(models[i], &service, NULL);
		pid_t pid;
		int client;
		char byte;

		if (!server)
			continue;
		sem_init(&limit_set, 0, 0);
		pid = driver_host(server);
		client = driver_client(server);
		driver_send(client, "x");
		while (driver_receive(client, &byte, 1) == 1 && byte == '.')
			;
		CHECK(byte == 'x');
		close(client);
		gb_server_stop(server);
		CHECK_INT(driver_await(pid), 0);
		gb_server_destroy(server);
	}
}
