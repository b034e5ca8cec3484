/*
 * Making a ring: the flags that this kernel takes, what it does, and why it refuses.
 *
 * What a kernel does is found by doing it, on a throw-away ring and a socket pair, once per process.
 * Version numbers say nothing: distributions backport, and filters take away.
 */
#include "base/alloc.h"
#include "base/assert.h"
#include "base/macros.h"
#include "engine/ring/io_uring.h"
#include "os/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SYSCTL_DISABLED "/proc/sys/kernel/io_uring_disabled"
#define INSTEAD "; or choose another engine (engine=auto takes the best that works)"
#define BUFFERS_MAX 32768u /* of a buffer ring, io_uring_register(2) */
#define LARGE_PAGE ((size_t)2 << 20)
#define PROBE_ENTRIES 8u
#define PROBE_BUFFERS 4u
#define RELEASE_MS 5u
#define RELEASE_TRIES 50u
#define RELEASE_TRIES_TRIED 2000u /* a loaded machine takes its time */
#define PROBE_PATIENCE 5u         /* seconds, for a loaded machine */
enum { PROBE_RECV = 1, PROBE_MULTISHOT, PROBE_ACCEPT, PROBE_MESSAGE };

/* From the best to the plainest; a flag that the kernel does not know is -EINVAL. */
static const struct {
	unsigned flags, features;
} variants[] = {
	{ IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		GB__RING_SINGLE_ISSUER | GB__RING_DEFER_TASKRUN }, /* 6.1 */
	{ IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN,
		GB__RING_SINGLE_ISSUER },                           /* 6.0 */
	{ IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN, 0 }, /* 5.19 */
	{ 0, 0 },
};

static int sysctl_disabled(void)
{
	char text[16];
	int fd = open(SYSCTL_DISABLED, O_RDONLY | O_CLOEXEC);
	ssize_t size;

	if (fd < 0)
		return 0; /* before Linux 6.6 */
	size = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[size > 0 ? size : 0] = '\0';
	return atoi(text);
}

static int refuse(struct gb_error *error, int code)
{
	switch (code) {
	case -EPERM:
	case -EACCES:
		switch (sysctl_disabled()) {
		case 0:
			return gb_error_set(error, code,
				"io_uring is forbidden here, probably by the seccomp filter of a container: "
				"allow io_uring_setup, io_uring_enter and io_uring_register" INSTEAD);
		case 1:
			return gb_error_set(error, code,
				"io_uring is kept to privileged processes here (kernel.io_uring_disabled=1): "
				"join the group of kernel.io_uring_group, or set the first to 0" INSTEAD);
		default:
			return gb_error_set(error, code,
				"io_uring is switched off on this machine (sysctl kernel.io_uring_disabled): "
				"set it to 0" INSTEAD);
		}
	case -ENOSYS:
		return gb_error_set(error, code,
			"this kernel has no io_uring, or a seccomp filter hides it: Linux 5.11 or newer is "
			"needed" INSTEAD);
	case -EINVAL:
	case -EOPNOTSUPP:
		return gb_error_set(error, -ENOTSUP,
			"this kernel's io_uring is too old: Linux 5.11 or newer is needed" INSTEAD);
	case -ENOMEM:
		return gb_error_set(error, code,
			"no memory for an io_uring: raise the limit of locked memory (ulimit -l, or "
			"LimitMEMLOCK= of the unit) or that of the cgroup" INSTEAD);
	case -EMFILE:
	case -ENFILE:
		return gb_error_set(
			error, code, "no descriptor left for an io_uring: raise the limit (ulimit -n)");
	default:
		return gb_error_set(error, code, "io_uring cannot be set up: %s" INSTEAD, gb_strerror(code));
	}
}

static int setup(struct gb__ring *ring, const struct gb__ring_options *options)
{
	int code = -EINVAL;

	for (unsigned i = 0; i < gb__countof(variants) && code == -EINVAL; i++) {
		struct io_uring_params parameters = {
			.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_R_DISABLED |
				variants[i].flags,
			.cq_entries = options->completions,
		};

		if (variants[i].features & options->mask)
			continue;
		/* The descriptor is close-on-exec: the kernel makes it so. */
		code = io_uring_queue_init_params(options->entries, &ring->uring, &parameters);
		if (code == 0)
			ring->features |= variants[i].features;
	}
	if (code < 0)
		return code;
	ring->in_place = true;
	/* Without them completions could be lost, and a wait could have no end. */
	if ((~ring->uring.features) & (IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG))
		return -EOPNOTSUPP;
	/* Entry i of the queue is always submission i. */
	if (!(ring->uring.flags & IORING_SETUP_NO_SQARRAY))
		for (unsigned i = 0; i < ring->uring.sq.ring_entries; i++)
			ring->uring.sq.array[i] = i;
	return 0;
}

