/* poll(2): the set travels to the kernel with each wait, which costs every descriptor in it. */
#include "base/assert.h"
#include "base/macros.h"
#include "engine/poller/poller.h"

#include "base/alloc.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

static_assert(POLLIN == GB__READY_IN && POLLOUT == GB__READY_OUT && POLLERR == GB__READY_ERROR &&
		POLLHUP == GB__READY_HANGUP,
	"same numbers");

struct gb__poller {
	struct pollfd *set;
	uint64_t *tokens; /* beside `set` */
	uint32_t *index;  /* by descriptor: index in `set` plus 1; 0: not there */
	unsigned count, size, index_size;
	unsigned next; /* where the next wait begins to report, so that none is passed over for ever */
};

static int poll_create(struct gb__os *os, struct gb__poller **ret)
{
	struct gb__poller *poller = gb__alloc_zero(sizeof(*poller));

	(void)os;
	if (!poller)
		return -ENOMEM;
	*ret = poller;
	return 0;
}

static void poll_destroy(struct gb__poller *poller)
{
	gb__free(poller->set);
	gb__free(poller->tokens);
	gb__free(poller->index);
	gb__free(poller);
}

static int room_make(struct gb__poller *poller, unsigned fd)
{
	if (fd >= poller->index_size) {
		unsigned size = gb__max(64u, gb__max(fd + 1, poller->index_size * 2));
		uint32_t *index = gb__realloc(poller->index, size * sizeof(*index));

		if (!index)
			return -ENOMEM;
		memset(index + poller->index_size, 0, (size - poller->index_size) * sizeof(*index));
		poller->index = index;
		poller->index_size = size;
	}
	if (poller->count == poller->size) {
		unsigned size = gb__max(64u, poller->size * 2);
		struct pollfd *set = gb__realloc(poller->set, size * sizeof(*set));
		uint64_t *tokens;

		if (!set)
			return -ENOMEM;
		poller->set = set;
		tokens = gb__realloc(poller->tokens, size * sizeof(*tokens));
		if (!tokens)
			return -ENOMEM;
		poller->tokens = tokens;
		poller->size = size;
	}
	return 0;
}

static int poll_add(struct gb__poller *poller, int fd, unsigned ready, uint64_t token)
{
	int result = room_make(poller, (unsigned)fd);

	if (result < 0)
		return result;
	gb__assert(poller->index[fd] == 0);
	poller->set[poller->count] = (struct pollfd){ .fd = fd, .events = (short)ready };
	poller->tokens[poller->count] = token;
	poller->index[fd] = ++poller->count;
	return 0;
}

static int poll_modify(struct gb__poller *poller, int fd, unsigned ready, uint64_t token)
{
	uint32_t at = poller->index[fd];

	gb__assert(at > 0);
	poller->set[at - 1].events = (short)ready;
	poller->tokens[at - 1] = token;
	return 0;
}

/* The last one takes the place of the one that goes. */
static int poll_remove(struct gb__poller *poller, int fd)
{
	uint32_t at = poller->index[fd];

	gb__assert(at > 0);
	poller->count--;
	poller->set[at - 1] = poller->set[poller->count];
	poller->tokens[at - 1] = poller->tokens[poller->count];
	poller->index[poller->set[at - 1].fd] = at;
	poller->index[fd] = 0;
	return 0;
}

static int poll_wait(struct gb__poller *poller, struct gb__poll_event *ret, unsigned max, int64_t timeout_ns)
{
	int ready = poll(poller->set, poller->count, gb__poller_timeout_ms(timeout_ns));
	unsigned count = 0, at = poller->next;

	if (ready < 0)
		return errno == EINTR ? 0 : -errno;
	for (unsigned i = 0; i < poller->count && count < max && (int)count < ready; i++, at++) {
		if (at >= poller->count)
			at = 0;
		if (poller->set[at].revents)
			ret[count++] = (struct gb__poll_event){ .token = poller->tokens[at],
				.ready = (unsigned short)poller->set[at].revents };
	}
	poller->next = count == max ? at : 0;
	return (int)count;
}

const struct gb__poller_ops gb__poller_poll = {
	.name = "poll",
	.create = poll_create,
	.destroy = poll_destroy,
	.add = poll_add,
	.modify = poll_modify,
	.remove = poll_remove,
	.wait = poll_wait,
};
