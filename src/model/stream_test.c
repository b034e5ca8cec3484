/* Straight-line handlers under every preset, on the kernel: what waits, on whichever stack; drains, signals. */
#include "base/macros.h"
#include "harness.h"
#include "model/server_test_driver.h"

#include <gearbox/stream.h>
#include <gearbox/worker.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

/* A worker's job of its own, until the drain, of which it is told once. */
static int job(struct gb_coro *coro, void *arg)
{
	(void)arg;
	while (gb_sleep(coro, 1) == 0)
		;
	return gb_sleep(coro, 1);
}

static int on_start(struct gb_worker *worker, void *user)
{
	(void)user;
	return gb_coro_start(worker, "job", job, NULL);
}

static int child(struct gb_coro *coro, void *arg)
{
	int result = gb_sleep(coro, 2);

	++*(int *)arg;
	return result;
}

static int in_scope(struct gb_coro *coro)
{
	struct gb_scope scope;
	int ended = 0, result;

	gb_scope_begin(coro, &scope);
	gb_scope_limit(&scope, 2);
	for (int i = 0; i < 5; i++)
		gb_scope_start(&scope, child, &ended);
	result = gb_scope_end(&scope);
	return result < 0 ? result : ended;
}

static int in_time(struct gb_coro *coro)
{
	GB_WITH_DEADLINE(coro, 3)
	return gb_sleep(coro, 100000);
	return 0;
}

static int seven(struct gb_offload *offload, void *arg)
{
	(void)arg;
	usleep(1000);
	return gb_offload_cancelled(offload) ? -1 : 7;
}

static void *finish(void *arg)
{
	usleep(1000);
	CHECK_INT(gb_posted_finish(arg, 42), 0);
	return NULL;
}

static int posted(struct gb_coro *coro)
{
	struct gb_posted posted;
	pthread_t thread;
	int result;

	gb_posted_begin(gb_coro_worker(coro), &posted, NULL, NULL);
	CHECK(pthread_create(&thread, NULL, finish, &posted) == 0);
	result = gb_await(coro, &posted.operation);
	pthread_join(thread, NULL);
	return result;
}

/* To a server that is there, in the same style. */
static int ask_stream(struct gb_stream *other)
{
	char answer[5];
	int result;

	gb_write(other, "hello", 5);
	result = (int)gb_read_exact(other, answer, 5);
	if (result == 5 && memcmp(answer, "hello", 5) != 0)
		result = -EBADMSG;
	gb_stream_close(other);
	return result;
}

static int ask_other(struct gb_coro *coro, const char *address)
{
	struct gb_stream *other;
	int result = gb_stream_connect(coro, address, NULL, &other, NULL);

	return result < 0 ? result : ask_stream(other);
}

/* At the last of these addresses. */
static int ask_any(struct gb_coro *coro, const char *address)
{
	const char *addresses[] = { "127.0.0.1:1", "unix:/nobody/there", address };
	struct gb_stream *other;
	int result = gb_stream_connect_any(coro, addresses, 3, NULL, &other, NULL);

	return result < 0 ? result : ask_stream(other);
}

/* What is no address, or none, is refused with a text. */
static int ask_wrongly(struct gb_coro *coro)
{
	const char *addresses[] = { "127.0.0.1:1", "nonsense" };
	struct gb_error error = { 0 };
	struct gb_stream *other;

	CHECK_INT(gb_stream_connect_any(coro, addresses, 0, NULL, &other, &error), -EINVAL);
	CHECK(strstr(error.text, "1 to 64"));
	CHECK_INT(gb_stream_connect_any(coro, addresses, 2, NULL, &other, &error), -GB_EUSAGE);
	CHECK(strstr(error.text, "nonsense"));
	return 0;
}

