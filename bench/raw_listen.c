#include "raw_listen.h"

#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

static size_t raise_fd_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		err(1, "getrlimit");
	limit.rlim_cur = limit.rlim_max;
	if (limit.rlim_cur > 1024 * 1024)
		limit.rlim_cur = 1024 * 1024; /* both loops have an array that long */
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		err(1, "setrlimit");
	return limit.rlim_cur;
}

static in_port_t port_of(int argc, char **argv)
{
	char *end = NULL;
	long port = argc > 1 ? strtol(argv[1], &end, 10) : 0;

	if (argc > 2 || (argc > 1 && (end == argv[1] || *end)) || port < 0 || port > 65535)
		errx(2, "usage: %s [PORT]", argv[0]);
	return (in_port_t)port;
}

int raw_listen(int argc, char **argv, int flags, size_t *ret_fds_max)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port_of(argc, argv)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd, on = 1;

	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	if (fd < 0)
		err(1, "socket");
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
		err(1, "setsockopt");
	if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
		err(1, "bind to port %d", ntohs(address.sin_port));
	if (listen(fd, 4096) < 0)
		err(1, "listen");
	*ret_fds_max = raise_fd_limit();
	return fd;
}

void raw_announce(int fd)
{
	struct sockaddr_in address = { 0 };
	socklen_t length = sizeof address;

	if (getsockname(fd, (struct sockaddr *)&address, &length) < 0)
		err(1, "getsockname");
	printf("%d\n", ntohs(address.sin_port));
	if (fflush(stdout) == EOF)
		err(1, "stdout");
}
