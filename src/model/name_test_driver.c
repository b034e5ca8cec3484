#include "model/name_test_driver.h"
#include "name/message_test.h"

#include "harness.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TYPE_A = 1, TYPE_SOA = 6, TYPE_AAAA = 28, TYPE_SRV = 33 };

static void put_srv(struct message *message, unsigned priority, unsigned port, const char *target)
{
	size_t at = begin_record(message, TYPE_SRV, 1);

	put(message, priority, 2);
	put(message, 1, 2);
	put(message, port, 2);
	put_name(message, target);
	end_record(message, at);
	message->bytes[7]++;
}

static void put_v4(struct message *message, unsigned ttl_s, unsigned host)
{
	size_t at = begin_record(message, TYPE_A, ttl_s);

	put(message, 0x7f000000u + host, 4);
	end_record(message, at);
	message->bytes[7]++;
}

static void put_v6(struct message *message)
{
	size_t at = begin_record(message, TYPE_AAAA, 1);

	put(message, 0, 12);
	put(message, 1, 4);
	end_record(message, at);
	message->bytes[7]++;
}

static void put_soa(struct message *message, unsigned ttl_s)
{
	size_t at = begin_record(message, TYPE_SOA, ttl_s);

	put(message, 0, 2);
	for (int i = 0; i < 5; i++)
		put(message, ttl_s, 4);
	end_record(message, at);
	message->bytes[9]++;
}

/* The question's name, and what type is asked for. */
static unsigned read_question(struct message *message, char *name)
{
	size_t at = 12;

	while (message->bytes[at]) {
		size_t length = message->bytes[at++];

		memcpy(name, message->bytes + at, length);
		name += length;
		at += length;
		*name++ = '.';
	}
	name[-1] = '\0';
	message->size = at + 5; /* what follows is no answer */
	return message->bytes[at + 2];
}

/* Returns whether there is an answer at all. */
static bool answer(struct message *message, struct names_shared *shared)
{
	char name[256] = "";
	unsigned type = read_question(message, name);

	message->bytes[2] = 0x81;
	message->bytes[3] = 0x80;
	memset(message->bytes + 6, 0, 6);
	if (type != TYPE_AAAA)
		atomic_fetch_add(&shared->questions, 1);
	if (strcmp(name, "silent.test") == 0) {
		atomic_fetch_add(&shared->silent, 1);
		return false;
	}
	if (strcmp(name, "garbage.test") == 0) {
		memset(message->bytes + 4, 0xff, 40); /* so many records of it */
		return true;
	}
	if (strcmp(name, "broken.test") == 0) {
		message->bytes[3] = 0x82;
		return true;
	}
	if (strcmp(name, "one.test") == 0 && type == TYPE_A)
		put_v4(message, 1, 1);
	else if (strcmp(name, "moves.test") == 0 && type == TYPE_A)
		put_v4(message, 1, atomic_load(&shared->host));
	else if (strcmp(name, "stays.test") == 0 && type == TYPE_A)
		put_v4(message, 3600, atomic_load(&shared->host));
	else if (strcmp(name, "two.test") == 0 && type == TYPE_A)
		put_v4(message, 1, 1);
	else if (strcmp(name, "two.test") == 0 && type == TYPE_AAAA)
		put_v6(message);
	else if (strcmp(name, "_no._tcp.test") == 0)
		put_srv(message, 0, 0, "");
	else if (strcmp(name, "_echo._tcp.test") == 0) {
		put_srv(message, 20, 1, "one.test");
		put_srv(message, 10, atomic_load(&shared->port), "one.test");
	} else if (strcmp(name, "_late._tcp.test") == 0) {
		put_srv(message, 20, atomic_load(&shared->port), "one.test");
		put_srv(message, 10, atomic_load(&shared->late), "one.test");
	} else {
		bool stays = strcmp(name, "stays.test") == 0;
		bool there = stays || strcmp(name, "one.test") == 0 || strcmp(name, "moves.test") == 0;

		message->bytes[3] = there ? 0x80 : 0x83;
		put_soa(message, stays ? 3600 : there ? 1 : 60);
	}
	return true;
}

static void serve(int fd, struct names_shared *shared)
{
	for (;;) {
		struct message message;
		struct sockaddr_in from;
		socklen_t from_size = sizeof(from);
		ssize_t size = recvfrom(
			fd, message.bytes, sizeof(message.bytes), 0, (struct sockaddr *)&from, &from_size);

		if (size > 12 && answer(&message, shared))
			sendto(fd, message.bytes, message.size, 0, (struct sockaddr *)&from, from_size);
	}
}

struct names_driver names_driver_begin(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct names_driver names = { .fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) };
	socklen_t size = sizeof(address);

	names.shared =
		mmap(NULL, sizeof(*names.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(names.shared != MAP_FAILED);
	CHECK(bind(names.fd, (struct sockaddr *)&address, size) == 0);
	CHECK(getsockname(names.fd, (struct sockaddr *)&address, &size) == 0);
	snprintf(names.address, sizeof(names.address), "127.0.0.1:%u", ntohs(address.sin_port));
	atomic_store(&names.shared->host, 1);
	names.pid = fork();
	CHECK(names.pid >= 0);
	if (names.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* not later than whoever has begun it */
		serve(names.fd, names.shared);
	}
	return names;
}

void names_driver_end(struct names_driver *names)
{
	kill(names->pid, SIGKILL);
	waitpid(names->pid, NULL, 0);
	close(names->fd);
	munmap(names->shared, sizeof(*names->shared));
}
