#include "os/packet.h"

#include <errno.h>
#include <sys/socket.h>

int gb__packet_pair(int ret_fds[2], size_t room)
{
	const int size = (int)room;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret_fds) < 0)
		return -errno;
	/* The sender's is what counts (unix(7)); what is above net.core.wmem_max is cut to it. */
	(void)setsockopt(ret_fds[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return 0;
}

int gb__packet_send(int fd, const struct iovec *parts, unsigned count)
{
	struct msghdr message = { .msg_iov = (struct iovec *)parts, .msg_iovlen = count };
	ssize_t sent;

	do
		sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

ssize_t gb__packet_receive(int fd, void *data, size_t size)
{
	ssize_t got;

	do
		got = recv(fd, data, size, MSG_DONTWAIT | MSG_TRUNC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	return (size_t)got > size ? -EMSGSIZE : got;
}
