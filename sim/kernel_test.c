/* The simulated kernel does what Linux does, the same way each time, and notices broken rules. */
#include "sim/kernel.h"

#include "harness.h"
#include "sim/client.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sim_kernel *calm(void)
{
	return sim_kernel_create(test_seed(), &sim_profile_calm);
}

static ssize_t os_recv(struct sim_kernel *kernel, int fd, void *data, size_t size)
{
	return gb__os_recv(sim_os(kernel), fd, data, size);
}

static ssize_t os_send(struct sim_kernel *kernel, int fd, const void *data, size_t size)
{
	return gb__os_send(sim_os(kernel), fd, data, size);
}

static void os_close(struct sim_kernel *kernel, int fd)
{
	CHECK_INT(sim_os(kernel)->ops->close(sim_os(kernel), fd), 0);
}

TEST(bytes_and_fin_travel_in_order)
{
	struct sim_kernel *kernel = calm();
	char data[16];
	int fd;
	struct sim_client *client = sim_client_pair(kernel, &fd);

	CHECK_INT(os_recv(kernel, fd, data, sizeof(data)), -EAGAIN);
	CHECK_INT(sim_client_send(client, "hello", 5), 5);
	sim_client_shutdown(client);
	CHECK_INT(os_recv(kernel, fd, data, sizeof(data)), -EAGAIN); /* still on the wire */
	sim_turn(kernel);
	CHECK_INT(os_recv(kernel, fd, data, 3), 3);
	CHECK_INT(os_recv(kernel, fd, data + 3, 13), 2);
	CHECK(memcmp(data, "hello", 5) == 0);
	CHECK_INT(os_recv(kernel, fd, data, sizeof(data)), 0);
	CHECK_INT(os_send(kernel, fd, "there", 5), 5);
	os_close(kernel, fd);
	sim_turn(kernel);
	CHECK_INT(sim_client_pending(client), 5);
	CHECK(!sim_client_at_end(client));
	CHECK_INT(sim_client_read(client, data, sizeof(data)), 5);
	CHECK(sim_client_at_end(client));
	CHECK(!sim_client_was_reset(client));
	sim_client_close(client);
	sim_kernel_destroy(kernel);
}

TEST(full_buffers_hold_the_sender_back)
{
	struct sim_profile profile = sim_profile_calm;
	struct sim_kernel *kernel;
	struct sim_client *client;
	char data[1000] = { 0 };
	int fd;

	profile.rx_max = 300;
	profile.tx_max = 200;
	kernel = sim_kernel_create(1, &profile);
	client = sim_client_pair(kernel, &fd);
	CHECK_INT(os_send(kernel, fd, data, sizeof(data)), 200);
	CHECK_INT(os_send(kernel, fd, data, sizeof(data)), -EAGAIN);
	sim_turn(kernel);
	CHECK_INT(os_send(kernel, fd, data, sizeof(data)), 200);
	sim_turn(kernel);
	CHECK_INT(sim_client_pending(client), 300);
	CHECK_INT(os_send(kernel, fd, data, sizeof(data)), 100);
	CHECK(!sim_turn(kernel)); /* nothing moves until the client reads */
	CHECK_INT(sim_client_read(client, data, sizeof(data)), 300);
	CHECK(sim_turn(kernel));
	CHECK_INT(sim_client_pending(client), 200);
	sim_client_close(client);
	os_close(kernel, fd);
	sim_kernel_destroy(kernel);
}

/* tcp(7), RFC 1122 4.2.2.13: what arrived is read, then the error once, then the end. */
TEST(a_reset_is_told_once_behind_the_bytes)
{
	struct sim_kernel *kernel = calm();
	char data[16];
	int fd;
	struct sim_client *client = sim_client_pair(kernel, &fd);

	sim_client_send(client, "abc", 3);
	sim_turn(kernel);
	sim_client_reset(client);
	CHECK_INT(os_recv(kernel, fd, data, sizeof(data)), 3);
	CHECK_INT(os_recv(kernel, fd, data, sizeof(data)), -ECONNRESET);
	CHECK_INT(os_recv(kernel, fd, data, sizeof(data)), 0);
	CHECK_INT(os_send(kernel, fd, "x", 1), -EPIPE);
	sim_client_close(client);
	os_close(kernel, fd);
	sim_kernel_destroy(kernel);
}

