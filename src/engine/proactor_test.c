/* The proactor on the real ring: what every engine must do is in the conformance suite; here is what it alone can get wrong. */
#include "base/macros.h"
#include "engine/proactor_test_driver.h"

#include "base/alloc.h"
#include "engine/ring/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <unistd.h>

static struct gb__engine *create(const struct gb__engine_options *options)
{
	struct gb__engine_options filled = *options;
	struct gb__engine *engine = NULL;
	struct gb_error error = { 0 };

	filled.os = &gb__os_linux;
	if (gb__engine_create("io_uring", filled, &engine, &error) < 0)
		test_fail(__FILE__, __LINE__, "no engine: %s", error.text);
	return engine;
}

/* A stream that notes what it is told, and echoes when asked to. */
struct side {
	struct gb__stream stream;
	struct gb__engine *engine;
	bool echo, connected, ended, detached;
	int connect_error, end_error, output_error;
	unsigned outputs, inputs;
	size_t received;
	uint64_t sum; /* of the received bytes by position */
	struct side *next;
};

static uint64_t sum_bytes(uint64_t position, const unsigned char *data, size_t size)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < size; i++)
		sum += (position + i + 1) * data[i];
	return sum;
}

static unsigned char pattern(size_t position)
{
	return (unsigned char)(position * 31 + position / 251);
}

static void fill(unsigned char *data, size_t position, size_t size)
{
	for (size_t i = 0; i < size; i++)
		data[i] = pattern(position + i);
}

static void leave(struct side *side)
{
	if (side->engine->ops->detach(side->engine, &side->stream.endpoint) == 0)
		side->detached = true;
}

static void on_input(struct gb__stream *stream, unsigned char *data, size_t size)
{
	struct side *side = (struct side *)stream;

	CHECK(size > 0);
	CHECK(!side->ended);
	side->inputs++;
	side->sum += sum_bytes(side->received, data, size);
	side->received += size;
	memset(data - GB__INPUT_HEADROOM, 0xee, GB__INPUT_HEADROOM);
	if (side->echo) {
		CHECK_INT(gb__output_append(&stream->output, &side->engine->pool, data, size), 0);
		CHECK(side->engine->ops->flush(side->engine, stream) >= 0);
	}
}

static void on_end(struct gb__stream *stream, int error)
{
	struct side *side = (struct side *)stream;

	CHECK(!side->ended);
	side->ended = true;
	side->end_error = error;
	if (side->echo && (error || gb__output_empty(&stream->output)))
		leave(side);
}

static void on_output(struct gb__stream *stream, int error)
{
	struct side *side = (struct side *)stream;

	CHECK_INT(side->output_error, 0);
	side->outputs++;
	side->output_error = error;
	if (side->echo && side->ended && gb__output_empty(&stream->output))
		leave(side);
}

static void on_connected(struct gb__stream *stream, int error)
{
	struct side *side = (struct side *)stream;

	CHECK(!side->connected);
	side->connected = true;
	side->connect_error = error;
}

static void on_detached(struct gb__endpoint *endpoint)
{
	((struct side *)endpoint)->detached = true;
}

static const struct gb__endpoint_ops side_ops = {
	.on_input = on_input,
	.on_end = on_end,
	.on_output = on_output,
	.on_connected = on_connected,
	.on_detached = on_detached,
};

static void side_init(struct side *side, struct gb__engine *engine, int fd)
{
	*side = (struct side){ .engine = engine };
	side->stream.endpoint =
		(struct gb__endpoint){ .ops = &side_ops, .fd = fd, .kind = GB__ENDPOINT_STREAM };
	CHECK_INT(engine->ops->attach(engine, &side->stream.endpoint), 0);
}

static void side_finish(struct side *side)
{
	for (int i = 0; i < WAITS_MAX && !side->detached; i++)
		side->engine->ops->wait(side->engine, SECOND_NS);
	CHECK(side->detached);
	gb__output_clear(&side->stream.output, &side->engine->pool);
	close(side->stream.endpoint.fd);
}

