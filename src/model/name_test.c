/* Names under every model: what they resolve to, who is asked how often, and that nobody waits for a silent name server. */
#include "model/name_test_driver.h"
#include "model/server_test_driver.h"
#include "net/race.h"

#include "base/macros.h"

#include <gearbox/gearbox.h>

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* One question of a client: "=NAME" is resolved, ">NAME" connected to; the answer is a line. */
struct ask {
	struct gb_resolve resolve;
	struct gb_connecting connecting;
	struct gb_handle client;
	char text[64];
};

static void answer(struct ask *ask, const char *text)
{
	struct gb_conn *client = gb_handle_conn(ask->client);

	if (client)
		gb_conn_printf(client, "%s\n", text);
	if (client)
		gb_conn_release(client);
}

static void on_resolved(struct gb_operation *operation, void *user)
{
	int result = gb_operation_result(operation);
	struct ask *ask = user;

	answer(ask, result < 0 ? gb_strerror(result) : ask->resolve.resolved->addresses[0].text);
	gb_resolved_free(ask->resolve.resolved);
	free(ask);
}

static void unheard(struct gb_conn *conn, struct gb_bytes bytes)
{
}

static const struct gb_service far = { GB_SERVICE_INIT, .name = "far", .state = GB_STATE_NONE,
	.on_message = unheard };

static void on_connected(struct gb_operation *operation, void *user)
{
	int result = gb_operation_result(operation);
	struct ask *ask = user;
	char text[GB_ADDRESS_TEXT];

	if (result == 0) {
		CHECK(gb_conn_descriptor(ask->connecting.conn) >= 0);
		CHECK_INT(gb_conn_peer(ask->connecting.conn, text, sizeof(text)), 0);
	}
	gb_conn_close(ask->connecting.conn); /* also of one that has failed, which ends anyway */
	answer(ask, result < 0 ? gb_strerror(result) : text);
	free(ask);
}

static void ask_now(struct gb_conn *conn, int status, void *arg)
{
	struct ask *ask = arg;

	CHECK_INT(status, 0);
	gb_conn_hold(conn);
	if (ask->text[0] == '=')
		gb_resolve_begin(gb_conn_worker(conn), &ask->resolve, ask->text + 1, on_resolved, ask);
	else
		CHECK_INT(gb_connect_begin(gb_conn_worker(conn), &ask->connecting, ask->text + 1, &far, NULL,
				  on_connected, ask, NULL),
			0);
}

/* Perhaps on a thread of the pool. */
static void on_question(struct gb_conn *conn, struct gb_bytes message)
{
	struct ask *ask = calloc(1, sizeof(*ask));

	snprintf(ask->text, sizeof(ask->text), "%.*s", (int)message.size, (const char *)message.data);
	ask->client = gb_conn_handle(conn);
	CHECK_INT(gb_handle_post(ask->client, ask_now, ask), 0);
}

static const struct gb_service asker = { GB_SERVICE_INIT, .name = "asker", .codec = &gb_codec_line,
	.state = GB_STATE_NONE, .on_message = on_question };

