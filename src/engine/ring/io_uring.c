/*
 * The completion queue on io_uring(7).
 *
 * The happy path of a turn: operations are written into the submission queue without a system call;
 * `wait` submits them all and waits with one io_uring_enter; completions are copied out, and the
 * queue's slots are free again before the first is handled.
 *
 * What can be in the way: a submission queue that is full is submitted early; one that the kernel
 * does not empty (its completion queue overflowed, or it lacks memory) answers -EBUSY here, and the
 * next waits reap first. Completions beyond the queue are kept by the kernel (IORING_FEAT_NODROP),
 * which says so by a flag; an enter fetches them. Under DEFER_TASKRUN nothing completes but inside an
 * enter that asks for events, so every enter does.
 */
#include "engine/ring/io_uring.h"
#include "base/alloc.h"
#include "base/assert.h"
#include "base/macros.h"
#include "engine/engine.h"
#include "os/file.h"
#include "os/tsan.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NS_PER_S 1000000000
#define RETRY_NS 1000000 /* until memory is asked for again */

static_assert(GB__READY_IN == POLLIN && GB__READY_OUT == POLLOUT && GB__READY_ERROR == POLLERR &&
		GB__READY_HANGUP == POLLHUP,
	"polls take and give GB__READY_ bits");
static_assert(GB__COMPLETION_BUFFER == IORING_CQE_F_BUFFER && GB__COMPLETION_MORE == IORING_CQE_F_MORE &&
		GB__COMPLETION_NONEMPTY == IORING_CQE_F_SOCK_NONEMPTY && IORING_CQE_BUFFER_SHIFT == 16,
	"the same flags");
static_assert(sizeof(struct gb__completion) == sizeof(struct io_uring_cqe) &&
		offsetof(struct gb__completion, result) == offsetof(struct io_uring_cqe, res) &&
		offsetof(struct gb__completion, flags) == offsetof(struct io_uring_cqe, flags),
	"the same layout");

/* The ring belongs to the thread that first enters, which need not be the one that made it. */
static int adopt(struct gb__ring *ring)
{
	/* As io_uring_enable_rings, which liburing 2.3 declares but does not export. */
	int code = io_uring_register((unsigned)ring->uring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);

	if (code < 0)
		return code;
	/* Spares each enter the look-up of the descriptor; Linux 5.18, and no harm without it. */
	if (io_uring_register_ring_fd(&ring->uring) == 1)
		ring->enter_flags |= IORING_ENTER_REGISTERED_RING;
	if (ring->uring.features & IORING_FEAT_NO_IOWAIT)
		ring->enter_flags |= IORING_ENTER_NO_IOWAIT;
	ring->entered = true;
	return 0;
}

/* Returns the number of submitted operations, 0 also on a timeout or an interruption, or an error. */
static int enter(struct gb__ring *ring, unsigned submit, unsigned wanted, int64_t timeout_ns)
{
	unsigned flags = IORING_ENTER_GETEVENTS;
	struct __kernel_timespec time;
	struct io_uring_getevents_arg argument = { .sigmask_sz = _NSIG / 8 };
	void *extra = NULL;
	size_t extra_size = _NSIG / 8;
	int code;

	if (gb__unlikely(!ring->entered)) {
		code = adopt(ring);
		if (code < 0)
			return code;
	}
	timeout_ns = gb__tsan_wait_ns(timeout_ns);
	if (wanted && timeout_ns >= 0) {
		time.tv_sec = timeout_ns / NS_PER_S;
		time.tv_nsec = timeout_ns % NS_PER_S;
		argument.ts = (uintptr_t)&time;
		flags |= IORING_ENTER_EXT_ARG;
		extra = &argument;
		extra_size = sizeof(argument);
	}
	code = io_uring_enter2((unsigned)ring->uring.enter_ring_fd, submit, wanted, flags | ring->enter_flags,
		(sigset_t *)extra, extra_size);
	return code == -EINTR || code == -ETIME ? 0 : code;
}