/* Whatever is on its way is over. */
static void calm_down(struct gb__engine *engine)
{
	for (int i = 0; i < 5; i++)
		CHECK(engine->ops->wait(engine, 0) >= 0);
}

static void socket_pair(int ret[2])
{
	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret), 0);
}

static int listen_tcp(struct sockaddr_in *ret)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t size = sizeof(*ret);

	*ret = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	CHECK(fd >= 0);
	CHECK_INT(bind(fd, (struct sockaddr *)ret, size), 0);
	CHECK_INT(listen(fd, 128), 0);
	CHECK_INT(getsockname(fd, (struct sockaddr *)ret, &size), 0);
	return fd;
}

/* Nagle's algorithm and delayed acknowledgements together would make every round take 40 ms. */
static void without_delay(int fd)
{
	int yes = 1;

	CHECK_INT(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)), 0);
}

/* A listening endpoint that echoes to everybody. */
struct server {
	struct gb__endpoint endpoint;
	struct gb__engine *engine;
	struct side *sides;
	unsigned accepted;
	bool detached;
};

static void server_accept(struct gb__endpoint *endpoint, int fd)
{
	struct server *server = (struct server *)endpoint;
	struct side *side = malloc(sizeof(*side));

	CHECK(fd >= 0);
	without_delay(fd);
	side_init(side, server->engine, fd);
	side->echo = true;
	side->next = server->sides;
	server->sides = side;
	server->accepted++;
	CHECK_INT(server->engine->ops->input_start(server->engine, &side->stream.endpoint), 0);
}

static void server_detached(struct gb__endpoint *endpoint)
{
	((struct server *)endpoint)->detached = true;
}

static const struct gb__endpoint_ops server_ops = { .on_accept = server_accept,
	.on_detached = server_detached };

static unsigned server_alive(const struct server *server)
{
	unsigned count = 0;

	for (const struct side *side = server->sides; side; side = side->next)
		count += !side->detached;
	return count;
}

static void server_init(struct server *server, struct gb__engine *engine, int fd)
{
	*server = (struct server){ .engine = engine };
	server->endpoint =
		(struct gb__endpoint){ .ops = &server_ops, .fd = fd, .kind = GB__ENDPOINT_LISTENER };
	CHECK_INT(engine->ops->attach(engine, &server->endpoint), 0);
	CHECK_INT(engine->ops->input_start(engine, &server->endpoint), 0);
}

static void server_finish(struct server *server)
{
	if (server->engine->ops->detach(server->engine, &server->endpoint) == 1)
		WAIT_UNTIL(server->engine, server->detached);
	close(server->endpoint.fd);
	while (server->sides) {
		struct side *side = server->sides;

		server->sides = side->next;
		side_finish(side);
		free(side);
	}
}

struct clients {
	const struct sockaddr_in *address;
	unsigned connections, rounds;
	size_t size_max;
	struct gb__engine *engine; /* woken when all is done */
	_Atomic bool done;
};

static void transfer(int fd, unsigned char *data, size_t size, bool sending)
{
	size_t done = 0;

	while (done < size) {
		ssize_t part = sending ? send(fd, data + done, size - done, MSG_NOSIGNAL)
				       : recv(fd, data + done, size - done, 0);

		if (part <= 0)
			test_fail(__FILE__, __LINE__, "%s after %zu of %zu bytes: %zd %s",
				sending ? "send" : "recv", done, size, part, strerror(errno));
		done += (size_t)part;
	}
}

