/* epoll(7), level-triggered unless asked otherwise: the kernel keeps the set, a wait costs what is ready. */
#include "base/macros.h"
#include "engine/poller/poller.h"

#include "base/alloc.h"

#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <unistd.h>

static_assert((unsigned)EPOLLIN == GB__READY_IN && (unsigned)EPOLLOUT == GB__READY_OUT &&
		(unsigned)EPOLLERR == GB__READY_ERROR && (unsigned)EPOLLHUP == GB__READY_HANGUP,
	"same numbers");

static_assert((unsigned)EPOLLEXCLUSIVE == GB__READY_EXCLUSIVE && (unsigned)EPOLLET == GB__READY_EDGE,
	"same numbers");

static_assert(sizeof(struct gb__poll_event) == sizeof(struct epoll_event) &&
		offsetof(struct gb__poll_event, ready) == offsetof(struct epoll_event, events) &&
		offsetof(struct gb__poll_event, token) == offsetof(struct epoll_event, data),
	"the same layout");

struct gb__poller {
	int fd;
	int timeout_ms; /* of the latest wait, as asked for by timeout_ns: the next one's is the same as a rule */
	int64_t timeout_ns;
};

static int epoll_poller_create(struct gb__os *os, struct gb__poller **ret)
{
	struct gb__poller *poller = gb__alloc(sizeof(*poller));

	(void)os;
	if (!poller)
		return -ENOMEM;
	poller->timeout_ms = 0;
	poller->timeout_ns = 0;
	poller->fd = epoll_create1(EPOLL_CLOEXEC);
	if (poller->fd < 0) {
		int error = -errno;

		gb__free(poller);
		return error;
	}
	*ret = poller;
	return 0;
}

static void epoll_poller_destroy(struct gb__poller *poller)
{
	close(poller->fd);
	gb__free(poller);
}

static void epoll_let_go(struct gb__poller *poller)
{
	close(poller->fd);
}

static int control(struct gb__poller *poller, int operation, int fd, unsigned ready, uint64_t token)
{
	struct epoll_event event = { .events = ready, .data.u64 = token };

	return epoll_ctl(poller->fd, operation, fd, &event) < 0 ? -errno : 0;
}

static int epoll_add(struct gb__poller *poller, int fd, unsigned ready, uint64_t token)
{
	return control(poller, EPOLL_CTL_ADD, fd, ready, token);
}

static int epoll_modify(struct gb__poller *poller, int fd, unsigned ready, uint64_t token)
{
	return control(poller, EPOLL_CTL_MOD, fd, ready, token);
}

static int epoll_remove(struct gb__poller *poller, int fd)
{
	return control(poller, EPOLL_CTL_DEL, fd, 0, 0);
}

/* With another timeout than the latest. */
static __attribute__((noinline)) int wait_anew(
	struct gb__poller *poller, struct gb__poll_event *ret, unsigned max, int64_t timeout_ns)
{
	poller->timeout_ns = timeout_ns;
	poller->timeout_ms = gb__poller_timeout_ms(timeout_ns);
	return gb__epoll_wait(poller->fd, (struct epoll_event *)ret, (int)max, poller->timeout_ms);
}

static int epoll_poller_wait(
	struct gb__poller *poller, struct gb__poll_event *ret, unsigned max, int64_t timeout_ns)
{
	if (gb__unlikely(timeout_ns != poller->timeout_ns))
		return wait_anew(poller, ret, max, timeout_ns);
	return gb__epoll_wait(poller->fd, (struct epoll_event *)ret, (int)max, poller->timeout_ms);
}

static int epoll_descriptor(const struct gb__poller *poller)
{
	return poller->fd;
}

const struct gb__poller_ops gb__poller_epoll = {
	.name = "epoll",
	.caps = GB__POLLER_EXCLUSIVE | GB__POLLER_EDGE | GB__POLLER_FORGETS,
	.create = epoll_poller_create,
	.destroy = epoll_poller_destroy,
	.let_go = epoll_let_go,
	.add = epoll_add,
	.modify = epoll_modify,
	.remove = epoll_remove,
	.wait = epoll_poller_wait,
	.descriptor = epoll_descriptor,
};
