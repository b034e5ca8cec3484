/* compute=processes: a handler that crashes costs its message, and what it does comes back as from a thread. */
#include "model/server_test_driver.h"

#include <gearbox/worker.h>

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

static const char *const models[] = {
	"reactor,compute=processes,compute-workers=2",
	"reactor,engine=poll,compute=processes,compute-workers=1",
	"multi-reactor,workers=2,compute=processes,compute-workers=2",
	"multi-reactor-reuseport,workers=2,compute=processes,compute-workers=2",
	"proactor,compute=processes,compute-workers=2",
	"multi-proactor,workers=2,compute=processes,compute-workers=2",
	"prefork-reactor,workers=2,compute=processes,compute-workers=2",
};

/* What all processes see. */
static struct shared {
	_Atomic unsigned began, released, closed_crashed, started, stopped, started_apart, stopped_apart;
} * shared;

static void share(void)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(shared != MAP_FAILED);
}

/* Plain bytes: they go to the process and come back. */
struct talk {
	unsigned lines;
};

static void await(const _Atomic unsigned *number, unsigned value)
{
	while (atomic_load(number) < value)
		usleep(1000);
}

static unsigned deep(volatile unsigned char *before)
{
	volatile unsigned char bytes[4096];

	bytes[0] = before ? before[0] : 0;
	return bytes[0] == 77 ? 0 : bytes[0] + deep(bytes); /* it never is */
}

static void leak(void)
{
	const struct rlimit limit = { 256u << 20, 256u << 20 };

	setrlimit(RLIMIT_AS, &limit);
	for (;;) {
		char *memory = malloc(1u << 20);

		if (!memory)
			abort();
		memory[0] = 1;
	}
}

static void services_refused(struct gb_conn *conn)
{
	static struct gb_timer timer;
	struct gb_worker *worker = gb_conn_worker(conn);
	struct gb_error error;
	struct gb_conn *other;
	char text[64];

	gb_conn_printf(conn, "%d %d %d %d %d %d %d %s\n", gb_worker_computes(worker),
		gb_timer_start(worker, &timer, 1, NULL, NULL) == -EOPNOTSUPP,
		gb_worker_post(worker, NULL, NULL) == -EOPNOTSUPP,
		gb_handle_post(gb_conn_handle(conn), NULL, NULL) == -EOPNOTSUPP,
		gb_connect(worker, "127.0.0.1:1", NULL, NULL, &other, &error) == -EOPNOTSUPP,
		gb_conn_peer(conn, text, sizeof(text)) == -EOPNOTSUPP, gb_conn_descriptor(conn),
		gb_worker_engine(worker));
}

static bool is(struct gb_bytes message, const char *text)
{
	return message.size == strlen(text) && memcmp(message.data, text, message.size) == 0;
}

static void on_message(struct gb_conn *conn, struct gb_bytes message)
{
	struct talk *talk = gb_conn_state(conn);
	volatile char *nowhere = NULL;

	talk->lines++;
	if (is(message, "abort"))
		abort();
	else if (is(message, "kill"))
		raise(SIGKILL);
	else if (is(message, "exit"))
		exit(0);
	else if (is(message, "null"))
		*nowhere = 1;
	else if (is(message, "stack"))
		deep(NULL);
	else if (is(message, "leak"))
		leak();
	else if (is(message, "wait") || is(message, "die")) {
		shared->began++;
		await(&shared->released, 1);
		if (is(message, "die"))
			raise(SIGKILL);
	} else if (is(message, "hang")) {
		shared->began++;
		for (;;)
			pause();
	} else if (is(message, "cancelled")) {
		shared->began++;
		while (!gb_conn_cancelled(conn))
			usleep(1000);
		shared->released++;
	} else if (is(message, "operation")) {
		struct gb_posted posted;

		gb_posted_begin(gb_conn_worker(conn), &posted, NULL, NULL);
	} else if (is(message, "refused")) {
		services_refused(conn);
		return;
	} else if (is(message, "pids")) {
		gb_conn_printf(conn, "%08d %08d\n", getpid(), getppid());
		return;
	} else if (is(message, "stop")) {
		gb_server_stop(gb_worker_server(gb_conn_worker(conn)));
	} else if (is(message, "bye")) {
		gb_conn_send(conn, "bye\n", 4);
		gb_conn_close(conn);
		return;
	} else if (is(message, "reset")) {
		gb_conn_abort(conn);
	} else if (is(message, "fail")) {
		gb_conn_fail(conn, GB_CLOSE_REFUSED);
	} else if (is(message, "end")) {
		gb_conn_printf(conn, "last\n");
		gb_conn_end_output(conn);
		return;
	}
	gb_conn_printf(conn, "%u:", talk->lines);
	gb_conn_send(conn, message.data, message.size);
	gb_conn_send(conn, "\n", 1);
}

