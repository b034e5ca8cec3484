/*
 * What each option does to a running server, under one model of each kind. That a timeout does not fire early on a
 * healthy peer is for the simulated kernel, which has a clock of its own: tests/net.
 */
#include "model/server_test_driver.h"

#include "base/macros.h"
#include "model/server.h"
#include "model/worker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *const kinds[] = { "reactor", "proactor", "thread-pool,workers=2", "prefork,workers=2",
	"multi-reactor,workers=2" };
#define EVENT_KINDS 2 /* the first of them, with one worker */

static void with_each_kind(void (*run)(const char *model))
{
	test_side_by_side(run, kinds, gb__countof(kinds));
}

static void with_event_kinds(void (*run)(const char *model))
{
	test_side_by_side(run, kinds, EVENT_KINDS);
}

/* Answers questions about its own connection, a line each. */
static void answer(struct gb_conn *conn, struct gb_bytes message)
{
	static char megabyte[1 << 20];
	int fd = gb_conn_descriptor(conn), number = -1;
	unsigned count = 0;
	socklen_t size = sizeof(number);

	switch (message.size ? message.data[0] : 0) {
	case 'n':
		getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &number, &size);
		break;
	case 'u':
		getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &number, &size);
		break;
	case 's':
		getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &number, &size);
		break;
	case 'r':
		getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &number, &size);
		break;
	case 'c':
		gb_conn_close(conn);
		return;
	case 'f': /* flood: much more than any socket holds */
		for (int i = 0; i < 12; i++)
			gb_conn_send(conn, megabyte, sizeof(megabyte));
		return;
	case 'm': /* up to the maximum: how many went */
		while (gb_conn_send(conn, megabyte, 1000) == 0)
			number = (int)++count;
		return;
	case 't': /* up to the high watermark */
		while (gb_conn_try_send(conn, megabyte, 1000) == 0)
			;
		return;
	default:
		gb_conn_send(conn, message.data, message.size);
		return;
	}
	gb_conn_printf(conn, "%d\n", number);
}

/* After a refused gb_conn_try_send: what is still queued. */
static void tell_queued(struct gb_conn *conn)
{
	gb_conn_printf(conn, "<%zu>", gb_conn_output_size(conn));
}

static const struct gb_service probe = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "probe",
	.codec = &gb_codec_line, .on_message = answer, .on_writable = tell_queued };

static int ask(const struct gb_server *server, const char *question)
{
	int client = driver_client(server);
	char text[32];
	size_t used = 0;

	driver_send(client, question);
	while (used == 0 || text[used - 1] != '\n')
		CHECK_INT(driver_receive(client, text + used++, 1), 1);
	close(client);
	return atoi(text);
}

static int answer_with(const char *model, const char *key, const char *value, const char *question)
{
	struct gb_server *server = driver_server_with(model, key, value, &probe, NULL);
	int number;
	pid_t pid;

	if (!server)
		return -1;
	pid = driver_host(server);
	number = ask(server, question);
	driver_finish(server, pid);
	return number;
}

static void sets_nodelay(const char *model)
{
	int on = answer_with(model, "nodelay", "yes", "n\n");

	CHECK(on == 1 || on == -1);
	CHECK(answer_with(model, "nodelay", "no", "n\n") == (on < 0 ? -1 : 0));
}

TEST(nodelay_is_set_on_accepted_sockets)
{
	with_each_kind(sets_nodelay);
}

static void sets_user_timeout(const char *model)
{
	int ms = answer_with(model, "user-timeout", "12345ms", "u\n");

	CHECK(ms == 12345 || ms == -1);
}

TEST(user_timeout_is_set_on_accepted_sockets)
{
	with_each_kind(sets_user_timeout);
}

static void sets_buffers(const char *model)
{
	int sent = answer_with(model, "sndbuf", "20000", "s\n");
	int received = answer_with(model, "rcvbuf", "30000", "r\n");

	/* socket(7): the kernel doubles what it is told. */
	CHECK(sent == 40000 || sent == -1);
	CHECK(received == 60000 || received == -1);
}

