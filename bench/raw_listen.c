#include "raw_listen.h"

#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LOOPS_MAX = 64 };

static bool is_child;

static size_t raise_fd_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		err(1, "getrlimit");
	limit.rlim_cur = limit.rlim_max;
	if (limit.rlim_cur > 1024 * 1024)
		limit.rlim_cur = 1024 * 1024; /* the loops have arrays that long */
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		err(1, "setrlimit");
	return limit.rlim_cur;
}

static void __attribute__((noreturn)) usage(const char *name)
{
	errx(2, "usage: %s [--loops N [--one-table]] [PORT]", name);
}

static long number(const char *name, const char *text, long min, long max)
{
	char *end = NULL;
	long value = text ? strtol(text, &end, 10) : 0;

	if (!text || end == text || *end || value < min || value > max)
		usage(name);
	return value;
}

static in_port_t port_of(int fd)
{
	struct sockaddr_in address = { 0 };
	socklen_t length = sizeof address;

	if (getsockname(fd, (struct sockaddr *)&address, &length) < 0)
		err(1, "getsockname");
	return ntohs(address.sin_port);
}

static int listen_on(in_port_t port, int flags, bool shared)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd, on = 1;

	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	if (fd < 0)
		err(1, "socket");
	if (setsockopt(fd, SOL_SOCKET, shared ? SO_REUSEPORT : SO_REUSEADDR, &on, sizeof on) < 0 ||
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
		err(1, "setsockopt");
	if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
		err(1, "bind to port %d", port);
	if (listen(fd, BACKLOG) < 0)
		err(1, "listen");
	return fd;
}

/* All sockets exist before the first connection comes: the kernel spreads over those that are there. */
static int share(int *fds, int count, bool one_table)
{
	int own = 0;

	for (int i = 1; i < count && !is_child; i++) {
		const unsigned long flags = SIGCHLD | (one_table ? CLONE_FILES : 0);
		pid_t parent = getpid(), child = (pid_t)syscall(SYS_clone, flags, NULL, NULL, NULL, 0);

		if (child < 0)
			err(1, "clone");
		if (child > 0)
			continue;
		is_child = true;
		own = i;
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
			_exit(1);
	}
	for (int i = 0; i < count && !one_table; i++)
		if (i != own)
			close(fds[i]);
	return fds[own];
}

int raw_listen(int argc, char **argv, int flags, size_t *ret_fds_max)
{
	int fds[LOOPS_MAX], loops = 1, next = 1;
	bool one_table = false;
	in_port_t port = 0;

	if (argc > next && strcmp(argv[next], "--loops") == 0) {
		loops = (int)number(argv[0], argv[next + 1], 1, LOOPS_MAX);
		next += 2;
		one_table = argc > next && strcmp(argv[next], "--one-table") == 0;
		next += one_table;
	}
	if (argc > next)
		port = (in_port_t)number(argv[0], argv[next++], 0, 65535);
	if (argc > next)
		usage(argv[0]);
	for (int i = 0; i < loops; i++) {
		fds[i] = listen_on(port, flags, loops > 1);
		port = port_of(fds[i]);
	}
	*ret_fds_max = raise_fd_limit();
	return share(fds, loops, one_table);
}

void raw_announce(int fd)
{
	if (is_child)
		return;
	printf("%d\n", port_of(fd));
	if (fflush(stdout) == EOF)
		err(1, "stdout");
}