static void on_close(struct gb_conn *conn, int reason)
{
	if (reason == GB_CLOSE_CRASHED && !gb_worker_computes(gb_conn_worker(conn)))
		shared->closed_crashed++;
}

static int on_start(struct gb_worker *worker, void *user)
{
	(void)user;
	gb_worker_set_data(worker, &shared, &shared);
	if (gb_worker_computes(worker))
		shared->started_apart++;
	else
		shared->started++;
	return 0;
}

static void on_stop(struct gb_worker *worker, void *user)
{
	(void)user;
	CHECK(gb_worker_data(worker, &shared) == &shared);
	if (gb_worker_computes(worker))
		shared->stopped_apart++;
	else
		shared->stopped++;
}

static const struct gb_service risky = { GB_SERVICE_INIT, .name = "risky", .codec = &gb_codec_line,
	.state = GB_STATE_NONE, .traits = GB_TRAIT_MOVABLE_IDLE, .conn_state_size = sizeof(struct talk),
	.on_start = on_start, .on_stop = on_stop, .on_message = on_message, .on_close = on_close };

static struct gb_server *server_of(const char *model)
{
	share();
	return driver_server_with(model, "output-max", "4MiB", &risky, NULL);
}

static void a_crash(const char *model)
{
	static const char *const crashes[] = { "abort\n", "kill\n", "exit\n", "null\n", "stack\n", "leak\n" };
	const unsigned count = SANITIZED ? 3 : 6; /* a sanitizer has its own end for the others */
	struct gb_server *server = server_of(model);
	struct gb_stats stats;
	int beside[2];
	pid_t pid;

	if (!server)
		return;
	pid = driver_host(server);
	for (unsigned i = 0; i < 2; i++)
		driver_ask(beside[i] = driver_client(server), "a\n", "1:a\n");
	for (unsigned i = 0; i < count; i++) {
		int client = driver_client(server);
		char expected[32], byte;

		driver_ask(client, "before\n", "1:before\n");
		driver_send(client, crashes[i]);
		if (driver_receive(client, &byte, 1) != -1)
			test_fail(__FILE__, __LINE__, "%s: %s: no reset", model, crashes[i]);
		close(client);
		snprintf(expected, sizeof(expected), "%u:b\n", i + 2);
		for (unsigned j = 0; j < 2; j++)
			driver_ask(beside[j], "b\n", expected);
	}
	for (unsigned i = 0; i < 2; i++)
		close(beside[i]);
	stats = driver_finish_counted(server, pid);
	CHECK_INT(stats.closed[GB_CLOSE_CRASHED], count);
	CHECK_INT(shared->closed_crashed, count);
	CHECK_INT(stats.accepted, count + 2);
	CHECK_INT(driver_closed(&stats), count + 2);
}

TEST(a_handler_that_crashes_costs_its_connection_alone)
{
	test_side_by_side(a_crash, models, sizeof(models) / sizeof(*models));
}

/* One process, which has messages behind the one that kills it. */
static void the_rest_of_a_crash(const char *model)
{
	struct gb_server *server = server_of(model);
	int first, others[20];
	char text[64];
	pid_t pid;

	if (!server)
		return;
	pid = driver_host(server);
	first = driver_client(server);
	driver_send(first, "die\n");
	await(&shared->began, 1);
	for (unsigned i = 0; i < 20; i++) {
		others[i] = driver_client(server);
		driver_send(others[i], "x\ny\n");
	}
	atomic_store(&shared->released, 1);
	CHECK_INT(driver_receive(first, text, 1), -1);
	for (unsigned i = 0; i < 20; i++) {
		driver_ask(others[i], "z\n", "1:x\n2:y\n3:z\n");
		close(others[i]);
	}
	close(first);
	CHECK_INT(driver_finish_counted(server, pid).closed[GB_CLOSE_CRASHED], 1);
}

