/**
 * A completion queue: operations are prepared, submitted together, and complete later.
 *
 * Belongs to one proactor and its thread. Prepared operations start with the next `wait` (or sooner,
 * when the submission queue is full). Each ends with exactly one completion without MORE. Memory that
 * an operation names (bytes, addresses, vectors) must stay until then. Tokens are the caller's.
 */
#ifndef ENGINE_RING_RING_H
#define ENGINE_RING_RING_H

#include <gearbox/error.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct gb__file_call;
struct gb__ring; /* each ring's own */

enum {
	GB__COMPLETION_BUFFER = 1u << 0,   /* a buffer holds the bytes received; give it back */
	GB__COMPLETION_MORE = 1u << 1,     /* the operation goes on (multishot) */
	GB__COMPLETION_NONEMPTY = 1u << 2, /* the socket has more to read */
};

/** As io_uring lays it out, so that there is nothing to convert. */
struct gb__completion {
	uint64_t token;
	int32_t result; /* as the system call's, errors as negative errno */
	uint32_t flags; /* GB__COMPLETION_…; from bit 16 on the number of the buffer */
};

static inline unsigned gb__completion_buffer(const struct gb__completion *completion)
{
	return completion->flags >> 16;
}

/** What this kernel does; probed by doing when the ring is made. */
enum {
	GB__RING_MULTISHOT_ACCEPT = 1u << 0,
	GB__RING_MULTISHOT_RECV = 1u << 1,
	GB__RING_PROVIDED_BUFFERS = 1u
		<< 2, /* a ring of receive buffers; without it there is no `recv`, but `poll` */
	GB__RING_DEFER_TASKRUN = 1u << 3,
	GB__RING_SINGLE_ISSUER = 1u << 4,
	GB__RING_MESSAGES = 1u << 5, /* `wake` works */
	GB__RING_BULK = 1u << 6,     /* large buffers besides, if asked for: `bulk_start` may be tried */
};

struct gb__os;

struct gb__ring_options {
	struct gb__os *os;     /* the kernel it belongs to: how a simulated ring finds its own */
	unsigned entries;      /* submission queue */
	unsigned completions;  /* completion queue, sized on its own */
	unsigned buffers;      /* provided receive buffers, a power of two */
	unsigned buffer_size;  /* of each */
	unsigned bulk_buffers; /* large ones, a power of two or 0; their numbers follow on those */
	unsigned bulk_buffer_size;
	unsigned headroom; /* writable bytes in front of each */
	unsigned mask;     /* features not to use */
	bool tried;        /* there was memory for it: what lacks is about to be given back */
};

struct gb__ring_ops {
	const char *name;
	/** Returns 0, or the kernel's refusal with the reason (not built in, forbidden by sysctl or
	 *  seccomp, memory limit). */
	int (*create)(const struct gb__ring_options *options, struct gb__ring **ret, struct gb_error *error);
	void (*destroy)(struct gb__ring *ring);
	unsigned (*features)(const struct gb__ring *ring); /* GB__RING_… */

	/* Preparing: 0, or -EBUSY when the kernel takes no more for the moment (wait, then retry). */
	int (*accept)(struct gb__ring *ring, int fd, bool multishot, uint64_t token);
	/** Into a provided buffer; `multishot` goes on until the end, an error or ENOBUFS. */
	int (*recv)(struct gb__ring *ring, int fd, bool multishot, uint64_t token);
	/** Once, into a large buffer; after `bulk_start`. */
	int (*recv_bulk)(struct gb__ring *ring, int fd, uint64_t token);
	int (*send)(struct gb__ring *ring, int fd, const void *data, uint32_t size, uint64_t token);
	int (*sendmsg)(struct gb__ring *ring, int fd, const struct msghdr *message, uint64_t token);
	int (*connect)(struct gb__ring *ring, int fd, const struct sockaddr *address, socklen_t size,
		uint64_t token);
	/** One report of GB__READY_… bits. */
	int (*poll)(struct gb__ring *ring, int fd, unsigned ready, uint64_t token);
	/** Cancel the operation(s) with token `target`. Completes itself under `token` (0, ENOENT, EALREADY);
	 *  the target completes as well, perhaps successfully. */
	int (*cancel)(struct gb__ring *ring, uint64_t target, uint64_t token);
	/** Completes with a failure only; on an old kernel also when it succeeds. */
	int (*close)(struct gb__ring *ring, int fd, uint64_t token);
	/** What a call on a file names stays until its completion, but for `call` itself. */
	int (*file)(struct gb__ring *ring, const struct gb__file_call *call, uint64_t token);

	/** Submit, wait up to timeout_ns (-1: for ever, 0: not) for one completion, take up to `max`.
	 *  Returns their number, 0 on timeout or interruption, or a negative errno. */
	int (*wait)(struct gb__ring *ring, struct gb__completion *ret, unsigned max, int64_t timeout_ns);

	/** With GB__RING_MESSAGES: a present or the next wait returns, with a completion under `token`. Returns 0 or a
	 *  negative errno (not now: the ring has not begun, memory). Thread: any; signal handlers as well. */
	int (*wake)(struct gb__ring *ring, uint64_t token);

	/** Have this event signalled when `wait` has something to take. Once; the ring does not close it. Returns 0 or a
	 *  negative errno. NULL: it cannot. */
	int (*notify)(struct gb__ring *ring, int event);

	/** Whether a completion that was not taken yet has this token, as far as `mask` goes. */
	bool (*completes)(const struct gb__ring *ring, uint64_t token, uint64_t mask);

	/** How many operations were prepared that the kernel has not taken yet: more than 0 behind a wait only when it
	 *  could not. */
	unsigned (*waiting)(const struct gb__ring *ring);

	/** Make the large buffers; until then they cost nothing. Once, with GB__RING_BULK. Returns 0 or a negative errno:
	 *  then there are none. */
	int (*bulk_start)(struct gb__ring *ring);
	unsigned char *(*buffer)(struct gb__ring *ring, unsigned id); /* behind the headroom */
	void (*buffer_return)(struct gb__ring *ring, unsigned id);
	/** No buffer is with the caller: have the system take back their memory. Returns false when something may lie in
	 *  it just now. NULL: it never can. */
	bool (*trim)(struct gb__ring *ring);
	/** A receive ended with ENOBUFS: of these buffers the ring is to offer more, if it held some back. */
	void (*buffers_missed)(struct gb__ring *ring, bool bulk);
};

extern const struct gb__ring_ops gb__ring_io_uring;

#endif
