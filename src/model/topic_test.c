/* Publishing to all workers under every preset: order, bounds, losses that are told, workers that are stuck or die. */
#include "base/macros.h"
#include "harness.h"
#include "model/server_test_driver.h"

#include <gearbox/stream.h>
#include <gearbox/topic.h>
#include <gearbox/worker.h>

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LARGE 60000u

/* What a client's connection subscribes with; of the test that runs. */
static struct gb_subscription_options how;
static _Atomic int *blocked; /* shared with worker processes; 1: one is inside a handler until it is 0 */

static int publish(struct gb_worker *worker, const char *topic, const void *data, size_t size)
{
	struct gb_buffer *buffer;
	int result;

	CHECK_INT(gb_buffer_create(data, size, &buffer), 0);
	result = gb_publish(gb_worker_server(worker), topic, buffer, NULL);
	gb_buffer_unref(buffer);
	return result;
}

static void ran(struct gb_worker *worker, struct gb_bytes argument, void *user)
{
	char text[64];
	int size = snprintf(text, sizeof(text), "%.*s on %u\n", (int)argument.size,
		(const char *)argument.data, gb_worker_id(worker));

	CHECK(user == blocked);
	CHECK_INT(publish(worker, "room", text, (size_t)size), 0);
}

static int on_start(struct gb_worker *worker, void *user)
{
	(void)user;
	CHECK_INT(gb_worker_offer(worker, "say", ran, blocked), 0);
	if (!gb_worker_computes(worker))
		CHECK_INT(gb_worker_offer(worker, "say", ran, blocked), -EEXIST);
	return 0;
}

static int on_open(struct gb_conn *conn)
{
	struct gb_subscription *subscription = gb_conn_state(conn);
	struct gb_subscription_options own = how;

	own.user = conn;
	CHECK_INT(gb_conn_subscribe(conn, subscription, "room", &own), 0);
	CHECK_INT(gb_conn_subscribe(conn, subscription, "room", &own), -EBUSY);
	gb_conn_printf(conn, "%07d\n", (int)gettid());
	return 0;
}

static void on_close(struct gb_conn *conn, int reason)
{
	(void)reason;
	gb_unsubscribe(gb_conn_state(conn));
	gb_unsubscribe(gb_conn_state(conn)); /* which changes nothing */
}

static void on_lost(struct gb_subscription *subscription, uint64_t lost, void *user)
{
	CHECK(lost > 0 && gb_subscription_lost(subscription) >= lost);
	CHECK_INT(gb_conn_printf(user, "%c lost %07llu\n", '!', (unsigned long long)lost), 0);
}

static const char *digits(unsigned number)
{
	static _Thread_local char text[16];

	snprintf(text, sizeof(text), "%08u", number);
	return text;
}

/* "FROM COUNT SIZE": so many messages of that size, numbered; others are commands. */
static void on_message(struct gb_conn *conn, struct gb_bytes line)
{
	static char large[LARGE];
	struct gb_worker *worker = gb_conn_worker(conn);
	unsigned count = 0, size = 0, from = 0;

	if (gb_bytes_is(line, "each")) {
		CHECK_INT(gb_each_worker(gb_worker_server(worker), "say", "runs", 4), 0);
	} else if (gb_bytes_is(line, "block")) {
		for (*blocked = 1; *blocked;)
			usleep(1000);
	} else if (gb_bytes_is(line, "free")) {
		*blocked = 0;
	} else {
		char text[32] = { 0 };

		memcpy(text, line.data, gb__min(line.size, sizeof(text) - 1));
		CHECK_INT(sscanf(text, "%u %u %u", &from, &count, &size), 3);
		memset(large, '.', size);
		for (unsigned i = from; i < from + count; i++) {
			memcpy(large, digits(i), 8);
			large[size - 1] = '\n';
			CHECK_INT(publish(worker, "room", large, size), 0);
		}
	}
}

static const struct gb_service service = { GB_SERVICE_INIT, .name = "topics", .state = GB_STATE_NONE,
	.codec = &gb_codec_line, .conn_state_size = sizeof(struct gb_subscription), .on_start = on_start,
	.on_open = on_open, .on_message = on_message, .on_close = on_close };

static struct gb_server *serve(const char *model, pid_t *ret_pid)
{
	struct gb_server *server;

	if (!blocked)
		blocked = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	*blocked = 0;
	server = driver_server(model, &service, NULL);
	*ret_pid = server ? driver_host(server) : -1;
	return server;
}