TEST(what_a_process_that_crashes_had_not_begun_goes_to_another)
{
	static const char *const specs[] = { "reactor,compute=processes,compute-workers=1",
		"multi-proactor,workers=2,compute=processes,compute-workers=1" };

	test_side_by_side(the_rest_of_a_crash, specs, 2);
}

static void a_long_one(const char *model)
{
	struct gb_server *server = server_of(model);
	int first, others[20];
	pid_t pid;

	if (!server)
		return;
	pid = driver_host(server);
	first = driver_client(server);
	driver_send(first, "wait\n");
	await(&shared->began, 1);
	for (unsigned i = 0; i < 20; i++)
		others[i] = driver_client(server);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 20; i++)
			driver_send(others[i], "x\n");
		for (unsigned i = 0; i < 20; i++) {
			char text[8];

			CHECK_INT(driver_receive(others[i], text, 4), 4);
		}
	}
	atomic_store(&shared->released, 1);
	driver_ask(first, "", "1:wait\n");
	for (unsigned i = 0; i < 20; i++)
		close(others[i]);
	close(first);
	driver_finish(server, pid);
}

TEST(no_message_waits_behind_a_long_one_while_there_is_another_process)
{
	static const char *const specs[] = { "reactor,compute=processes,compute-workers=2",
		"multi-reactor,workers=2,compute=processes,compute-workers=2" };

	test_side_by_side(a_long_one, specs, 2);
}

/* Lines of sizes at and around the parts in which they go. */
static void sizes(const char *model)
{
	static const size_t lengths[] = { 0, 1, (32u << 10) - 1, 32u << 10, (32u << 10) + 1, (64u << 10) - 2,
		(64u << 10) + 1, 1000000 };
	struct gb_server *server = server_of(model);
	pid_t pid;

	if (!server)
		return;
	pid = driver_host(server);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		const size_t size = lengths[i];
		char *line = malloc(size + 2), *got = malloc(size + 4);
		int client = driver_client(server);

		for (size_t j = 0; j < size; j++)
			line[j] = (char)('a' + (j * 7 + j / 26) % 26);
		line[size] = '\n';
		line[size + 1] = '\0';
		driver_send(client, line);
		CHECK_INT(driver_receive(client, got, size + 3), size + 3);
		CHECK(memcmp(got, "1:", 2) == 0 && memcmp(got + 2, line, size + 1) == 0);
		close(client);
		free(line);
		free(got);
	}
	driver_finish(server, pid);
}

TEST(a_message_and_its_reply_may_be_longer_than_what_is_shared)
{
	test_side_by_side(sizes, models, sizeof(models) / sizeof(*models));
}

static void wordy_message(struct gb_conn *conn, struct gb_bytes message)
{
	static char bytes[100000];

	while (gb_conn_send(conn, bytes, sizeof(bytes)) == 0)
		;
}

TEST(a_reply_above_output_max_ends_its_connection)
{
	static const struct gb_service wordy = { GB_SERVICE_INIT, .name = "wordy", .state = GB_STATE_NONE,
		.on_message = wordy_message };
	struct gb_server *server =
		driver_server_with("reactor,compute=processes", "output-max", "1MiB", &wordy, NULL);
	pid_t pid = driver_host(server);
	int client = driver_client(server);
	char byte;

	driver_send(client, "x");
	CHECK_INT(driver_receive(client, &byte, 1), -1);
	close(client);
	CHECK_INT(driver_finish_counted(server, pid).closed[GB_CLOSE_OUTPUT_LIMIT], 1);
}

TEST(what_the_handler_does_to_its_connection_comes_back)
{
	struct gb_server *server = server_of("reactor,compute=processes,compute-workers=1");
	pid_t pid = driver_host(server);
	struct gb_stats stats;
	int client = driver_client(server);
	char text[64];

	driver_ask(client, "refused\n", "1 1 1 1 1 1 -1 epoll\n");
	driver_ask(client, "x\nbye\n", "2:x\nbye\n");
	CHECK_INT(driver_receive(client, text, 1), 0);
	close(client);
	client = driver_client(server);
	driver_send(client, "reset\n");
	CHECK_INT(driver_receive(client, text, 1), -1);
	close(client);
	client = driver_client(server);
	driver_send(client, "fail\n");
	CHECK_INT(driver_receive(client, text, 1), 0);
	close(client);
	client = driver_client(server);
	driver_ask(client, "end\n", "last\n");
	CHECK_INT(driver_receive(client, text, 1), 0);
	close(client);
	stats = driver_finish_counted(server, pid);
	CHECK_INT(stats.closed[GB_CLOSE_LOCAL], 2);
	CHECK_INT(stats.closed[GB_CLOSE_REFUSED], 1);
	CHECK_INT(stats.closed[GB_CLOSE_EOF], 1);
	CHECK_INT(stats.closed[GB_CLOSE_CRASHED], 0);
}