static void *clients_run(void *argument)
{
	struct clients *clients = argument;
	unsigned char *out = malloc(clients->size_max), *in = malloc(clients->size_max);
	int *fds = calloc(clients->connections, sizeof(int));
	uint64_t random = test_seed();
	size_t sizes[256];

	CHECK(clients->connections <= 256);
	for (unsigned i = 0; i < clients->connections; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		CHECK_INT(
			connect(fds[i], (const struct sockaddr *)clients->address, sizeof(*clients->address)),
			0);
		without_delay(fds[i]);
	}
	for (unsigned round = 0; round < clients->rounds; round++) {
		for (unsigned i = 0; i < clients->connections; i++) {
			sizes[i] = 1 + (size_t)(test_random(&random) % clients->size_max);
			fill(out, round + i, sizes[i]);
			transfer(fds[i], out, sizes[i], true);
			if (round + 1 == clients->rounds)
				shutdown(fds[i], SHUT_WR); /* comes with the last bytes, now and then */
		}
		for (unsigned i = 0; i < clients->connections; i++) {
			fill(out, round + i, sizes[i]);
			transfer(fds[i], in, sizes[i], false);
			CHECK(memcmp(in, out, sizes[i]) == 0);
		}
	}
	for (unsigned i = 0; i < clients->connections; i++)
		close(fds[i]);
	clients->done = true;
	clients->engine->ops->wake(clients->engine);
	free(fds);
	free(out);
	free(in);
	return NULL;
}

static struct gb__engine_stats echo(
	const struct gb__engine_options *options, unsigned rounds, size_t size_max)
{
	struct gb__engine *engine = create(options);
	struct sockaddr_in address;
	struct clients clients = { .address = &address,
		.connections = 50,
		.rounds = rounds,
		.size_max = size_max,
		.engine = engine };
	struct gb__engine_stats stats;
	struct server server;
	pthread_t thread;

	server_init(&server, engine, listen_tcp(&address));
	CHECK_INT(pthread_create(&thread, NULL, clients_run, &clients), 0);
	while (!clients.done || server_alive(&server))
		CHECK(engine->ops->wait(engine, -1) >= 0);
	CHECK_INT(pthread_join(thread, NULL), 0);
	CHECK_INT(server.accepted, clients.connections);
	server_finish(&server);
	stats = engine->stats;
	engine->ops->destroy(engine);
	return stats;
}

TEST(echoes_under_every_feature_set)
{
	static const unsigned masks[] = {
		0,
		GB__RING_MULTISHOT_ACCEPT,
		GB__RING_MULTISHOT_RECV,
		GB__RING_PROVIDED_BUFFERS,
		GB__RING_DEFER_TASKRUN,
		GB__RING_SINGLE_ISSUER,
		~0u,
	};

	for (size_t i = 0; i < gb__countof(masks); i++) {
		struct gb__engine_options options = { .ring_mask = masks[i], .accept_when_ready = i & 1 };

		echo(&options, 20, 20000);
	}
}

TEST(echoes_with_hardly_any_buffers_entries_and_completions)
{
	for (unsigned multishot = 0; multishot < 2; multishot++) {
		struct gb__engine_options options = {
			.buffers = 4, .buffer_size = 64, .entries = 2, .completions = 4
		};
		struct gb__engine_stats stats;

		options.ring_mask = multishot ? 0 : GB__RING_MULTISHOT_RECV;
		stats = echo(&options, 20, 3000);
		CHECK(stats.starved > 0 || !multishot);
	}
}

