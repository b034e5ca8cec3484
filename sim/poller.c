/*
 * A demultiplexer over simulated descriptors. As epoll does, it reports ERROR and HANGUP for every
 * descriptor it knows, asked for or not: who leaves a broken one in it spins, and is found out.
 */
#include "sim/state.h"

#include <stdlib.h>
#include <string.h>

struct known {
	struct sim_socket *socket; /* NULL: free */
	unsigned ready;
	uint64_t token;
	uint64_t seen; /* GB__READY_EDGE: signals that were reported */
};

struct gb__poller {
	struct sim_kernel *kernel;
	struct gb__poller *next; /* of the kernel's */
	struct known *known;
	unsigned count, size; /* used up to, allocated */
	bool forgets;
};

static int create(struct gb__os *os, struct gb__poller **ret)
{
	struct gb__poller *poller = sim_alloc(sizeof(*poller));

	poller->kernel = sim_kernel_of(os);
	poller->forgets = true;
	poller->next = poller->kernel->pollers;
	poller->kernel->pollers = poller;
	*ret = poller;
	return 0;
}

static int create_unforgetting(struct gb__os *os, struct gb__poller **ret)
{
	create(os, ret);
	(*ret)->forgets = false;
	return 0;
}

static void destroy(struct gb__poller *poller)
{
	struct gb__poller **place = &poller->kernel->pollers;

	for (unsigned i = 0; i < poller->count; i++)
		if (poller->known[i].socket)
			poller->known[i].socket->pollers--;
	while (*place != poller)
		place = &(*place)->next;
	*place = poller->next;
	free(poller->known);
	free(poller);
}

static struct known *find_socket(struct gb__poller *poller, const struct sim_socket *socket)
{
	for (unsigned i = 0; i < poller->count; i++)
		if (poller->known[i].socket == socket)
			return &poller->known[i];
	return NULL;
}

/* By what the number stands for: one that was closed may be known under it as well. */
static struct known *find(struct gb__poller *poller, int fd, const char *call)
{
	return find_socket(poller, sim_fd_get(poller->kernel, fd, call));
}

static void forget(struct known *known)
{
	known->socket->pollers--;
	*known = (struct known){ 0 };
}

void sim_pollers_forget(struct sim_kernel *kernel, const struct sim_socket *socket)
{
	for (struct gb__poller *poller = kernel->pollers; poller; poller = poller->next) {
		struct known *known = find_socket(poller, socket);

		if (known)
			forget(known);
	}
}

bool sim_pollers_remember(struct sim_kernel *kernel, const struct sim_socket *socket)
{
	for (struct gb__poller *poller = kernel->pollers; poller; poller = poller->next)
		if (!poller->forgets && find_socket(poller, socket))
			return true;
	return false;
}

static struct known *place(struct gb__poller *poller)
{
	for (unsigned i = 0; i < poller->count; i++)
		if (!poller->known[i].socket)
			return &poller->known[i];
	if (poller->count == poller->size) {
		unsigned size = poller->size ? 2 * poller->size : 64;
		struct known *grown = sim_alloc(size * sizeof(*grown));

		if (poller->count)
			memcpy(grown, poller->known, poller->count * sizeof(*grown));
		free(poller->known);
		poller->known = grown;
		poller->size = size;
	}
	return &poller->known[poller->count++];
}

static int add(struct gb__poller *poller, int fd, unsigned ready, uint64_t token)
{
	struct sim_socket *socket = sim_fd_get(poller->kernel, fd, "poller add");

	if (!ready)
		sim_fail(poller->kernel, "poller add of descriptor %d for nothing", fd);
	if (find_socket(poller, socket))
		sim_fail(poller->kernel, "poller add of descriptor %d, which it knows already", fd);
	sim_trace(poller->kernel, "add(%d, %#x)", fd, ready);
	if ((ready & GB__READY_EDGE) && socket->kind != SIM_EVENT)
		sim_fail(poller->kernel, "poller add of descriptor %d by the edge, which is no event", fd);
	*place(poller) = (struct known){ socket, ready, token, 0 };
	socket->pollers++;
	return 0;
}