/* Takes connections, unheard. */
static int upstream_open(unsigned *ret_port)
{
	struct sockaddr_in address = { .sin_family = AF_INET }; /* of loopback more than one */
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(address);

	CHECK(bind(fd, (struct sockaddr *)&address, size) == 0 && listen(fd, 100) == 0);
	CHECK(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
	*ret_port = ntohs(address.sin_port);
	return fd;
}

/* A server of the model that asks this name server. */
struct asked {
	struct names_driver names;
	struct gb_server *server;
	int upstream;
	unsigned port;
	pid_t pid;
};

static bool begin_with(struct asked *asked, const char *model, const struct gb_service *service,
	const char *timeout, struct driver_option one, struct driver_option other)
{
	struct driver_option set[] = { { "resolver", NULL }, { "resolve-timeout", timeout },
		{ "linger-timeout", "20ms" }, { "connect-timeout", "10m" }, one, other, { 0 } };

	asked->names = names_driver_begin();
	set[0].value = asked->names.address;
	asked->upstream = upstream_open(&asked->port);
	atomic_store(&asked->names.shared->port, asked->port);
	asked->server = driver_server_set(model, set, service, NULL);
	if (asked->server)
		asked->pid = driver_host(asked->server);
	return asked->server;
}

static bool begin(
	struct asked *asked, const char *model, const struct gb_service *service, const char *timeout)
{
	return begin_with(
		asked, model, service, timeout, (struct driver_option){ 0 }, (struct driver_option){ 0 });
}

static void end(struct asked *asked)
{
	if (asked->server)
		driver_finish(asked->server, asked->pid);
	close(asked->upstream);
	names_driver_end(&asked->names);
}

static void read_line(int client, char *text, size_t size)
{
	size_t used = 0;

	while (used < size - 1 && driver_receive(client, text + used, 1) == 1 && text[used] != '\n')
		used++;
	text[used] = '\0';
}

static void expect(int client, const char *question, const char *beginning)
{
	char text[256];

	if (question) {
		driver_send(client, question);
		driver_send(client, "\n");
	}
	read_line(client, text, sizeof(text));
	if (strncmp(text, beginning, strlen(beginning)) != 0)
		test_fail(
			__FILE__, __LINE__, "%s: %s, not %s", question ? question : "then", text, beginning);
}

static void resolves(const char *model)
{
	struct asked asked;
	char port[64], host[64];
	int client;

	if (begin(&asked, model, &asker, "5s")) {
		snprintf(port, sizeof(port), "127.0.0.1:%u", asked.port);
		snprintf(host, sizeof(host), ">one.test:%u", asked.port);
		client = driver_client(asked.server);
		expect(client, "=one.test:80", "127.0.0.1:80");
		expect(client, "=_echo._tcp.test", port);
		expect(client, "=none.test:80", "it does not resolve: the name does not exist (NXDOMAIN)");
		expect(client, "=_no._tcp.test",
			"it does not resolve: by its SRV record there is no such service");
		expect(client, "=broken.test:80", "it does not resolve: no name server");
		expect(client, "=192.0.2.1:80", "192.0.2.1:80");
		expect(client, "=[fe80::1%lo]:80", "[fe80::1%lo]:80"); /* with its scope */
		expect(client, "=no port", "wrong usage");
		expect(client, ">_echo._tcp.test", port);
		expect(client, host, port);
		expect(client, ">none.test:80", "it does not resolve: the name does not exist (NXDOMAIN)");
		close(client);
	}
	end(&asked);
}

TEST(every_model_resolves_and_connects_by_name)
{
	driver_each_preset(resolves);
}

/* Whatever else: the second address of the name answers where the first one does not. */
TEST(the_first_address_that_answers_is_it)
{
	struct asked asked;
	char port[64], host[64];
	int client;

	if (begin(&asked, "reactor", &asker, "5s")) {
		snprintf(port, sizeof(port), "127.0.0.1:%u", asked.port);
		snprintf(host, sizeof(host), ">two.test:%u", asked.port);
		client = driver_client(asked.server);
		expect(client, host, port);
		expect(client, ">two.test:1", "Connection refused");
		close(client);
	}
	end(&asked);
}

TEST(who_asks_meanwhile_shares_the_question_and_what_is_known_is_not_asked_for)
{
	struct asked asked;
	int client;

	if (begin(&asked, "reactor", &asker, "5s")) {
		client = driver_client(asked.server);
		for (int i = 0; i < 50; i++)
			driver_send(client, "=none.test:80\n");
		for (int i = 0; i < 50; i++)
			expect(client, NULL, "it does not resolve: the name does not exist");
		for (int i = 0; i < 20; i++)
			expect(client, "=none.test:80", "it does not resolve: the name does not exist");
		/* One for A beside AAAA, one for its SOA record; search domains of the machine's may bring more. */
		CHECK(atomic_load(&asked.names.shared->questions) < 20);
		close(client);
	}
	end(&asked);
}

/* Those who wait for it are told in time, and others are served meanwhile. */
static void goes_on(const char *model)
{
	struct asked asked;
	int client;

	if (begin(&asked, model, &asker, "5s")) {
		client = driver_client(asked.server);
		driver_send(client, "=silent.test:80\n");
		expect(client, "=192.0.2.1:80", "192.0.2.1:80");
		expect(client, "=one.test:80", "127.0.0.1:80");
		CHECK(atomic_load(&asked.names.shared->silent) >= 1);
		expect(client, NULL, "it does not resolve: no name server answers in time");
		expect(client, "=garbage.test:80", "it does not resolve: no name server");
		close(client);
	}
	end(&asked);
}

TEST(a_silent_name_server_holds_nobody)
{
	static const char *const models[] = { "thread-per-connection", "prefork", "reactor", "proactor",
		"multi-reactor" };

	test_side_by_side(goes_on, models, sizeof(models) / sizeof(*models));
}

TEST(a_name_is_asked_for_again_when_its_time_is_over)
{
	struct asked asked;
	int client;

	if (begin(&asked, "reactor", &asker, "5s")) {
		client = driver_client(asked.server);
		expect(client, "=moves.test:80", "127.0.0.1:80");
		atomic_store(&asked.names.shared->host, 2);
		for (bool moved = false; !moved;) {
			char text[32];

			driver_send(client, "=moves.test:80\n");
			read_line(client, text, sizeof(text));
			moved = strcmp(text, "127.0.0.2:80") == 0;
			CHECK(moved || strcmp(text, "127.0.0.1:80") == 0);
			usleep(20000);
		}
		close(client);
	}
	end(&asked);
}

/* Time to live is a second of moves.test, an hour of stays.test; what is asked for anew has another address then. */
TEST(names_are_kept_for_as_long_and_as_many_as_the_options_say)
{
	const struct driver_option none = { 0 }, hour = { "resolve-ttl-min", "1h" };
	struct asked few, many, brief;
	struct asked *const all[] = { &few, &many, &brief };
	int clients[gb__countof(all)];
	char text[32] = "";

	CHECK(begin_with(
		&few, "reactor", &asker, "5s", hour, (struct driver_option){ "resolve-cache", "1" }));
	CHECK(begin_with(&many, "reactor", &asker, "5s", hour, none));
	CHECK(begin_with(
		&brief, "reactor", &asker, "5s", (struct driver_option){ "resolve-ttl-max", "1s" }, none));
	for (size_t i = 0; i < gb__countof(all); i++) {
		clients[i] = driver_client(all[i]->server);
		expect(clients[i], i < 2 ? "=moves.test:80" : "=stays.test:80", "127.0.0.1:80");
		atomic_store(&all[i]->names.shared->host, 2);
	}
	usleep(1200000); /* not waiting for anything: that long is too short */
	for (size_t i = 0; i < 2; i++)
		expect(clients[i], "=moves.test:80", "127.0.0.1:80");
	while (strcmp(text, "127.0.0.2:80") != 0) {
		driver_send(clients[2], "=stays.test:80\n");
		read_line(clients[2], text, sizeof(text));
	}
	/* Where there is room for one name, another takes its place. */
	for (size_t i = 0; i < 2; i++) {
		expect(clients[i], "=one.test:80", "127.0.0.1:80");
		expect(clients[i], "=moves.test:80", i == 0 ? "127.0.0.2:80" : "127.0.0.1:80");
	}
	for (size_t i = 0; i < gb__countof(all); i++) {
		close(clients[i]);
		end(all[i]);
	}
}

/* A pool by name: each message is answered with whom a connection of it goes to. */
struct take {
	struct gb_taking taking;
	struct gb_handle client;
};

static void on_taken(struct gb_operation *operation, void *user)
{
	struct take *take = user;
	struct gb_conn *client = gb_handle_conn(take->client);
	char text[GB_ADDRESS_TEXT];

	CHECK_INT(gb_operation_result(operation), 0);
	CHECK_INT(gb_conn_peer(take->taking.conn, text, sizeof(text)), 0);
	CHECK_INT(gb_upstream_give(take->taking.conn, true), 0);
	if (client)
		gb_conn_printf(client, "%s\n", text);
	free(take);
}

static const struct gb_service pooled_asker;

static void on_pool_question(struct gb_conn *conn, struct gb_bytes message)
{
	struct gb_worker *worker = gb_conn_worker(conn);
	struct gb_upstream *pool = gb_worker_data(worker, &pooled_asker);
	struct take *take = calloc(1, sizeof(*take));

	if (!pool) {
		const struct gb_upstream_options options = { .service = &far };
		char name[64];
		const char *names[] = { name };

		snprintf(name, sizeof(name), "%.*s", (int)message.size, (const char *)message.data);
		CHECK_INT(gb_upstream_create(worker, names, 1, &options, &pool, NULL), 0);
		CHECK_INT(gb_worker_set_data(worker, &pooled_asker, pool), 0);
	}
	take->client = gb_conn_handle(conn);
	gb_upstream_take_begin(pool, &take->taking, NULL, on_taken, take);
}

static void on_pool_stop(struct gb_worker *worker, void *user)
{
	gb_upstream_destroy(gb_worker_data(worker, &pooled_asker));
}

static const struct gb_service pooled_asker = { GB_SERVICE_INIT, .name = "pooled", .codec = &gb_codec_line,
	.state = GB_STATE_NONE, .on_message = on_pool_question, .on_stop = on_pool_stop };

static void pool_moves(const char *model)
{
	struct asked asked;
	char name[64], before[64], after[64], text[64] = "", byte;
	int client, first;

	if (begin(&asked, model, &pooled_asker, "5s")) {
		snprintf(name, sizeof(name), "moves.test:%u\n", asked.port);
		snprintf(before, sizeof(before), "127.0.0.1:%u", asked.port);
		snprintf(after, sizeof(after), "127.0.0.2:%u", asked.port);
		client = driver_client(asked.server);
		driver_send(client, name);
		read_line(client, text, sizeof(text));
		CHECK_STR(text, before);
		first = accept(asked.upstream, NULL, NULL);
		CHECK(first >= 0);
		atomic_store(&asked.names.shared->host, 2);
		while (strcmp(text, after) != 0) {
			CHECK_STR(text, before);
			usleep(20000);
			driver_send(client, name);
			read_line(client, text, sizeof(text));
		}
		CHECK_INT(recv(first, &byte, 1, 0), 0); /* nobody needs it any more */
		close(first);
		close(client);
	}
	end(&asked);
}

TEST(a_pool_follows_its_name_and_leaves_the_address_that_has_gone)
{
	static const char *const models[] = { "thread-per-connection", "reactor", "proactor" };

	test_side_by_side(pool_moves, models, sizeof(models) / sizeof(*models));
}

/* A server that ends does not wait for a name. */
TEST(a_stop_ends_what_is_being_resolved)
{
	struct asked asked;
	int client;

	if (begin(&asked, "reactor", &asker, "1h")) {
		client = driver_client(asked.server);
		driver_send(client, "=silent.test:80\n>silent.test:80\n");
		while (atomic_load(&asked.names.shared->silent) == 0)
			usleep(1000);
		shutdown(client, SHUT_RDWR);
		close(client);
		gb_server_stop(asked.server);
	}
	end(&asked);
}

static void straight(struct gb_stream *stream)
{
	struct gb_coro *coro = gb_stream_coro(stream);
	struct gb_resolved *resolved;
	struct gb_error error;
	struct gb_stream *far_end;
	struct gb_bytes line;

	while (gb_read_message(stream, &line) > 0) {
		char name[64];

		snprintf(name, sizeof(name), "%.*s", (int)line.size - 1, (const char *)line.data + 1);
		error.text[0] = '\0';
		if (*(const char *)line.data == '=' && gb_resolve(coro, name, &resolved, &error) == 0) {
			gb_write_format(stream, "%s\n", resolved->addresses[0].text);
			gb_resolved_free(resolved);
		} else if (*(const char *)line.data == '>' &&
			gb_stream_connect(coro, name, NULL, &far_end, &error) == 0) {
			gb_write_format(stream, "connected\n");
			gb_stream_close(far_end);
		} else if (*(const char *)line.data == '*' &&
			gb_stream_connect_any(coro, (const char *const[]){ "none.test:80", name }, 2, NULL,
				&far_end, &error) == 0) {
			gb_write_format(stream, "any\n");
			gb_stream_close(far_end);
		} else {
			gb_write_format(stream, "%s\n", error.text);
		}
	}
}

static const struct gb_service straight_asker = { GB_SERVICE_INIT, .name = "straight",
	.codec = &gb_codec_line, .state = GB_STATE_NONE, .serve = straight };

static void resolves_straight(const char *model)
{
	struct asked asked;
	int client;

	if (begin(&asked, model, &straight_asker, "5s")) {
		client = driver_client(asked.server);
		expect(client, "=one.test:80", "127.0.0.1:80");
		expect(client, "=[fe80::1%lo]:80", "[fe80::1%lo]:80");
		expect(client, "=none.test:80",
			"none.test:80: it does not resolve: the name does not exist (NXDOMAIN)");
		expect(client, ">_echo._tcp.test", "connected");
		expect(client, ">none.test:80",
			"cannot connect to none.test:80: it does not resolve: the name does not exist (NXDOMAIN)");
		expect(client, "*_echo._tcp.test", "any");
		expect(client, "*none.test:81", "cannot connect to none.test:80");
		close(client);
	}
	end(&asked);
}

TEST(every_model_resolves_in_straight_line_handlers)
{
	driver_each_preset(resolves_straight);
}

/* A lower priority is for when nobody of the higher one can be reached (RFC 2782), not for when that takes its time. */
static void waits_for_the_higher_priority(struct asked *asked, const char *question, const char *beginning)
{
	struct pollfd lower = { .fd = asked->upstream, .events = POLLIN };
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int filler = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), accepted, client;
	socklen_t size = sizeof(address);
	char expected[64];

	CHECK(bind(late, (struct sockaddr *)&address, size) == 0 && listen(late, 0) == 0);
	CHECK(getsockname(late, (struct sockaddr *)&address, &size) == 0);
	CHECK_INT(connect(filler, (struct sockaddr *)&address, size), 0); /* the next one is not answered */
	atomic_store(&asked->names.shared->late, ntohs(address.sin_port));
	client = driver_client(asked->server);
	driver_send(client, question);
	CHECK_INT(poll(&lower, 1, 3 * GB__RACE_DELAY_MS), 0);
	accepted = accept(late, NULL, NULL);
	CHECK(accepted >= 0);
	close(accepted);
	accepted = accept(late, NULL, NULL); /* its SYN has come again */
	CHECK(accepted >= 0);
	snprintf(expected, sizeof(expected), beginning, ntohs(address.sin_port));
	expect(client, NULL, expected);
	CHECK_INT(poll(&lower, 1, 0), 0);
	close(accepted);
	close(filler);
	close(late);
	close(client);
}

static void prefers(const char *model)
{
	struct asked asked;

	if (begin(&asked, model, &asker, "5s"))
		waits_for_the_higher_priority(&asked, ">_late._tcp.test\n", "127.0.0.1:%u");
	end(&asked);
	if (begin(&asked, model, &straight_asker, "5s"))
		waits_for_the_higher_priority(&asked, "*_late._tcp.test\n", "any");
	end(&asked);
}

TEST(a_lower_priority_is_left_alone_while_the_higher_one_may_answer)
{
	static const char *const models[] = { "thread-per-connection", "reactor", "proactor" };

	test_side_by_side(prefers, models, sizeof(models) / sizeof(*models));
}