TEST(a_starved_stream_waits_in_line_without_spinning)
{
	enum { STREAMS = 40, BYTES = 4000 };
	struct gb__engine_options options = { .buffers = 2, .buffer_size = 100 };
	struct gb__engine *engine = create(&options);
	struct side sides[STREAMS];
	unsigned char data[BYTES];
	uint64_t waits;
	int pairs[STREAMS][2];

	fill(data, 0, sizeof(data));
	for (int i = 0; i < STREAMS; i++) {
		socket_pair(pairs[i]);
		side_init(&sides[i], engine, pairs[i][0]);
		CHECK_INT(write(pairs[i][1], data, sizeof(data)), sizeof(data));
		CHECK_INT(engine->ops->input_start(engine, &sides[i].stream.endpoint), 0);
	}
	for (int i = 0; i < STREAMS; i++) {
		WAIT_UNTIL(engine, sides[i].received == BYTES);
		CHECK(sides[i].sum == sum_bytes(0, data, sizeof(data)));
	}
	/* Now all are armed and idle: one wait, which ends on time. */
	calm_down(engine);
	waits = engine->stats.waits;
	CHECK_INT(engine->ops->wait(engine, 10000000), 0);
	CHECK_INT(engine->stats.waits, waits + 1);
	/* With no bytes on their way, some in line leave it by going. */
	for (int i = 0; i < STREAMS; i++) {
		leave(&sides[i]);
		side_finish(&sides[i]);
		close(pairs[i][1]);
	}
	engine->ops->destroy(engine);
}

/* Fill the kernel until a send is stuck. */
static size_t get_stuck(struct side *side, size_t size)
{
	struct gb__engine *engine = side->engine;
	unsigned char *data = malloc(size);

	fill(data, 0, size);
	CHECK_INT(gb__output_append(&side->stream.output, &engine->pool, data, size), 0);
	CHECK_INT(engine->ops->flush(engine, &side->stream), 1);
	calm_down(engine);
	CHECK(!gb__output_empty(&side->stream.output));
	free(data);
	return size;
}

TEST(detaching_a_stuck_send_returns_exactly_the_unsent_bytes)
{
	struct gb__engine *engine = create(&(struct gb__engine_options){ 0 });
	size_t total, left, got = 0;
	unsigned char *all;
	struct side side;
	ssize_t part;
	int pair[2];

	socket_pair(pair);
	side_init(&side, engine, pair[0]);
	CHECK_INT(engine->ops->input_start(engine, &side.stream.endpoint), 0);
	total = get_stuck(&side, 3 << 20);
	CHECK_INT(engine->ops->detach(engine, &side.stream.endpoint), 1);
	WAIT_UNTIL(engine, side.detached);
	CHECK_INT(side.output_error, 0);
	CHECK_INT(engine->attached, 1); /* the engine's own wake-up */
	left = side.stream.output.bytes;
	CHECK(left > 0);
	all = malloc(total);
	while ((part = recv(pair[1], all + got, total - got, MSG_DONTWAIT)) > 0)
		got += (size_t)part;
	CHECK_INT(got + left, total);
	/* The rest is at the front of the queue, and goes out under the next attachment. */
	side.detached = false;
	CHECK_INT(engine->ops->attach(engine, &side.stream.endpoint), 0);
	CHECK_INT(engine->ops->flush(engine, &side.stream), 1);
	for (int i = 0; i < WAITS_MAX && got < total; i++) {
		CHECK(engine->ops->wait(engine, 0) >= 0);
		while ((part = recv(pair[1], all + got, total - got, MSG_DONTWAIT)) > 0)
			got += (size_t)part;
	}
	CHECK_INT(got, total);
	for (size_t i = 0; i < total; i++)
		if (all[i] != pattern(i))
			test_fail(__FILE__, __LINE__, "byte %zu differs", i);
	free(all);
	leave(&side);
	side_finish(&side);
	close(pair[1]);
	engine->ops->destroy(engine);
}