/* Memory that costs nothing until it is touched; NULL if there is none. */
static void *map(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

/*
 * The same on large pages, if this machine has such and gives them: a buffer of 64 KiB lies on 17 small ones, each of
 * which is dear to look up under a hypervisor. `size` is in whole small pages.
 */
static void *map_large(size_t size)
{
	unsigned char *memory = map(size + LARGE_PAGE);
	size_t before = -(uintptr_t)memory & (LARGE_PAGE - 1);

	if (!memory)
		return NULL;
	if (before)
		munmap(memory, before);
	munmap(memory + before + size, LARGE_PAGE - before);
	madvise(memory + before, size, MADV_HUGEPAGE);
	return memory + before;
}

static int register_offers(
	struct io_uring *uring, unsigned group, unsigned count, struct io_uring_buf_ring **ret)
{
	struct io_uring_buf_reg registration = { .ring_entries = count, .bgid = (uint16_t)group };
	size_t size = count * sizeof(struct io_uring_buf);
	void *memory = map(size);
	int code;

	if (!memory)
		return -ENOMEM;
	registration.ring_addr = (uintptr_t)memory;
	code = io_uring_register_buf_ring(uring, &registration, 0);
	if (code < 0) {
		munmap(memory, size);
		return code;
	}
	io_uring_buf_ring_init(memory);
	*ret = memory;
	return 0;
}

/* How many, and of which size. */
static struct gb__uring_buffers planned(unsigned count, unsigned size, unsigned headroom)
{
	gb__assert(count && !(count & (count - 1)) && count <= BUFFERS_MAX && size);
	/* Whole cache lines, an odd number of them: a power of two would put all buffers into one set. */
	return (struct gb__uring_buffers){
		.count = count, .size = size, .stride = ((size_t)headroom + size + 63) / 64 * 64 | 64
	};
}

/* Nothing is offered of what the kernel does not take. */
static int offer_from(
	struct gb__ring *ring, unsigned group, unsigned count_first, struct gb__uring_buffers *buffers)
{
	int code = register_offers(&ring->uring, group, buffers->count, &buffers->offers);

	if (code == 0)
		buffers->target = gb__min(buffers->count, count_first);
	return code;
}

static size_t small_size(const struct gb__uring_buffers *buffers)
{
	return buffers->count * buffers->stride + 63;
}

static int make_buffers(struct gb__ring *ring)
{
	struct gb__uring_buffers *buffers = &ring->buffers;

	/* Not the allocator's: it keeps the more to itself the larger what it was once given back (M_TRIM_THRESHOLD in
	 * mallopt(3)). */
	buffers->memory = gb__table_grow(NULL, 0, small_size(buffers));
	if (!buffers->memory)
		return -ENOMEM;
	buffers->first = buffers->memory + (-(uintptr_t)buffers->memory & 63) + ring->headroom;
	return offer_from(ring, GB__URING_GROUP, GB__URING_OFFERED_FIRST, buffers);
}

static size_t bulk_size(const struct gb__uring_buffers *bulk)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (bulk->count * bulk->stride + page - 1) / page * page;
}

int gb__uring_bulk(struct gb__ring *ring)
{
	struct gb__uring_buffers *bulk = &ring->bulk;

	gb__assert((ring->features & GB__RING_BULK) && !bulk->memory);
	bulk->memory = map_large(bulk_size(bulk));
	if (!bulk->memory)
		return -ENOMEM;
	bulk->first = bulk->memory + ring->headroom;
	return offer_from(ring, GB__URING_GROUP_BULK, GB__URING_OFFERED_FIRST_BULK, bulk);
}

/* The next completion with this token, waited for as long as asked. */
static bool probe_next(struct io_uring *uring, uint64_t token, unsigned seconds, struct io_uring_cqe *ret)
{
	struct __kernel_timespec time = { .tv_sec = seconds };
	struct io_uring_cqe *entry;

	do {
		if (io_uring_wait_cqe_timeout(uring, &entry, &time) < 0)
			return false;
		*ret = *entry;
		io_uring_cqe_seen(uring, entry);
	} while (ret->user_data != token); /* late news of an earlier one */
	return true;
}