/* Make what was prepared visible to the kernel; returns how much it has not taken yet. */
static unsigned publish(struct gb__ring *ring)
{
	struct io_uring_sq *queue = &ring->uring.sq;

	if (queue->sqe_head != queue->sqe_tail) {
		queue->sqe_head = queue->sqe_tail;
		io_uring_smp_store_release(queue->ktail, queue->sqe_tail);
	}
	return queue->sqe_tail - *queue->khead;
}

/* As io_uring_get_sqe, for entries of 64 bytes and a queue that no thread of the kernel's reads. */
static inline struct io_uring_sqe *entry_next(struct gb__ring *ring)
{
	struct io_uring_sq *queue = &ring->uring.sq;
	unsigned tail = queue->sqe_tail;

	if (gb__unlikely(tail - IO_URING_READ_ONCE(*queue->khead) >= queue->ring_entries))
		return NULL;
	queue->sqe_tail = tail + 1;
	return &queue->sqes[tail & queue->ring_mask];
}

/* The queue is full: the kernel takes what is in it. NULL: it does not. */
static __attribute__((noinline)) struct io_uring_sqe *entry_forced(struct gb__ring *ring)
{
	if (enter(ring, publish(ring), 0, 0) < 0)
		return NULL; /* whatever it is, `wait` meets it again */
	return entry_next(ring);
}

static struct io_uring_sqe *prepare(struct gb__ring *ring, uint64_t token)
{
	struct io_uring_sqe *entry = entry_next(ring);

	if (gb__unlikely(!entry)) {
		entry = entry_forced(ring);
		if (!entry)
			return NULL;
	}
	/* Whole: from liburing 2.6 on the prep functions leave flags and more to io_uring_get_sqe. */
	*entry = (struct io_uring_sqe){ .user_data = token };
	return entry;
}

static int ring_accept(struct gb__ring *ring, int fd, bool multishot, uint64_t token)
{
	struct io_uring_sqe *entry = prepare(ring, token);

	if (!entry)
		return -EBUSY;
	/* No address: a multishot accept would overwrite it with the next. */
	io_uring_prep_accept(entry, fd, NULL, NULL, SOCK_CLOEXEC);
	if (multishot)
		entry->ioprio |= IORING_ACCEPT_MULTISHOT;
	return 0;
}

static int recv_into(struct gb__ring *ring, int fd, unsigned group, unsigned options, uint64_t token)
{
	struct io_uring_sqe *entry = prepare(ring, token);

	if (!entry)
		return -EBUSY;
	io_uring_prep_recv(entry, fd, NULL, 0, 0);
	entry->ioprio |= (uint16_t)options;
	entry->flags |= IOSQE_BUFFER_SELECT;
	entry->buf_group = (uint16_t)group;
	return 0;
}

static int ring_recv(struct gb__ring *ring, int fd, bool multishot, uint64_t token)
{
	gb__assert(ring->features & GB__RING_PROVIDED_BUFFERS);
	/*
	 * Poll first: the socket is probably empty, and no buffer is needed before something came. One
	 * that goes on must try first instead: armed on bytes and their FIN (or reset) it would tell the
	 * bytes alone (seen on Unix sockets with Linux 6.18).
	 */
	return recv_into(ring, fd, GB__URING_GROUP,
		multishot ? IORING_RECV_MULTISHOT : IORING_RECVSEND_POLL_FIRST, token);
}

static int ring_recv_bulk(struct gb__ring *ring, int fd, uint64_t token)
{
	gb__assert(ring->bulk.offers);
	return recv_into(ring, fd, GB__URING_GROUP_BULK, IORING_RECVSEND_POLL_FIRST, token);
}

/* As io_uring_prep_send, which writes the fields one by one. */
static inline void send_fill(
	struct io_uring_sqe *entry, int fd, const void *data, uint32_t size, uint64_t token)
{
	*entry = (struct io_uring_sqe){ .opcode = IORING_OP_SEND,
		.fd = fd,
		.addr = (uintptr_t)data,
		.len = size,
		.msg_flags = MSG_NOSIGNAL,
		.user_data = token };
}

