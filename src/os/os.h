/**
 * The kernel, as engines, loops and connections see it: one table, so that a simulated kernel can
 * take its place (sim/). Everything returns 0 or a count, or a negative errno; nothing blocks but `file`. What every
 * message needs is no entry of the table but a function below, which the real kernel does without one.
 *
 * Stream sockets are blocking descriptors on which every operation says MSG_DONTWAIT (but see os/receive.h): the flag
 * O_NONBLOCK would live on the open file description, shared by all its holders, and some kernels'
 * io_uring answers -EAGAIN for it. Listening sockets are O_NONBLOCK always (see os/socket.h).
 */
#ifndef OS_OS_H
#define OS_OS_H

#include "base/macros.h"
#include "os/file.h"
#include "os/syscall.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

struct gb__address;
struct gb__os;
struct gb__socket_options;

struct gb__os_ops {
	const char *name;
	/** A connected socket from a listening one, close-on-exec. -EAGAIN when none waits. */
	int (*accept)(struct gb__os *os, int fd);
	/** A socket of this type (SOCK_STREAM, SOCK_SEQPACKET) for an outgoing connection, close-on-exec, O_NONBLOCK until
	 *  connected. */
	int (*socket)(struct gb__os *os, int family, int type);
	/** What its owner asked for of such a socket, and where it comes from. 0, or a negative errno: it cannot come from there. */
	int (*tune)(struct gb__os *os, int fd, int family, const struct gb__socket_options *options);
	/** The address of its own, or of the peer's end. 0, -ENOTCONN… */
	int (*address)(struct gb__os *os, int fd, bool peer, struct gb__address *ret);
	/** 0, -EINPROGRESS (writable when decided) or an error. */
	int (*connect)(struct gb__os *os, int fd, const struct sockaddr *address, socklen_t size);
	/** The result of a connect that was in progress; 0 also takes O_NONBLOCK off. One that met itself, as a free
	 *  local port does that is dialled (RFC 9293, simultaneous open), is refused. */
	int (*connect_result)(struct gb__os *os, int fd);
	/** gb__os_recv, gb__os_send and gb__os_now_ms; NULL: they are the real kernel's. */
	ssize_t (*recv)(struct gb__os *os, int fd, void *data, size_t size);
	ssize_t (*send)(struct gb__os *os, int fd, const void *data, size_t size);
	uint64_t (*now_ms)(struct gb__os *os);
	/** As gb__os_send. */
	ssize_t (*sendv)(struct gb__os *os, int fd, const struct iovec *parts, unsigned count);
	/** Take the pending error (SO_ERROR): 0 or a negative errno. */
	int (*error)(struct gb__os *os, int fd);
	/** Which of these GB__READY_… bits (as poll(2) has them), or an error or a hang-up, are true of it now. */
	unsigned (*ready)(struct gb__os *os, int fd, unsigned ready);
	/** Bytes that were sent and that the peer has not acknowledged; 0 also where that is not known. */
	size_t (*unsent)(struct gb__os *os, int fd);
	/** Milliseconds since the connection was established, of one that was accepted and not sent to yet; -1: unknown. */
	int (*waited_ms)(struct gb__os *os, int fd);
	/** SHUT_RD, SHUT_WR, SHUT_RDWR. */
	int (*shutdown)(struct gb__os *os, int fd, int how);
	/** Send a reset, at once even where others hold copies of the descriptor. Only close may follow. */
	int (*reset_on_close)(struct gb__os *os, int fd);
	/** Never retried: on Linux the descriptor is gone even after EINTR (close(2)). */
	int (*close)(struct gb__os *os, int fd);
	/** Another number for the same, close-on-exec; or a negative errno, as always where it is simulated. */
	int (*copy)(struct gb__os *os, int fd);
	/** Nanoseconds of the monotonic clock. */
	uint64_t (*now_ns)(struct gb__os *os);
	/** A descriptor that becomes readable by event_signal (any thread) until event_clear. */
	int (*event_create)(struct gb__os *os);
	void (*event_signal)(struct gb__os *os, int fd);
	void (*event_clear)(struct gb__os *os, int fd);
	/** Perform a call on a file, which may take as long as the disk does. Thread: any. */
	int (*file)(struct gb__os *os, const struct gb__file_call *call);
};

struct gb__os {
	const struct gb__os_ops *ops;
	bool simulated; /* not the real kernel */
};

/** The real kernel. No state: one for all threads. */
extern struct gb__os gb__os_linux;

/** gb__os_recv and gb__os_send for who knows by himself whether it is simulated. */
static inline ssize_t gb__os_recv_as(bool simulated, struct gb__os *os, int fd, void *data, size_t size)
{
	if (gb__unlikely(simulated))
		return os->ops->recv(os, fd, data, size);
	return gb__recv(fd, data, size, MSG_DONTWAIT);
}

static inline ssize_t gb__os_send_as(bool simulated, struct gb__os *os, int fd, const void *data, size_t size)
{
	if (gb__unlikely(simulated))
		return os->ops->send(os, fd, data, size);
	return gb__send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/** Bytes received, 0 at the end of the stream, -EAGAIN. */
static inline ssize_t gb__os_recv(struct gb__os *os, int fd, void *data, size_t size)
{
	return gb__os_recv_as(os->simulated, os, fd, data, size);
}

/** The next packet of a socket of packets: its size, of which more than `size` is lost. 0 is its end, or an empty packet,
 *  which cannot be told from one another. -EAGAIN. */
static inline ssize_t gb__os_recv_packet(struct gb__os *os, int fd, void *data, size_t size)
{
	if (gb__unlikely(os->simulated))
		return os->ops->recv(os, fd, data, size);
	return gb__recv(fd, data, size, MSG_DONTWAIT | MSG_TRUNC);
}

/** Bytes taken, -EAGAIN, -EPIPE. Never raises SIGPIPE. */
static inline ssize_t gb__os_send(struct gb__os *os, int fd, const void *data, size_t size)
{
	return gb__os_send_as(os->simulated, os, fd, data, size);
}

/** The same of the last bytes, before a shutdown or a close that follows at once: its FIN goes with them (MSG_MORE). */
static inline ssize_t gb__os_send_last(struct gb__os *os, int fd, const void *data, size_t size)
{
	if (gb__unlikely(os->simulated))
		return os->ops->send(os, fd, data, size);
	return gb__send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE);
}

/** Milliseconds of the monotonic clock, cheaper than `now_ns` and a few milliseconds coarse. */
uint64_t gb__os_now_ms(struct gb__os *os);

#endif