TEST(buffers_are_set_on_accepted_sockets)
{
	with_each_kind(sets_buffers);
}

TEST(fastopen_is_set_on_the_listening_socket_or_refused_where_it_is_off)
{
	struct gb_error error = { 0 };
	struct gb_options *options;
	struct gb_server *server;
	socklen_t size = sizeof(int);
	int number = 0;

	CHECK_INT(gb_options_create(&options), 0);
	CHECK_INT(gb_options_set(options, "fastopen", "5", &error), 0);
	CHECK_INT(gb_server_create(options, &server, &error), 0);
	gb_options_destroy(options);
	if (gb_server_listen(server, "127.0.0.1:0", &probe, NULL, &error) < 0) {
		CHECK(strstr(error.text, "net.ipv4.tcp_fastopen="));
	} else {
		CHECK_INT(
			getsockopt(server->bindings[0].fds[0], IPPROTO_TCP, TCP_FASTOPEN, &number, &size), 0);
		CHECK_INT(number, 5);
	}
	gb_server_destroy(server);
}

TEST(backlog_is_that_of_the_listening_socket)
{
	struct gb_server *server = driver_server_with("reactor", "backlog", "7", &probe, NULL);
	struct tcp_info info = { 0 };
	socklen_t size = sizeof(info);

	CHECK_INT(getsockopt(server->bindings[0].fds[0], IPPROTO_TCP, TCP_INFO, &info, &size), 0);
	CHECK_INT(info.tcpi_sacked, 7); /* of a listening socket: its bound (tcp_get_info) */
	gb_server_destroy(server);
}

/* The client says `text` and waits for the end, which comes for `reason` and for nothing else. */
static void check_end(const char *model, struct driver_option option, const char *text, int reason)
{
	const struct driver_option set[] = { option, { "linger-timeout", "1ms" }, { 0 } };
	struct gb_server *server = driver_server_set(model, set, &probe, NULL);
	struct gb_stats stats;
	int client;
	pid_t pid;

	if (!server)
		return;
	pid = driver_host(server);
	client = driver_client(server);
	driver_send(client, text);
	do
		gb_server_stats(server, &stats);
	while (driver_closed(&stats) == 0 && usleep(1000) == 0);
	if (stats.closed[reason] != 1)
		test_fail(__FILE__, __LINE__, "%s, %s: not %s", model, option.key,
			gb_close_reason_name(reason));
	close(client);
	driver_finish(server, pid);
}

static void idle_timeout_ends(const char *model)
{
	check_end(model, (struct driver_option){ "idle-timeout", "50ms" }, "", GB_CLOSE_IDLE);
}

TEST(idle_timeout_ends_who_says_nothing)
{
	with_each_kind(idle_timeout_ends);
}

static void read_timeout_ends(const char *model)
{
	check_end(model, (struct driver_option){ "read-timeout", "50ms" }, "half", GB_CLOSE_READ_TIMEOUT);
}

TEST(read_timeout_ends_an_unfinished_message)
{
	with_each_kind(read_timeout_ends);
}

static void write_timeout_ends(const char *model)
{
	check_end(model, (struct driver_option){ "write-timeout", "50ms" }, "f\n", GB_CLOSE_WRITE_TIMEOUT);
}

TEST(write_timeout_ends_who_takes_nothing)
{
	with_each_kind(write_timeout_ends);
}

static void output_max_ends(const char *model)
{
	check_end(model, (struct driver_option){ "output-max", "500000" }, "m\n", GB_CLOSE_OUTPUT_LIMIT);
}

TEST(output_max_ends_whose_output_grows_beyond)
{
	with_each_kind(output_max_ends);
}

