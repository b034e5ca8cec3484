/*
 * The yardstick for the proactor: one thread, one io_uring, and all that the kernel offers to make it
 * cheap: single issuer with deferred task run, one multishot accept, a multishot receive a connection from
 * one ring of provided buffers, replies sent straight from the buffer they were received in. Needs Linux 6.0.
 *
 * The happy path: a receive completes with a buffer; it joins its connection's queue; if no send is in
 * flight, one starts; when that completes the buffer goes back to the kernel and the next one is sent.
 * One io_uring_enter submits what a burst of completions asked for and waits for the next burst.
 *
 * What can go otherwise:
 * - The multishot receive ends (no IORING_CQE_F_MORE), whatever its result: `feed` arms it again.
 * - No buffer was left (ENOBUFS): the connection is starved and waits in line for one that comes back.
 * - A peer sends but does not read: its queue reaches QUEUE_MAX, its receive is cancelled, so that it
 *   cannot take all buffers from the others; it is armed again when the queue has drained.
 * - A send is short, although MSG_WAITALL makes that rare: the rest is sent.
 * - End of input: the descriptor is closed once the queue is empty. At that moment nothing is in flight, so
 *   that no completion can meet the next connection with the same number.
 *
 * Three things to try, as programs of their own: REGISTERED gives connections places in the ring's own table
 * instead of descriptors; ZERO_COPY sends without copying, and has the buffer back with a second completion; SQPOLL has a
 * thread of the kernel look for submissions, so that none takes a system call.
 */
#include "raw_listen.h"

#include <err.h>
#include <errno.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sysexits.h>

#ifndef REGISTERED
#define REGISTERED 0
#endif
#ifndef ZERO_COPY
#define ZERO_COPY 0
#endif
#ifndef SQPOLL
#define SQPOLL 0
#endif

enum {
	SUBMISSIONS = 2048,
	COMPLETIONS = 16 * 1024,
	BUFFER_SIZE = 64 * 1024,
	BUFFERS = 256, /* a power of two */
	GROUP = 0,
	QUEUE_MAX = 16,
	NONE = 0xffff,
	FILES = 16 * 1024,
};

enum operation { ACCEPT, RECV, SEND, CANCEL, CLOSE };

struct connection {
	uint16_t head, tail; /* the queue: buffers received and not sent yet, linked by index */
	uint16_t queued;
	bool armed;      /* the multishot receive is in the kernel */
	bool cancelling; /* and was told to stop */
	bool sending;
	bool ended;    /* no more input: end of file or an error */
	bool starved;  /* in line for a buffer */
	uint32_t sent; /* of the head */
	int result;    /* zero-copy: of the send whose buffer is not back yet */
	int next_starved;
};

struct received {
	uint32_t size;
	uint16_t next;
};

static struct io_uring ring;
static struct io_uring_buf_ring *buffer_ring;
static unsigned char *buffers;
static struct received received[BUFFERS];   /* by buffer index */
static unsigned buffers_free, buffers_back; /* with the kernel; added since it was told last */
static struct connection *connections;      /* by descriptor */
static int starved_head = -1, starved_tail = -1;
static int listener;
static bool accepting;

static struct io_uring_sqe *next_sqe(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	if (!sqe) {
		io_uring_submit(&ring);
		if (SQPOLL)
			io_uring_sqring_wait(&ring);
		sqe = io_uring_get_sqe(&ring);
		if (!sqe)
			errx(1, "the submission queue stays full");
	}
	return sqe;
}

static uint64_t tag(enum operation operation, int fd)
{
	return (uint64_t)operation << 32 | (uint32_t)fd;
}

static void arm_accept(void)
{
	struct io_uring_sqe *sqe = next_sqe();

	if (REGISTERED)
		io_uring_prep_multishot_accept_direct(sqe, listener, NULL, NULL, 0);
	else
		io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, SOCK_CLOEXEC);
	sqe->user_data = tag(ACCEPT, listener);
	accepting = true;
}

static void arm_recv(int fd)
{
	struct io_uring_sqe *sqe = next_sqe();

	io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT | (REGISTERED ? IOSQE_FIXED_FILE : 0);
	sqe->buf_group = GROUP;
	sqe->user_data = tag(RECV, fd);
	connections[fd].armed = true;
}

static void cancel_recv(int fd)
{
	struct io_uring_sqe *sqe = next_sqe();

	io_uring_prep_cancel64(sqe, tag(RECV, fd), 0);
	sqe->user_data = tag(CANCEL, fd);
	connections[fd].cancelling = true;
}

