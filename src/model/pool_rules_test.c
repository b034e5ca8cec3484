/* compute=threads: a connection is one thread's at a time, and whoever breaks the rule is told where. */
#include "model/server_test_driver.h"

#include <gearbox/reply.h>
#include <gearbox/stream.h>
#include <gearbox/worker.h>

#include <errno.h>
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

/* What a chat does that takes its handlers for the only ones: each call names itself and the rule. */
static void send_to_first(struct gb_conn *conn)
{
	gb_conn_send(first, "x", 1);
}

static void try_to_send_to_first(struct gb_conn *conn)
{
	gb_conn_try_send(first, "x", 1);
}

static void print_to_first(struct gb_conn *conn)
{
	gb_conn_printf(first, "%u", 1u);
}

static void share_with_first(struct gb_conn *conn)
{
	struct gb_buffer *buffer;

	CHECK_INT(gb_buffer_create("x", 1, &buffer), 0);
	gb_conn_send_ref(first, buffer);
}

static void end_output_of_first(struct gb_conn *conn)
{
	gb_conn_end_output(first);
}

static void close_first(struct gb_conn *conn)
{
	gb_conn_close(first);
}

static void fail_first(struct gb_conn *conn)
{
	gb_conn_fail(first, GB_CLOSE_REFUSED);
}

static void abort_first(struct gb_conn *conn)
{
	gb_conn_abort(first);
}

static void pause_first(struct gb_conn *conn)
{
	gb_conn_pause(first);
}

static void resume_first(struct gb_conn *conn)
{
	gb_conn_resume(first);
}

static void hold_first(struct gb_conn *conn)
{
	gb_conn_hold(first);
}

static void release_first(struct gb_conn *conn)
{
	gb_conn_release(first);
}

static void limit_first(struct gb_conn *conn)
{
	gb_conn_set(first, GB_LIMIT_IDLE_TIMEOUT, 1000);
}

static void read_first_on(struct gb_conn *conn)
{
	gb_conn_read_while_high(first, true);
}

static void defer_of_first(struct gb_conn *conn)
{
	struct gb_reply reply;

	gb_conn_defer(first, &reply);
}

static void look_up(struct gb_conn *conn)
{
	gb_handle_conn(gb_conn_handle(conn));
}

static void start_timer(struct gb_conn *conn)
{
	static struct gb_timer timer;

	gb_timer_start(gb_conn_worker(conn), &timer, 1, NULL, NULL);
}

static void connect_there(struct gb_conn *conn)
{
	struct gb_conn *there;

	gb_connect(gb_conn_worker(conn), "127.0.0.1:1", &long_service, NULL, &there, NULL);
}

static void set_data(struct gb_conn *conn)
{
	gb_worker_set_data(gb_conn_worker(conn), &first, NULL);
}

static int never(struct gb_coro *coro, void *arg)
{
	return 0;
}

static void start_coroutine(struct gb_conn *conn)
{
	gb_coro_start(gb_conn_worker(conn), "wrong", never, NULL);
}

/* What is posted runs once the handler has returned: its facade is gone, and who uses it would use nobody's. */
static struct gb_conn *kept;

static void send_to_kept(struct gb_conn *conn, int status, void *arg)
{
	gb_conn_send(kept, "late", 4);
}

static void close_kept(struct gb_conn *conn, int status, void *arg)
{
	gb_conn_close(kept);
}

static void hold_kept(struct gb_conn *conn, int status, void *arg)
{
	gb_conn_hold(kept);
}

static void keep(struct gb_conn *conn, void (*task)(struct gb_conn *conn, int status, void *arg))
{
	kept = conn;
	CHECK_INT(gb_handle_post(gb_conn_handle(conn), task, NULL), 0);
}

static void keep_and_send(struct gb_conn *conn)
{
	keep(conn, send_to_kept);
}

static void keep_and_close(struct gb_conn *conn)
{
	keep(conn, close_kept);
}

static void keep_and_hold(struct gb_conn *conn)
{
	keep(conn, hold_kept);
}

static void release_own(struct gb_conn *conn)
{
	gb_conn_release(conn);
}

struct misuse {
	void (*commit)(struct gb_conn *conn); /* on a pool thread */
	const char *function;                 /* that is named, */
	unsigned rule;                        /* with the rule */
};

static void commit(struct gb_conn *conn, struct gb_bytes message)
{
	const struct misuse *misuse = gb_conn_user(conn);

	misuse->commit(conn);
	gb_server_stop(gb_worker_server(gb_conn_worker(conn))); /* it was not noticed */
}