static void max_message_ends(const char *model)
{
	struct gb_server *server = driver_server_with(model, "max-message", "8", &probe, NULL);
	char text[9];
	int client;
	pid_t pid;

	if (!server)
		return;
	pid = driver_host(server);
	client = driver_client(server);
	driver_ask(client, "12345678\n", "12345678");
	driver_send(client, "123456789\n");
	CHECK_INT(driver_receive(client, text, 1), 0);
	close(client);
	driver_finish(server, pid);
	check_end(model, (struct driver_option){ "max-message", "8" }, "123456789\n",
		GB_CLOSE_MESSAGE_TOO_LARGE);
}

TEST(max_message_ends_who_sends_a_larger_one_and_nobody_else)
{
	with_each_kind(max_message_ends);
}

static void drain_timeout_bounds(const char *model)
{
	const struct driver_option set[] = { { "drain-timeout", "50ms" }, { "read-timeout", "0" },
		{ "idle-timeout", "0" }, { 0 } };
	struct gb_server *server = driver_server_set(model, set, &probe, NULL);
	int client;
	pid_t pid;

	if (!server)
		return;
	pid = driver_host(server);
	client = driver_client(server);
	driver_ask(client, "hi\n", "hi");
	driver_send(client, "half");
	gb_server_stop(server);
	CHECK_INT(driver_await(pid), 0); /* without it: never, as no other timeout is left */
	close(client);
	gb_server_destroy(server);
}

TEST(drain_timeout_bounds_what_is_in_flight)
{
	with_each_kind(drain_timeout_bounds);
}

static void watermarks_bound(const char *model)
{
	const struct driver_option set[] = { { "output-high", "300000" }, { "output-low", "1000" },
		{ "sndbuf", "20000" }, { 0 } };
	struct gb_server *server = driver_server_set(model, set, &probe, NULL);
	char data[300032];
	unsigned long queued;
	long got = 0;
	int client;
	pid_t pid;

	if (!server)
		return;
	pid = driver_host(server);
	client = driver_client(server);
	driver_send(client, "t\n");
	got = driver_receive(client, data, 300000);
	CHECK_INT(got, 300000); /* so many were taken, and then no more: */
	do
		CHECK_INT(driver_receive(client, data + got, 1), 1);
	while (data[got++] != '>');
	data[got] = '\0';
	CHECK(sscanf(data + 300000, "<%lu>", &queued) == 1);
	CHECK(queued <= 1000);
	close(client);
	driver_finish(server, pid);
}

TEST(watermarks_bound_what_is_queued_and_say_when_there_is_room)
{
	with_each_kind(watermarks_bound);
}

TEST(every_limit_has_a_field_of_its_own)
{
	static const struct driver_option set[] = { { "max-connections", "11" }, { "max-message", "12" },
		{ "idle-timeout", "13ms" }, { "read-timeout", "14ms" }, { "write-timeout", "15ms" },
		{ "linger-timeout", "16ms" }, { "connect-timeout", "17ms" }, { "output-high", "19" },
		{ "output-low", "18" }, { "output-max", "20" }, { "turn-messages", "21" },
		{ "drain-timeout", "22ms" }, { "linger-max", "23ms" }, { "max-replies", "24" },
		{ "max-body", "25" }, { "tls-handshake-timeout", "26ms" }, { "trim-after", "27ms" }, { 0 } };
	struct gb_server *server = driver_server_set("reactor", set, &probe, NULL);
	const struct gb__limits *limits = &server->limits;

	CHECK_INT(limits->connections_max, 11);
	CHECK_INT(limits->message_bytes_max, 12);
	CHECK_INT(limits->idle_timeout_ms, 13);
	CHECK_INT(limits->read_timeout_ms, 14);
	CHECK_INT(limits->write_timeout_ms, 15);
	CHECK_INT(limits->linger_timeout_ms, 16);
	CHECK_INT(limits->linger_max_ms, 23);
	CHECK_INT(limits->connect_timeout_ms, 17);
	CHECK_INT(limits->output_low, 18);
	CHECK_INT(limits->output_high, 19);
	CHECK_INT(limits->output_bytes_max, 20);
	CHECK_INT(limits->turn_messages, 21);
	CHECK_INT(limits->replies_max, 24);
	CHECK_INT(limits->body_bytes_max, 25);
	CHECK_INT(limits->handshake_timeout_ms, 26);
	CHECK_INT(limits->trim_after_ms, 27);
	CHECK_INT(server->options->drain_timeout_ms, 22);
	gb_server_destroy(server);
}

