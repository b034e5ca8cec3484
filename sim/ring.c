/*
 * A completion ring over simulated descriptors.
 *
 * An operation is prepared, started by the next wait, tried once a turn until it can be done, and its
 * completion is then queued, perhaps held back for some turns. Completions of one operation keep their
 * order, those of different ones do not. An operation counts as in flight until its last completion
 * was taken: that is when its owner can know.
 */
#include "sim/ring.h"
#include "base/assert.h"
#include "base/macros.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ALL_FEATURES \
	(GB__RING_MULTISHOT_ACCEPT | GB__RING_MULTISHOT_RECV | GB__RING_PROVIDED_BUFFERS | \
		GB__RING_DEFER_TASKRUN | GB__RING_SINGLE_ISSUER | GB__RING_MESSAGES | GB__RING_BULK)
#define POISON 0xdb
static const char *const kind_names[] = { "accept", "recv", "send", "sendmsg", "connect", "poll", "cancel",
	"close", "file" };

/* ---- buffers ---- */

/* Under the address sanitizer a free buffer cannot even be read; without it, writing is found. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(memory, size) ((void)(memory), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(memory, size) ((void)(memory), (void)(size))
#endif

static struct buffers *buffers_of(struct gb__ring *ring, unsigned id)
{
	return id < ring->large.first ? &ring->small : &ring->large;
}

static size_t size_of(struct gb__ring *ring, unsigned id)
{
	return ring->options.headroom + buffers_of(ring, id)->size;
}

static void unpoison(struct gb__ring *ring, unsigned id)
{
	ASAN_UNPOISON_MEMORY_REGION(ring->buffers[id].memory, size_of(ring, id));
}

void sim_buffer_free(struct gb__ring *ring, unsigned id)
{
	ring->buffers[id].state = FREE;
	buffers_of(ring, id)->free++;
	ASAN_POISON_MEMORY_REGION(ring->buffers[id].memory, size_of(ring, id));
}

static void buffer_check(struct gb__ring *ring, unsigned id)
{
	size_t size = size_of(ring, id);
	const unsigned char *memory = ring->buffers[id].memory;

	if (memory[0] != POISON || memcmp(memory, memory + 1, size - 1) != 0)
		sim_fail(ring->kernel, "buffer %u was written to after it was given back", id);
}

/* A free buffer, in no particular order; there is one. */
unsigned sim_buffer_pick(struct gb__ring *ring, struct buffers *buffers)
{
	unsigned id, mask = buffers->count - 1;

	while (ring->buffers[buffers->first + buffers->next].state != FREE)
		buffers->next = (buffers->next + 1) & mask;
	id = buffers->first + buffers->next;
	buffers->next = (buffers->next + 1) & mask;
	unpoison(ring, id);
	buffer_check(ring, id);
	ring->buffers[id].state = FILLED;
	buffers->free--;
	return id;
}

static bool is_taken(const struct gb__ring *ring, unsigned id)
{
	return ring->buffers && id < ring->large.first + ring->large.count &&
		ring->buffers[id].state == TAKEN;
}

static unsigned char *buffer(struct gb__ring *ring, unsigned id)
{
	if (!is_taken(ring, id))
		sim_fail(ring->kernel, "buffer %u is asked for, but its owner is the kernel", id);
	return ring->buffers[id].memory + ring->options.headroom;
}

static void buffer_return(struct gb__ring *ring, unsigned id)
{
	if (!is_taken(ring, id))
		sim_fail(ring->kernel, "buffer %u is given back, but its owner is the kernel already", id);
	memset(ring->buffers[id].memory, POISON, size_of(ring, id));
	sim_buffer_free(ring, id);
}

/* It offers all of them at once. */
static void buffers_missed(struct gb__ring *ring, bool bulk)
{
	if (bulk && !ring->large.count)
		sim_fail(ring->kernel, "large buffers are missed, but there are none");
}

static void buffers_make(struct gb__ring *ring, struct buffers *buffers, unsigned count, unsigned size)
{
	gb__assert(count && !(count & (count - 1)) && size);
	buffers->count = count;
	buffers->size = size;
	for (unsigned id = buffers->first; id < buffers->first + count; id++) {
		ring->buffers[id].memory = sim_alloc(size_of(ring, id));
		memset(ring->buffers[id].memory, POISON, size_of(ring, id));
		sim_buffer_free(ring, id);
	}
}

static int bulk_start(struct gb__ring *ring)
{
	if (!(ring->features & GB__RING_BULK) || ring->large.count)
		sim_fail(ring->kernel, "large buffers are asked for that nobody has, or a second time");
	if (sim_chance(ring->kernel, ring->kernel->profile.bulk_refused))
		return -ENOMEM;
	buffers_make(ring, &ring->large, ring->options.bulk_buffers, ring->options.bulk_buffer_size);
	return 0;
}