TEST(closing_with_unread_bytes_resets)
{
	struct sim_kernel *kernel = calm();
	int fd;
	struct sim_client *client = sim_client_pair(kernel, &fd);

	sim_client_send(client, "abc", 3);
	sim_turn(kernel);
	os_close(kernel, fd);
	CHECK(sim_client_was_reset(client));
	sim_client_close(client);

	client = sim_client_pair(kernel, &fd);
	os_close(kernel, fd);
	sim_turn(kernel);
	CHECK(sim_client_at_end(client));
	CHECK_INT(sim_client_send(client, "abc", 3), 3); /* nobody is there: answered by a reset */
	sim_turn(kernel);
	CHECK(sim_client_was_reset(client));
	sim_client_close(client);
	sim_kernel_destroy(kernel);
}

TEST(a_backlog_has_an_end)
{
	struct sim_kernel *kernel = calm();
	int listener = sim_listen(kernel, 7000, 2), fds[2];
	struct gb__os *os = sim_os(kernel);
	struct sim_client *clients[3];

	for (unsigned i = 0; i < 3; i++)
		clients[i] = sim_client_connect(kernel, 7000);
	CHECK(clients[0] && clients[1] && !clients[2]);
	CHECK(!sim_client_connect(kernel, 7001));
	CHECK_INT(sim_listen(kernel, 7000, 2), -EADDRINUSE);
	sim_kernel_set_fd_limit(kernel, 2);
	fds[0] = os->ops->accept(os, listener);
	CHECK(fds[0] >= 0);
	CHECK_INT(os->ops->accept(os, listener), -EMFILE);
	CHECK_INT(os->ops->event_create(os), -EMFILE);
	sim_kernel_set_fd_limit(kernel, 0);
	fds[1] = os->ops->accept(os, listener);
	CHECK(fds[1] >= 0);
	CHECK_INT(os->ops->accept(os, listener), -EAGAIN);
	os_close(kernel, fds[0]);
	os_close(kernel, fds[1]);
	clients[2] = sim_client_connect(kernel, 7000);
	os_close(kernel, listener);
	CHECK(sim_client_was_reset(clients[2])); /* who waited in the backlog loses */
	for (unsigned i = 0; i < 3; i++)
		sim_client_close(clients[i]);
	sim_kernel_destroy(kernel);
}

struct alarm_actor {
	struct sim_actor actor;
	unsigned acted;
};

static void act(struct sim_actor *actor, struct sim_kernel *kernel)
{
	struct alarm_actor *alarm_actor = (struct alarm_actor *)actor;

	if (sim_clock_now(kernel) >= actor->wake_ns) {
		alarm_actor->acted++;
		actor->wake_ns = UINT64_MAX;
	}
}

TEST(a_wait_jumps_to_what_comes_next)
{
	struct sim_kernel *kernel = calm();
	struct alarm_actor alarm_actor = { .actor = { .act = act } };
	struct gb__poll_event event;
	struct gb__poller *poller;
	uint64_t start = sim_clock_now(kernel);

	alarm_actor.actor.wake_ns = start + 1000;
	sim_actor_add(kernel, &alarm_actor.actor);
	CHECK_INT(sim_poller.create(sim_os(kernel), &poller), 0);
	CHECK_INT(sim_poller.wait(poller, &event, 1, 0), 0);
	CHECK_INT(sim_clock_now(kernel), start);
	CHECK_INT(sim_poller.wait(poller, &event, 1, 5000), 0);
	CHECK_INT(alarm_actor.acted, 1);
	CHECK_INT(sim_clock_now(kernel), start + 5000);
	sim_actor_remove(kernel, &alarm_actor.actor);
	sim_poller.destroy(poller);
	sim_kernel_destroy(kernel);
}

