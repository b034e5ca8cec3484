/*
 * The world that sockets, pollers and rings of one simulation share: chance, time, turns, waits.
 *
 * A wait is a sequence of turns. It ends with what is ready; early, by a fault; or, when neither
 * wires nor held completions can bring anything any more, by a jump of the clock to its deadline.
 */
#include "base/assert.h"
#include "base/macros.h"
#include "sim/state.h"

#include <stdio.h>
#include <stdlib.h>

/* So many waits in a row in which nothing moved are a spin, whatever the faults. */
#define SIM_IDLE_WAITS_MAX 1000u
#define SIM_PORT_FIRST 20000u

void *sim_alloc(size_t size)
{
	void *memory = calloc(1, size ? size : 1);

	gb__assert(memory);
	return memory;
}

struct sim_kernel *sim_kernel_create(uint64_t seed, const struct sim_profile *profile)
{
	struct sim_kernel *kernel = sim_alloc(sizeof(*kernel));

	kernel->os = (struct gb__os){ .ops = &sim_os_ops, .simulated = true };
	kernel->seed = kernel->random = seed;
	kernel->now_ns = 1000000000u; /* not 0: a time of 0 often means "none" */
	kernel->port_next = SIM_PORT_FIRST;
	kernel->trace = getenv("SIM_TRACE") != NULL;
	gb__list_init(&kernel->sockets);
	gb__list_init(&kernel->files);
	kernel->space = SIZE_MAX;
	sim_kernel_set_profile(kernel, profile);
	return kernel;
}

static struct sim_socket *first_held(struct sim_kernel *kernel)
{
	for (struct gb__list *node = kernel->sockets.next; node != &kernel->sockets; node = node->next) {
		struct sim_socket *socket = gb__container_of(node, struct sim_socket, link);

		if (socket->held)
			return socket;
	}
	return NULL;
}

void sim_kernel_destroy(struct sim_kernel *kernel)
{
	struct sim_socket *socket;

	if (!kernel)
		return;
	for (unsigned i = 0; i < kernel->fds_size; i++)
		if (kernel->fds[i])
			sim_fail(kernel, "descriptor %d is still open at the end", kernel->fds[i]->fd);
	if (kernel->pollers || kernel->rings)
		sim_fail(kernel, "%s and %u rings are left at the end",
			kernel->pollers ? "pollers" : "no poller", kernel->rings);
	/* Clients that the test did not close; their handles are for a leak checker to find. */
	while ((socket = first_held(kernel)))
		sim_socket_let_go(socket);
	if (!gb__list_empty(&kernel->sockets))
		sim_fail(kernel, "a socket outlived both of its holders");
	sim_files_finish(kernel);
	free(kernel->fds);
	free(kernel);
}

struct gb__os *sim_os(struct sim_kernel *kernel)
{
	return &kernel->os;
}

struct sim_kernel *sim_kernel_of(struct gb__os *os)
{
	gb__assert(os && os->ops == &sim_os_ops);
	return gb__container_of(os, struct sim_kernel, os);
}

void sim_kernel_set_profile(struct sim_kernel *kernel, const struct sim_profile *profile)
{
	gb__assert(profile->rx_max && profile->tx_max);
	kernel->profile = *profile;
}

void sim_kernel_set_fd_limit(struct sim_kernel *kernel, unsigned count)
{
	kernel->fds_limit = count;
}

unsigned sim_kernel_open_fds(const struct sim_kernel *kernel)
{
	return kernel->fds_open;
}

uint64_t sim_kernel_waits(const struct sim_kernel *kernel)
{
	return kernel->waits;
}

uint64_t sim_kernel_idle_waits(const struct sim_kernel *kernel)
{
	return kernel->idle_waits;
}

void sim_clock_advance(struct sim_kernel *kernel, uint64_t nanoseconds)
{
	kernel->now_ns += nanoseconds;
	sim_moved(kernel);
}

uint64_t sim_clock_now(const struct sim_kernel *kernel)
{
	return kernel->now_ns;
}

void sim_fail(const struct sim_kernel *kernel, const char *format, ...)
{
	va_list arguments;

	fflush(stdout);
	fprintf(stderr, "sim: ");
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, " (kernel seed %#llx, turn %llu; SIM_TRACE=1 shows every step)\n",
		(unsigned long long)kernel->seed, (unsigned long long)kernel->turns);
	abort();
}

void sim_trace(const struct sim_kernel *kernel, const char *format, ...)
{
	va_list arguments;

	if (gb__likely(!kernel->trace))
		return;
	fprintf(stderr, "sim %6llu: ", (unsigned long long)kernel->turns);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}

