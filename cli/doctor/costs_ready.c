/* Asking what is ready: one of a thousand. And a ring's shortest operation. */
#include "doctor/bench.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define WATCHED 1000u
#define READY 700u /* of them */
#define EVENTS 64

struct watched {
	int set;
	size_t count;
	struct pollfd fds[WATCHED];
};

static int prepare_watched(struct bench *bench, unsigned kind)
{
	struct watched *watched = calloc(1, sizeof(*watched));

	(void)kind;
	if (!watched)
		return -ENOMEM;
	bench->state = watched;
	watched->set = epoll_create1(EPOLL_CLOEXEC);
	if (watched->set < 0)
		return -errno;
	for (; watched->count < WATCHED; watched->count++) {
		struct pollfd *entry = &watched->fds[watched->count];
		struct epoll_event event = { .events = EPOLLIN };

		entry->events = POLLIN;
		entry->fd = eventfd(watched->count == READY, EFD_CLOEXEC | EFD_NONBLOCK);
		if (entry->fd < 0)
			return -errno;
		if (epoll_ctl(watched->set, EPOLL_CTL_ADD, entry->fd, &event) < 0) {
			int code = -errno;

			close(entry->fd);
			return code;
		}
	}
	return 0;
}

static void finish_watched(struct bench *bench)
{
	struct watched *watched = bench->state;

	if (!watched)
		return;
	for (size_t i = 0; i < watched->count; i++)
		close(watched->fds[i].fd);
	if (watched->set >= 0)
		close(watched->set);
	free(watched);
}

static int run_epoll_ctl(struct bench *bench, unsigned count)
{
	struct watched *watched = bench->state;
	struct epoll_event event = { .events = EPOLLIN };
	int fd = watched->fds[0].fd;

	while (count-- > 0)
		if (epoll_ctl(watched->set, EPOLL_CTL_DEL, fd, NULL) < 0 ||
			epoll_ctl(watched->set, EPOLL_CTL_ADD, fd, &event) < 0)
			return -errno;
	return 0;
}

static int run_epoll_wait(struct bench *bench, unsigned count)
{
	struct watched *watched = bench->state;
	struct epoll_event events[EVENTS];

	while (count-- > 0)
		if (epoll_wait(watched->set, events, EVENTS, 0) != 1)
			return -EIO;
	return 0;
}

static int run_poll(struct bench *bench, unsigned count)
{
	struct watched *watched = bench->state;

	while (count-- > 0)
		if (poll(watched->fds, WATCHED, 0) != 1)
			return -EIO;
	return 0;
}

static int prepare_ring(struct bench *bench, unsigned kind)
{
	struct io_uring *ring = calloc(1, sizeof(*ring));
	int code;

	(void)kind;
	if (!ring)
		return -ENOMEM;
	code = io_uring_queue_init(8, ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
	if (code == -EINVAL)
		code = io_uring_queue_init(8, ring, 0);
	if (code < 0) {
		free(ring);
		return code;
	}
	bench->state = ring;
	return 0;
}

static int run_nop(struct bench *bench, unsigned count)
{
	struct io_uring *ring = bench->state;

	while (count-- > 0) {
		struct io_uring_cqe *entry;
		int code;

		io_uring_prep_nop(io_uring_get_sqe(ring));
		code = io_uring_submit_and_wait(ring, 1);
		if (code < 0)
			return code;
		code = io_uring_peek_cqe(ring, &entry);
		if (code < 0)
			return code;
		io_uring_cqe_seen(ring, entry);
	}
	return 0;
}

static void finish_ring(struct bench *bench)
{
	struct io_uring *ring = bench->state;

	if (!ring)
		return;
	io_uring_queue_exit(ring);
	free(ring);
}

#define WATCHING .prepare = prepare_watched, .finish = finish_watched

const struct cost gb__costs_ready[] = {
	{ "epoll-ctl", "epoll_ctl: remove and add, among 1,000", .run = run_epoll_ctl, WATCHING },
	{ "epoll-wait", "epoll_wait: one ready of 1,000", .run = run_epoll_wait, WATCHING },
	{ "poll", "poll: one ready of 1,000", .run = run_poll, WATCHING },
	{ "uring-nop", "io_uring: submit and complete a nop", .uring = true, .prepare = prepare_ring,
		.run = run_nop, .finish = finish_ring },
	{ NULL },
};