/* A number, switch or choice that is set changes what is told of its own key, and of no other. */
static void check_alone(const struct gb_setting *row)
{
	struct gb_options *before, *after;
	struct gb_error error = { 0 };
	char value[32], texts[2][256];

	CHECK_INT(gb_options_create(&before), 0);
	CHECK_INT(gb_options_create(&after), 0);
	gb_settings_get(gb_option_settings, before, row->key, texts[0], sizeof(texts[0]));
	if (row->type == GB_SETTING_SWITCH)
		snprintf(value, sizeof(value), "%s", strcmp(texts[0], "yes") == 0 ? "no" : "yes");
	else if (row->type == GB_SETTING_CHOICE) /* the last one is no default */
		snprintf(value, sizeof(value), "%s", strrchr(row->choices, '|') + 1);
	else
		snprintf(value, sizeof(value), "%u%s", (unsigned)gb__max(row->min, 4321u),
			row->type == GB_SETTING_DURATION ? "ms" : "");
	if (gb_options_set(after, row->key, value, &error) < 0)
		test_fail(__FILE__, __LINE__, "%s", error.text);
	for (const struct gb_setting *other = gb_option_settings; other->key; other++) {
		gb_settings_get(gb_option_settings, before, other->key, texts[0], sizeof(texts[0]));
		gb_settings_get(gb_option_settings, after, other->key, texts[1], sizeof(texts[1]));
		if ((strcmp(texts[0], texts[1]) != 0) != (other == row))
			test_fail(__FILE__, __LINE__, "%s=%s: %s was %s, is %s", row->key, value, other->key,
				texts[0], texts[1]);
	}
	gb_options_destroy(before);
	gb_options_destroy(after);
}

TEST(every_option_has_a_field_of_its_own)
{
	for (const struct gb_setting *row = gb_option_settings; row->key; row++)
		if (row->type != GB_SETTING_TEXT)
			check_alone(row);
}

/* What a worker did, in order, in the memory of the test: these run in its own process. */
static char noted[64];
static int inside[2], gate[2]; /* a handler says that it waits, and waits */

static void note_message(struct gb_conn *conn, struct gb_bytes message)
{
	char byte;

	switch (message.data[0]) {
	case 'w':
		CHECK_INT(write(inside[1], "w", 1), 1);
		CHECK_INT(read(gate[0], &byte, 1), 1);
		break;
	case 'q':
		gb_conn_send(conn, "q", 1);
		break;
	case '!':
		gb_server_stop(gb_worker_server(gb_conn_worker(conn)));
		break;
	default:
		strncat(noted, (const char *)message.data, 1);
		if (strlen(noted) == 6)
			gb_conn_send(conn, "done", 4);
	}
}

static const struct gb_service notes = { GB_SERVICE_INIT, .name = "notes", .codec = &gb_codec_line,
	.state = GB_STATE_WORKER, .on_message = note_message };

static void tell_ready(struct gb_server *server, void *arg)
{
	CHECK_INT(write(*(int *)arg, "r", 1), 1);
}

static void *run_server(void *arg)
{
	struct gb_error error;

	if (gb_server_run(arg, &error) < 0)
		test_fail(__FILE__, __LINE__, "%s", error.text);
	return NULL;
}

