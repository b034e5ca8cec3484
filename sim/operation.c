/*
 * What becomes of a ring's operations: each is tried once a turn until it can be done. Multishot ones
 * go on until an error, the end, or chance says otherwise, and only MORE tells.
 */
#include "base/macros.h"
#include "sim/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t sum_add(uint64_t sum, const unsigned char *data, size_t size)
{
	uint64_t word;

	for (; size >= sizeof(word); data += sizeof(word), size -= sizeof(word)) {
		memcpy(&word, data, sizeof(word));
		sum = (sum ^ word) * 0x9e3779b97f4a7c15u;
		sum ^= sum >> 32;
	}
	for (; size; data++, size--)
		sum = (sum ^ *data) * 0x100000001b3u;
	return sum;
}

uint64_t sim_operation_sum(const struct operation *operation)
{
	uint64_t sum = 0;

	if (operation->kind == SEND)
		return sum_add(sum, operation->data, operation->size);
	if (operation->kind == CALL && operation->call.verb == GB__FILE_WRITE && !operation->call.vector)
		return sum_add(sum, operation->call.data, operation->call.size);
	if (operation->kind == CALL && operation->call.verb == GB__FILE_WRITE)
		for (uint32_t i = 0; i < operation->call.size; i++)
			sum = sum_add(
				sum, operation->call.parts[i].iov_base, operation->call.parts[i].iov_len);
	if (operation->kind == SENDMSG)
		for (size_t i = 0; i < (size_t)operation->message->msg_iovlen; i++)
			sum = sum_add(sum, operation->message->msg_iov[i].iov_base,
				operation->message->msg_iov[i].iov_len);
	return sum;
}

/* What an operation names must stay as it was until its completion was taken. */
void sim_operation_check(const struct gb__ring *ring, const struct operation *operation)
{
	if ((operation->kind == SEND || operation->kind == SENDMSG) &&
		operation->sum != sim_operation_sum(operation))
		sim_fail(ring->kernel, "the bytes of a send on descriptor %d changed while it was in flight",
			operation->socket->fd);
	if (operation->kind == CALL && operation->sum != sim_operation_sum(operation))
		sim_fail(ring->kernel, "the bytes of a write to descriptor %d changed while it was in flight",
			operation->call.fd);
	if (operation->kind == CONNECT &&
		memcmp(&operation->address, operation->address_given, operation->address_size) != 0)
		sim_fail(ring->kernel, "the address of a connect on descriptor %d changed while in flight",
			operation->socket->fd);
}

static void complete(struct gb__ring *ring, struct operation *operation, int result, unsigned flags,
	unsigned buffer_id, struct sim_outcome outcome)
{
	struct sim_kernel *kernel = ring->kernel;
	struct completion *completion = sim_alloc(sizeof(*completion));

	completion->operation = operation;
	completion->what = (struct gb__completion){ operation->token, result, flags | buffer_id << 16 };
	completion->last = !(flags & GB__COMPLETION_MORE);
	completion->held = outcome.held;
	if (!completion->held && sim_chance(kernel, kernel->profile.held))
		completion->held = 1 + (unsigned)sim_random(kernel, kernel->profile.held_max);
	operation->completions++;
	operation->finished |= completion->last;
	gb__list_append(&ring->completions, &completion->link);
}

/* MORE, unless this one ends a multishot operation: an error always does. */
static unsigned goes_on(struct gb__ring *ring, const struct operation *operation, struct sim_outcome outcome)
{
	if (!operation->multishot || outcome.last || operation->cancelled)
		return 0;
	return sim_chance(ring->kernel, ring->kernel->profile.multishot_end) ? 0 : GB__COMPLETION_MORE;
}

static void run_accept(struct gb__ring *ring, struct operation *operation)
{
	struct sim_outcome outcome;
	int fd;

	if (!operation->socket->queued)
		return;
	outcome = sim_script_next(operation->socket, SIM_ACCEPT);
	fd = sim_stream_accept(operation->socket, outcome);
	complete(ring, operation, fd, fd < 0 ? 0 : goes_on(ring, operation, outcome), 0, outcome);
}

static void run_recv(struct gb__ring *ring, struct operation *operation)
{
	struct sim_kernel *kernel = ring->kernel;
	struct sim_socket *socket = operation->socket;
	bool ready = sim_socket_ready(socket) & GB__READY_IN;
	struct sim_outcome outcome = { 0 };
	struct buffers *buffers = operation->bulk ? &ring->large : &ring->small;
	unsigned flags, id;
	ssize_t got;

	/* One that starts looks for a buffer first; one that waits does so when bytes come (lu#688). */
	if (!buffers->free && (ready || !operation->started)) {
		complete(ring, operation, -ENOBUFS, 0, 0, outcome);
		return;
	}
	if (socket->packets)
		sim_fail(kernel, "a receive on descriptor %d, whose packets it might cut", socket->fd);
	if (!ready)
		return;
	outcome = sim_script_next(socket, SIM_RECV);
	if (sim_chance(kernel, kernel->profile.starved)) {
		sim_moved(kernel);
		complete(ring, operation, -ENOBUFS, 0, 0, outcome);
		return;
	}
	id = sim_buffer_pick(ring, buffers);
	got = sim_stream_recv(
		socket, ring->buffers[id].memory + ring->options.headroom, buffers->size, outcome);
	if (got <= 0) {
		sim_buffer_free(ring, id);
		complete(ring, operation, (int)got, 0, 0, outcome);
		return;
	}
	flags = GB__COMPLETION_BUFFER | goes_on(ring, operation, outcome);
	if (socket->rx.size)
		flags |= GB__COMPLETION_NONEMPTY;
	complete(ring, operation, (int)got, flags, id, outcome);
}