static uint64_t splitmix(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

uint64_t sim_random(struct sim_kernel *kernel, uint64_t bound)
{
	return bound > 1 ? splitmix(&kernel->random) % bound : 0;
}

bool sim_chance(struct sim_kernel *kernel, unsigned thousandths)
{
	return thousandths && sim_random(kernel, 1000) < thousandths;
}

size_t sim_part(struct sim_kernel *kernel, unsigned thousandths, size_t size)
{
	if (!sim_chance(kernel, thousandths))
		return size;
	/* Every other time a handful: the ends of messages are where mistakes live. */
	if (sim_random(kernel, 2))
		return 1 + (size_t)sim_random(kernel, gb__min(size, 16u));
	return 1 + (size_t)sim_random(kernel, size);
}

void sim_actor_add(struct sim_kernel *kernel, struct sim_actor *actor)
{
	actor->next = kernel->actors;
	kernel->actors = actor;
}

void sim_actor_remove(struct sim_kernel *kernel, struct sim_actor *actor)
{
	for (struct sim_actor **place = &kernel->actors; *place; place = &(*place)->next) {
		if (*place == actor) {
			*place = actor->next;
			return;
		}
	}
}

/* Returns whether there are any yet. */
static bool copies_age(struct sim_kernel *kernel)
{
	struct gb__list *node;
	bool left = false;

again: /* a socket that is let go may take its neighbour with it */
	for (node = kernel->sockets.next; node != &kernel->sockets; node = node->next) {
		struct sim_socket *socket = gb__container_of(node, struct sim_socket, link);

		if (socket->copied_until && socket->copied_until <= kernel->turns) {
			sim_socket_copy_close(socket);
			goto again;
		}
		left |= socket->copied_until > 0;
	}
	return left;
}

bool sim_turn(struct sim_kernel *kernel)
{
	uint64_t moved = kernel->moved;
	struct gb__list *node;
	bool more;

	kernel->turns++;
	for (struct sim_actor *actor = kernel->actors, *next; actor; actor = next) {
		next = actor->next; /* an actor may remove itself, but no other */
		actor->act(actor, kernel);
	}
	for (node = kernel->sockets.next; node != &kernel->sockets; node = node->next)
		sim_socket_pump(gb__container_of(node, struct sim_socket, link));
	more = copies_age(kernel);
	for (node = kernel->sockets.next; node != &kernel->sockets && !more; node = node->next)
		more = sim_socket_pumpable(gb__container_of(node, struct sim_socket, link));
	return more || kernel->moved != moved;
}

static int wait_returns(struct sim_kernel *kernel, int result)
{
	kernel->waits++;
	if (kernel->moved != kernel->moved_seen) {
		kernel->moved_seen = kernel->moved;
		kernel->idle_waits = 0;
	} else if (++kernel->idle_waits > SIM_IDLE_WAITS_MAX) {
		sim_fail(kernel, "%u waits returned in a row and nothing moved: somebody spins",
			SIM_IDLE_WAITS_MAX);
	}
	return result;
}

static uint64_t next_deadline(const struct sim_kernel *kernel, uint64_t deadline)
{
	for (const struct sim_actor *actor = kernel->actors; actor; actor = actor->next)
		if (actor->wake_ns > kernel->now_ns)
			deadline = gb__min(deadline, actor->wake_ns);
	return deadline;
}

int sim_wait(struct sim_kernel *kernel, sim_collect_cb collect, void *self, void *ret, unsigned max,
	int64_t timeout_ns)
{
	uint64_t deadline = timeout_ns < 0 ? UINT64_MAX : kernel->now_ns + (uint64_t)timeout_ns;

	gb__assert(max);
	for (;;) {
		bool more = sim_turn(kernel), held = false;
		int count = collect(self, ret, max, &held);

		if (count)
			return wait_returns(kernel, count);
		if (sim_chance(kernel, kernel->profile.interrupted)) {
			sim_moved(kernel);
			return wait_returns(kernel, 0);
		}
		if (timeout_ns == 0 || kernel->now_ns >= deadline)
			return wait_returns(kernel, 0);
		if (more || held)
			continue;
		deadline = timeout_ns < 0 ? UINT64_MAX : deadline;
		if (next_deadline(kernel, deadline) == UINT64_MAX)
			sim_fail(kernel, "a wait without a deadline, and nothing can happen any more");
		kernel->now_ns = next_deadline(kernel, deadline);
		sim_moved(kernel);
		sim_trace(kernel, "the clock jumps to %llu", (unsigned long long)kernel->now_ns);
	}
}
