/*
 * select(2): three bit sets of FD_SETSIZE (1024) descriptors. A higher one cannot be watched, and
 * setting its bit would write beyond the set: it is refused.
 */
#include "base/assert.h"
#include "base/macros.h"
#include "engine/poller/poller.h"

#include "base/alloc.h"

#include <errno.h>
#include <sys/select.h>

struct gb__poller {
	fd_set reads, writes; /* what is wanted */
	int end;              /* one above the highest descriptor */
	int next;             /* where the next wait begins to report */
	bool present[FD_SETSIZE];
	uint64_t tokens[FD_SETSIZE];
};

static int select_create(struct gb__os *os, struct gb__poller **ret)
{
	struct gb__poller *poller = gb__alloc_zero(sizeof(*poller));

	(void)os;
	if (!poller)
		return -ENOMEM;
	*ret = poller;
	return 0;
}

static void select_destroy(struct gb__poller *poller)
{
	gb__free(poller);
}

static int select_modify(struct gb__poller *poller, int fd, unsigned ready, uint64_t token)
{
	gb__assert(poller->present[fd]);
	FD_CLR(fd, &poller->reads);
	FD_CLR(fd, &poller->writes);
	if (ready & GB__READY_IN)
		FD_SET(fd, &poller->reads);
	if (ready & GB__READY_OUT)
		FD_SET(fd, &poller->writes);
	poller->tokens[fd] = token;
	return 0;
}

static int select_add(struct gb__poller *poller, int fd, unsigned ready, uint64_t token)
{
	if (fd >= FD_SETSIZE)
		return -GB_ELIMIT;
	if (poller->present[fd])
		return -EEXIST;
	poller->present[fd] = true;
	poller->end = gb__max(poller->end, fd + 1);
	return select_modify(poller, fd, ready, token);
}

static int select_remove(struct gb__poller *poller, int fd)
{
	gb__assert(poller->present[fd]);
	poller->present[fd] = false;
	FD_CLR(fd, &poller->reads);
	FD_CLR(fd, &poller->writes);
	while (poller->end > 0 && !poller->present[poller->end - 1])
		poller->end--;
	return 0;
}

/* select tells of errors and hang-ups by making the descriptor readable or writable. */
static int select_wait(
	struct gb__poller *poller, struct gb__poll_event *ret, unsigned max, int64_t timeout_ns)
{
	fd_set reads = poller->reads, writes = poller->writes;
	struct timeval timeout = { .tv_sec = timeout_ns / 1000000000,
		.tv_usec = (timeout_ns % 1000000000 + 999) / 1000 };
	unsigned count = 0;
	int ready, at = poller->next;

	if (timeout.tv_usec == 1000000) {
		timeout.tv_sec++;
		timeout.tv_usec = 0;
	}
	ready = select(poller->end, &reads, &writes, NULL, timeout_ns < 0 ? NULL : &timeout);
	if (ready < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < poller->end && ready > 0 && count < max; i++, at++) {
		unsigned bits = 0;

		if (at >= poller->end)
			at = 0;
		if (FD_ISSET(at, &reads))
			bits |= GB__READY_IN;
		if (FD_ISSET(at, &writes))
			bits |= GB__READY_OUT;
		if (!bits)
			continue;
		ready -= (bits & GB__READY_IN ? 1 : 0) + (bits & GB__READY_OUT ? 1 : 0);
		ret[count++] = (struct gb__poll_event){ .token = poller->tokens[at], .ready = bits };
	}
	poller->next = count == max ? at : 0;
	return (int)count;
}

const struct gb__poller_ops gb__poller_select = {
	.name = "select",
	.create = select_create,
	.destroy = select_destroy,
	.add = select_add,
	.modify = select_modify,
	.remove = select_remove,
	.wait = select_wait,
};
