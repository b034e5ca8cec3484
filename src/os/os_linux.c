/* The real kernel behind the os table. */
#include "base/macros.h"
#include "os/os.h"

#include "os/descriptor.h"
#include "os/socket.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static int result(int value)
{
	return value < 0 ? -errno : value;
}

static ssize_t result_size(ssize_t value)
{
	return value < 0 ? -errno : value;
}

static int os_accept(struct gb__os *os, int fd)
{
	(void)os;
	return gb__accept4(fd, SOCK_CLOEXEC);
}

static int os_socket(struct gb__os *os, int family, int type)
{
	(void)os;
	return result(socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

static int os_connect(struct gb__os *os, int fd, const struct sockaddr *address, socklen_t size)
{
	(void)os;
	return result(connect(fd, address, size));
}

static int os_error(struct gb__os *os, int fd)
{
	int error = 0;
	socklen_t size = sizeof(error);

	(void)os;
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ? -errno : -error;
}

static bool met_itself(int fd)
{
	struct sockaddr_storage local = { 0 }, peer = { 0 };
	socklen_t local_size = sizeof(local), peer_size = sizeof(peer);

	return getsockname(fd, (struct sockaddr *)&local, &local_size) == 0 &&
		(local.ss_family == AF_INET || local.ss_family == AF_INET6) &&
		getpeername(fd, (struct sockaddr *)&peer, &peer_size) == 0 && local_size == peer_size &&
		memcmp(&local, &peer, local_size) == 0;
}

static int os_connect_result(struct gb__os *os, int fd)
{
	int error = os_error(os, fd), off = 0;

	if (error)
		return error;
	if (met_itself(fd))
		return -ECONNREFUSED;
	return result(ioctl(fd, FIONBIO, &off)); /* as fcntl would by two calls */
}

static ssize_t os_sendv(struct gb__os *os, int fd, const struct iovec *parts, unsigned count)
{
	struct msghdr message = { .msg_iov = (struct iovec *)parts, .msg_iovlen = count };

	(void)os;
	return result_size(sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL));
}

static unsigned os_ready(struct gb__os *os, int fd, unsigned ready)
{
	struct pollfd one = { .fd = fd, .events = (short)ready };

	(void)os;
	return poll(&one, 1, 0) > 0 ? (unsigned short)one.revents : 0;
}

static size_t os_unsent(struct gb__os *os, int fd)
{
	int bytes = 0;

	(void)os;
	return ioctl(fd, SIOCOUTQ, &bytes) == 0 && bytes > 0 ? (size_t)bytes : 0;
}

/* The kernel's stamp of the last data sent begins with the end of the handshake (tcp_rcv_state_process, lsndtime). */
static int os_waited_ms(struct gb__os *os, int fd)
{
	struct tcp_info info;
	socklen_t size = sizeof(info);

	(void)os;
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
		return -1;
	return (int)gb__min(info.tcpi_last_data_sent, (uint32_t)INT32_MAX);
}

static int os_shutdown(struct gb__os *os, int fd, int how)
{
	(void)os;
	return result(shutdown(fd, how));
}

static int os_reset_on_close(struct gb__os *os, int fd)
{
	const struct linger linger = { .l_onoff = 1, .l_linger = 0 };
	const struct sockaddr none = { .sa_family = AF_UNSPEC };

	(void)os;
	/* Copies of the descriptor, such as a handler's child has, put off what its close would send. TCP sends the
	 * reset with the end of the association (tcp_disconnect in the kernel), others at least tell of the end. */
	if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0 &&
		connect(fd, &none, sizeof(none)) == 0)
		return 0;
	return result(shutdown(fd, SHUT_RDWR));
}

static int os_tune(struct gb__os *os, int fd, int family, const struct gb__socket_options *options)
{
	(void)os;
	gb__socket_tune(fd, options);
	return gb__socket_prepare_connect(fd, (sa_family_t)family, options, NULL);
}

static int os_address(struct gb__os *os, int fd, bool peer, struct gb__address *ret)
{
	(void)os;
	return peer ? gb__socket_peer(fd, ret) : gb__socket_local(fd, ret);
}

static int os_close(struct gb__os *os, int fd)
{
	(void)os;
	return result(close(fd));
}

static uint64_t os_now_ns(struct gb__os *os)
{
	struct timespec now;

	(void)os;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int os_copy(struct gb__os *os, int fd)
{
	(void)os;
	return gb__descriptor_copy(fd);
}

static int os_event_create(struct gb__os *os)
{
	(void)os;
	return result(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

static void os_event_signal(struct gb__os *os, int fd)
{
	const uint64_t one = 1;
	ssize_t written;

	(void)os;
	do
		written = write(fd, &one, sizeof(one));
	while (written < 0 && errno == EINTR); /* EAGAIN: the counter is full, so it is readable anyway */
}

static void os_event_clear(struct gb__os *os, int fd)
{
	uint64_t count;
	ssize_t got;

	(void)os;
	do
		got = read(fd, &count, sizeof(count));
	while (got < 0 && errno == EINTR);
}

static int os_file(struct gb__os *os, const struct gb__file_call *call)
{
	(void)os;
	return gb__file_perform(call);
}

static const struct gb__os_ops linux_ops = {
	.name = "linux",
	.accept = os_accept,
	.socket = os_socket,
	.tune = os_tune,
	.address = os_address,
	.connect = os_connect,
	.connect_result = os_connect_result,
	.sendv = os_sendv,
	.error = os_error,
	.ready = os_ready,
	.unsent = os_unsent,
	.waited_ms = os_waited_ms,
	.shutdown = os_shutdown,
	.reset_on_close = os_reset_on_close,
	.close = os_close,
	.copy = os_copy,
	.now_ns = os_now_ns,
	.event_create = os_event_create,
	.event_signal = os_event_signal,
	.event_clear = os_event_clear,
	.file = os_file,
};

struct gb__os gb__os_linux = { .ops = &linux_ops };

uint64_t gb__os_now_ms(struct gb__os *os)
{
	struct timespec now;

	if (gb__unlikely(os->simulated))
		return os->ops->now_ms(os);
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}
