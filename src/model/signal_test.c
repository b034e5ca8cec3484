/* Signals that a service watches reach each of its workers under every preset, in both styles. */
#include "base/macros.h"
#include "harness.h"
#include "model/server_test_driver.h"

#include <gearbox/signal.h>
#include <gearbox/stream.h>
#include <gearbox/worker.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Of one server, in memory that its processes share: workers tell the test by a pipe what happens. */
struct scene {
	int told[2];
	pid_t server;
	int from_inside; /* signals that a worker has yet to send itself */
};

struct watcher {
	struct scene *scene;
	struct gb_signal_watch hangup, user;
	struct gb_signal next;
	int result; /* of what waited when the worker ended */
};

static void tell(const struct scene *scene, char word)
{
	CHECK_INT(write(scene->told[1], &word, 1), 1);
}

/* Until `count` of them have come; no other word has. */
static void await_words(const struct scene *scene, char word, int count)
{
	char got;

	while (count-- > 0) {
		CHECK_INT(read(scene->told[0], &got, 1), 1);
		CHECK_INT(got, word);
	}
}

static int count_words(const struct scene *scene, char word)
{
	char got[256];
	ssize_t size;
	int flags = fcntl(scene->told[0], F_GETFL);

	fcntl(scene->told[0], F_SETFL, flags | O_NONBLOCK);
	size = read(scene->told[0], got, sizeof(got));
	fcntl(scene->told[0], F_SETFL, flags);
	for (ssize_t i = 0; i < size; i++)
		CHECK_INT(got[i], word);
	return size > 0 ? (int)size : 0;
}

static struct scene *scene_make(void)
{
	struct scene *scene =
		mmap(NULL, sizeof(*scene), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(scene != MAP_FAILED);
	CHECK_INT(pipe2(scene->told, O_CLOEXEC), 0);
	return scene;
}

static void scene_end(struct scene *scene)
{
	close(scene->told[0]);
	close(scene->told[1]);
	munmap(scene, sizeof(*scene));
}

static void echo(struct gb_conn *conn, struct gb_bytes message)
{
	gb_conn_send(conn, message.data, message.size);
}

static void on_hangup(struct gb_signal_watch *watch, uint64_t times, void *user)
{
	struct watcher *watcher = user;

	CHECK(watch == &watcher->hangup);
	CHECK(times >= 1);
	tell(watcher->scene, 'H');
}

/* Stops itself, and the other one, which is due as well, and begins anew. */
static void on_user(struct gb_signal_watch *watch, uint64_t times, void *user)
{
	struct watcher *watcher = user;
	struct gb_worker *worker = watch->worker;

	CHECK(times >= 1);
	gb_signal_watch_stop(watch);
	gb_signal_watch_stop(watch);
	gb_signal_watch_stop(&watcher->hangup);
	CHECK_INT(gb_signal_watch_start(worker, &watcher->hangup, SIGHUP, on_hangup, user, NULL), 0);
	CHECK_INT(gb_signal_watch_start(worker, watch, SIGUSR2, on_user, user, NULL), 0);
	tell(watcher->scene, 'U');
}

static struct watcher *watcher_make(struct gb_worker *worker, void *user)
{
	struct watcher *watcher = calloc(1, sizeof(*watcher));