static __attribute__((noinline)) int send_forced(
	struct gb__ring *ring, int fd, const void *data, uint32_t size, uint64_t token)
{
	struct io_uring_sqe *entry = entry_forced(ring);

	if (!entry)
		return -EBUSY;
	send_fill(entry, fd, data, size, token);
	return 0;
}

static int ring_send(struct gb__ring *ring, int fd, const void *data, uint32_t size, uint64_t token)
{
	struct io_uring_sqe *entry = entry_next(ring);

	if (gb__unlikely(!entry))
		return send_forced(ring, fd, data, size, token);
	send_fill(entry, fd, data, size, token);
	return 0;
}

static int ring_sendmsg(struct gb__ring *ring, int fd, const struct msghdr *message, uint64_t token)
{
	struct io_uring_sqe *entry = prepare(ring, token);

	if (!entry)
		return -EBUSY;
	io_uring_prep_sendmsg(entry, fd, message, MSG_NOSIGNAL);
	return 0;
}

static int ring_connect(
	struct gb__ring *ring, int fd, const struct sockaddr *address, socklen_t size, uint64_t token)
{
	struct io_uring_sqe *entry = prepare(ring, token);

	if (!entry)
		return -EBUSY;
	io_uring_prep_connect(entry, fd, address, size);
	return 0;
}

static int ring_poll(struct gb__ring *ring, int fd, unsigned ready, uint64_t token)
{
	struct io_uring_sqe *entry = prepare(ring, token);

	if (!entry)
		return -EBUSY;
	io_uring_prep_poll_add(entry, fd, ready);
	return 0;
}

static int ring_cancel(struct gb__ring *ring, uint64_t target, uint64_t token)
{
	struct io_uring_sqe *entry = prepare(ring, token);

	if (!entry)
		return -EBUSY;
	io_uring_prep_cancel64(entry, target, 0);
	return 0;
}

static int ring_close(struct gb__ring *ring, int fd, uint64_t token)
{
	struct io_uring_sqe *entry = prepare(ring, token);

	if (!entry)
		return -EBUSY;
	io_uring_prep_close(entry, fd);
	if (ring->uring.features & IORING_FEAT_CQE_SKIP)
		entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
	return 0;
}

/* All of these are of Linux 5.11 or older, as is IORING_ENTER_EXT_ARG. What would wait for a disk goes on a thread of the
 * kernel's. */
static int ring_file(struct gb__ring *ring, const struct gb__file_call *call, uint64_t token)
{
	struct io_uring_sqe *entry = prepare(ring, token);

	if (!entry)
		return -EBUSY;
	switch ((enum gb__file_verb)call->verb) {
	case GB__FILE_OPEN:
		io_uring_prep_openat(entry, AT_FDCWD, call->path, call->flags, call->mode);
		break;
	case GB__FILE_READ:
		io_uring_prep_read(entry, call->fd, call->data, call->size, (uint64_t)call->offset);
		break;
	case GB__FILE_WRITE:
		if (call->vector)
			io_uring_prep_writev(
				entry, call->fd, call->parts, call->size, (uint64_t)call->offset);
		else
			io_uring_prep_write(entry, call->fd, call->data, call->size, (uint64_t)call->offset);
		break;
	case GB__FILE_SYNC:
		io_uring_prep_fsync(entry, call->fd, call->data_only ? IORING_FSYNC_DATASYNC : 0);
		break;
	case GB__FILE_STAT:
		io_uring_prep_statx(entry, call->path ? AT_FDCWD : call->fd, call->path ? call->path : "",
			call->path ? 0 : AT_EMPTY_PATH, STATX_BASIC_STATS, call->stat);
		break;
	case GB__FILE_CLOSE:
		io_uring_prep_close(entry, call->fd);
		break;
	case GB__FILE_RENAME:
		io_uring_prep_renameat(entry, AT_FDCWD, call->path, AT_FDCWD, call->to, 0);
		break;
	case GB__FILE_UNLINK:
		io_uring_prep_unlinkat(entry, AT_FDCWD, call->path, 0);
		break;
	}
	entry->user_data = token; /* some of those clear it */
	return 0;
}

