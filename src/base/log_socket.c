#include "base/log_socket.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int fd = -1;
static struct sockaddr_un daemon_address = { .sun_family = AF_UNIX };
static socklen_t daemon_address_size;

static int new_socket(void)
{
	return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

int gb__log_socket_open(const char *path)
{
	const size_t length = strlen(path);

	if (length >= sizeof(daemon_address.sun_path))
		return -ENAMETOOLONG;
	if (fd < 0)
		fd = new_socket();
	if (fd < 0)
		return -errno;
	memcpy(daemon_address.sun_path, path, length + 1);
	daemon_address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
	return 0;
}

void gb__log_socket_reopen(void)
{
	if (fd >= 0)
		fd = new_socket();
}

int gb__log_socket_send(const void *record, size_t size)
{
	const struct sockaddr *to = (const struct sockaddr *)&daemon_address;
	ssize_t sent;

	if (fd < 0)
		return -ENOTCONN;
	do {
		sent = sendto(fd, record, size, MSG_DONTWAIT | MSG_NOSIGNAL, to, daemon_address_size);
	} while (sent < 0 && errno == EINTR);
	if (sent >= 0)
		return 0;
	return errno == ENOBUFS || errno == EWOULDBLOCK ? -EAGAIN : -errno;
}
