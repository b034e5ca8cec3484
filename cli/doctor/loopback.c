#include "doctor/loopback.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static int fail(int fd)
{
	int code = -errno;

	close(fd);
	return code;
}

int gb__loopback_listen(int backlog, struct sockaddr_in *ret)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, backlog) < 0 ||
		getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		return fail(fd);
	*ret = address;
	return fd;
}

int gb__loopback_connect(const struct sockaddr_in *address)
{
	const struct linger reset = { .l_onoff = 1 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) < 0 ||
		connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
		return fail(fd);
	return fd;
}

int gb__loopback_pair(int ret[2])
{
	struct sockaddr_in address;
	int client, accepted, listener = gb__loopback_listen(1, &address);

	if (listener < 0)
		return listener;
	client = gb__loopback_connect(&address);
	if (client < 0) {
		close(listener);
		return client;
	}
	accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (accepted < 0) {
		accepted = fail(client);
		close(listener);
		return accepted;
	}
	close(listener);
	ret[0] = client;
	ret[1] = accepted;
	return 0;
}