/* A client, and the thread that serves it, which of a worker process has the process's number. */
static int join(struct gb_server *server, pid_t *ret_pid)
{
	int client = driver_client(server);
	char text[9] = { 0 };

	CHECK_INT(driver_receive(client, text, 8), 8);
	*ret_pid = atoi(text);
	return client;
}

static void each_runs(const char *model)
{
	const bool many = strstr(model, "workers=2");
	struct gb_server *server;
	char text[64] = { 0 };
	pid_t pid, served;
	int client;

	server = serve(model, &pid);
	client = join(server, &served);
	driver_send(client, "each\n");
	CHECK_INT(driver_receive(client, text, many ? 20 : 10), many ? 20 : 10);
	if (many)
		CHECK(strcmp(text, "runs on 0\nruns on 1\n") == 0 ||
			strcmp(text, "runs on 1\nruns on 0\n") == 0);
	else
		CHECK_STR(text, "runs on 0\n");
	close(client);
	driver_finish(server, pid);
}

TEST(each_worker_runs_what_it_offered_once)
{
	driver_each_preset(each_runs);
}

/* Hear messages of `size` bytes, numbered from 0, until so many have come or were told to be lost. In order, and each gap
 * is told before what comes behind it. Returns how many were lost. */
static unsigned hear(int client, unsigned size, unsigned total)
{
	static char text[LARGE + 1];
	unsigned at = 0, lost = 0, number;

	while (at < total) {
		CHECK_INT(driver_receive(client, text, 9), 9);
		if (text[0] == '!') {
			CHECK_INT(driver_receive(client, text + 9, 6), 6);
			text[15] = '\0';
			CHECK_INT(sscanf(text, "! lost %u", &number), 1);
			lost += number;
			at += number;
		} else {
			CHECK_INT(driver_receive(client, text + 9, size - 9), size - 9);
			text[8] = '\0';
			CHECK_INT(atoi(text), at);
			at++;
		}
	}
	CHECK_INT(at, total);
	return lost;
}

/* Say so many in steps, and hear each. */
static void say(int client, unsigned size, unsigned total, unsigned step)
{
	static char text[LARGE];

	for (unsigned at = 0; at < total; at += step) {
		char command[64];

		snprintf(command, sizeof(command), "%u %u %u\n", at, step, size);
		driver_send(client, command);
		for (unsigned i = at; i < at + step; i++) {
			CHECK_INT(driver_receive(client, text, size), size);
			CHECK_INT(strtoul(text, NULL, 10), i);
		}
	}
}

static void loses(const char *model)
{
	struct gb_server *server;
	pid_t pid, served;
	int slow, fast;

	how = (struct gb_subscription_options){ .messages_max = 4, .on_lost = on_lost };
	server = serve(model, &pid);
	if (!server)
		return;
	slow = join(server, &served);
	fast = join(server, &served);
	say(fast, LARGE, 250, 1); /* more than all buffers of the slow one hold */
	CHECK(hear(slow, LARGE, 250) > 0);
	close(slow);
	close(fast);
	driver_finish(server, pid);
}

TEST(who_is_slow_loses_messages_and_is_told_how_many_and_where)
{
	static const char *const models[] = { "reactor", "proactor", "thread",
		"process-pool-reactor,workers=2" };

	test_side_by_side(loses, (const char **)models, gb__countof(models));
}

static void drops(const char *model)
{
	struct gb_server *server;
	struct gb_stats stats;
	char text[LARGE];
	pid_t pid, served;
	int slow, fast;

	how = (struct gb_subscription_options){ .bytes_max = 2 * LARGE, .drop = true };
	server = serve(model, &pid);
	if (!server)
		return;
	slow = join(server, &served);
	fast = join(server, &served);
	say(fast, LARGE, 250, 1);
	while (driver_receive(slow, text, sizeof(text)) == (long)sizeof(text))
		;
	close(slow);
	close(fast);
	stats = driver_finish_counted(server, pid);
	CHECK_INT(stats.closed[GB_CLOSE_OUTPUT_LIMIT], 1);
}

TEST(who_is_slow_is_dropped_where_that_is_the_policy)
{
	static const char *const models[] = { "reactor", "proactor", "fork", "multi-reactor,workers=2" };

	test_side_by_side(drops, (const char **)models, gb__countof(models));
}