TEST(a_broken_rule_costs_the_message_that_broke_it)
{
	struct gb_server *server = server_of("reactor,compute=processes,compute-workers=1");
	pid_t pid = driver_host(server);
	int client = driver_client(server);
	char byte;

	driver_send(client, "operation\n");
	CHECK_INT(driver_receive(client, &byte, 1), -1);
	close(client);
	driver_ask(client = driver_client(server), "x\n", "1:x\n");
	close(client);
	CHECK_INT(driver_finish_counted(server, pid).closed[GB_CLOSE_CRASHED], 1);
}

TEST(services_begin_and_end_in_each_process)
{
	struct gb_server *server = server_of("multi-reactor,workers=2,compute=processes,compute-workers=3");
	pid_t pid = driver_host(server);

	CHECK_INT(shared->started_apart, 3);
	CHECK_INT(shared->started, 2);
	driver_finish(server, pid);
	CHECK_INT(shared->stopped_apart, 3);
	CHECK_INT(shared->stopped, 2);
}

static void a_hang(const char *model)
{
	struct gb_server *server = server_of(model);
	struct gb_stats stats;
	int client;
	char byte;
	pid_t pid;

	if (!server)
		return;
	pid = driver_host(server);
	client = driver_client(server);
	driver_send(client, "hang\n");
	await(&shared->began, 1);
	gb_server_stop(server);
	gb_server_stop(server);
	CHECK_INT(driver_receive(client, &byte, 1), -1);
	close(client);
	CHECK_INT(driver_await(pid), 0);
	gb_server_stats(server, &stats);
	CHECK_INT(stats.closed[GB_CLOSE_DRAIN], 1);
	gb_server_destroy(server);
}

TEST(a_handler_that_hangs_is_killed_after_a_stop)
{
	test_side_by_side(a_hang, models, sizeof(models) / sizeof(*models));
}

static void a_drain(const char *model)
{
	struct gb_server *server = server_of(model);
	int client;
	pid_t pid;

	if (!server)
		return;
	pid = driver_host(server);
	client = driver_client(server);
	driver_send(client, "wait\n");
	await(&shared->began, 1);
	gb_server_stop(server);
	atomic_store(&shared->released, 1);
	driver_ask(client, "", "1:wait\n");
	close(client);
	CHECK_INT(driver_await(pid), 0);
	gb_server_destroy(server);
}

TEST(a_drain_waits_for_the_reply)
{
	test_side_by_side(a_drain, models, sizeof(models) / sizeof(*models));
}

TEST(a_handler_learns_that_its_connection_has_ended)
{
	struct gb_server *server = server_of("reactor,compute=processes,compute-workers=1");
	pid_t pid = driver_host(server);
	int client = driver_client(server);
	const struct linger at_once = { 1, 0 };

	driver_send(client, "cancelled\n");
	await(&shared->began, 1);
	setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(client); /* with a reset */
	await(&shared->released, 1);
	driver_finish(server, pid);
}

/* More than all that is shared has room for, and in order. */
static void many(const char *model)
{
	enum { CLIENTS = 50, LINES = 40 };
	struct gb_server *server = server_of(model);
	int clients[CLIENTS];
	pid_t pid;

	if (!server)
		return;
	pid = driver_host(server);
	for (unsigned i = 0; i < CLIENTS; i++)
		clients[i] = driver_client(server);
	for (unsigned line = 0; line < LINES; line++)
		for (unsigned i = 0; i < CLIENTS; i++)
			driver_send(clients[i], "x\n");
	for (unsigned i = 0; i < CLIENTS; i++)
		for (unsigned line = 1; line <= LINES; line++) {
			char expected[16];

			snprintf(expected, sizeof(expected), "%u:x\n", line);
			driver_ask(clients[i], "", expected);
		}
	for (unsigned i = 0; i < CLIENTS; i++)
		close(clients[i]);
	driver_finish(server, pid);
}

TEST(many_messages_are_answered_in_their_order)
{
	test_side_by_side(many, models, sizeof(models) / sizeof(*models));
}

