#include "os/fdpass.h"

#include "base/assert.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
	char bytes[CMSG_SPACE(GB__FDPASS_MAX * sizeof(int))];
	struct cmsghdr aligned;
};

int gb__fdpass_pair(int ret_fds[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret_fds) < 0 ? -errno
												  : 0;
}

int gb__fdpass_send(int channel, const int *fds, const uint32_t *numbers, unsigned count)
{
	union control control = { 0 };
	struct iovec part = { (void *)(uintptr_t)numbers, count * sizeof(*numbers) };
	struct msghdr message = { .msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = CMSG_SPACE(count * sizeof(*fds)) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	ssize_t sent;

	gb__assert(count > 0 && count <= GB__FDPASS_MAX);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(count * sizeof(*fds));
	memcpy(CMSG_DATA(header), fds, count * sizeof(*fds));
	do
		sent = sendmsg(channel, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (sent < 0 && errno == EINTR);
	/* ETOOMANYREFS: too many descriptors are in flight already (unix(7)); wait as for room. */
	if (sent < 0)
		return errno == ETOOMANYREFS || errno == ENOBUFS ? -EAGAIN : -errno;
	return 0;
}

int gb__fdpass_recv(int channel, int ret_fds[GB__FDPASS_MAX], uint32_t ret_numbers[GB__FDPASS_MAX])
{
	union control control;
	struct iovec part = { ret_numbers, GB__FDPASS_MAX * sizeof(*ret_numbers) };
	struct msghdr message = { .msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *header;
	size_t came = 0;
	ssize_t got;

	do
		got = recvmsg(channel, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	if (got == 0)
		return -EPIPE;
	/* Fewer than were sent, or none and no header: the rest was dropped for want of a descriptor of ours
	 * (MSG_CTRUNC). */
	header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_type == SCM_RIGHTS) {
		came = header->cmsg_len - CMSG_LEN(0);
		memcpy(ret_fds, CMSG_DATA(header), came);
	}
	got /= (ssize_t)sizeof(*ret_numbers);
	for (size_t i = came / sizeof(*ret_fds); i < (size_t)got; i++)
		ret_fds[i] = -1;
	return (int)got;
}