static void goes_on_beside_a_stuck_one(const char *model)
{
	struct gb_server *server;
	pid_t pid, stuck_pid, live_pid;
	unsigned lost;
	int stuck, live;

	how = (struct gb_subscription_options){ .messages_max = 100000, .on_lost = on_lost };
	server = serve(model, &pid);
	if (!server)
		return;
	stuck = join(server, &stuck_pid);
	live = join(server, &live_pid);
	CHECK(stuck_pid != live_pid);
	driver_send(stuck, "block\n");
	while (*blocked != 1)
		usleep(1000);
	say(live, 20, GB_PUBLISH_WAITING_MAX + 1000, 8);
	driver_send(live, "free\n");
	/* Between processes some may still be on their way. */
	lost = hear(stuck, 20, GB_PUBLISH_WAITING_MAX + 1000);
	CHECK(lost >= (strstr(model, "process") ? 1 : 900));
	close(stuck);
	close(live);
	driver_finish(server, pid);
}

TEST(a_worker_inside_a_handler_holds_up_nobody_and_loses_what_is_beyond_its_bound)
{
	static const char *const models[] = { "multi-reactor,workers=2", "process-pool-reactor,workers=2" };

	test_side_by_side(goes_on_beside_a_stuck_one, (const char **)models, gb__countof(models));
}

static void await_state(pid_t pid, char wanted)
{
	char path[64], text[256] = { 0 };

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	do {
		FILE *file = fopen(path, "re");

		usleep(1000);
		if (file && !fgets(text, sizeof(text), file))
			text[0] = '\0';
		if (file)
			fclose(file);
	} while (!strrchr(text, ')') || strrchr(text, ')')[2] != wanted);
}

TEST(a_worker_process_that_is_stopped_holds_up_nobody_and_one_that_is_killed_is_replaced)
{
	struct gb_server *server;
	pid_t pid, stopped_pid, live_pid, other_pid;
	int stopped, live, other;
	char byte;

	how = (struct gb_subscription_options){ .bytes_max = 100u << 20, .on_lost = on_lost };
	server = serve("process-pool-reactor,workers=2", &pid);
	stopped = join(server, &stopped_pid);
	live = join(server, &live_pid);
	CHECK(stopped_pid != live_pid);
	CHECK(kill(stopped_pid, SIGSTOP) == 0);
	await_state(stopped_pid, 'T');
	say(live, LARGE, 100, 1); /* more than the ring holds */
	CHECK(kill(stopped_pid, SIGCONT) == 0);
	CHECK(hear(stopped, LARGE, 100) >= 20);

	CHECK(kill(stopped_pid, SIGKILL) == 0);
	CHECK(driver_receive(stopped, &byte, 1) < 1);
	close(stopped);
	say(live, 20, 8, 8);
	for (;;) { /* until the one that replaces it serves somebody */
		other = join(server, &other_pid);
		if (other_pid != live_pid)
			break;
		close(other);
	}
	CHECK(other_pid != stopped_pid);
	say(live, 20, 8, 8);
	CHECK_INT(hear(other, 20, 8), 0);
	say(other, 20, 8, 8);
	CHECK_INT(hear(live, 20, 8), 0);
	close(other);
	close(live);
	driver_finish(server, pid);
}

static void serve_awaiting(struct gb_stream *stream)
{
	struct gb_coro *coro = gb_stream_coro(stream);
	struct gb_worker *worker = gb_coro_worker(coro);
	struct gb_subscription subscription = { 0 };
	struct gb_published published;
	struct gb_operation *operation;
	struct gb_bytes line;

	CHECK_INT(gb_subscribe(worker, &subscription, "room", NULL), 0);
	while (gb_read_message(stream, &line) > 0) {
		for (char n = '0'; n <= '9'; n++)
			CHECK_INT(publish(worker, "room", &n, 1), 0);
		for (int i = 0; i < 10; i++) {
			CHECK_INT(gb_subscription_receive(coro, &subscription, &published), 1);
			CHECK_INT(published.lost, 0);
			gb_write(stream, published.bytes.data, published.bytes.size);
			gb_buffer_unref(published.buffer);
		}
		CHECK_INT(gb_subscription_take(&subscription, &published), 0);
		operation = gb_subscription_begin(&subscription, NULL, NULL);
		CHECK(!gb_subscription_begin(&subscription, NULL, NULL));
		CHECK_INT(publish(worker, "room", "\n", 1), 0);
		CHECK_INT(gb_await(coro, operation), 1);
		CHECK_INT(gb_subscription_take(&subscription, &published), 1);
		gb_write(stream, published.bytes.data, published.bytes.size);
		gb_buffer_unref(published.buffer);
		GB_WITH_DEADLINE(coro, 1)
		CHECK_INT(gb_subscription_receive(coro, &subscription, &published), -ETIMEDOUT);
	}
	gb_unsubscribe(&subscription);
	CHECK_INT(gb_subscription_receive(coro, &subscription, &published), -ESHUTDOWN);
}