static unsigned ring_waiting(const struct gb__ring *ring)
{
	return io_uring_sq_ready(&ring->uring);
}

static int ring_wake(struct gb__ring *ring, uint64_t token)
{
	return gb__uring_message(ring->uring.ring_fd, token);
}

/* The place of buffer `id` among the large ones. */
static inline unsigned place_in_bulk(const struct gb__ring *ring, unsigned id)
{
	unsigned place = id - ring->buffers.count;

	gb__assert(place < ring->bulk.count);
	return place;
}

static inline unsigned char *bytes_at(const struct gb__uring_buffers *buffers, unsigned place)
{
	return buffers->first + place * buffers->stride;
}

static unsigned char *ring_buffer(struct gb__ring *ring, unsigned id)
{
	return gb__likely(id < ring->buffers.count) ? bytes_at(&ring->buffers, id)
						    : bytes_at(&ring->bulk, place_in_bulk(ring, id));
}

static inline void offer(struct gb__uring_buffers *buffers, unsigned place, unsigned id)
{
	struct io_uring_buf *offered = &buffers->offers->bufs[buffers->offers_tail++ & (buffers->count - 1)];

	/* As io_uring_buf_ring_add, which asks the ring itself for its tail. Field by field: in the first of them the
	 * tail lies behind these. */
	offered->addr = (uintptr_t)bytes_at(buffers, place);
	offered->len = buffers->size;
	offered->bid = (uint16_t)id;
}

/* The kernel sees it with the next wait. */
static void ring_buffer_return(struct gb__ring *ring, unsigned id)
{
	if (gb__likely(id < ring->buffers.count))
		offer(&ring->buffers, id, id);
	else
		offer(&ring->bulk, place_in_bulk(ring, id), id);
}

/* Many receives miss buffers in the same turn: they grow once. */
static void ring_buffers_missed(struct gb__ring *ring, bool bulk)
{
	struct gb__uring_buffers *buffers = bulk ? &ring->bulk : &ring->buffers;

	if (buffers->circulating == buffers->target)
		buffers->target = gb__min(2 * buffers->target, buffers->count);
}

static inline void offer_buffers(struct gb__uring_buffers *buffers, unsigned id_first)
{
	for (; gb__unlikely(buffers->circulating < buffers->target); buffers->circulating++)
		offer(buffers, buffers->circulating, id_first + buffers->circulating);
	if (buffers->offers_told != buffers->offers_tail) {
		buffers->offers_told = buffers->offers_tail;
		io_uring_smp_store_release(&buffers->offers->tail, (uint16_t)buffers->offers_tail);
	}
}

static int reap(struct gb__ring *ring, struct gb__completion *ret, unsigned max)
{
	struct io_uring_cq *queue = &ring->uring.cq;
	unsigned head = *queue->khead, place = head & queue->ring_mask, to_end;
	unsigned count = io_uring_smp_load_acquire(queue->ktail) - head;

	count = gb__min(count, max);
	to_end = gb__min(queue->ring_entries - place, count);
	memcpy(ret, &queue->cqes[place], to_end * sizeof(*ret));
	if (gb__unlikely(to_end < count))
		memcpy(ret + to_end, queue->cqes, (count - to_end) * sizeof(*ret));
	io_uring_smp_store_release(queue->khead, head + count);
	return (int)count;
}