	CHECK(watcher);
	watcher->scene = user;
	CHECK_INT(gb_worker_set_data(worker, user, watcher), 0);
	return watcher;
}

static int watch_in_start(struct gb_worker *worker, void *user)
{
	struct watcher *watcher;
	struct gb_error error = { 0 };

	if (gb_worker_computes(worker)) {
		static struct gb_signal_watch none;

		CHECK_INT(gb_signal_watch_start(worker, &none, SIGHUP, on_hangup, NULL, NULL), -EOPNOTSUPP);
		return 0;
	}
	watcher = watcher_make(worker, user);
	CHECK_INT(gb_signal_watch_start(worker, &watcher->hangup, SIGTERM, on_hangup, watcher, &error),
		-EINVAL);
	CHECK(strstr(error.text, ".signals"));
	CHECK_INT(gb_signal_watch_start(worker, &watcher->hangup, 0, on_hangup, watcher, NULL), -EINVAL);
	CHECK_INT(gb_signal_watch_start(worker, &watcher->hangup, 65, on_hangup, watcher, NULL), -EINVAL);
	CHECK_INT(gb_signal_watch_start(worker, &watcher->hangup, SIGHUP, NULL, watcher, NULL), -EINVAL);
	CHECK_INT(gb_signal_watch_start(worker, &watcher->hangup, SIGHUP, on_hangup, watcher, NULL), 0);
	CHECK_INT(gb_signal_watch_start(worker, &watcher->user, SIGUSR2, on_user, watcher, NULL), 0);
	tell(user, 'S');
	return 0;
}

static void watch_in_stop(struct gb_worker *worker, void *user)
{
	struct watcher *watcher = gb_worker_data(worker, user);

	if (gb_worker_computes(worker))
		return;
	CHECK_INT(gb_signal_watch_start(worker, &watcher->hangup, SIGHUP, on_hangup, watcher, NULL),
		-ESHUTDOWN);
	gb_signal_watch_stop(&watcher->hangup);
	free(watcher);
}

static const struct gb_service service = { GB_SERVICE_INIT, .name = "watcher", .state = GB_STATE_NONE,
	.signals = GB_SIGNAL_BIT(SIGHUP) | GB_SIGNAL_BIT(SIGUSR2), .on_start = watch_in_start,
	.on_stop = watch_in_stop, .on_message = echo };

static void signal_it(const struct scene *scene, int number)
{
	CHECK_INT(kill(scene->server, number), 0);
}

static void by_callbacks(const char *model)
{
	struct scene *scene = scene_make();
	struct gb_server *server = driver_server(model, &service, scene);
	int client, workers;

	if (!server)
		return;
	scene->server = driver_host(server);
	/* Perhaps there is no worker yet: it ends nobody. */
	workers = count_words(scene, 'S');
	signal_it(scene, SIGHUP);
	await_words(scene, 'H', workers);
	client = driver_guest(server);
	workers += count_words(scene, 'S');
	CHECK(workers > 0);
	for (int i = 0; i < 3; i++) {
		signal_it(scene, SIGHUP);
		await_words(scene, 'H', workers);
		signal_it(scene, SIGUSR2);
		await_words(scene, 'U', workers);
	}
	close(client);
	driver_finish(server, scene->server);
	CHECK_INT(count_words(scene, 'H'), 0);
	scene_end(scene);
}

TEST(each_worker_is_told_of_a_signal_under_every_preset)
{
	driver_each_preset(by_callbacks);
}

TEST(a_signal_is_told_beside_a_compute_pool)
{
	by_callbacks("multi-reactor-pool,compute=processes,workers=2,compute-workers=1");
}

/* Begun again each time; what comes in between is not missed. */
static void on_next(struct gb_operation *operation, void *user)
{
	struct watcher *watcher = user;
	struct gb_worker *worker = operation->worker;

	watcher->result = gb_operation_result(operation);
	if (watcher->result < 0)
		return;
	if (__atomic_fetch_sub(&watcher->scene->from_inside, 1, __ATOMIC_RELAXED) > 0)
		signal_it(watcher->scene, SIGHUP);
	tell(watcher->scene, 'N');
	gb_signal_begin(worker, &watcher->next, SIGHUP, on_next, watcher);
}

static void on_cancelled(struct gb_operation *operation, void *user)
{
	CHECK_INT(gb_operation_result(operation), -ECANCELED);
	free(user);
}

static int operation_in_start(struct gb_worker *worker, void *user)
{
	struct watcher *watcher = watcher_make(worker, user);
	struct gb_signal *cancelled = calloc(1, sizeof(*cancelled));

	gb_signal_begin(worker, &watcher->next, SIGHUP, on_next, watcher);
	CHECK(cancelled);
	gb_signal_begin(worker, cancelled, SIGHUP, on_cancelled, cancelled);
	gb_operation_cancel(&cancelled->operation);
	gb_operation_cancel(&cancelled->operation);
	tell(user, 'S');
	return 0;
}

static void operation_in_stop(struct gb_worker *worker, void *user)
{
	struct watcher *watcher = gb_worker_data(worker, user);

	CHECK_INT(watcher->result, -ECANCELED);
	free(watcher);
}

static void by_operations(const char *model)
{
	static const struct gb_service next = { GB_SERVICE_INIT, .name = "next", .state = GB_STATE_NONE,
		.signals = GB_SIGNAL_BIT(SIGHUP), .on_start = operation_in_start,
		.on_stop = operation_in_stop, .on_message = echo };
	struct scene *scene = scene_make();
	struct gb_server *server = driver_server(model, &next, scene);
	int client, workers;

	if (!server)
		return;
	scene->server = driver_host(server);
	client = driver_guest(server);
	workers = count_words(scene, 'S');
	signal_it(scene, SIGHUP);
	await_words(scene, 'N', workers);
	/* One that comes while nobody waits, in a handler: each worker is told of both, if not at once. */
	__atomic_store_n(&scene->from_inside, 1, __ATOMIC_RELAXED);
	signal_it(scene, SIGHUP);
	await_words(scene, 'N', workers + 1);
	close(client);
	driver_finish(server, scene->server);
	scene_end(scene);
}

TEST(the_next_signal_is_an_operation_that_misses_none_under_every_preset)
{
	driver_each_preset(by_operations);
}

static int wait_for_signals(struct gb_coro *coro, void *arg)
{
	struct gb_signal next = { 0 };
	int result;

	tell(arg, 'S');
	do {
		result = gb_await(coro, gb_signal_begin(gb_coro_worker(coro), &next, SIGHUP, NULL, NULL));
		if (result > 0)
			tell(arg, 'C');
	} while (result > 0);
	CHECK(result == -ESHUTDOWN || result == -ECANCELED);
	return 0;
}

static void serve(struct gb_stream *stream)
{
	char byte;

	while (gb_read(stream, &byte, 1) > 0)
		if (byte == 'w') {
			int result;

			GB_WITH_DEADLINE(gb_stream_coro(stream), 1)
			{
				CHECK_INT(gb_wait_signal(gb_stream_coro(stream), SIGUSR2), -ETIMEDOUT);
			}
			CHECK_INT(gb_wait_signal(gb_stream_coro(stream), SIGWINCH), -EINVAL);
			/* The answer says that it waits, as nothing else runs before it does. */
			gb_write(stream, "w", 1);
			result = gb_wait_signal(gb_stream_coro(stream), SIGHUP);
			gb_write(stream, result > 0 ? "+" : "-", 1);
		} else {
			gb_write(stream, &byte, 1);
		}
}

static int start_coroutine(struct gb_worker *worker, void *user)
{
	return gb_coro_start(worker, "signals", wait_for_signals, user);
}

static void straight_line(const char *model)
{
	static const struct gb_service straight = { GB_SERVICE_INIT, .name = "straight",
		.state = GB_STATE_NONE, .signals = GB_SIGNAL_BIT(SIGHUP) | GB_SIGNAL_BIT(SIGUSR2),
		.on_start = start_coroutine, .serve = serve };
	struct scene *scene = scene_make();
	struct gb_server *server = driver_server(model, &straight, scene);
	int client;
	char word;

	if (!server)
		return;
	scene->server = driver_host(server);
	client = driver_guest(server);
	await_words(scene, 'S', 1);
	driver_ask(client, "w", "w");
	signal_it(scene, SIGHUP);
	CHECK_INT(driver_receive(client, &word, 1), 1);
	CHECK_INT(word, '+');
	do
		CHECK_INT(read(scene->told[0], &word, 1), 1);
	while (word != 'C');
	close(client);
	driver_finish(server, scene->server);
	scene_end(scene);
}

TEST(a_coroutine_waits_for_a_signal_under_every_preset)
{
	driver_each_preset(straight_line);
}

TEST(signals_of_the_server_are_refused)
{
	static const int numbers[] = { SIGKILL, SIGSTOP, SIGSEGV, SIGTERM, SIGINT, SIGUSR1, SIGCHLD, SIGALRM,
		SIGURG, SIGPIPE, 32, 33 };
	struct gb_options *options;
	struct gb_server *server;
	struct gb_error error;

	CHECK_INT(gb_options_create(&options), 0);
	CHECK_INT(gb_server_create(options, &server, &error), 0);
	for (size_t i = 0; i < gb__countof(numbers); i++) {
		struct gb_service wrong = service;

		wrong.signals = GB_SIGNAL_BIT(numbers[i]) | GB_SIGNAL_BIT(SIGHUP);
		CHECK_INT(gb_server_listen(server, "127.0.0.1:0", &wrong, NULL, &error), -EINVAL);
		CHECK(strstr(error.text, "is not for services"));
	}
	gb_server_destroy(server);
	gb_options_destroy(options);
}

static void never(struct gb_signal_watch *watch, uint64_t times, void *user)
{
	CHECK(!"it has not come");
}

static void elsewhere(struct gb_conn *conn, struct gb_bytes message)
{
	static struct gb_signal_watch watch;

	gb_signal_watch_start(gb_conn_worker(conn), &watch, SIGHUP, never, NULL, NULL);
}

TEST(a_signal_watched_on_a_pool_thread_aborts)
{
	static const struct gb_service wrong = { GB_SERVICE_INIT, .name = "wrong", .state = GB_STATE_NONE,
		.signals = GB_SIGNAL_BIT(SIGHUP), .on_message = elsewhere };
	struct gb_server *server = driver_server("reactor-pool,compute-workers=1", &wrong, NULL);
	pid_t pid = driver_host(server);
	int client = driver_client(server);

	driver_send(client, "x");
	CHECK_INT(driver_await(pid), 128 + SIGABRT);
	close(client);
	gb_server_destroy(server);
}

static void ignore(int number)
{
}

TEST(what_the_program_had_for_a_signal_is_back_after_the_run)
{
	struct scene *scene = scene_make();
	struct gb_server *server = driver_server("reactor", &service, scene);
	struct sigaction now;

	signal(SIGHUP, ignore);
	gb_server_stop(server);
	CHECK_INT(gb_server_run(server, NULL), 0);
	CHECK_INT(sigaction(SIGHUP, NULL, &now), 0);
	CHECK(now.sa_handler == ignore);
	gb_server_destroy(server);
	scene_end(scene);
}

/* In a loop of somebody else's. */
static void on_embedded(struct gb_signal_watch *watch, uint64_t times, void *user)
{
	*(bool *)user = true;
	gb_server_stop(gb_worker_server(watch->worker));
}

static int embedded_start(struct gb_worker *worker, void *user)
{
	static struct gb_signal_watch watch;

	return gb_signal_watch_start(worker, &watch, SIGHUP, on_embedded, user, NULL);
}

TEST(a_signal_is_told_by_a_step_of_an_embedded_server)
{
	static const struct gb_service embedded = { GB_SERVICE_INIT, .name = "embedded",
		.state = GB_STATE_NONE, .signals = GB_SIGNAL_BIT(SIGHUP), .on_start = embedded_start,
		.on_message = echo };
	bool told = false;
	struct gb_server *server = driver_server("reactor", &embedded, &told);
	struct pollfd ready;

	CHECK_INT(gb_server_begin(server, NULL), 0);
	CHECK_INT(raise(SIGHUP), 0);
	do {
		ready = (struct pollfd){ .fd = gb_server_descriptor(server), .events = POLLIN };
		(void)poll(&ready, 1, gb_server_timeout_ms(server));
	} while (gb_server_step(server));
	gb_server_end(server);
	CHECK(told);
	gb_server_destroy(server);
}

static void answer(struct gb_conn *conn, struct gb_bytes message)
{
	gb_conn_send(conn, message.data, message.size);
}

TEST(signal_by_which_another_server_of_the_process_asks_held_threads_is_refused)
{
	static const struct gb_service plain = { GB_SERVICE_INIT, .name = "plain", .state = GB_STATE_NONE,
		.on_message = answer };
	static const struct gb_service window = { GB_SERVICE_INIT, .name = "window", .state = GB_STATE_NONE,
		.on_message = answer, .signals = GB_SIGNAL_BIT(SIGWINCH) };
	struct gb_server *first = driver_server_with("reactor", "stall-limit", "1s", &plain, NULL),
			 *second = driver_server("reactor", &window, NULL);
	struct gb_error error;

	signal(SIGWINCH, SIG_DFL);
	CHECK_INT(gb_server_begin(first, &error), 0);
	CHECK_INT(gb_server_begin(second, &error), -EBUSY);
	CHECK(strstr(error.text, "cannot handle signal"));
	gb_server_end(first);
	CHECK_INT(gb_server_begin(second, &error), 0);
	gb_server_end(second);
	gb_server_destroy(first);
	gb_server_destroy(second);
}