static void is_awaited(const char *model)
{
	static const struct gb_service straight = { GB_SERVICE_INIT, .name = "straight",
		.state = GB_STATE_NONE, .codec = &gb_codec_line, .serve = serve_awaiting };
	struct gb_server *server = driver_server(model, &straight, NULL);
	pid_t pid = driver_host(server);
	int client = driver_client(server);

	driver_ask(client, "go\n", "0123456789\n");
	driver_ask(client, "go\n", "0123456789\n");
	close(client);
	driver_finish(server, pid);
}

TEST(a_straight_line_handler_awaits_what_is_published_in_its_order)
{
	driver_each_preset(is_awaited);
}

/* Subscriptions of a worker, told by callbacks that end others and themselves. */
struct callbacks {
	struct gb_worker *worker;
	struct gb_subscription first, second, third;
	unsigned firsts, thirds;
};

static void on_first(struct gb_subscription *subscription, struct gb_bytes message, void *user)
{
	struct callbacks *all = user;

	CHECK(subscription == &all->first && gb_bytes_is(message, "a"));
	all->firsts++;
	gb_unsubscribe(&all->second);
	gb_unsubscribe(&all->first);
}

static void on_second(struct gb_subscription *subscription, struct gb_bytes message, void *user)
{
	CHECK(!"it has ended before its turn came");
}

static void on_third(struct gb_subscription *subscription, struct gb_bytes message, void *user)
{
	struct callbacks *all = user;

	CHECK(gb_bytes_is(message, all->thirds == 0 ? "a" : "b"));
	CHECK_INT(all->firsts, 1);
	if (all->thirds++ == 0)
		CHECK_INT(publish(all->worker, "room", "b", 1), 0); /* comes later, not inside */
	else
		gb_server_stop(gb_worker_server(all->worker));
	CHECK(all->thirds <= 2);
}

static int callbacks_start(struct gb_worker *worker, void *user)
{
	static char large[GB_PUBLISH_MAX + 1], name[GB_TOPIC_MAX + 2];
	struct callbacks *all = user;

	all->worker = worker;
	memset(name, 'x', GB_TOPIC_MAX + 1);
	CHECK_INT(gb_subscribe(worker, &all->first, name, NULL), -EINVAL);
	CHECK_INT(gb_subscribe(worker, &all->first, "", NULL), -EINVAL);
	CHECK_INT(publish(worker, name, "a", 1), -EINVAL);
	CHECK_INT(publish(worker, "room", large, sizeof(large)), -EMSGSIZE);
	CHECK_INT(gb_subscribe(worker, &all->first, name + 1,
			  &(struct gb_subscription_options){ .on_message = on_third, .user = user }),
		0);
	CHECK_INT(publish(worker, "nobody's", "x", 1), 0);
	gb_unsubscribe(&all->first);
	CHECK_INT(publish(worker, name + 1, "x", 1), 0);
	CHECK_INT(gb_subscribe(worker, &all->first, "room",
			  &(struct gb_subscription_options){ .on_message = on_first, .user = user }),
		0);
	CHECK_INT(gb_subscribe(worker, &all->second, "room",
			  &(struct gb_subscription_options){ .on_message = on_second, .user = user }),
		0);
	CHECK_INT(gb_subscribe(worker, &all->third, "room",
			  &(struct gb_subscription_options){ .on_message = on_third, .user = user }),
		0);
	CHECK_INT(publish(worker, "room", "a", 1), 0);
	return 0;
}

/* What comes of it is not told any more; the worker's loop finds it when it ends. */
static void callbacks_stop(struct gb_worker *worker, void *user)
{
	(void)user;
	CHECK_INT(publish(worker, "room", "c", 1), 0);
}

static void *nothing(void *server)
{
	return server;
}

TEST(callbacks_may_end_any_subscription_and_publish)
{
	const struct gb_service callbacks = { GB_SERVICE_INIT, .name = "callbacks", .state = GB_STATE_WORKER,
		.on_start = callbacks_start, .on_stop = callbacks_stop, .on_message = on_message };
	struct callbacks all = { 0 };
	struct gb_server *server = driver_server("reactor", &callbacks, &all);
	struct gb_buffer *buffer;

	driver_run_beside(server, nothing);
	CHECK_INT(all.firsts, 1);
	CHECK_INT(all.thirds, 2);
	CHECK(!all.third.hub); /* it went with its worker */
	CHECK_INT(gb_buffer_create("x", 1, &buffer), 0);
	CHECK_INT(gb_publish(server, "room", buffer, NULL), -ESHUTDOWN);
	gb_buffer_unref(buffer);
	gb_server_destroy(server);
}