/* A number that stands for a whole run under every fault. */
static uint64_t run_of(uint64_t seed)
{
	struct sim_profile profile;
	struct sim_kernel *kernel;
	struct sim_client *client;
	struct gb__poll_event event;
	struct gb__poller *poller;
	uint64_t state = seed, sum = 0;
	char data[512] = { 0 };
	int fd;

	sim_profile_draw(&profile, &state);
	kernel = sim_kernel_create(seed, &profile);
	client = sim_client_pair(kernel, &fd);
	CHECK_INT(sim_poller.create(sim_os(kernel), &poller), 0);
	CHECK_INT(sim_poller.add(poller, fd, GB__READY_IN | GB__READY_OUT, 1), 0);
	for (unsigned i = 0; i < 200; i++) {
		sum = sum * 31 + (uint64_t)sim_poller.wait(poller, &event, 1, 100);
		sum = sum * 31 + (uint64_t)os_send(kernel, fd, data, sizeof(data));
		sum = sum * 31 + (uint64_t)sim_client_read(client, data, sizeof(data));
		sum = sum * 31 + (uint64_t)sim_client_send(client, data, 100);
		sum = sum * 31 + (uint64_t)os_recv(kernel, fd, data, sizeof(data));
		sum = sum * 31 + sim_clock_now(kernel);
	}
	CHECK_INT(sim_poller.remove(poller, fd), 0);
	sim_poller.destroy(poller);
	os_close(kernel, fd);
	sim_client_close(client);
	sim_kernel_destroy(kernel);
	return sum;
}

TEST(a_run_repeats_from_its_seed)
{
	uint64_t state = test_seed();
	unsigned different = 0;

	for (unsigned i = 0; i < 20; i++) {
		uint64_t seed = test_random(&state), sum = run_of(seed);

		CHECK(sum == run_of(seed));
		different += sum != run_of(seed + 1);
	}
	CHECK(different > 10);
}

/* ---- broken rules ---- */