static void run_send(struct gb__ring *ring, struct operation *operation)
{
	struct sim_socket *socket = operation->socket;
	struct iovec one = { operation->data, operation->size };
	const struct msghdr *message = operation->message;
	struct sim_outcome outcome = { 0 };
	ssize_t sent;

	if (socket->connected && !socket->dead && !socket->fin_queued) {
		if (socket->tx.size >= socket->tx_max)
			return;
		outcome = sim_script_next(socket, SIM_SEND);
	}
	sent = message ? sim_stream_sendv(socket, message->msg_iov, message->msg_iovlen, outcome)
		       : sim_stream_sendv(socket, &one, 1, outcome);
	complete(ring, operation, (int)sent, 0, 0, outcome);
}

static void run_connect(struct gb__ring *ring, struct operation *operation)
{
	struct sim_socket *socket = operation->socket;
	struct sim_outcome outcome = { 0 };
	int result;

	if (!socket->connecting && !socket->connect_decided) {
		result = sim_stream_connect(
			socket, (struct sockaddr *)&operation->address, operation->address_size);
		if (result != -EINPROGRESS) {
			complete(ring, operation, result, 0, 0, outcome);
			return;
		}
	}
	if (socket->connect_decided)
		complete(ring, operation, sim_stream_connect_result(socket), 0, 0, outcome);
}

static void run_poll(struct gb__ring *ring, struct operation *operation)
{
	unsigned ready =
		sim_socket_ready(operation->socket) & (operation->ready | GB__READY_ERROR | GB__READY_HANGUP);

	if (ready)
		complete(ring, operation, (int)ready, 0, 0, (struct sim_outcome){ 0 });
}

/*
 * 0: the target ends with ECANCELED. ENOENT: it ended before. EALREADY: it is being done, and either
 * succeeds or is interrupted; both kernels' answers and the target's own completion come in any order.
 */
static void run_cancel(struct gb__ring *ring, struct operation *cancel)
{
	struct sim_kernel *kernel = ring->kernel;
	struct sim_outcome outcome = { 0 };
	int result = -ENOENT;

	for (struct gb__list *node = ring->operations.next; node != &ring->operations; node = node->next) {
		struct operation *target = gb__container_of(node, struct operation, link);
		bool late;

		if (target == cancel || target->token != cancel->target || target->finished)
			continue;
		late = sim_chance(kernel, kernel->profile.cancel_late);
		result = late ? -EALREADY : 0;
		target->cancelled = true;
		if (late)
			sim_operation_run(ring, target);
		if (!target->finished)
			complete(ring, target, late && sim_random(kernel, 2) ? -EINTR : -ECANCELED, 0, 0,
				outcome);
	}
	complete(ring, cancel, result, 0, 0, outcome);
}

/* A success is told by old kernels only. */
static void run_close(struct gb__ring *ring, struct operation *operation)
{
	struct sim_kernel *kernel = ring->kernel;
	struct sim_outcome outcome = { 0 };

	sim_fd_close(sim_fd_get(kernel, operation->fd, "close"));
	if (sim_random(kernel, 2))
		complete(ring, operation, 0, 0, 0, outcome);
	else
		operation->finished = true;
}

static void run_call(struct gb__ring *ring, struct operation *operation)
{
	struct sim_outcome outcome = { 0 };

	if (sim_chance(ring->kernel, ring->kernel->profile.file_slow))
		return;
	complete(ring, operation, sim_file_perform(ring->kernel, &operation->call), 0, 0, outcome);
}

void sim_operation_run(struct gb__ring *ring, struct operation *operation)
{
	switch (operation->kind) {
	case ACCEPT:
		run_accept(ring, operation);
		break;
	case RECV:
		run_recv(ring, operation);
		break;
	case SEND:
	case SENDMSG:
		run_send(ring, operation);
		break;
	case CONNECT:
		run_connect(ring, operation);
		break;
	case POLL:
		run_poll(ring, operation);
		break;
	case CANCEL:
		run_cancel(ring, operation);
		break;
	case CLOSE:
		run_close(ring, operation);
		break;
	case CALL:
		run_call(ring, operation);
		break;
	}
	operation->started = true;
}
