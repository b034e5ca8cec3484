/* The ring against real sockets: every feature, and every fallback that a mask makes it take. */
#include "engine/ring/io_uring_test_driver.h"

#include "base/alloc.h"
#include "base/macros.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

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

static int connect_tcp(const struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK_INT(connect(fd, (const struct sockaddr *)address, sizeof(*address)), 0);
	return fd;
}

TEST(one_accept_serves_many_clients)
{
	struct gb__ring_options options = defaults();
	struct gb__ring *ring = create(&options);
	struct sockaddr_in address;
	int listener = listen_tcp(&address);

	if (!(ops->features(ring) & GB__RING_MULTISHOT_ACCEPT))
		return;
	CHECK_INT(ops->accept(ring, listener, true, 7), 0);
	for (int i = 0; i < 20; i++) {
		int client = connect_tcp(&address);
		struct gb__completion completion = next(ring);

		CHECK_INT(completion.token, 7);
		CHECK(completion.result >= 0);
		CHECK(completion.flags & GB__COMPLETION_MORE);
		CHECK(fcntl(completion.result, F_GETFD) & FD_CLOEXEC);
		CHECK(!(fcntl(completion.result, F_GETFL) & O_NONBLOCK));
		close(completion.result);
		close(client);
	}
	ops->destroy(ring);
}

TEST(an_accept_once_takes_one_client)
{
	struct gb__ring_options options = defaults();
	struct gb__ring *ring;
	struct sockaddr_in address;
	int listener = listen_tcp(&address), client;
	struct gb__completion completion;

	options.mask = GB__RING_MULTISHOT_ACCEPT;
	ring = create(&options);
	CHECK(!(ops->features(ring) & GB__RING_MULTISHOT_ACCEPT));
	for (int i = 0; i < 3; i++) {
		CHECK_INT(ops->accept(ring, listener, false, 7), 0);
		/* Armed before the client comes: O_NONBLOCK of the listener must not end it. */
		CHECK_INT(ops->wait(ring, &completion, 1, 0), 0);
		client = connect_tcp(&address);
		completion = next(ring);
		CHECK(completion.result >= 0);
		CHECK(!(completion.flags & GB__COMPLETION_MORE));
		close(completion.result);
		close(client);
	}
	ops->destroy(ring);
}

TEST(a_receive_goes_on_until_the_peer_ends)
{
	struct gb__ring_options options = defaults();
	struct gb__ring *ring = create(&options);
	struct gb__completion completion;
	int pair[2];

	if (!(ops->features(ring) & GB__RING_MULTISHOT_RECV))
		return;
	socket_pair(pair);
	CHECK_INT(ops->recv(ring, pair[0], true, 5), 0);
	CHECK_INT(ops->wait(ring, &completion, 1, 0), 0);
	for (int i = 0; i < 100; i++) {
		unsigned char byte = (unsigned char)i, *data;

		CHECK_INT(write(pair[1], &byte, 1), 1);
		completion = next(ring);
		CHECK_INT(completion.token, 5);
		CHECK_INT(completion.result, 1);
		CHECK(completion.flags & GB__COMPLETION_MORE);
		CHECK(completion.flags & GB__COMPLETION_BUFFER);
		data = ops->buffer(ring, gb__completion_buffer(&completion));
		CHECK_INT(data[0], i);
		memset(data - options.headroom, 0xee, options.headroom); /* ours to write */
		ops->buffer_return(ring, gb__completion_buffer(&completion));
	}
	close(pair[1]);
	completion = next(ring);
	CHECK_INT(completion.result, 0);
	CHECK(!(completion.flags & GB__COMPLETION_MORE));
	ops->destroy(ring);
}