static bool probe_recv(struct io_uring *uring, int fd, unsigned options, uint64_t token)
{
	struct io_uring_sqe *operation = io_uring_get_sqe(uring);

	io_uring_prep_recv(operation, fd, NULL, 0, 0);
	operation->ioprio |= (uint16_t)options;
	operation->flags |= IOSQE_BUFFER_SELECT;
	operation->buf_group = GB__URING_GROUP;
	operation->user_data = token;
	return io_uring_submit(uring) == 1;
}

static bool probe_provided(struct io_uring *uring, const int *pair)
{
	struct io_uring_cqe result;

	return probe_recv(uring, pair[0], IORING_RECVSEND_POLL_FIRST, PROBE_RECV) &&
		send(pair[1], "", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1 &&
		probe_next(uring, PROBE_RECV, PROBE_PATIENCE, &result) && result.res == 1 &&
		(result.flags & IORING_CQE_F_BUFFER);
}

/*
 * Between Linux 6.1 and 6.18.x a receive that goes on does not tell the end of the stream when it came
 * together with the last bytes (axboe/liburing#1549): there it is of no use.
 */
static bool probe_multishot_recv(struct io_uring *uring, const int *pair)
{
	const unsigned flags = IORING_CQE_F_BUFFER | IORING_CQE_F_MORE;
	struct io_uring_cqe result;

	return probe_recv(uring, pair[0], IORING_RECV_MULTISHOT, PROBE_MULTISHOT) &&
		send(pair[1], "", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1 && shutdown(pair[1], SHUT_WR) == 0 &&
		probe_next(uring, PROBE_MULTISHOT, PROBE_PATIENCE, &result) && result.res == 1 &&
		(result.flags & flags) == flags && probe_next(uring, PROBE_MULTISHOT, 0, &result) &&
		result.res == 0 && !(result.flags & IORING_CQE_F_MORE);
}

int gb__uring_message(int ring_fd, uint64_t token)
{
	struct io_uring_sqe message = { 0 };

	io_uring_prep_msg_ring(&message, ring_fd, 0, token, 0);
	return io_uring_register((unsigned)-1, GB__URING_SEND_MSG_RING, &message, 1);
}

/*
 * Before Linux 6.16 a message may be freed while the kernel still looks at it ("io_uring/msg_ring: ensure io_kiocb
 * freeing is deferred for RCU", CVE-2025-38453), which cannot be tried: that kernel is known by its operations.
 */
static bool probe_message(struct io_uring *uring)
{
	struct io_uring_probe *known = io_uring_get_probe_ring(uring);
	bool mended = known && known->last_op >= GB__URING_PIPE;
	struct io_uring_cqe result;

	io_uring_free_probe(known);
	return mended && gb__uring_message(uring->ring_fd, PROBE_MESSAGE) == 0 &&
		probe_next(uring, PROBE_MESSAGE, PROBE_PATIENCE, &result);
}

/* Provided buffers, and receives that go on. Returns GB__RING_…, or a negative errno: could not try. */
static int probe_receiving(struct io_uring *uring)
{
	char memory[PROBE_BUFFERS];
	struct io_uring_buf_ring *offers;
	int pair[2], features = 0;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	if (register_offers(uring, GB__URING_GROUP, PROBE_BUFFERS, &offers) == 0) {
		for (unsigned i = 0; i < PROBE_BUFFERS; i++)
			io_uring_buf_ring_add(offers, &memory[i], 1, (unsigned short)i,
				io_uring_buf_ring_mask(PROBE_BUFFERS), (int)i);
		io_uring_buf_ring_advance(offers, PROBE_BUFFERS);
		if (probe_provided(uring, pair)) {
			features |= GB__RING_PROVIDED_BUFFERS;
			if (probe_multishot_recv(uring, pair))
				features |= GB__RING_MULTISHOT_RECV;
		}
		/* Nothing more comes for a receive that still waits, before its memory goes. */
		io_uring_unregister_buf_ring(uring, GB__URING_GROUP);
		munmap(offers, PROBE_BUFFERS * sizeof(struct io_uring_buf));
	}
	close(pair[0]);
	close(pair[1]);
	return features;
}

/* A listening socket that needs no address of anybody's: Linux chooses an abstract name (unix(7)). */
static int probe_listen(struct sockaddr_un *ret_name, socklen_t *ret_size)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*ret_name = (struct sockaddr_un){ .sun_family = AF_UNIX };
	*ret_size = sizeof(*ret_name);
	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)ret_name, sizeof(ret_name->sun_family)) == 0 && listen(fd, 1) == 0 &&
		getsockname(fd, (struct sockaddr *)ret_name, ret_size) == 0)
		return fd;
	close(fd);
	return -EADDRNOTAVAIL;
}