/* Two clients have three messages each in the kernel before the worker looks at either. */
static void check_turns(const char *model, const char *messages, bool mixed)
{
	struct gb_server *server = driver_server_with(model, "turn-messages", messages, &notes, NULL);
	int ready[2], first, second;
	char text[4];
	pthread_t thread;

	if (!server)
		return;
	noted[0] = '\0';
	CHECK_INT(pipe(gate), 0);
	CHECK_INT(pipe(inside), 0);
	CHECK_INT(pipe(ready), 0);
	gb_server_on_ready(server, tell_ready, &ready[1]);
	CHECK_INT(pthread_create(&thread, NULL, run_server, server), 0);
	CHECK_INT(read(ready[0], text, 1), 1);
	first = driver_client(server);
	second = driver_client(server);
	driver_send(first, "q\n"); /* both are known to the worker before it waits at the gate */
	CHECK_INT(driver_receive(first, text, 1), 1);
	driver_send(second, "w\n");
	CHECK_INT(read(inside[0], text, 1), 1);
	driver_send(first, "a\na\na\n");
	driver_send(second, "b\nb\nb\n");
	noted[0] = '\0';
	CHECK_INT(write(gate[1], "g", 1), 1);
	{
		struct pollfd both[] = { { .fd = first, .events = POLLIN },
			{ .fd = second, .events = POLLIN } };

		CHECK(poll(both, 2, -1) >= 1);
	}
	if (mixed)
		CHECK(strcmp(noted, "ababab") == 0 || strcmp(noted, "bababa") == 0);
	else
		CHECK(strcmp(noted, "aaabbb") == 0 || strcmp(noted, "bbbaaa") == 0);
	driver_send(first, "!\n");
	CHECK_INT(pthread_join(thread, NULL), 0);
	close(first);
	close(second);
	for (int i = 0; i < 2; i++) {
		close(gate[i]);
		close(inside[i]);
		close(ready[i]);
	}
	gb_server_destroy(server);
}

static void turns_are_shared(const char *model)
{
	check_turns(model, "1", true);
	check_turns(model, "3", false);
}

TEST(turn_messages_lets_others_have_their_turn)
{
	with_event_kinds(turns_are_shared);
}

#define WAITING 5u
static unsigned opened, opened_by[WAITING + 1], turns; /* how many were open at the end of each turn */
static bool counting;

static void count_turn(struct gb_worker *worker, void *arg)
{
	counting = false;
	opened_by[turns++] = opened;
	if (opened == WAITING)
		gb_server_stop(gb_worker_server(worker));
}

static int count_opened(struct gb_conn *conn)
{
	opened++;
	if (!counting)
		CHECK_INT(gb_worker_post(gb_conn_worker(conn), count_turn, NULL), 0);
	counting = true;
	return 0;
}

static const struct gb_service counts = { GB_SERVICE_INIT, .name = "counts", .state = GB_STATE_WORKER,
	.on_open = count_opened, .on_message = answer };

/* Those who wait in the backlog when the server begins to run are there at its first turn. */
static void check_batch(const char *model, unsigned batch)
{
	struct gb_server *server = driver_server_with(model, "linger-timeout", "1ms", &counts, NULL);
	struct gb_error error;
	int clients[WAITING];

	opened = turns = 0;
	for (unsigned i = 0; i < WAITING; i++)
		clients[i] = driver_client(server);
	CHECK_INT(gb_server_run(server, &error), 0);
	CHECK_INT(turns, (WAITING + batch - 1) / batch);
	for (unsigned i = 0; i < turns; i++)
		CHECK_INT(opened_by[i], gb__min((i + 1) * batch, WAITING));
	for (unsigned i = 0; i < WAITING; i++)
		close(clients[i]);
	gb_server_destroy(server);
}

TEST(accept_batch_is_how_many_a_turn_takes)
{
	static const char *const pollers[] = { "epoll", "poll", "select" };

	for (unsigned i = 0; i < gb__countof(pollers); i++)
		for (unsigned batch = 1; batch <= WAITING; batch++) {
			char model[64];

			snprintf(
				model, sizeof(model), "reactor,engine=%s,accept-batch=%u", pollers[i], batch);
			check_batch(model, batch);
		}
}

