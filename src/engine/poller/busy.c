/*
 * Busy polling: asks each descriptor in turn, one system call each, and never sleeps. What event
 * demultiplexers replaced; good where a core may be burned for the last microseconds of latency over a
 * handful of descriptors. Where the core has to be shared all the same, what it waits for is often done by those who
 * share it: so it yields now and then, which costs one call in sixteen rounds where nobody else wants to run.
 */
#include "base/assert.h"
#include "base/macros.h"
#include "engine/poller/poller.h"

#include "base/alloc.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>

#define EMPTY_MAX 16u /* rounds in a row without anything, until whoever else wants the CPU has it */

struct entry {
	int fd;
	short ready;
	uint64_t token;
};

struct gb__poller {
	struct entry *entries;
	unsigned count, size;
	unsigned next;  /* who is asked first in the next wait */
	unsigned empty; /* rounds in a row that found nothing */
};

static int busy_create(struct gb__os *os, struct gb__poller **ret)
{
	struct gb__poller *poller = gb__alloc_zero(sizeof(*poller));

	(void)os;
	if (!poller)
		return -ENOMEM;
	*ret = poller;
	return 0;
}

static void busy_destroy(struct gb__poller *poller)
{
	gb__free(poller->entries);
	gb__free(poller);
}

/* A short list as a rule: a search is cheaper than a table. */
static struct entry *find(struct gb__poller *poller, int fd)
{
	for (unsigned i = 0; i < poller->count; i++)
		if (poller->entries[i].fd == fd)
			return &poller->entries[i];
	return NULL;
}

static int busy_add(struct gb__poller *poller, int fd, unsigned ready, uint64_t token)
{
	if (find(poller, fd))
		return -EEXIST;
	if (poller->count == poller->size) {
		unsigned size = gb__max(16u, poller->size * 2);
		struct entry *entries = gb__realloc(poller->entries, size * sizeof(*entries));

		if (!entries)
			return -ENOMEM;
		poller->entries = entries;
		poller->size = size;
	}
	poller->entries[poller->count++] = (struct entry){ fd, (short)ready, token };
	return 0;
}

static int busy_modify(struct gb__poller *poller, int fd, unsigned ready, uint64_t token)
{
	struct entry *entry = find(poller, fd);

	gb__assert(entry);
	entry->ready = (short)ready;
	entry->token = token;
	return 0;
}

static int busy_remove(struct gb__poller *poller, int fd)
{
	struct entry *entry = find(poller, fd);

	gb__assert(entry);
	*entry = poller->entries[--poller->count];
	return 0;
}

/* One round over all. The time-out needs no looking at: the loop comes back at once. */
static int busy_wait(struct gb__poller *poller, struct gb__poll_event *ret, unsigned max, int64_t timeout_ns)
{
	unsigned count = 0, at = poller->next;

	for (unsigned i = 0; i < poller->count && count < max; i++, at++) {
		struct pollfd one;

		if (at >= poller->count)
			at = 0;
		one = (struct pollfd){ .fd = poller->entries[at].fd, .events = poller->entries[at].ready };
		if (poll(&one, 1, 0) > 0)
			ret[count++] = (struct gb__poll_event){ .token = poller->entries[at].token,
				.ready = (unsigned short)one.revents };
	}
	poller->next = at;
	if (count > 0) {
		poller->empty = 0;
	} else if (timeout_ns != 0 && ++poller->empty >= EMPTY_MAX) { /* 0: the loop has something to do */
		poller->empty = 0;
		sched_yield();
	}
	return (int)count;
}

const struct gb__poller_ops gb__poller_busy = {
	.name = "busy",
	.create = busy_create,
	.destroy = busy_destroy,
	.add = busy_add,
	.modify = busy_modify,
	.remove = busy_remove,
	.wait = busy_wait,
};
