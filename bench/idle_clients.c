/*
 * idle_clients PORT SOURCE: echo connections that are held open and are silent but for one message each. They
 * come from 64 loopback addresses, SOURCE (127.x.0.z) and 127.x.1.z to 127.x.63.z, since finding a free port takes
 * the longer the more of an address's are taken. It does what lines on standard input say, and answers each:
 *
 *   hold N     connect until there are N; each sends a message and gets it back     held N
 *   check S    see that none has ended, and have every S-th echo again              checked N
 *
 * At the end of input it closes them all. Anything that is wrong ends it with exit code 1. One thing at a time:
 * several of these processes side by side are what puts a server under load.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>

enum { PATIENCE_SECONDS = 60, MESSAGE_SIZE = 16, ADDRESSES = 64 };

static struct sockaddr_in server = { .sin_family = AF_INET };
static struct sockaddr_in source = { .sin_family = AF_INET };
static int *held;
static unsigned held_count, held_max;
static unsigned messages; /* sent so far: makes each different */

/* A line, so that line codecs take it as well. */
static void echo(int fd)
{
	char message[MESSAGE_SIZE + 1], answer[MESSAGE_SIZE];

	snprintf(
		message, sizeof message, "%08x%07x\n", ntohl(source.sin_addr.s_addr), ++messages & 0xfffffff);
	if (send(fd, message, MESSAGE_SIZE, MSG_NOSIGNAL) != MESSAGE_SIZE)
		err(1, "send");
	switch (recv(fd, answer, MESSAGE_SIZE, MSG_WAITALL)) {
	case MESSAGE_SIZE:
		break;
	case -1:
		err(1, "recv");
	default:
		errx(1, "connection %u: the server closed it", held_count);
	}
	if (memcmp(answer, message, MESSAGE_SIZE) != 0)
		errx(1, "connection %u: a message came back wrong", held_count);
}

static int connect_one(unsigned number)
{
	struct sockaddr_in address = source;
	struct timeval patience = { .tv_sec = PATIENCE_SECONDS };
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		err(1, "socket");
	/* The port is chosen when connecting: then it need be unique for this server only. */
	if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) < 0 ||
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) < 0)
		err(1, "setsockopt");
	address.sin_addr.s_addr = htonl(ntohl(source.sin_addr.s_addr) + (number % ADDRESSES << 8));
	if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
		err(1, "bind to %s", inet_ntoa(address.sin_addr));
	if (connect(fd, (struct sockaddr *)&server, sizeof server) < 0)
		err(1, "connect from %s", inet_ntoa(address.sin_addr));
	return fd;
}

static void hold(unsigned count)
{
	if (count > held_max)
		errx(1, "%u connections: descriptors allow %u", count, held_max);
	while (held_count < count) {
		int fd = connect_one(held_count);

		echo(fd);
		held[held_count++] = fd;
	}
	printf("held %u\n", held_count);
}

static void check(unsigned step)
{
	char byte;

	for (unsigned i = 0; i < held_count; i++) {
		ssize_t size = recv(held[i], &byte, 1, MSG_DONTWAIT | MSG_PEEK);

		if (size >= 0)
			errx(1, "connection %u: %s", i, size ? "bytes that nobody asked for" : "it is lost");
		if (errno != EAGAIN)
			err(1, "connection %u: it is lost", i);
		if (i % step == 0)
			echo(held[i]);
	}
	printf("checked %u\n", held_count);
}

static void make_room(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		err(1, "getrlimit");
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		err(1, "setrlimit");
	held_max = (unsigned)limit.rlim_max - 16;
	held = calloc(held_max, sizeof *held);
	if (!held)
		err(1, "calloc");
}

int main(int argc, char **argv)
{
	char line[64], *end;
	unsigned number;
	unsigned long port;

	if (argc != 3)
		errx(2, "usage: %s PORT SOURCE", argv[0]);
	port = strtoul(argv[1], &end, 10);
	if (*end || !port || port > 65535 || inet_pton(AF_INET, argv[2], &source.sin_addr) != 1)
		errx(2, "usage: %s PORT SOURCE", argv[0]);
	server.sin_port = htons((in_port_t)port);
	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	make_room();
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof line, stdin)) {
		if (sscanf(line, "hold %u", &number) == 1)
			hold(number);
		else if (sscanf(line, "check %u", &number) == 1 && number > 0)
			check(number);
		else
			errx(2, "not known: %s", line);
	}
	return 0;
}