static void send_head(int fd)
{
	struct connection *connection = &connections[fd];
	struct io_uring_sqe *sqe = next_sqe();
	unsigned index = connection->head;

	const unsigned char *data = buffers + (size_t)index * BUFFER_SIZE + connection->sent;
	uint32_t size = received[index].size - connection->sent;

	if (ZERO_COPY)
		io_uring_prep_send_zc(sqe, fd, data, size, MSG_NOSIGNAL | MSG_WAITALL, 0);
	else
		io_uring_prep_send(sqe, fd, data, size, MSG_NOSIGNAL | MSG_WAITALL);
	if (REGISTERED)
		sqe->flags |= IOSQE_FIXED_FILE;
	sqe->user_data = tag(SEND, fd);
	connection->sending = true;
}

static void connection_close(int fd)
{
	struct io_uring_sqe *sqe = next_sqe();

	if (REGISTERED)
		io_uring_prep_close_direct(sqe, (unsigned)fd);
	else
		io_uring_prep_close(sqe, fd);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	sqe->user_data = tag(CLOSE, fd);
	if (!accepting)
		arm_accept();
}

/* Whatever changed about a connection: receive, wait in line, or close, if it is time for it. */
static void feed(int fd)
{
	struct connection *connection = &connections[fd];

	if (connection->armed || connection->starved)
		return;
	if (connection->ended) {
		if (!connection->queued)
			connection_close(fd);
		return;
	}
	if (connection->cancelling) {
		if (connection->queued)
			return;
		connection->cancelling = false;
	}
	if (buffers_free) {
		arm_recv(fd);
		return;
	}
	connection->starved = true;
	connection->next_starved = -1;
	if (starved_head < 0)
		starved_head = fd;
	else
		connections[starved_tail].next_starved = fd;
	starved_tail = fd;
}

static void feed_starved(void)
{
	/* One receive a buffer: more would only starve again. */
	for (unsigned i = buffers_free; i > 0 && starved_head >= 0; i--) {
		int fd = starved_head;

		starved_head = connections[fd].next_starved;
		connections[fd].starved = false;
		feed(fd);
	}
}

static void buffer_give_back(unsigned index)
{
	io_uring_buf_ring_add(buffer_ring, buffers + (size_t)index * BUFFER_SIZE, BUFFER_SIZE,
		(uint16_t)index, BUFFERS - 1, (int)buffers_back++);
	buffers_free++;
}

static void queue_pop(struct connection *connection)
{
	unsigned index = connection->head;

	connection->head = received[index].next;
	connection->queued--;
	connection->sent = 0;
	buffer_give_back(index);
}

static void on_accept(const struct io_uring_cqe *cqe)
{
	if (!(cqe->flags & IORING_CQE_F_MORE))
		accepting = false;
	if (cqe->res >= 0) {
		connections[cqe->res] = (struct connection){ 0 };
		feed(cqe->res);
	}
	/* Without descriptors accepting again would fail for ever: until somebody leaves. */
	if (!accepting && cqe->res != -EMFILE && cqe->res != -ENFILE)
		arm_accept();
}

static void on_recv(int fd, const struct io_uring_cqe *cqe)
{
	struct connection *connection = &connections[fd];

	if (!(cqe->flags & IORING_CQE_F_MORE))
		connection->armed = false;
	if (cqe->res > 0) {
		unsigned index = cqe->flags >> IORING_CQE_BUFFER_SHIFT;

		buffers_free--;
		received[index] = (struct received){ .size = (uint32_t)cqe->res, .next = NONE };
		if (connection->queued++)
			received[connection->tail].next = (uint16_t)index;
		else
			connection->head = (uint16_t)index;
		connection->tail = (uint16_t)index;
		if (!connection->sending) {
			send_head(fd);
		} else if (connection->queued >= QUEUE_MAX && connection->armed && !connection->cancelling) {
			cancel_recv(fd);
		}
	} else if (cqe->res != -ENOBUFS && cqe->res != -ECANCELED && cqe->res != -EINTR) {
		connection->ended = true;
	}
	feed(fd);
}