/* Where workers run is told by each; with one CPU in the list it is that one. */
static void tell_cpus(struct gb_conn *conn, struct gb_bytes message)
{
	struct gb__cpus cpus;

	gb__cpus_get(&cpus);
	gb_conn_printf(conn, "%u\n", gb__cpus_count(&cpus));
}

static const struct gb_service places = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "places",
	.on_message = tell_cpus };

static void check_cpus(const char *model, const char *affinity, unsigned cpus)
{
	struct gb_server *server = driver_server_with(model, "affinity", affinity, &places, NULL);
	pid_t pid;

	if (!server)
		return;
	pid = driver_host(server);
	CHECK_INT(ask(server, "?"), cpus);
	driver_finish(server, pid);
}

static void affinity_binds(const char *model)
{
	struct gb__cpus all;

	gb__cpus_get(&all);
	check_cpus(model, "none", gb__cpus_count(&all));
	check_cpus(model, "auto", 1);
}

TEST(affinity_binds_each_worker_to_one_cpu)
{
	with_each_kind(affinity_binds);
}

static int busy_poll_noted(struct gb_worker *worker, void *user)
{
	CHECK_INT(worker->loop.busy_poll_ns, 77000);
	return 0;
}

static void busy_poll_reaches(const char *model)
{
	static const struct gb_service service = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "busy",
		.on_start = busy_poll_noted, .on_message = answer };

	struct gb_server *server = driver_server_with(model, "busy-poll", "77", &service, NULL);
	pid_t pid;

	if (!server)
		return;
	pid = driver_host(server);
	driver_finish(server, pid);
}

TEST(busy_poll_reaches_the_loops_that_serve)
{
	with_event_kinds(busy_poll_reaches);
}

/* An address where nobody accepts and whose queue is full: a connect gets no answer. */
static char full_address[64];

static int full_listen(int fillers[2])
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	CHECK_INT(bind(fd, (struct sockaddr *)&address, size), 0);
	CHECK_INT(listen(fd, 0), 0);
	CHECK_INT(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	for (int i = 0; i < 2; i++) { /* the queue has room for one more than it says */
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(fillers[i], (struct sockaddr *)&address, size);
	}
	snprintf(full_address, sizeof(full_address), "127.0.0.1:%u", ntohs(address.sin_port));
	return fd;
}

static struct gb_handle asker;

static void tell_end(struct gb_conn *conn, int status, void *arg)
{
	if (conn)
		gb_conn_printf(conn, "%d\n", (int)(intptr_t)arg);
}

static void outgoing_ended(struct gb_conn *conn, int reason)
{
	intptr_t end = reason == GB_CLOSE_CONNECT_FAILED ? gb_conn_error(conn) : -1;

	gb_handle_post(asker, tell_end, (void *)end);
}

static const struct gb_service outgoing = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "outgoing",
	.on_message = answer, .on_close = outgoing_ended };

static void connect_there(struct gb_conn *conn, struct gb_bytes message)
{
	struct gb_conn *there;
	int result = gb_connect(gb_conn_worker(conn), full_address, &outgoing, NULL, &there, NULL);

	asker = gb_conn_handle(conn);
	if (result < 0)
		gb_conn_printf(conn, "%d\n", result);
}

static void connect_timeout_ends(const char *model)
{
	static const struct gb_service service = { GB_SERVICE_INIT, .name = "connects",
		.state = GB_STATE_WORKER, .on_message = connect_there };
	struct gb_server *server = driver_server_with(model, "connect-timeout", "50ms", &service, NULL);
	pid_t pid;

	if (!server)
		return;
	pid = driver_host(server);
	CHECK_INT(ask(server, "go"), ETIMEDOUT);
	driver_finish(server, pid);
}

TEST(connect_timeout_gives_up_an_outgoing_connection)
{
	int fillers[2], listener = full_listen(fillers);

	with_event_kinds(connect_timeout_ends);
	close(fillers[0]);
	close(fillers[1]);
	close(listener);
}