/* Handlers in processes of their own publish; workers send what they hear to their only client. */
static const char only[] = "only"; /* a key, as is apart_key */
static const char apart_key[] = "apart";

static void send_to_only(struct gb_subscription *subscription, struct gb_bytes message, void *user)
{
	struct gb_conn *conn = gb_worker_data(user, only);

	(void)subscription;
	if (conn)
		gb_conn_send(conn, message.data, message.size);
}

static int apart_start(struct gb_worker *worker, void *user)
{
	struct gb_subscription *subscription;

	(void)user;
	if (gb_worker_computes(worker)) {
		CHECK_INT(gb_subscribe(worker, &(struct gb_subscription){ 0 }, "room", NULL), -EOPNOTSUPP);
		return 0;
	}
	subscription = calloc(1, sizeof(*subscription));
	CHECK_INT(gb_subscribe(worker, subscription, "room",
			  &(struct gb_subscription_options){ .on_message = send_to_only, .user = worker }),
		0);
	return gb_worker_set_data(worker, apart_key, subscription);
}

static void apart_stop(struct gb_worker *worker, void *user)
{
	struct gb_subscription *subscription = gb_worker_data(worker, apart_key);

	(void)user;
	if (subscription)
		gb_unsubscribe(subscription);
	free(subscription);
}

static int apart_open(struct gb_conn *conn)
{
	return gb_worker_set_data(gb_conn_worker(conn), only, conn);
}

static void apart_close(struct gb_conn *conn, int reason)
{
	(void)reason;
	(void)gb_worker_set_data(gb_conn_worker(conn), only, NULL);
}

static void apart_message(struct gb_conn *conn, struct gb_bytes message)
{
	CHECK_INT(publish(gb_conn_worker(conn), "room", message.data, message.size), 0);
}

static void hears_processes(const char *model)
{
	static const struct gb_service apart = { GB_SERVICE_INIT, .name = "apart", .state = GB_STATE_NONE,
		.on_start = apart_start, .on_stop = apart_stop, .on_open = apart_open,
		.on_message = apart_message, .on_close = apart_close };
	struct gb_server *server = driver_server(model, &apart, NULL);
	pid_t pid = driver_host(server);
	int first = driver_client(server), other = first;
	char heard[6] = { 0 };

	if (strstr(model, ",workers=2"))
		other = driver_client(server);
	driver_send(first, "x");
	CHECK_INT(driver_receive(first, heard, 1), 1);
	if (other != first) { /* it may have come before, and have heard that as well */
		driver_send(other, "yyyyy");
		while (heard[0] != 'y')
			CHECK_INT(driver_receive(first, heard, 1), 1);
		while (heard[1] != 'y')
			CHECK_INT(driver_receive(other, heard + 1, 1), 1);
		close(other);
	}
	close(first);
	driver_finish(server, pid);
}

TEST(handlers_in_processes_of_their_own_publish)
{
	static const char *const models[] = { "reactor,compute=processes,compute-workers=2",
		"multi-reactor,workers=2,compute=processes,compute-workers=2",
		"process-pool-reactor,workers=2,compute=processes,compute-workers=1" };

	test_side_by_side(hears_processes, (const char **)models, gb__countof(models));
}

static struct gb_subscription waiting;

static void on_published(struct gb_operation *operation, void *user)
{
	CHECK(false); /* nothing is published, and nobody is called behind on_stop */
}

static void say_nothing(struct gb_conn *conn, struct gb_bytes message)
{
}

static int wait_for_news(struct gb_worker *worker, void *user)
{
	CHECK_INT(gb_subscribe(worker, &waiting, "news", NULL), 0);
	CHECK(gb_operation_pending(gb_subscription_begin(&waiting, on_published, NULL)));
	return 0;
}

TEST(who_waits_on_a_subscription_when_its_worker_ends_has_its_result)
{
	static const struct gb_service idle = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "waiting",
		.on_start = wait_for_news, .on_message = say_nothing };
	struct gb_server *server = driver_server("reactor", &idle, NULL);
	struct gb_error error = { 0 };

	gb_server_stop(server);
	CHECK_INT(gb_server_run(server, &error), 0);
	CHECK(!gb_operation_pending(&waiting.operation));
	CHECK_INT(gb_operation_result(&waiting.operation), -ESHUTDOWN);
	gb_server_destroy(server);
}