static void on_send(int fd, int result)
{
	struct connection *connection = &connections[fd];

	connection->sending = false;
	if (result < 0) {
		/* The peer is gone: nothing of the queue can be sent. Shutting down ends the receive as well. */
		while (connection->queued)
			queue_pop(connection);
		connection->ended = true;
		if (REGISTERED)
			cancel_recv(fd); /* there is no descriptor to shut down */
		else
			shutdown(fd, SHUT_RDWR);
	} else {
		connection->sent += (uint32_t)result;
		if (connection->sent == received[connection->head].size)
			queue_pop(connection);
		if (connection->queued) {
			send_head(fd);
			return;
		}
	}
	feed(fd);
}

static void on_cancel(int fd, int result)
{
	/* Not found: the receive ended by itself, or is at work just now and the next buffer may try again. */
	if (result < 0 && connections[fd].armed)
		connections[fd].cancelling = false;
}

static void on_completion(const struct io_uring_cqe *cqe)
{
	int fd = (int)(uint32_t)cqe->user_data;

	switch ((enum operation)(cqe->user_data >> 32)) {
	case ACCEPT:
		on_accept(cqe);
		break;
	case RECV:
		on_recv(fd, cqe);
		break;
	case SEND:
		if (ZERO_COPY && (cqe->flags & IORING_CQE_F_MORE))
			connections[fd].result = cqe->res;
		else
			on_send(fd,
				ZERO_COPY && (cqe->flags & IORING_CQE_F_NOTIF) ? connections[fd].result
									       : cqe->res);
		break;
	case CANCEL:
		on_cancel(fd, cqe->res);
		break;
	case CLOSE:
		errx(1, "close: %s", strerror(-cqe->res));
	}
}

static void create_ring(void)
{
	/* The best first: each line needs a newer kernel than the one below it. */
	static const unsigned modes[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL,
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL,
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL,
		0,
	};
	int result = -EINVAL;

	for (size_t i = 0; result < 0 && i < sizeof modes / sizeof *modes; i++) {
		struct io_uring_params params = {
			/* What concerns task work does not go with SQPOLL, so that the last mode is taken. */
			.flags = modes[i] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP |
				(SQPOLL ? IORING_SETUP_SQPOLL : 0),
			.cq_entries = COMPLETIONS,
		};

		result = io_uring_queue_init_params(SUBMISSIONS, &ring, &params);
	}
	if (result <
		0) /* a seccomp filter or a sysctl, or a kernel without it: the bench goes on without us */
		errx(result == -EPERM || result == -ENOSYS ? EX_UNAVAILABLE : 1, "io_uring: %s",
			strerror(-result));
	io_uring_register_ring_fd(&ring); /* a saving, not a need */
}

static void *map(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		err(1, "mmap");
	madvise(memory, size, MADV_HUGEPAGE);
	return memory;
}

static void create_buffers(void)
{
	struct io_uring_buf_reg registration = { .ring_entries = BUFFERS, .bgid = GROUP };
	int result;

	buffer_ring = map(BUFFERS * sizeof(struct io_uring_buf));
	buffers = map((size_t)BUFFERS * BUFFER_SIZE);
	io_uring_buf_ring_init(buffer_ring);
	registration.ring_addr = (uint64_t)(uintptr_t)buffer_ring;
	result = io_uring_register_buf_ring(&ring, &registration, 0);
	if (result < 0)
		errx(1, "provided buffers: %s", strerror(-result));
	for (unsigned i = 0; i < BUFFERS; i++)
		buffer_give_back(i);
}

int main(int argc, char **argv)
{
	size_t fds_max;

	listener = raw_listen(argc, argv, 0, &fds_max);
	connections = calloc(fds_max, sizeof *connections);
	if (!connections)
		err(1, "calloc");
	create_ring();
	create_buffers();
	if (REGISTERED && io_uring_register_files_sparse(&ring, FILES) < 0)
		errx(1, "no table of files for the ring: Linux 5.19 has them");
	arm_accept();
	raw_announce(listener);

	for (;;) {
		struct io_uring_cqe *cqe;
		unsigned head, count = 0;
		int result;

		io_uring_buf_ring_advance(buffer_ring, (int)buffers_back);
		buffers_back = 0;
		result = io_uring_submit_and_wait(&ring, 1);
		if (result < 0 && result != -EINTR && result != -EAGAIN && result != -EBUSY)
			errx(1, "io_uring_submit_and_wait: %s", strerror(-result));
		io_uring_for_each_cqe(&ring, head, cqe)
		{
			on_completion(cqe);
			count++;
		}
		io_uring_cq_advance(&ring, count);
		if (starved_head >= 0)
			feed_starved();
	}
}