/* ---- making ---- */

static int create(const struct gb__ring_options *options, struct gb__ring **ret, struct gb_error *error)
{
	struct gb__ring *ring = sim_alloc(sizeof(*ring));

	(void)error;
	gb__assert(options->os);
	ring->kernel = sim_kernel_of(options->os);
	ring->kernel->rings++;
	ring->options = *options;
	ring->features = ALL_FEATURES & ~options->mask;
	gb__list_init(&ring->operations);
	gb__list_init(&ring->completions);
	if (!options->bulk_buffers)
		ring->features &= ~(unsigned)GB__RING_BULK;
	if (ring->features & GB__RING_PROVIDED_BUFFERS) {
		ring->buffers =
			sim_alloc((options->buffers + options->bulk_buffers) * sizeof(*ring->buffers));
		ring->large.first = options->buffers;
		buffers_make(ring, &ring->small, options->buffers, options->buffer_size);
	} else {
		/* They have nowhere to put the bytes. */
		ring->features &= ~(unsigned)(GB__RING_MULTISHOT_RECV | GB__RING_BULK);
	}
	*ret = ring;
	return 0;
}

static unsigned features(const struct gb__ring *ring)
{
	return ring->features;
}

static void operation_free(struct operation *operation)
{
	struct sim_socket *socket = operation->socket;

	if (socket) {
		socket->operations--;
		socket->receiving -= operation->kind == RECV;
		socket->sending -= operation->kind == SEND || operation->kind == SENDMSG;
		if (!socket->operations && socket->fd < 0)
			sim_socket_let_go(socket);
	}
	gb__list_remove(&operation->link);
	free(operation);
}

/* As the kernel's, it ends what is in flight; only a wake-up (a poll of an event) may still be. */
static void destroy(struct gb__ring *ring)
{
	while (!gb__list_empty(&ring->completions)) {
		struct completion *completion =
			gb__container_of(ring->completions.next, struct completion, link);

		gb__list_remove(&completion->link);
		free(completion);
	}
	while (!gb__list_empty(&ring->operations)) {
		struct operation *operation = gb__container_of(ring->operations.next, struct operation, link);

		if (operation->kind == CALL || (operation->socket && operation->socket->kind != SIM_EVENT))
			sim_fail(ring->kernel, "a ring is destroyed while %s on descriptor %d is in flight",
				kind_names[operation->kind], operation->socket ? operation->socket->fd : -1);
		operation_free(operation);
	}
	for (unsigned i = 0; i < ring->small.count + ring->large.count; i++) {
		if (ring->buffers[i].state == TAKEN)
			sim_fail(ring->kernel, "buffer %u was never given back", i);
		unpoison(ring, i);
		free(ring->buffers[i].memory);
	}
	ring->kernel->rings--;
	free(ring->buffers);
	free(ring);
}

/* ---- preparing ---- */

/* NULL: the kernel takes no more for now. */
static struct operation *prepare(struct gb__ring *ring, enum operation_kind kind, int fd, uint64_t token)
{
	struct sim_kernel *kernel = ring->kernel;
	struct sim_socket *socket = NULL;
	struct operation *operation;

	if (!gb__list_empty(&ring->completions) && sim_chance(kernel, kernel->profile.busy)) {
		sim_trace(kernel, "ring %s(%d) = EBUSY", kind_names[kind], fd);
		return NULL;
	}
	if (kind != CANCEL && kind != CLOSE && (kind != CALL || fd >= 0))
		socket = sim_fd_get(kernel, fd, kind_names[kind]);
	operation = sim_alloc(sizeof(*operation));
	*operation = (struct operation){ .kind = kind, .socket = socket, .fd = fd, .token = token };
	gb__list_append(&ring->operations, &operation->link);
	if (socket) {
		bool receives = kind == RECV, sends = kind == SEND || kind == SENDMSG;

		if (kind != POLL &&
			socket->kind !=
				(kind == ACCEPT                ? SIM_LISTENER
						: kind == CALL ? SIM_FILE
							       : SIM_STREAM))
			sim_fail(
				kernel, "%s on descriptor %d, which is something else", kind_names[kind], fd);
		if ((receives && socket->receiving) || (sends && socket->sending))
			sim_fail(kernel, "a second %s in flight on descriptor %d", kind_names[kind], fd);
		socket->operations++;
		socket->receiving += receives;
		socket->sending += sends;
	}
	sim_trace(kernel, "ring %s(%d), token %#llx", kind_names[kind], fd, (unsigned long long)token);
	return operation;
}