TEST(bytes_appended_behind_a_send_in_flight_follow_it)
{
	struct gb__engine *engine = create(&(struct gb__engine_options){ 0 });
	enum { FIRST = 100 << 10, TAKEN = 80 << 10, SECOND = 50 << 10, TOTAL = FIRST + SECOND };
	unsigned char *data = malloc(TOTAL), *all = malloc(TOTAL);
	size_t got = 0;
	struct side side;
	ssize_t part;
	int pair[2], small = 4096;

	fill(data, 0, TOTAL);
	socket_pair(pair);
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	side_init(&side, engine, pair[0]);
	CHECK_INT(gb__output_append(&side.stream.output, &engine->pool, data, FIRST), 0);
	CHECK_INT(engine->ops->flush(engine, &side.stream), 1);
	while (got < TAKEN) {
		CHECK(engine->ops->wait(engine, 0) >= 0);
		part = recv(pair[1], all + got, TAKEN - got, MSG_DONTWAIT);
		got += part > 0 ? (size_t)part : 0;
	}
	calm_down(engine);
	CHECK(!gb__output_empty(&side.stream.output));
	for (size_t at = FIRST; at < TOTAL; at += 100) {
		CHECK_INT(gb__output_append(&side.stream.output, &engine->pool, data + at,
				  gb__min((size_t)100, TOTAL - at)),
			0);
		CHECK_INT(engine->ops->flush(engine, &side.stream), 1);
	}
	for (int i = 0; i < WAITS_MAX && got < TOTAL; i++) {
		CHECK(engine->ops->wait(engine, 0) >= 0);
		while ((part = recv(pair[1], all + got, TOTAL - got, MSG_DONTWAIT)) > 0)
			got += (size_t)part;
	}
	CHECK_INT(got, TOTAL);
	CHECK(memcmp(all, data, TOTAL) == 0);
	calm_down(engine);
	CHECK(gb__output_empty(&side.stream.output));
	CHECK_INT(engine->ops->flush(engine, &side.stream), 0);
	leave(&side);
	side_finish(&side);
	close(pair[1]);
	free(data);
	free(all);
	engine->ops->destroy(engine);
}

static void stop_and_start(unsigned mask)
{
	struct gb__engine *engine = create(&(struct gb__engine_options){ .ring_mask = mask });
	struct gb__endpoint *endpoint;
	struct side side;
	size_t sent = 0;
	int pair[2];

	socket_pair(pair);
	side_init(&side, engine, pair[0]);
	endpoint = &side.stream.endpoint;
	CHECK_INT(engine->ops->input_start(engine, endpoint), 0);
	calm_down(engine);
	for (int i = 0; i < 50; i++) {
		engine->ops->input_stop(engine, endpoint);
		if (i % 3)
			engine->ops->wait(engine, 0); /* the cancel is on its way */
		if (i % 5 == 0)
			calm_down(engine);
		sent += (size_t)write(pair[1], "abc", 3);
		if (i % 2)
			engine->ops->wait(engine, 0);
		CHECK_INT(engine->ops->input_start(engine, endpoint), 0);
		WAIT_UNTIL(engine, side.received == sent);
	}
	engine->ops->input_stop(engine, endpoint);
	calm_down(engine);
	CHECK_INT(write(pair[1], "abc", 3), 3);
	close(pair[1]);
	calm_down(engine);
	CHECK_INT(side.received, sent);
	CHECK(!side.ended);
	CHECK_INT(engine->ops->input_start(engine, endpoint), 0);
	WAIT_UNTIL(engine, side.ended);
	CHECK_INT(side.received, sent + 3);
	CHECK_INT(side.end_error, 0);
	leave(&side);
	CHECK(side.detached); /* nothing was in flight any more */
	side_finish(&side);
	engine->ops->destroy(engine);
}

TEST(input_stops_and_starts_while_its_cancel_is_on_its_way)
{
	stop_and_start(0);
	stop_and_start(GB__RING_MULTISHOT_RECV);
	stop_and_start(GB__RING_PROVIDED_BUFFERS);
}

TEST(an_end_that_came_with_the_stop_is_told_at_the_next_start)
{
	struct gb__engine *engine = create(&(struct gb__engine_options){ 0 });
	struct side side;
	int pair[2];

	socket_pair(pair);
	side_init(&side, engine, pair[0]);
	CHECK_INT(engine->ops->input_start(engine, &side.stream.endpoint), 0);
	calm_down(engine);
	close(pair[1]);
	engine->ops->input_stop(engine, &side.stream.endpoint); /* too late: the receive ends by itself */
	calm_down(engine);
	CHECK(!side.ended);
	CHECK_INT(engine->ops->input_start(engine, &side.stream.endpoint), 0);
	CHECK(!side.ended); /* not from inside a call */
	WAIT_UNTIL(engine, side.ended);
	leave(&side);
	side_finish(&side);
	engine->ops->destroy(engine);
}

