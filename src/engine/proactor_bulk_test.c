/* The proactor's receives for bulk on the real ring. Step by step, and with faults, they are in tests/engine. */
#include "base/macros.h"
#include "engine/proactor_test_driver.h"

#include "base/alloc.h"
#include "engine/ring/ring.h"

#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

#define MUCH 60000u /* more than a small buffer holds, less than a socket */

/* The real ring, but for what the test counts or refuses. */
static struct gb__ring_ops ring;
static unsigned started, received, missed;
static int refusal;

static int counted_start(struct gb__ring *self)
{
	started++;
	return refusal ? refusal : gb__ring_io_uring.bulk_start(self);
}

static int counted_receive(struct gb__ring *self, int fd, uint64_t token)
{
	received++;
	return gb__ring_io_uring.recv_bulk(self, fd, token);
}

static void counted_miss(struct gb__ring *self, bool bulk)
{
	missed += bulk;
	gb__ring_io_uring.buffers_missed(self, bulk);
}

static struct gb__engine *create(struct gb__engine_options options)
{
	struct gb__engine *engine = NULL;
	struct gb_error error = { 0 };

	ring = gb__ring_io_uring;
	ring.bulk_start = counted_start;
	ring.recv_bulk = counted_receive;
	ring.buffers_missed = counted_miss;
	started = received = missed = 0;
	options.os = &gb__os_linux;
	options.ring = &ring;
	if (gb__engine_proactor.create(&options, &engine, &error) < 0)
		test_fail(__FILE__, __LINE__, "no engine: %s", error.text);
	return engine;
}

/* Notes what it is told; sends it back from where it lies when asked to lend. */
struct side {
	struct gb__stream stream;
	struct gb__engine *engine;
	bool lends, ended, detached;
	unsigned lent, refused;
	size_t size;
	int peer;
};

static unsigned char pattern(size_t position)
{
	return (unsigned char)(position * 31 + position / 251);
}

static void on_input(struct gb__stream *stream, unsigned char *data, size_t size)
{
	struct side *side = (struct side *)stream;
	struct gb__engine *engine = side->engine;
	struct gb__chunk *chunk;

	CHECK(!side->ended);
	for (size_t i = 0; i < size; i++)
		if (data[i] != pattern(side->size + i))
			test_fail(__FILE__, __LINE__, "byte %zu differs", side->size + i);
	memset(data - GB__INPUT_HEADROOM, 0xee, GB__INPUT_HEADROOM);
	side->size += size;
	if (!side->lends)
		return;
	chunk = engine->ops->borrow(engine, data, size);
	side->lent += chunk != NULL;
	side->refused += !chunk;
	if (chunk)
		gb__output_append_chunk(&stream->output, chunk);
	else
		CHECK_INT(gb__output_append(&stream->output, &engine->pool, data, size), 0);
	CHECK(engine->ops->flush(engine, stream) >= 0);
}

static void on_end(struct gb__stream *stream, int error)
{
	CHECK_INT(error, 0);
	((struct side *)stream)->ended = true;
}

static void on_output(struct gb__stream *stream, int error)
{
	(void)stream;
	CHECK_INT(error, 0);
}

static void on_detached(struct gb__endpoint *endpoint)
{
	((struct side *)endpoint)->detached = true;
}

static const struct gb__endpoint_ops side_ops = {
	.on_input = on_input,
	.on_end = on_end,
	.on_output = on_output,
	.on_detached = on_detached,
};