/* Bytes and then FIN or RST, sent before or after the receive is armed, but handled together. */
static void end_with_bytes(bool tcp, bool reset, bool before)
{
	struct gb__ring_options options = defaults();
	struct gb__ring *ring = create(&options);
	struct linger hard = { .l_onoff = 1 };
	struct sockaddr_in address;
	struct gb__completion completion;
	int pair[2], listener;

	if (!(ops->features(ring) & GB__RING_MULTISHOT_RECV)) {
		ops->destroy(ring);
		return;
	}
	if (tcp) {
		listener = listen_tcp(&address);
		pair[1] = connect_tcp(&address);
		pair[0] = accept(listener, NULL, NULL);
		CHECK(pair[0] >= 0);
		close(listener);
	} else {
		socket_pair(pair);
		if (reset)
			CHECK_INT(write(pair[0], "x", 1), 1); /* unread bytes make close a reset */
	}
	if (before) {
		CHECK_INT(ops->recv(ring, pair[0], true, 5), 0);
		CHECK_INT(ops->wait(ring, &completion, 1, 0), 0);
	}
	CHECK_INT(write(pair[1], "bye", 3), 3);
	if (reset && tcp)
		setsockopt(pair[1], SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(pair[1]);
	if (!before)
		CHECK_INT(ops->recv(ring, pair[0], true, 5), 0);
	completion = next(ring);
	if (completion.flags & GB__COMPLETION_MORE) {
		CHECK_INT(completion.result, 3);
		completion = next(ring);
	}
	CHECK_INT(completion.result, reset ? -ECONNRESET : 0);
	CHECK(!(completion.flags & GB__COMPLETION_MORE));
	close(pair[0]);
	ops->destroy(ring);
}

TEST(the_end_is_told_although_it_came_with_the_last_bytes)
{
	for (unsigned i = 0; i < 8; i++)
		end_with_bytes(i & 1, i & 2, i & 4);
}

/* Receives everything from pair[0] with few tiny buffers, each held until nothing else completes. */
static void receive_all(struct gb__ring *ring, int fd, bool multishot, const unsigned char *expected,
	size_t size, unsigned *ret_starved)
{
	unsigned held[16], held_count = 0;
	bool armed = false;
	size_t got = 0;

	*ret_starved = 0;
	for (int i = 0; i < 100000; i++) {
		struct gb__completion completion;

		if (!armed) {
			CHECK_INT(ops->recv(ring, fd, multishot, 5), 0);
			armed = true;
		}
		completion = next(ring);
		armed = completion.flags & GB__COMPLETION_MORE;
		if (completion.flags & GB__COMPLETION_BUFFER)
			held[held_count++] = gb__completion_buffer(&completion);
		if (completion.result == 0)
			break;
		if (completion.result == -ENOBUFS) {
			CHECK(!armed);
			++*ret_starved;
		} else {
			CHECK(completion.result > 0);
			CHECK(got + (size_t)completion.result <= size);
			CHECK(memcmp(ops->buffer(ring, gb__completion_buffer(&completion)), expected + got,
				      (size_t)completion.result) == 0);
			got += (size_t)completion.result;
		}
		if (!armed)
			while (held_count)
				ops->buffer_return(ring, held[--held_count]);
	}
	CHECK_INT(got, size);
	while (held_count)
		ops->buffer_return(ring, held[--held_count]);
}

static void starve(unsigned mask, bool multishot)
{
	struct gb__ring_options options = defaults();
	unsigned char bytes[5000];
	struct gb__ring *ring;
	unsigned starved;
	int pair[2];

	options.buffers = 4;
	options.buffer_size = 16;
	options.headroom = 0;
	options.mask = mask;
	ring = create(&options);
	if ((ops->features(ring) & GB__RING_PROVIDED_BUFFERS) &&
		(!multishot || (ops->features(ring) & GB__RING_MULTISHOT_RECV))) {
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (unsigned char)(i * 7 + i / 256);
		socket_pair(pair);
		CHECK_INT(write(pair[1], bytes, sizeof(bytes)), sizeof(bytes));
		close(pair[1]);
		receive_all(ring, pair[0], multishot, bytes, sizeof(bytes), &starved);
		CHECK(multishot ? starved > 0 : starved == 0);
		close(pair[0]);
	}
	ops->destroy(ring);
}

TEST(running_out_of_buffers_ends_a_receive_and_loses_nothing)
{
	starve(0, true);
}

TEST(receives_once_into_provided_buffers)
{
	starve(GB__RING_MULTISHOT_RECV, false);
}

TEST(a_receive_armed_without_buffers_waits_for_the_first_byte)
{
	struct gb__ring_options options = defaults();
	struct gb__completion completion;
	struct gb__ring *ring;
	int pair[2], other[2];

	options.buffers = 1;
	ring = create(&options);
	if (!(ops->features(ring) & GB__RING_PROVIDED_BUFFERS))
		return;
	socket_pair(pair);
	socket_pair(other);
	CHECK_INT(ops->recv(ring, pair[0], false, 1), 0);
	CHECK_INT(write(pair[1], "x", 1), 1);
	completion = next(ring);
	CHECK_INT(completion.result, 1);
	CHECK_INT(ops->recv(ring, other[0], false, 2), 0);
	for (int i = 0; i < 3; i++)
		CHECK_INT(ops->wait(ring, &(struct gb__completion){ 0 }, 1, 0), 0);
	ops->buffer_return(ring, gb__completion_buffer(&completion));
	CHECK_INT(ops->wait(ring, &(struct gb__completion){ 0 }, 1, 0), 0);
	CHECK_INT(write(other[1], "y", 1), 1);
	completion = next(ring);
	CHECK_INT(completion.token, 2);
	CHECK_INT(completion.result, 1);
	ops->destroy(ring);
}

static int receive(struct gb__ring *ring, int fd, bool bulk, uint64_t token)
{
	return bulk ? ops->recv_bulk(ring, fd, token) : ops->recv(ring, fd, false, token);
}

static void run_out_and_get_more(bool bulk)
{
	enum { PAIRS = 512 };
	struct gb__ring_options options = defaults();
	struct gb__ring *ring;
	int pairs[PAIRS][2];
	unsigned bytes = 0, held = 0, missed = 0;

	options.entries = options.buffers = options.bulk_buffers = options.completions = PAIRS;
	options.buffer_size = options.bulk_buffer_size = 64;
	ring = create(&options);
	if (!(ops->features(ring) & GB__RING_PROVIDED_BUFFERS))
		return;
	if (bulk)
		CHECK_INT(ops->bulk_start(ring), 0);
	for (int i = 0; i < PAIRS; i++) {
		socket_pair(pairs[i]);
		CHECK_INT(receive(ring, pairs[i][0], bulk, (uint64_t)i), 0);
		CHECK_INT(write(pairs[i][1], "x", 1), 1);
	}
	/* No buffer goes back: each byte takes one, and in the end all are taken. */
	for (int i = 0; i < 10 * PAIRS && bytes < PAIRS; i++) {
		struct gb__completion completion = next(ring);

		if (completion.result == -ENOBUFS) {
			missed++;
			ops->buffers_missed(ring, bulk);
			CHECK_INT(receive(ring, pairs[completion.token][0], bulk, completion.token), 0);
			continue;
		}
		CHECK_INT(completion.result, 1);
		CHECK(completion.flags & GB__COMPLETION_BUFFER);
		CHECK((gb__completion_buffer(&completion) >= options.buffers) == bulk);
		bytes++;
		held++;
	}
	CHECK_INT(bytes, PAIRS);
	CHECK_INT(held, bulk ? options.bulk_buffers : options.buffers);
	CHECK(missed > 0);
	for (int i = 0; i < PAIRS; i++) {
		close(pairs[i][0]);
		close(pairs[i][1]);
	}
	ops->destroy(ring);
}

TEST(more_buffers_are_offered_when_they_ran_out)
{
	run_out_and_get_more(false);
	run_out_and_get_more(true);
}

TEST(a_large_buffer_takes_at_once_what_fills_many_small_ones)
{
	enum { SIZE = 50000 };
	struct gb__ring_options options = defaults();
	struct gb__ring *ring = create(&options);
	unsigned char *bytes = malloc(SIZE), *data;
	struct gb__completion completion;
	unsigned id;
	int pair[2];

	CHECK_INT(!(ops->features(ring) & GB__RING_BULK), !(ops->features(ring) & GB__RING_PROVIDED_BUFFERS));
	if (!(ops->features(ring) & GB__RING_BULK))
		return;
	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = (unsigned char)(i * 7 + i / 256);
	socket_pair(pair);
	CHECK_INT(ops->bulk_start(ring), 0);
	for (unsigned i = 0; i < 3 * options.bulk_buffers; i++) {
		CHECK_INT(write(pair[1], bytes, SIZE), SIZE);
		CHECK_INT(ops->recv_bulk(ring, pair[0], 5), 0);
		completion = next(ring);
		CHECK_INT(completion.token, 5);
		CHECK_INT(completion.result, SIZE);
		CHECK_INT(completion.flags & (GB__COMPLETION_BUFFER | GB__COMPLETION_MORE),
			GB__COMPLETION_BUFFER);
		id = gb__completion_buffer(&completion);
		CHECK(id >= options.buffers && id < options.buffers + options.bulk_buffers);
		data = ops->buffer(ring, id);
		CHECK(memcmp(data, bytes, SIZE) == 0);
		memset(data - options.headroom, 0xee, options.headroom); /* ours to write */
		ops->buffer_return(ring, id);
		/* The small ones are there all the same. */
		CHECK_INT(write(pair[1], "x", 1), 1);
		CHECK_INT(ops->recv(ring, pair[0], false, 6), 0);
		completion = next(ring);
		CHECK_INT(completion.result, 1);
		CHECK(gb__completion_buffer(&completion) < options.buffers);
		ops->buffer_return(ring, gb__completion_buffer(&completion));
	}
	free(bytes);
	ops->destroy(ring);
}

TEST(cancel_and_its_target_both_complete)
{
	static const unsigned masks[] = { 0, GB__RING_MULTISHOT_RECV, GB__RING_DEFER_TASKRUN,
		GB__RING_SINGLE_ISSUER };

	for (size_t i = 0; i < gb__countof(masks); i++) {
		struct gb__ring_options options = defaults();
		struct gb__ring *ring;
		bool seen[3] = { false };
		int pair[2];

		options.mask = masks[i];
		ring = create(&options);
		socket_pair(pair);
		CHECK_INT(ops->poll(ring, pair[0], POLLIN, 1), 0);
		CHECK_INT(ops->wait(ring, &(struct gb__completion){ 0 }, 1, 0), 0);
		CHECK_INT(ops->cancel(ring, 1, 2), 0);
		for (int k = 0; k < 2; k++) {
			struct gb__completion completion = next(ring);

			CHECK(completion.token == 1 || completion.token == 2);
			CHECK(!seen[completion.token]);
			seen[completion.token] = true;
			CHECK_INT(completion.result, completion.token == 1 ? -ECANCELED : 0);
			CHECK(!(completion.flags & GB__COMPLETION_MORE));
		}
		CHECK_INT(ops->cancel(ring, 1, 2), 0);
		CHECK_INT(next(ring).result, -ENOENT);
		if (ops->features(ring) & GB__RING_PROVIDED_BUFFERS) {
			bool multishot = ops->features(ring) & GB__RING_MULTISHOT_RECV;

			/* Both in one submission, too. */
			CHECK_INT(ops->recv(ring, pair[0], multishot, 1), 0);
			CHECK_INT(ops->cancel(ring, 1, 2), 0);
			for (int k = 0; k < 2; k++) {
				struct gb__completion completion = next(ring);

				CHECK_INT(completion.result, completion.token == 1 ? -ECANCELED : 0);
			}
		}
		close(pair[0]);
		close(pair[1]);
		ops->destroy(ring);
	}
}

TEST(sends_parts_in_order_and_survives_a_closed_peer)
{
	struct gb__ring_options options = defaults();
	struct gb__ring *ring = create(&options);
	struct iovec parts[2] = { { (char[]){ 'a', 'b' }, 2 }, { (char[]){ 'c' }, 1 } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
	char data[8];
	int pair[2];

	socket_pair(pair);
	CHECK_INT(ops->sendmsg(ring, pair[0], &message, 1), 0);
	CHECK_INT(next(ring).result, 3);
	CHECK_INT(ops->send(ring, pair[0], "d", 1, 1), 0);
	CHECK_INT(next(ring).result, 1);
	CHECK_INT(read(pair[1], data, sizeof(data)), 4);
	CHECK(memcmp(data, "abcd", 4) == 0);
	close(pair[1]);
	CHECK_INT(ops->send(ring, pair[0], "e", 1, 1), 0);
	CHECK_INT(next(ring).result, -EPIPE);
	CHECK_INT(ops->sendmsg(ring, pair[0], &message, 1), 0);
	CHECK_INT(next(ring).result, -EPIPE);
	ops->destroy(ring);
}

TEST(connects_or_says_why_not)
{
	struct gb__ring_options options = defaults();
	struct gb__ring *ring = create(&options);
	struct sockaddr_in address;
	int listener = listen_tcp(&address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	CHECK_INT(ops->connect(ring, fd, (struct sockaddr *)&address, sizeof(address), 1), 0);
	CHECK_INT(next(ring).result, 0);
	close(fd);
	close(listener);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	CHECK_INT(ops->connect(ring, fd, (struct sockaddr *)&address, sizeof(address), 1), 0);
	CHECK_INT(next(ring).result, -ECONNREFUSED);
	ops->destroy(ring);
}

TEST(more_operations_than_entries_are_submitted_early)
{
	struct gb__ring_options options = defaults();
	struct gb__ring *ring;
	unsigned done = 0;
	int pair[2];

	options.entries = 4;
	ring = create(&options);
	socket_pair(pair);
	for (unsigned i = 0; i < 100; i++)
		CHECK_INT(ops->poll(ring, pair[0], POLLOUT, i), 0);
	for (int i = 0; i < 100; i++) {
		CHECK(next(ring).result & POLLOUT);
		done++;
	}
	CHECK_INT(done, 100);
	CHECK_INT(ops->wait(ring, &(struct gb__completion){ 0 }, 1, 0), 0);
	ops->destroy(ring);
}

TEST(completions_beyond_the_queue_are_all_reaped)
{
	enum { OPERATIONS = 500 };
	static const unsigned masks[] = { 0, GB__RING_DEFER_TASKRUN, GB__RING_SINGLE_ISSUER };

	for (size_t i = 0; i < gb__countof(masks); i++) {
		struct gb__ring_options options = defaults();
		bool seen[OPERATIONS] = { false };
		unsigned started = 0, done = 0;
		struct gb__ring *ring;
		int pair[2];

		options.entries = options.completions = 8;
		options.mask = masks[i];
		ring = create(&options);
		socket_pair(pair);
		for (int turn = 0; turn < 100000 && done < OPERATIONS; turn++) {
			struct gb__completion completions[64];
			int count;

			while (started < OPERATIONS && ops->poll(ring, pair[0], POLLOUT, started) == 0)
				started++;
			count = ops->wait(ring, completions, gb__countof(completions), PATIENCE_NS);
			CHECK(count >= 0);
			for (int k = 0; k < count; k++) {
				CHECK(!seen[completions[k].token]);
				seen[completions[k].token] = true;
				done++;
			}
		}
		CHECK_INT(done, OPERATIONS);
		close(pair[0]);
		close(pair[1]);
		ops->destroy(ring);
	}
}

TEST(out_of_memory_leaves_nothing_behind)
{
	struct gb__ring_options options = defaults();
	struct gb__ring *ring;
	struct gb_error error;
	int code = -1;

	for (uint64_t n = 1; n < 100 && code < 0; n++) {
		gb__alloc_fail_at(n);
		code = ops->create(&options, &ring, &error);
		if (code < 0)
			CHECK_INT(code, -ENOMEM);
	}
	gb__alloc_fail_at(0);
	CHECK_INT(code, 0);
	ops->destroy(ring);
	ops->destroy(NULL);
}