static int ring_wait(struct gb__ring *ring, struct gb__completion *ret, unsigned max, int64_t timeout_ns)
{
	unsigned ready, submit, flags;
	int code;

	offer_buffers(&ring->buffers, 0);
	offer_buffers(&ring->bulk, ring->buffers.count);
	submit = publish(ring);
	ready = io_uring_cq_ready(&ring->uring);
	flags = IO_URING_READ_ONCE(*ring->uring.sq.kflags);
	/* What is left of an earlier turn needs no system call, and is soon used up. */
	if (submit || !ready || (flags & IORING_SQ_CQ_OVERFLOW)) {
		code = enter(ring, submit, !ready && timeout_ns ? 1 : 0, timeout_ns);
		if (gb__unlikely(code == -EBUSY || code == -EAGAIN))
			code = enter(ring, 0, 1, RETRY_NS);
		if (code < 0)
			return code;
	}
	return reap(ring, ret, max);
}

static int ring_notify(struct gb__ring *ring, int event)
{
	return io_uring_register_eventfd(&ring->uring, event);
}

static bool ring_completes(const struct gb__ring *ring, uint64_t token, uint64_t mask)
{
	const struct io_uring_cq *queue = &ring->uring.cq;
	unsigned head = *queue->khead, tail = io_uring_smp_load_acquire(queue->ktail);

	for (; head != tail; head++)
		if (!((queue->cqes[head & queue->ring_mask].user_data ^ token) & mask))
			return true;
	/* What the queue had no room for is the kernel's until the next wait. */
	return IO_URING_READ_ONCE(*ring->uring.sq.kflags) & IORING_SQ_CQ_OVERFLOW;
}

static void buffers_trim(const struct gb__uring_buffers *buffers)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t begin = ((uintptr_t)buffers->memory + page - 1) & -page;
	uintptr_t end = ((uintptr_t)buffers->memory + buffers->count * buffers->stride) & -page;

	if (buffers->memory && begin < end)
		madvise((void *)begin, end - begin, MADV_DONTNEED);
}

/*
 * With DEFER_TASKRUN the kernel receives into them inside io_uring_enter only, and adds the completion at once: while
 * there is none, they are empty. Otherwise it could write one while its pages go.
 */
static bool ring_trim(struct gb__ring *ring)
{
	if (!(ring->features & GB__RING_DEFER_TASKRUN))
		return true;
	if (io_uring_cq_ready(&ring->uring) ||
		(IO_URING_READ_ONCE(*ring->uring.sq.kflags) & IORING_SQ_CQ_OVERFLOW))
		return false;
	buffers_trim(&ring->buffers);
	buffers_trim(&ring->bulk);
	return true;
}

static unsigned ring_features(const struct gb__ring *ring)
{
	return ring->features;
}

static int ring_create(const struct gb__ring_options *options, struct gb__ring **ret, struct gb_error *error)
{
	struct gb__ring *ring = gb__alloc_zero(sizeof(*ring));
	int code;

	if (!ring)
		return gb_error_set(error, -ENOMEM, "out of memory for an io_uring");
	code = gb__uring_init(ring, options, error);
	if (code < 0) {
		gb__uring_finish(ring);
		gb__free(ring);
		return code;
	}
	*ret = ring;
	return 0;
}

static void ring_destroy(struct gb__ring *ring)
{
	if (!ring)
		return;
	gb__uring_finish(ring);
	gb__free(ring);
}

const struct gb__ring_ops gb__ring_io_uring = {
	.name = "io_uring",
	.create = ring_create,
	.destroy = ring_destroy,
	.features = ring_features,
	.accept = ring_accept,
	.recv = ring_recv,
	.recv_bulk = ring_recv_bulk,
	.send = ring_send,
	.sendmsg = ring_sendmsg,
	.connect = ring_connect,
	.poll = ring_poll,
	.cancel = ring_cancel,
	.close = ring_close,
	.file = ring_file,
	.wait = ring_wait,
	.wake = ring_wake,
	.notify = ring_notify,
	.completes = ring_completes,
	.waiting = ring_waiting,
	.bulk_start = gb__uring_bulk,
	.buffer = ring_buffer,
	.buffer_return = ring_buffer_return,
	.buffers_missed = ring_buffers_missed,
	.trim = ring_trim,
};