static int prepare_accept(struct gb__ring *ring, int fd, bool multishot, uint64_t token)
{
	struct operation *operation;

	if (multishot && !(ring->features & GB__RING_MULTISHOT_ACCEPT))
		sim_fail(ring->kernel, "a multishot accept on a ring without them");
	operation = prepare(ring, ACCEPT, fd, token);
	if (!operation)
		return -EBUSY;
	operation->multishot = multishot;
	return 0;
}

static int begin_recv(struct gb__ring *ring, int fd, bool multishot, bool bulk, uint64_t token)
{
	struct operation *operation = prepare(ring, RECV, fd, token);

	if (!operation)
		return -EBUSY;
	operation->multishot = multishot;
	operation->bulk = bulk;
	return 0;
}

static int prepare_recv(struct gb__ring *ring, int fd, bool multishot, uint64_t token)
{
	if (!(ring->features & GB__RING_PROVIDED_BUFFERS) ||
		(multishot && !(ring->features & GB__RING_MULTISHOT_RECV)))
		sim_fail(ring->kernel, "a receive of a kind that this ring does not know");
	return begin_recv(ring, fd, multishot, false, token);
}

static int prepare_recv_bulk(struct gb__ring *ring, int fd, uint64_t token)
{
	if (!ring->large.count)
		sim_fail(ring->kernel, "a receive into a large buffer, but there are none");
	return begin_recv(ring, fd, false, true, token);
}

static int prepare_send(struct gb__ring *ring, int fd, const void *data, uint32_t size, uint64_t token)
{
	struct operation *operation = prepare(ring, SEND, fd, token);

	if (!operation)
		return -EBUSY;
	operation->data = (void *)(uintptr_t)data;
	operation->size = size;
	operation->sum = sim_operation_sum(operation);
	return 0;
}

static int prepare_sendmsg(struct gb__ring *ring, int fd, const struct msghdr *message, uint64_t token)
{
	struct operation *operation = prepare(ring, SENDMSG, fd, token);

	if (!operation)
		return -EBUSY;
	operation->message = message;
	operation->sum = sim_operation_sum(operation);
	return 0;
}

static int prepare_connect(
	struct gb__ring *ring, int fd, const struct sockaddr *address, socklen_t size, uint64_t token)
{
	struct operation *operation = prepare(ring, CONNECT, fd, token);

	if (!operation)
		return -EBUSY;
	gb__assert(size <= sizeof(operation->address));
	memcpy(&operation->address, address, size);
	operation->address_given = address;
	operation->address_size = size;
	return 0;
}

static int prepare_poll(struct gb__ring *ring, int fd, unsigned ready, uint64_t token)
{
	struct operation *operation = prepare(ring, POLL, fd, token);

	if (!operation)
		return -EBUSY;
	operation->ready = ready;
	return 0;
}

static int prepare_cancel(struct gb__ring *ring, uint64_t target, uint64_t token)
{
	struct operation *operation = prepare(ring, CANCEL, -1, token);

	if (!operation)
		return -EBUSY;
	operation->target = target;
	return 0;
}

/* The descriptor is open, and nothing else may be in flight on it, when the next wait carries it out. */
static int prepare_close(struct gb__ring *ring, int fd, uint64_t token)
{
	struct operation *operation = prepare(ring, CLOSE, fd, token);

	if (!operation)
		return -EBUSY;
	operation->fd = fd;
	return 0;
}

/* A close may have no operation in flight beside it, so it does not count as one. */
static int prepare_file(struct gb__ring *ring, const struct gb__file_call *call, uint64_t token)
{
	struct operation *operation =
		prepare(ring, CALL, call->verb == GB__FILE_CLOSE ? -1 : call->fd, token);

	if (!operation)
		return -EBUSY;
	operation->call = *call;
	operation->sum = sim_operation_sum(operation);
	return 0;
}

/* ---- taking ---- */

static void retire(struct gb__ring *ring, const struct operation *operation)
{
	ring->retired[ring->retired_count++ % RETIRED_MAX] =
		(struct retired){ operation->token, operation->socket->serial, operation->fd };
}

static void completion_add(struct gb__ring *ring, struct gb__completion what)
{
	struct completion *completion = sim_alloc(sizeof(*completion));

	completion->what = what;
	sim_moved(ring->kernel);
	gb__list_append(&ring->completions, &completion->link);
}

/* Now and then it cannot, as before its owner has begun or without memory. */
static int wake(struct gb__ring *ring, uint64_t token)
{
	if (!(ring->features & GB__RING_MESSAGES))
		sim_fail(ring->kernel, "a message on a ring without them");
	if (sim_chance(ring->kernel, ring->kernel->profile.busy))
		return -ENOMEM;
	completion_add(ring, (struct gb__completion){ .token = token });
	return 0;
}