static void side_init(struct side *side, struct gb__engine *engine)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;
	socklen_t size = sizeof(address);

	CHECK_INT(bind(listener, (struct sockaddr *)&address, size), 0);
	CHECK_INT(listen(listener, 1), 0);
	CHECK_INT(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	*side = (struct side){ .engine = engine, .peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	CHECK_INT(connect(side->peer, (struct sockaddr *)&address, size), 0);
	fd = accept(listener, NULL, NULL);
	CHECK(fd >= 0);
	close(listener);
	side->stream.endpoint =
		(struct gb__endpoint){ .ops = &side_ops, .fd = fd, .kind = GB__ENDPOINT_STREAM };
	CHECK_INT(engine->ops->attach(engine, &side->stream.endpoint), 0);
	CHECK_INT(engine->ops->input_start(engine, &side->stream.endpoint), 0);
}

static void side_finish(struct side *side)
{
	if (side->engine->ops->detach(side->engine, &side->stream.endpoint) == 1)
		WAIT_UNTIL(side->engine, side->detached);
	gb__output_clear(&side->stream.output, &side->engine->pool);
	close(side->stream.endpoint.fd);
	close(side->peer);
}

static void peer_send(const struct side *side, size_t from, size_t size)
{
	unsigned char *data = malloc(size);

	for (size_t i = 0; i < size; i++)
		data[i] = pattern(from + i);
	CHECK_INT(send(side->peer, data, size, MSG_NOSIGNAL), size);
	free(data);
}

static void exchange(struct side *side, size_t size)
{
	size_t from = side->size;

	peer_send(side, from, size);
	WAIT_UNTIL(side->engine, side->size == from + size);
}

static void much_and_then_little(unsigned mask)
{
	struct gb__engine *engine = create((struct gb__engine_options){ .ring_mask = mask });
	struct side side;
	unsigned before;

	side_init(&side, engine);
	for (unsigned i = 0; i < 10; i++)
		exchange(&side, 10);
	CHECK_INT(started, 0); /* whoever gets no bulk pays nothing for it */
	for (unsigned i = 0; i < 20; i++)
		exchange(&side, MUCH);
	if (received) /* a kernel that can, and a mask that lets it */
		CHECK_INT(started, 1);
	else
		CHECK((mask & (GB__RING_BULK | GB__RING_PROVIDED_BUFFERS)) || refusal);
	for (unsigned i = 0; i < 3; i++)
		exchange(&side, 10);
	before = received;
	for (unsigned i = 0; i < 10; i++)
		exchange(&side, 10);
	CHECK_INT(received, before);
	close(side.peer);
	WAIT_UNTIL(engine, side.ended);
	side.peer = -1;
	side_finish(&side);
	engine->ops->destroy(engine);
}

TEST(much_comes_into_large_buffers_and_little_into_small_ones)
{
	static const unsigned masks[] = { 0, GB__RING_MULTISHOT_RECV, GB__RING_BULK,
		GB__RING_PROVIDED_BUFFERS };

	for (size_t i = 0; i < gb__countof(masks); i++)
		much_and_then_little(masks[i]);
}

TEST(a_kernel_that_refuses_large_buffers_is_asked_once)
{
	refusal = -ENOMEM;
	much_and_then_little(0);
	CHECK_INT(started, 1);
	CHECK_INT(received, 0);
}

TEST(streams_that_share_one_large_buffer_wait_in_line_for_it)
{
	enum { STREAMS = 20 };
	struct gb__engine *engine = create((struct gb__engine_options){ .bulk_buffers = 1 });
	struct side sides[STREAMS];
	uint64_t waits;

	for (unsigned i = 0; i < STREAMS; i++)
		side_init(&sides[i], engine);
	for (unsigned turn = 0; turn < 5; turn++) {
		for (unsigned i = 0; i < STREAMS; i++)
			peer_send(&sides[i], turn * MUCH, MUCH);
		for (unsigned i = 0; i < STREAMS; i++)
			WAIT_UNTIL(engine, sides[i].size == (turn + 1) * MUCH);
	}
	CHECK((engine->stats.starved > 0 && missed > 0) || !received);
	/* Now all are armed: one wait, which ends on time. */
	for (int i = 0; i < 5; i++)
		CHECK(engine->ops->wait(engine, 0) >= 0);
	waits = engine->stats.waits;
	CHECK_INT(engine->ops->wait(engine, 10000000), 0);
	CHECK_INT(engine->stats.waits, waits + 1);
	for (unsigned i = 0; i < STREAMS; i++)
		side_finish(&sides[i]);
	engine->ops->destroy(engine);
}

/* Sent back from the large buffer itself, without memory of its own; half of these may be lent. */
TEST(large_buffers_are_lent_and_come_back)
{
	struct gb__engine *engine = create((struct gb__engine_options){ .bulk_buffers = 8 });
	unsigned char *back = malloc(MUCH);
	uint64_t allocations = 0;
	struct side side;

	side_init(&side, engine);
	side.lends = true;
	for (unsigned i = 0; i < 50; i++) {
		size_t got = 0;

		if (i == 10)
			allocations = gb__alloc_count();
		exchange(&side, MUCH);
		while (got < MUCH) {
			ssize_t part = recv(side.peer, back + got, MUCH - got, MSG_DONTWAIT);

			got += part > 0 ? (size_t)part : 0;
			CHECK(engine->ops->wait(engine, 0) >= 0);
		}
		for (size_t k = 0; k < MUCH; k++)
			CHECK_INT(back[k], pattern(i * MUCH + k));
	}
	if (received)
		CHECK_INT(gb__alloc_count(), allocations);
	/* A peer that does not read holds four of them; the rest is copied. */
	side.lent = side.refused = 0;
	for (unsigned i = 0; i < 2000 && !(received && side.refused); i++)
		exchange(&side, MUCH);
	CHECK(side.refused > 0 || !received);
	exchange(&side, MUCH); /* which can still receive */
	side_finish(&side);
	free(back);
	engine->ops->destroy(engine);
}