static int obey(struct gb_coro *coro, struct gb_bytes line, const char *other)
{
	if (gb_bytes_is(line, "scope"))
		return in_scope(coro);
	if (gb_bytes_is(line, "deadline"))
		return in_time(coro);
	if (gb_bytes_is(line, "offload"))
		return gb_offload(coro, seven, NULL);
	if (gb_bytes_is(line, "posted"))
		return posted(coro);
	if (gb_bytes_is(line, "other"))
		return ask_other(coro, other);
	if (gb_bytes_is(line, "refused"))
		return ask_other(coro, "127.0.0.1:1");
	if (gb_bytes_is(line, "any"))
		return ask_any(coro, other);
	if (gb_bytes_is(line, "any refused"))
		return ask_any(coro, "127.0.0.1:1");
	if (gb_bytes_is(line, "wrong"))
		return ask_wrongly(coro);
	if (gb_bytes_is(line, "long"))
		return gb_sleep(coro, 100);
	if (gb_bytes_is(line, "for ever"))
		return gb_sleep(coro, 100000000);
	return gb_yield(coro);
}

static void serve(struct gb_stream *stream)
{
	struct gb_bytes line;

	while (gb_read_message(stream, &line) > 0) {
		int result;

		if (gb_bytes_is(line, "long") || gb_bytes_is(line, "for ever"))
			gb_write_format(stream, "waits\n"); /* it leaves when it does */
		result = obey(gb_stream_coro(stream), line, gb_stream_user(stream));

		/* The line is what it was before the wait. */
		gb_write_format(stream, "%.*s: %d\n", (int)line.size, (const char *)line.data, result);
	}
}

static const struct gb_service service = { GB_SERVICE_INIT, .name = "straight", .codec = &gb_codec_line,
	.state = GB_STATE_NONE, .on_start = on_start, .serve = serve };

static void ask(int client, const char *word, int result)
{
	char text[64], answer[64];

	snprintf(text, sizeof(text), "%s\n", word);
	snprintf(answer, sizeof(answer), "%s: %d\n", word, result);
	driver_ask(client, text, answer);
}

static void waits(const char *model)
{
	struct gb_server *other = driver_server("reactor", &driver_echo, NULL);
	struct gb_server *server =
		driver_server(model, &service, (void *)(uintptr_t)gb_server_address(other, 0));
	pid_t other_pid = driver_host(other), pid = driver_host(server);
	int client = driver_client(server);

	for (unsigned i = 0; i < 2; i++) {
		ask(client, "yield", 0);
		ask(client, "scope", 5);
		ask(client, "deadline", -ETIMEDOUT);
		ask(client, "offload", 7);
		ask(client, "posted", 42);
		ask(client, "other", 5);
		ask(client, "refused", -ECONNREFUSED);
		ask(client, "any", 5);
		ask(client, "any refused", -ECONNREFUSED);
		ask(client, "wrong", 0);
	}
	close(client);
	driver_finish(server, pid);
	driver_finish(other, other_pid);
}

TEST(whatever_a_handler_waits_for_comes_under_every_preset)
{
	driver_each_preset(waits);
}

/* A client whose handler has begun to wait. */
static int waiting(struct gb_server *server, const char *word)
{
	int client = driver_client(server);

	ask(client, "yield", 0);
	driver_ask(client, word, "waits\n");
	return client;
}

/* What is under way when the server is told to end is answered, and its client gets an end in order. */
static void drains(const char *model)
{
	struct gb_server *server = driver_server(model, &service, NULL);
	pid_t pid = driver_host(server);
	int client = waiting(server, "long\n");
	char text[64];

	gb_server_stop(server);
	CHECK_INT(driver_receive(client, text, sizeof(text)), 8);
	CHECK(memcmp(text, "long: 0\n", 8) == 0);
	close(client);
	CHECK_INT(driver_await(pid), 0);
	gb_server_destroy(server);
}

TEST(a_handler_that_waits_is_waited_for_by_a_drain_under_every_preset)
{
	driver_each_preset(drains);
}

/* A second signal ends every wait; what is cut does not look whole. */
static void stops(const char *model)
{
	struct gb_server *server = driver_server(model, &service, NULL);
	pid_t pid = driver_host(server);
	int client = waiting(server, "for ever\n");
	char text[64];

	gb_server_stop(server);
	gb_server_stop(server);
	CHECK_INT(driver_receive(client, text, sizeof(text)), -1);
	close(client);
	CHECK_INT(driver_await(pid), 0);
	gb_server_destroy(server);
}

TEST(a_stop_ends_a_handler_that_waits_under_every_preset)
{
	driver_each_preset(stops);
}