/* Accepts that go on. Returns as above. */
static int probe_accepting(struct io_uring *uring)
{
	struct sockaddr_un name;
	socklen_t size;
	struct io_uring_sqe *operation;
	struct io_uring_cqe result;
	int features = 0, client, listener = probe_listen(&name, &size);

	if (listener < 0)
		return listener;
	client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (client < 0 || connect(client, (struct sockaddr *)&name, size) < 0) {
		features = -errno;
	} else {
		operation = io_uring_get_sqe(uring);
		io_uring_prep_multishot_accept(operation, listener, NULL, NULL, SOCK_CLOEXEC);
		operation->user_data = PROBE_ACCEPT;
		if (io_uring_submit(uring) == 1 && probe_next(uring, PROBE_ACCEPT, PROBE_PATIENCE, &result) &&
			result.res >= 0) {
			close(result.res);
			if (result.flags & IORING_CQE_F_MORE)
				features |= GB__RING_MULTISHOT_ACCEPT;
		}
	}
	if (client >= 0)
		close(client);
	close(listener);
	return features;
}

/* Returns GB__RING_… of this kernel. What could not be tried is not used, this once. */
static unsigned probe(void)
{
	static _Atomic unsigned known; /* features + 1, the same for every thread and every child */
	unsigned features = atomic_load_explicit(&known, memory_order_relaxed);
	struct io_uring uring;
	int receiving, accepting;

	if (features)
		return features - 1;
	if (io_uring_queue_init(PROBE_ENTRIES, &uring, variants[0].flags) < 0 &&
		io_uring_queue_init(PROBE_ENTRIES, &uring, 0) < 0)
		return 0;
	receiving = probe_receiving(&uring);
	accepting = probe_accepting(&uring);
	features = probe_message(&uring) ? GB__RING_MESSAGES : 0;
	io_uring_queue_exit(&uring);
	features |= (unsigned)gb__max(receiving, 0) | (unsigned)gb__max(accepting, 0);
	if (receiving >= 0 && accepting >= 0)
		atomic_store_explicit(&known, features + 1, memory_order_relaxed);
	return features;
}

static int init_once(struct gb__ring *ring, const struct gb__ring_options *options, struct gb_error *error)
{
	int code = setup(ring, options);

	if (code < 0)
		return refuse(error, code);
	ring->features |= probe() & ~options->mask;
	if (!(ring->features & GB__RING_PROVIDED_BUFFERS)) {
		ring->features &= ~(unsigned)GB__RING_MULTISHOT_RECV;
		return 0;
	}
	ring->headroom = options->headroom;
	ring->buffers = planned(options->buffers, options->buffer_size, options->headroom);
	if (options->bulk_buffers && !(options->mask & GB__RING_BULK)) {
		ring->features |= GB__RING_BULK;
		ring->bulk = planned(options->bulk_buffers, options->bulk_buffer_size, options->headroom);
	}
	code = make_buffers(ring);
	return code < 0 ? refuse(error, code) : 0;
}

static void forget_offers(struct gb__uring_buffers *buffers)
{
	if (buffers->offers)
		munmap(buffers->offers, buffers->count * sizeof(struct io_uring_buf));
}

/* In a forked child this lets go of copies only: closing the child's descriptor ends no operation. */
void gb__uring_finish(struct gb__ring *ring)
{
	if (ring->in_place)
		io_uring_queue_exit(&ring->uring);
	forget_offers(&ring->buffers);
	forget_offers(&ring->bulk);
	gb__table_free(ring->buffers.memory, ring->buffers.memory ? small_size(&ring->buffers) : 0);
	if (ring->bulk.memory)
		munmap(ring->bulk.memory, bulk_size(&ring->bulk));
	*ring = (struct gb__ring){ 0 };
}

/* The kernel gives the locked memory of a ring that was closed back only some time later: where there is little of it, a
 * ring that follows on another waits for that. */
int gb__uring_init(struct gb__ring *ring, const struct gb__ring_options *options, struct gb_error *error)
{
	const unsigned tries = options->tried ? RELEASE_TRIES_TRIED : RELEASE_TRIES;
	int code = init_once(ring, options, error);

	for (unsigned i = 0; code == -ENOMEM && i < tries; i++) {
		gb__uring_finish(ring);
		gb__thread_rest(RELEASE_MS);
		code = init_once(ring, options, error);
	}
	return code;
}
