/* Descriptors that come: passed by another process, or accepted. */
#include "doctor/bench.h"
#include "doctor/loopback.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK 64u /* connections that wait at a time */

union rights {
	struct cmsghdr header; /* for the alignment */
	unsigned char bytes[CMSG_SPACE(sizeof(int))];
};

static int send_descriptor(int way, int fd)
{
	union rights rights = { .bytes = { 0 } };
	char byte = 0;
	struct iovec part = { &byte, 1 };
	struct msghdr message = { .msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = rights.bytes,
		.msg_controllen = sizeof(rights.bytes) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	return sendmsg(way, &message, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

static int receive_descriptor(int way)
{
	union rights rights;
	char byte;
	struct iovec part = { &byte, 1 };
	struct msghdr message = { .msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = rights.bytes,
		.msg_controllen = sizeof(rights.bytes) };
	struct cmsghdr *header;
	int fd;

	if (recvmsg(way, &message, MSG_CMSG_CLOEXEC) != 1)
		return -errno;
	header = CMSG_FIRSTHDR(&message);
	if (!header || header->cmsg_type != SCM_RIGHTS)
		return -EMFILE; /* the kernel drops what does not fit */
	memcpy(&fd, CMSG_DATA(header), sizeof(fd));
	return fd;
}

static int prepare_passing(struct bench *bench, unsigned kind)
{
	int *pair = malloc(2 * sizeof(*pair)), code;

	(void)kind;
	if (!pair)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		code = -errno;
		free(pair);
		return code;
	}
	bench->state = pair;
	return 0;
}

/* What is passed is a socket: this pair's own. */
static int run_passing(struct bench *bench, unsigned count)
{
	const int *pair = bench->state;

	while (count-- > 0) {
		int fd = send_descriptor(pair[0], pair[1]);

		if (fd == 0)
			fd = receive_descriptor(pair[1]);
		if (fd < 0)
			return fd;
		close(fd);
	}
	return 0;
}

static void finish_passing(struct bench *bench)
{
	int *pair = bench->state;

	if (!pair)
		return;
	close(pair[0]);
	close(pair[1]);
	free(pair);
}

struct door {
	int listener;
	struct sockaddr_in address;
	bool whole; /* connecting counts as well */
};

static int prepare_door(struct bench *bench, unsigned kind)
{
	struct door *door = calloc(1, sizeof(*door));
	int code;

	if (!door)
		return -ENOMEM;
	door->whole = kind;
	door->listener = gb__loopback_listen((int)CHUNK, &door->address);
	if (door->listener < 0) {
		code = door->listener;
		free(door);
		return code;
	}
	bench->state = door;
	return 0;
}

/* The server closes first, then the client's reset takes away what would wait for a minute. */
static int run_chunk(struct bench *bench, unsigned count)
{
	struct door *door = bench->state;
	int clients[CHUNK], code = 0;
	unsigned made = 0;

	if (!door->whole)
		gb__stopwatch_pause(&bench->watch);
	while (made < count && code == 0) {
		clients[made] = gb__loopback_connect(&door->address);
		if (clients[made] < 0)
			code = clients[made];
		else
			made++;
	}
	if (!door->whole)
		gb__stopwatch_resume(&bench->watch);
	for (unsigned i = 0; i < made && code == 0; i++) {
		int accepted = accept4(door->listener, NULL, NULL, SOCK_CLOEXEC);

		if (accepted < 0)
			code = -errno;
		else
			close(accepted);
	}
	if (!door->whole)
		gb__stopwatch_pause(&bench->watch);
	for (unsigned i = 0; i < made; i++)
		close(clients[i]);
	if (!door->whole)
		gb__stopwatch_resume(&bench->watch);
	return code;
}

static int run_door(struct bench *bench, unsigned count)
{
	while (count > 0) {
		unsigned chunk = count < CHUNK ? count : CHUNK;
		int code = run_chunk(bench, chunk);

		if (code < 0)
			return code;
		count -= chunk;
	}
	return 0;
}

static void finish_door(struct bench *bench)
{
	struct door *door = bench->state;

	if (!door)
		return;
	close(door->listener);
	free(door);
}

const struct cost gb__costs_sockets[] = {
	{ "pass-descriptor", "descriptor by SCM_RIGHTS: send, receive, close", .prepare = prepare_passing,
		.run = run_passing, .finish = finish_passing },
	{ "accept", "loopback connection: accept and close", .kind = false, .prepare = prepare_door,
		.run = run_door, .finish = finish_door },
	{ "connection", "the same with connecting, both sides", .kind = true, .prepare = prepare_door,
		.run = run_door, .finish = finish_door },
	{ NULL },
};
