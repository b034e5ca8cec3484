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

#define FEW 8u /* descriptors that are looked for */

struct gb__poller {
	struct pollfd *set;
	uint64_t *tokens; /* beside `set` */
	uint32_t *index;  /* by descriptor: index in `set` plus 1; 0: not there. NULL: there are few */
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

/* Index in `set` plus 1, or 0. */
static uint32_t find(const struct gb__poller *poller, int fd)
{
	if (poller->index)
		return (unsigned)fd < poller->index_size ? poller->index[fd] : 0;
	for (unsigned at = poller->count; at > 0; at--)
		if (poller->set[at - 1].fd == fd)
			return at;
	return 0;
}

static void index_set(struct gb__poller *poller, int fd, uint32_t at)
{
	if (poller->index)
		poller->index[fd] = at;
}

/*
 * A set of a few descriptors, as a blocking worker's, has no table of them: that is as long as the highest number in
 * the process, which with a thread for each connection is the number of connections.
 */
static int table_make(struct gb__poller *poller, unsigned fd)
{
	unsigned highest = fd, size;
	uint32_t *table;

	if (poller->index ? fd < poller->index_size : poller->count < FEW)
		return 0;
	for (unsigned i = 0; i < poller->count; i++)
		highest = gb__max(highest, (unsigned)poller->set[i].fd);
	size = gb__max(64u, gb__max(highest + 1, poller->index_size * 2));
	table = gb__realloc(poller->index, size * sizeof(*table));
	if (!table)
		return -ENOMEM;
	memset(table + poller->index_size, 0, (size - poller->index_size) * sizeof(*table));
	for (unsigned i = 0; i < poller->count && !poller->index; i++)
		table[poller->set[i].fd] = i + 1;
	poller->index = table;
	poller->index_size = size;
	return 0;
}

static int room_make(struct gb__poller *poller, unsigned fd)
{
	if (poller->count == poller->size) {
		unsigned size = poller->size ? gb__max(64u, poller->size * 2) : FEW;
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
	return table_make(poller, fd);
}

static int poll_add(struct gb__poller *poller, int fd, unsigned ready, uint64_t token)
{
	int result = room_make(poller, (unsigned)fd);

	if (result < 0)
		return result;
	if (find(poller, fd) > 0)
		return -EEXIST;
	poller->set[poller->count] = (struct pollfd){ .fd = fd, .events = (short)ready };
	poller->tokens[poller->count] = token;
	index_set(poller, fd, ++poller->count);
	return 0;
}

static int poll_modify(struct gb__poller *poller, int fd, unsigned ready, uint64_t token)
{
	uint32_t at = find(poller, fd);

	gb__assert(at > 0);
	poller->set[at - 1].events = (short)ready;
	poller->tokens[at - 1] = token;
	return 0;
}

/* The last one takes the place of the one that goes. */
static int poll_remove(struct gb__poller *poller, int fd)
{
	uint32_t at = find(poller, fd);

	gb__assert(at > 0);
	poller->count--;
	poller->set[at - 1] = poller->set[poller->count];
	poller->tokens[at - 1] = poller->tokens[poller->count];
	index_set(poller, poller->set[at - 1].fd, at);
	index_set(poller, fd, 0);
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