/* A process of the pool, and the one that forks them. */
static void pids_of(const struct gb_server *server, pid_t *ret_process, pid_t *ret_forker)
{
	int client = driver_client(server);
	char text[19] = "";

	driver_send(client, "pids\n");
	CHECK_INT(driver_receive(client, text, 18), 18);
	CHECK_INT(sscanf(text, "%d %d", ret_process, ret_forker), 2);
	close(client);
}

/* As whoever adopts orphans. */
static void await_end(pid_t pid)
{
	while (kill(pid, 0) == 0 && waitpid(pid, NULL, WNOHANG) != pid)
		usleep(1000);
}

static void is_killed(const char *model)
{
	struct gb_server *server = server_of(model);
	pid_t pid, process, forker;

	if (!server)
		return;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid = driver_host(server);
	pids_of(server, &process, &forker);
	kill(pid, SIGKILL);
	CHECK_INT(driver_await(pid), 128 + SIGKILL);
	await_end(process);
	await_end(forker);
	gb_server_destroy(server);
}

TEST(no_process_of_the_pool_outlives_its_server)
{
	test_side_by_side(is_killed, models, sizeof(models) / sizeof(*models));
}

static void forker_is_killed(const char *model)
{
	struct gb_server *server = server_of(model);
	pid_t pid, process, forker;
	int client;
	char byte;

	if (!server)
		return;
	pid = driver_host(server);
	pids_of(server, &process, &forker);
	client = driver_client(server);
	driver_send(client, "wait\n");
	await(&shared->began, 1);
	kill(forker, SIGKILL);
	CHECK_INT(driver_receive(client, &byte, 1), -1);
	close(client);
	CHECK_INT(driver_await(pid), 1);
	gb_server_destroy(server);
}

TEST(a_server_whose_pool_cannot_be_replaced_ends_with_an_error)
{
	static const char *const specs[] = { "reactor,compute=processes,compute-workers=2",
		"multi-proactor,workers=2,compute=processes,compute-workers=2" };

	test_side_by_side(forker_is_killed, specs, 2);
}

TEST(a_handler_may_stop_the_server)
{
	struct gb_server *server = server_of("multi-reactor,workers=2,compute=processes");
	pid_t pid = driver_host(server);
	int client = driver_client(server);

	driver_ask(client, "stop\n", "1:stop\n");
	close(client);
	CHECK_INT(driver_await(pid), 0);
	gb_server_destroy(server);
}

static void slow_message(struct gb_conn *conn, struct gb_bytes message)
{
	/* The first of a connection takes until the second has begun, which only another process can do. */
	if (message.data[0] == '1')
		await(&shared->began, 1);
	else
		shared->began++;
	gb_conn_printf(conn, "%c", message.data[0]);
}

TEST(messages_of_an_unordered_service_run_in_several_processes_at_once)
{
	static const struct gb_fixed_options one = { 1 };
	static const struct gb_service unordered = { GB_SERVICE_INIT, .name = "unordered",
		.state = GB_STATE_NONE, .traits = GB_TRAIT_UNORDERED, .codec = &gb_codec_fixed,
		.codec_options = &one, .on_message = slow_message };
	struct gb_server *server;
	char text[2];
	int client;
	pid_t pid;

	share();
	server = driver_server("reactor,compute=processes,compute-workers=2", &unordered, NULL);
	pid = driver_host(server);
	client = driver_client(server);
	driver_send(client, "12");
	CHECK_INT(driver_receive(client, text, 2), 2);
	CHECK(text[0] + text[1] == '1' + '2');
	close(client);
	driver_finish(server, pid);
}

static int refuse_start(struct gb_worker *worker, void *user)
{
	(void)user;
	return gb_worker_computes(worker) ? -EACCES : 0;
}

TEST(a_process_that_cannot_start_is_named)
{
	static const struct gb_service refusing = { GB_SERVICE_INIT, .name = "refusing",
		.state = GB_STATE_NONE, .on_start = refuse_start, .on_message = on_message };
	struct gb_server *server =
		driver_server("reactor,compute=processes,compute-workers=2", &refusing, NULL);
	struct gb_error error = { 0 };

	CHECK_INT(gb_server_run(server, &error), -EACCES);
	CHECK_STR(error.text, "refusing: cannot start in a process of the compute pool: Permission denied");
	gb_server_destroy(server);
}