/* What the server says as it goes down. The second of two clients asks for it, so that the first is another's. */
static void check_ends(const struct gb_service *service, const struct misuse *misuse)
{
	struct gb_server *server =
		driver_server("reactor-pool,compute-workers=1", service, (void *)(uintptr_t)misuse);
	int ends[2], clients[2], own = dup(STDERR_FILENO);
	static char text[1 << 18]; /* a sanitizer has much to say of it, too */
	char expected[64];
	size_t used = 0;
	ssize_t size;
	pid_t pid;

	memset(text, 0, sizeof(text));
	CHECK(pipe(ends) == 0 && own >= 0 && dup2(ends[1], STDERR_FILENO) >= 0);
	pid = driver_host(server);
	CHECK(dup2(own, STDERR_FILENO) >= 0);
	close(own);
	close(ends[1]);
	for (unsigned i = 0; i < 2; i++)
		clients[i] = driver_client(server);
	driver_send(clients[1], "x");
	while ((size = read(ends[0], text + used, sizeof(text) - 1 - used)) > 0)
		used = used + (size_t)size < sizeof(text) / 2 ? used + (size_t)size : sizeof(text) / 2;
	close(ends[0]);
	snprintf(expected, sizeof(expected), "(rule %u of docs/lifetimes.md)", misuse->rule);
	if (driver_await(pid) != 128 + SIGABRT || !strstr(text, misuse->function) || !strstr(text, expected))
		test_fail(__FILE__, __LINE__, "%s, rule %u: it says \"%s\"", misuse->function, misuse->rule,
			text);
	close(clients[0]);
	close(clients[1]);
	gb_server_destroy(server);
}

static void check_misused(const struct misuse *misuse)
{
	static const struct gb_service service = { GB_SERVICE_INIT, .name = "wrong", .state = GB_STATE_NONE,
		.on_open = note_first, .on_message = commit };

	check_ends(&service, misuse);
}

TEST(another_connection_used_on_a_pool_thread_ends_the_program_by_its_rule)
{
	static const struct misuse misuses[] = {
		{ send_to_first, "gb_conn_send: ", 15 },
		{ try_to_send_to_first, "gb_conn_try_send: ", 15 },
		{ print_to_first, "gb_conn_printf: ", 15 },
		{ share_with_first, "gb_conn_send_ref: ", 15 },
		{ end_output_of_first, "gb_conn_end_output: ", 15 },
		{ close_first, "gb_conn_close: ", 15 },
		{ fail_first, "gb_conn_fail: ", 15 },
		{ abort_first, "gb_conn_abort: ", 15 },
		{ pause_first, "gb_conn_pause: ", 15 },
		{ resume_first, "gb_conn_resume: ", 15 },
		{ hold_first, "gb_conn_hold: ", 15 },
		{ release_first, "gb_conn_release: ", 15 },
		{ limit_first, "gb_conn_set: ", 15 },
		{ read_first_on, "gb_conn_read_while_high: ", 15 },
		{ defer_of_first, "gb_conn_defer: ", 15 },
	};

	for (size_t i = 0; i < sizeof(misuses) / sizeof(*misuses); i++)
		check_misused(&misuses[i]);
}

TEST(what_is_for_the_workers_thread_ends_the_program_on_a_pool_thread_by_its_rule)
{
	static const struct misuse misuses[] = {
		{ look_up, "gb_handle_conn: ", 28 },
		{ start_timer, "gb_timer_start: ", 23 },
		{ connect_there, "gb_connect: ", 31 },
		{ start_coroutine, "gb_coro_start: ", 47 },
		{ set_data, "gb_worker_set_data: ", 31 },
	};

	for (size_t i = 0; i < sizeof(misuses) / sizeof(*misuses); i++)
		check_misused(&misuses[i]);
}

TEST(a_release_without_a_hold_ends_the_program_by_its_rule)
{
	check_misused(&(const struct misuse){ release_own, "gb_conn_release: ", 45 });
}

TEST(a_facade_used_after_its_handler_ends_the_program_by_its_rule)
{
	static const struct misuse misuses[] = {
		{ keep_and_send, "gb_conn_send: ", 31 },
		{ keep_and_close, "gb_conn_close: ", 31 },
		{ keep_and_hold, "gb_conn_hold: ", 31 },
	};

	for (size_t i = 0; i < sizeof(misuses) / sizeof(*misuses); i++)
		check_misused(&misuses[i]);
}

/* A channel is of one worker: a function that runs in the pool posts to it. */
static struct gb_channel *channel;
static bool receives;

static int receive(struct gb_coro *coro, void *arg)
{
	int value;

	receives = true;
	gb_channel_receive(coro, channel, &value);
	return 0;
}

static int send_from_the_pool(struct gb_offload *offload, void *arg)
{
	return gb_channel_try_send(channel, &(int){ 1 });
}

static void send_elsewhere(struct gb_stream *stream)
{
	struct gb_coro *coro = gb_stream_coro(stream);
	struct gb_bytes message;

	if (gb_read_message(stream, &message) <= 0)
		return;
	CHECK_INT(gb_channel_create(sizeof(int), 1, &channel), 0);
	CHECK_INT(gb_coro_start(gb_coro_worker(coro), "receiver", receive, NULL), 0);
	while (!receives)
		CHECK_INT(gb_yield(coro), 0);
	gb_offload(coro, send_from_the_pool, NULL);
	gb_server_stop(gb_worker_server(gb_coro_worker(coro))); /* it was not noticed */
}

TEST(a_channel_used_on_a_pool_thread_ends_the_program_by_its_rule)
{
	static const struct gb_service service = { GB_SERVICE_INIT, .name = "wrong", .state = GB_STATE_NONE,
		.serve = send_elsewhere };
	static const struct misuse misuse = { NULL, "a channel: ", 52 };

	check_ends(&service, &misuse);
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