static int modify(struct gb__poller *poller, int fd, unsigned ready, uint64_t token)
{
	struct known *known = find(poller, fd, "poller modify");

	if (!known)
		sim_fail(poller->kernel, "poller modify of descriptor %d, which it does not know", fd);
	if ((known->ready | ready) & GB__READY_EXCLUSIVE) /* epoll_ctl(2): EINVAL */
		sim_fail(poller->kernel, "poller modify of descriptor %d, which waits exclusively", fd);
	sim_trace(poller->kernel, "modify(%d, %#x)", fd, ready);
	known->ready = ready;
	known->token = token;
	return 0;
}

static int remove_known(struct gb__poller *poller, int fd)
{
	struct known *known = find(poller, fd, "poller remove");

	if (!known)
		sim_fail(poller->kernel, "poller remove of descriptor %d, which it does not know", fd);
	sim_trace(poller->kernel, "remove(%d)", fd);
	forget(known);
	return 0;
}

static void shuffle(struct sim_kernel *kernel, struct gb__poll_event *events, unsigned count)
{
	for (unsigned i = count; i > 1; i--) {
		unsigned other = (unsigned)sim_random(kernel, i);
		struct gb__poll_event event = events[i - 1];

		events[i - 1] = events[other];
		events[other] = event;
	}
}

static int collect(void *self, void *ret, unsigned max, bool *ret_held)
{
	struct gb__poller *poller = self;
	struct sim_kernel *kernel = poller->kernel;
	struct gb__poll_event *events = ret;
	unsigned count = 0, start = poller->count ? (unsigned)(kernel->turns % poller->count) : 0;

	(void)ret_held;
	if (sim_chance(kernel, kernel->profile.few_events))
		max = 1 + (unsigned)sim_random(kernel, max);
	/* From another one each time, so that a short report passes over none for ever. */
	for (unsigned i = 0; i < poller->count && count < max; i++) {
		struct known *known = &poller->known[(start + i) % poller->count];
		unsigned ready;

		if (!known->socket)
			continue;
		if ((known->ready & GB__READY_EDGE) && known->seen == known->socket->signals)
			continue;
		known->seen = known->socket->signals;
		ready = sim_socket_ready(known->socket) & (known->ready | GB__READY_ERROR | GB__READY_HANGUP);
		if (!ready && (known->ready & GB__READY_IN) && sim_chance(kernel, kernel->profile.spurious)) {
			/* A connecting socket is never readable before it is decided. */
			ready = known->socket->connecting ? 0 : GB__READY_IN;
			if (ready)
				sim_moved(kernel); /* a fault, not a spin */
		}
		if (ready)
			events[count++] = (struct gb__poll_event){ .token = known->token, .ready = ready };
	}
	if (kernel->profile.shuffle)
		shuffle(kernel, events, count);
	for (unsigned i = 0; i < count; i++)
		sim_trace(kernel, "ready %#x, token %#llx", events[i].ready,
			(unsigned long long)events[i].token);
	return (int)count;
}

static int wait_ready(struct gb__poller *poller, struct gb__poll_event *ret, unsigned max, int64_t timeout_ns)
{
	return sim_wait(poller->kernel, collect, poller, ret, max, timeout_ns);
}

const struct gb__poller_ops sim_poller = {
	.name = "simulated",
	.caps = GB__POLLER_EXCLUSIVE | GB__POLLER_EDGE | GB__POLLER_FORGETS,
	.create = create,
	.destroy = destroy,
	.add = add,
	.modify = modify,
	.remove = remove_known,
	.wait = wait_ready,
};

const struct gb__poller_ops sim_poller_unforgetting = {
	.name = "simulated, unforgetting",
	.caps = GB__POLLER_EXCLUSIVE | GB__POLLER_EDGE,
	.create = create_unforgetting,
	.destroy = destroy,
	.add = add,
	.modify = modify,
	.remove = remove_known,
	.wait = wait_ready,
};