/* Runs in a child whose report goes nowhere; true when it aborted. */
static bool aborts(void (*body)(struct sim_kernel *kernel))
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		struct sim_kernel *kernel = calm();

		CHECK(freopen("/dev/null", "w", stderr));
		body(kernel);
		_exit(0);
	}
	CHECK_INT(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void use_after_close(struct sim_kernel *kernel)
{
	char byte;
	int fd;

	sim_client_pair(kernel, &fd);
	os_close(kernel, fd);
	os_recv(kernel, fd, &byte, 1);
}

static void leave_a_descriptor(struct sim_kernel *kernel)
{
	sim_listen(kernel, 0, 1);
	sim_kernel_destroy(kernel);
}

static void add_twice(struct sim_kernel *kernel)
{
	int fd = sim_listen(kernel, 0, 1);
	struct gb__poller *poller;

	sim_poller.create(sim_os(kernel), &poller);
	sim_poller.add(poller, fd, GB__READY_IN, 1);
	sim_poller.add(poller, fd, GB__READY_IN, 1);
}

static void close_in_a_poller_that_remembers(struct sim_kernel *kernel)
{
	struct gb__poller *poller;
	int fd;

	sim_client_pair(kernel, &fd);
	sim_poller_unforgetting.create(sim_os(kernel), &poller);
	sim_poller_unforgetting.add(poller, fd, GB__READY_IN, 1);
	os_close(kernel, fd);
}

static void close_in_a_poller(struct sim_kernel *kernel)
{
	int fd = sim_listen(kernel, 0, 1);
	struct gb__poller *poller;

	sim_poller.create(sim_os(kernel), &poller);
	sim_poller.add(poller, fd, GB__READY_IN, 1);
	os_close(kernel, fd);
}

/* As epoll: a hang-up is reported for an empty mask as well, each time. */
static void spin_on_a_hangup(struct sim_kernel *kernel)
{
	struct gb__poll_event event;
	struct gb__poller *poller;
	int fd;
	struct sim_client *client = sim_client_pair(kernel, &fd);

	sim_poller.create(sim_os(kernel), &poller);
	sim_poller.add(poller, fd, GB__READY_IN, 1);
	sim_poller.modify(poller, fd, 0, 1);
	sim_client_reset(client);
	for (unsigned i = 0; i < 2000; i++)
		sim_poller.wait(poller, &event, 1, -1);
}

static void wait_for_nobody(struct sim_kernel *kernel)
{
	struct gb__poll_event event;
	struct gb__poller *poller;

	sim_poller.create(sim_os(kernel), &poller);
	sim_poller.wait(poller, &event, 1, -1);
}

static struct gb__ring *ring_of(struct sim_kernel *kernel)
{
	struct gb__ring_options options = {
		.os = sim_os(kernel),
		.buffers = 2,
		.buffer_size = 16,
		.bulk_buffers = 2,
		.bulk_buffer_size = 64,
		.headroom = 8,
	};
	struct gb__ring *ring = NULL;

	CHECK_INT(sim_ring.create(&options, &ring, NULL), 0);
	return ring;
}

static void receive_twice(struct sim_kernel *kernel)
{
	struct gb__ring *ring = ring_of(kernel);
	int fd;

	sim_client_pair(kernel, &fd);
	sim_ring.recv(ring, fd, true, 1);
	sim_ring.recv(ring, fd, true, 2);
}

static void close_in_flight(struct sim_kernel *kernel)
{
	struct gb__ring *ring = ring_of(kernel);
	int fd;

	sim_client_pair(kernel, &fd);
	sim_ring.recv(ring, fd, true, 1);
	os_close(kernel, fd);
}

static void change_bytes_in_flight(struct sim_kernel *kernel)
{
	struct gb__ring *ring = ring_of(kernel);
	struct gb__completion completion;
	char data[] = "before";
	int fd;

	sim_client_pair(kernel, &fd);
	sim_ring.send(ring, fd, data, sizeof(data), 1);
	data[0] = 'B';
	sim_ring.wait(ring, &completion, 1, -1);
}

static void receive_one(struct sim_kernel *kernel, struct gb__ring *ring, struct gb__completion *ret)
{
	int fd;
	struct sim_client *client = sim_client_pair(kernel, &fd);

	sim_client_send(client, "abc", 3);
	CHECK_INT(sim_ring.recv(ring, fd, false, 1), 0);
	CHECK_INT(sim_ring.wait(ring, ret, 1, -1), 1);
}

static void return_twice(struct sim_kernel *kernel)
{
	struct gb__ring *ring = ring_of(kernel);
	struct gb__completion completion;

	receive_one(kernel, ring, &completion);
	sim_ring.buffer_return(ring, gb__completion_buffer(&completion));
	sim_ring.buffer_return(ring, gb__completion_buffer(&completion));
}

static void use_after_return(struct sim_kernel *kernel)
{
	struct gb__ring *ring = ring_of(kernel);
	struct gb__completion completion;

	receive_one(kernel, ring, &completion);
	sim_ring.buffer_return(ring, gb__completion_buffer(&completion));
	sim_ring.buffer(ring, gb__completion_buffer(&completion));
}

static void receive_into_no_large_buffer(struct sim_kernel *kernel)
{
	struct gb__ring *ring = ring_of(kernel);
	int fd;

	sim_client_pair(kernel, &fd);
	sim_ring.recv_bulk(ring, fd, 1);
}

static void start_bulk_twice(struct sim_kernel *kernel)
{
	struct gb__ring *ring = ring_of(kernel);

	sim_ring.bulk_start(ring);
	sim_ring.bulk_start(ring);
}

TEST(broken_rules_are_noticed)
{
	CHECK(aborts(use_after_close));
	CHECK(aborts(leave_a_descriptor));
	CHECK(aborts(add_twice));
	CHECK(aborts(close_in_a_poller));
	CHECK(aborts(close_in_a_poller_that_remembers));
	CHECK(aborts(spin_on_a_hangup));
	CHECK(aborts(wait_for_nobody));
	CHECK(aborts(receive_twice));
	CHECK(aborts(close_in_flight));
	CHECK(aborts(change_bytes_in_flight));
	CHECK(aborts(return_twice));
	CHECK(aborts(use_after_return));
	CHECK(aborts(receive_into_no_large_buffer));
	CHECK(aborts(start_bulk_twice));
}

TEST(a_ring_has_large_buffers_when_asked)
{
	struct sim_kernel *kernel = calm();
	struct gb__ring *ring = ring_of(kernel);
	struct gb__completion completion;
	char data[64] = "0123456789abcdefghijklmnopqrstuvwxyz";
	unsigned held[2], id;
	int fd;
	struct sim_client *client = sim_client_pair(kernel, &fd);

	CHECK_INT(sim_ring.bulk_start(ring), 0);
	for (unsigned i = 0; i < 2; i++) {
		sim_client_send(client, data, 36);
		CHECK_INT(sim_ring.recv_bulk(ring, fd, 7), 0);
		CHECK_INT(sim_ring.wait(ring, &completion, 1, -1), 1);
		CHECK_INT(completion.result, 36);
		CHECK_INT(completion.flags & 0xffff, GB__COMPLETION_BUFFER);
		held[i] = gb__completion_buffer(&completion);
		CHECK(held[i] == 2 || held[i] == 3);
		CHECK(memcmp(sim_ring.buffer(ring, held[i]), data, 36) == 0);
	}
	/* Both are taken; the small ones are there all the same. */
	sim_client_send(client, data, 10);
	CHECK_INT(sim_ring.recv_bulk(ring, fd, 8), 0);
	CHECK_INT(sim_ring.wait(ring, &completion, 1, -1), 1);
	CHECK_INT(completion.result, -ENOBUFS);
	CHECK_INT(sim_ring.recv(ring, fd, false, 9), 0);
	CHECK_INT(sim_ring.wait(ring, &completion, 1, -1), 1);
	CHECK_INT(completion.result, 10);
	id = gb__completion_buffer(&completion);
	CHECK(id < 2);
	sim_ring.buffer_return(ring, id);
	sim_ring.buffer_return(ring, held[1]);
	sim_ring.buffer_return(ring, held[0]);
	sim_client_close(client);
	os_close(kernel, fd);
	sim_ring.destroy(ring);
	sim_kernel_destroy(kernel);
}

TEST(a_ring_delivers_and_takes_buffers_back)
{
	struct sim_kernel *kernel = calm();
	struct gb__ring *ring = ring_of(kernel);
	struct gb__completion completion;
	char data[64] = "0123456789abcdefghijklmnopqrstuvwxyz";
	int fd;
	struct sim_client *client = sim_client_pair(kernel, &fd);

	CHECK_INT(sim_ring.recv(ring, fd, true, 7), 0);
	sim_client_send(client, data, 36);
	for (unsigned i = 0; i < 2; i++) {
		CHECK_INT(sim_ring.wait(ring, &completion, 1, -1), 1);
		CHECK_INT(completion.token, 7);
		CHECK_INT(completion.result, 16);
		CHECK_INT(completion.flags & 0xffff,
			GB__COMPLETION_MORE | GB__COMPLETION_BUFFER | GB__COMPLETION_NONEMPTY);
		CHECK(memcmp(sim_ring.buffer(ring, gb__completion_buffer(&completion)), data + 16 * i, 16) ==
			0);
		if (i)
			sim_ring.buffer_return(ring, gb__completion_buffer(&completion));
		else
			data[63] = (char)gb__completion_buffer(&completion);
	}
	/* The third batch finds one buffer; a fourth would find none. */
	CHECK_INT(sim_ring.wait(ring, &completion, 1, -1), 1);
	CHECK_INT(completion.result, 4);
	sim_client_send(client, "more", 4);
	sim_ring.wait(ring, &(struct gb__completion){ 0 }, 1, 0);
	sim_ring.buffer_return(ring, gb__completion_buffer(&completion));
	sim_ring.buffer_return(ring, (unsigned)data[63]);
	/* It ended for want of a buffer; a new one goes on where that stopped. */
	CHECK_INT(sim_ring.recv(ring, fd, false, 8), 0);
	CHECK_INT(sim_ring.wait(ring, &completion, 1, -1), 1);
	CHECK_INT(completion.result, 4);
	CHECK(memcmp(sim_ring.buffer(ring, gb__completion_buffer(&completion)), "more", 4) == 0);
	sim_ring.buffer_return(ring, gb__completion_buffer(&completion));

	/* Cancelling what is in flight, and what is not. */
	CHECK_INT(sim_ring.recv(ring, fd, true, 9), 0);
	CHECK_INT(sim_ring.cancel(ring, 9, 10), 0);
	CHECK_INT(sim_ring.cancel(ring, 99, 11), 0);
	for (unsigned i = 0; i < 3; i++) {
		CHECK_INT(sim_ring.wait(ring, &completion, 1, -1), 1);
		CHECK_INT(completion.result,
			completion.token == 9            ? -ECANCELED
				: completion.token == 10 ? 0
							 : -ENOENT);
	}
	sim_ring.destroy(ring);
	os_close(kernel, fd);
	sim_client_close(client);
	sim_kernel_destroy(kernel);
}