static unsigned waiting(const struct gb__ring *ring)
{
	unsigned count = 0;

	for (const struct gb__list *node = ring->operations.next; node != &ring->operations;
		node = node->next)
		count += !gb__container_of(node, struct operation, link)->started;
	return count;
}

/* A completion nobody waits for: of an operation on a descriptor that was closed since (lu#1246). */
static void stray(struct gb__ring *ring)
{
	struct sim_kernel *kernel = ring->kernel;
	unsigned known = gb__min(ring->retired_count, RETIRED_MAX);
	const struct sim_socket *there;
	const struct retired *retired;

	if (!known || !sim_chance(kernel, kernel->profile.stray))
		return;
	retired = &ring->retired[sim_random(kernel, known)];
	there = kernel->fds[retired->fd - SIM_FD_FIRST];
	if (there && there->serial == retired->serial)
		return;
	completion_add(ring,
		(struct gb__completion){
			.token = retired->token, .result = sim_random(kernel, 2) ? -ECANCELED : 0 });
}

/* Whether an earlier completion of the same operation is still in the queue. */
static bool is_behind(const struct gb__ring *ring, const struct completion *completion)
{
	const struct gb__list *node;

	if (!completion->operation || completion->operation->completions == 1)
		return false;
	for (node = ring->completions.next; node != &completion->link; node = node->next)
		if (gb__container_of(node, struct completion, link)->operation == completion->operation)
			return true;
	return false;
}

static bool completes(const struct gb__ring *ring, uint64_t token, uint64_t mask)
{
	for (struct gb__list *node = ring->completions.next; node != &ring->completions; node = node->next)
		if (!((gb__container_of(node, struct completion, link)->what.token ^ token) & mask))
			return true;
	return false;
}

static void take(struct gb__ring *ring, struct completion *completion, struct gb__completion *ret)
{
	struct operation *operation = completion->operation;

	*ret = completion->what;
	sim_trace(ring->kernel, "completion: token %#llx, result %d, flags %#x%s",
		(unsigned long long)ret->token, ret->result, ret->flags, operation ? "" : ", stray");
	if (ret->flags & GB__COMPLETION_BUFFER)
		ring->buffers[gb__completion_buffer(ret)].state = TAKEN;
	gb__list_remove(&completion->link);
	if (operation) {
		sim_operation_check(ring, operation);
		operation->completions--;
		if (completion->last) {
			if (operation->socket)
				retire(ring, operation);
			operation_free(operation);
		}
	}
	free(completion);
}

static int collect(void *self, void *ret, unsigned max, bool *ret_held)
{
	struct gb__ring *ring = self;
	struct sim_kernel *kernel = ring->kernel;
	struct gb__completion *completions = ret;
	struct gb__list *node, *next;
	/* Without memory it takes no more operations for now. */
	bool takes = !sim_chance(kernel, kernel->profile.busy);
	unsigned count = 0;

	stray(ring);
	for (node = ring->operations.next; node != &ring->operations; node = next) {
		struct operation *operation = gb__container_of(node, struct operation, link);

		if (!operation->finished && (takes || operation->started))
			sim_operation_run(ring, operation);
		*ret_held |= operation->kind == CALL && !operation->finished;
		next = node->next;
		if (operation->finished && !operation->completions)
			operation_free(operation); /* it is over without a word */
	}
	if (sim_chance(kernel, kernel->profile.few_events))
		max = 1 + (unsigned)sim_random(kernel, max);
	for (node = ring->completions.next; node != &ring->completions; node = next) {
		struct completion *completion = gb__container_of(node, struct completion, link);

		next = node->next;
		if (completion->held && completion->held--) {
			*ret_held = true;
			continue;
		}
		if (count < max && !is_behind(ring, completion))
			take(ring, completion, &completions[count++]);
	}
	return (int)count;
}

static int wait_completions(
	struct gb__ring *ring, struct gb__completion *ret, unsigned max, int64_t timeout_ns)
{
	return sim_wait(ring->kernel, collect, ring, ret, max, timeout_ns);
}

const struct gb__ring_ops sim_ring = {
	.name = "simulated",
	.create = create,
	.destroy = destroy,
	.features = features,
	.accept = prepare_accept,
	.recv = prepare_recv,
	.recv_bulk = prepare_recv_bulk,
	.send = prepare_send,
	.sendmsg = prepare_sendmsg,
	.connect = prepare_connect,
	.poll = prepare_poll,
	.cancel = prepare_cancel,
	.close = prepare_close,
	.file = prepare_file,
	.completes = completes,
	.wait = wait_completions,
	.wake = wake,
	.waiting = waiting,
	.bulk_start = bulk_start,
	.buffer = buffer,
	.buffer_return = buffer_return,
	.buffers_missed = buffers_missed,
};