TEST(the_end_is_told_however_close_it_follows_the_last_bytes)
{
	static const unsigned masks[] = { 0, GB__RING_MULTISHOT_RECV, GB__RING_PROVIDED_BUFFERS };

	for (unsigned i = 0; i < 6; i++) {
		struct gb__engine *engine = create(&(struct gb__engine_options){ .ring_mask = masks[i / 2] });
		struct side side;
		int pair[2];

		socket_pair(pair);
		side_init(&side, engine, pair[0]);
		CHECK_INT(engine->ops->input_start(engine, &side.stream.endpoint), 0);
		if (i % 2)
			calm_down(engine); /* armed before, respectively after the bytes */
		CHECK_INT(write(pair[1], "bye", 3), 3);
		close(pair[1]);
		WAIT_UNTIL(engine, side.ended);
		CHECK_INT(side.received, 3);
		leave(&side);
		side_finish(&side);
		engine->ops->destroy(engine);
	}
}

TEST(connects_and_says_why_not)
{
	struct gb__engine *engine = create(&(struct gb__engine_options){ 0 });
	struct sockaddr_in address;
	int listener = listen_tcp(&address);
	struct side side;

	for (int i = 0; i < 2; i++) {
		int fd = engine->os->ops->socket(engine->os, AF_INET, SOCK_STREAM);

		side_init(&side, engine, fd);
		CHECK_INT(engine->ops->input_start(engine, &side.stream.endpoint), 0); /* waits its turn */
		CHECK_INT(engine->ops->connect(
				  engine, &side.stream, (struct sockaddr *)&address, sizeof(address)),
			0);
		CHECK(!side.connected);
		WAIT_UNTIL(engine, side.connected);
		CHECK_INT(side.connect_error, i ? -ECONNREFUSED : 0);
		CHECK_INT(!(fcntl(fd, F_GETFL) & O_NONBLOCK), i ? 0 : 1);
		leave(&side);
		side_finish(&side);
		if (i == 0)
			close(listener);
	}
	engine->ops->destroy(engine);
}

TEST(echoing_allocates_nothing)
{
	struct gb__engine *engine = create(&(struct gb__engine_options){ 0 });
	uint64_t allocations = 0;
	struct side side;
	char byte;
	int pair[2];

	socket_pair(pair);
	side_init(&side, engine, pair[0]);
	side.echo = true;
	CHECK_INT(engine->ops->input_start(engine, &side.stream.endpoint), 0);
	for (int i = 0; i < 1000; i++) {
		if (i == 10)
			allocations = gb__alloc_count();
		CHECK_INT(write(pair[1], "x", 1), 1);
		WAIT_UNTIL(engine, recv(pair[1], &byte, 1, MSG_DONTWAIT) == 1);
	}
	CHECK_INT(gb__alloc_count(), allocations);
	calm_down(engine);
	leave(&side);
	side_finish(&side);
	close(pair[1]);
	engine->ops->destroy(engine);
}

TEST(out_of_memory_leaves_nothing_behind)
{
	struct gb__engine_options options = { .os = &gb__os_linux };
	struct gb__engine *engine;
	struct gb_error error;
	int code = -1;

	for (uint64_t n = 1; n < 100 && code < 0; n++) {
		gb__alloc_fail_at(n);
		code = gb__engine_create("io_uring", options, &engine, &error);
		if (code < 0)
			CHECK_INT(code, -ENOMEM);
	}
	gb__alloc_fail_at(0);
	CHECK_INT(code, 0);
	engine->ops->destroy(engine);
}
