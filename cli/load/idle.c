#include "load/idle.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define AT_ONCE 64u        /* under way: more would overflow the server's backlog */
#define EACH_SOURCE 20000u /* connections from one own address: fewer than it has ports */
#define SOURCES_MAX 64u

struct place {
	struct sockaddr_storage to;
	socklen_t to_size;
	struct in_addr sources[SOURCES_MAX];
	unsigned sources_count; /* 0: the kernel chooses */
};

static int resolve_unix(const char *path, struct place *ret)
{
	struct sockaddr_un *to = (struct sockaddr_un *)&ret->to;

	if (strlen(path) >= sizeof(to->sun_path))
		return -ENAMETOOLONG;
	to->sun_family = AF_UNIX;
	memcpy(to->sun_path, path, strlen(path));
	ret->to_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1);
	if (path[0] == '@') { /* Linux's abstract names: no terminator */
		to->sun_path[0] = '\0';
		ret->to_size--;
	}
	return 0;
}

static int resolve_inet(const char *address, struct place *ret)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
		.ai_socktype = SOCK_STREAM };
	const char *colon = strrchr(address, ':');
	struct addrinfo *found;
	char host[256];
	bool braced = address[0] == '[';

	if (!colon)
		return -EINVAL;
	snprintf(host, sizeof(host), "%.*s", (int)(colon - address) - 2 * braced, address + braced);
	if (getaddrinfo(host, colon + 1, &hints, &found) != 0)
		return -EINVAL;
	memcpy(&ret->to, found->ai_addr, found->ai_addrlen);
	ret->to_size = found->ai_addrlen;
	freeaddrinfo(found);
	return 0;
}

static int read_sources(const char *sources, struct place *ret, struct gb_error *error)
{
	char text[INET_ADDRSTRLEN];

	while (*sources) {
		size_t length = strcspn(sources, ",");

		snprintf(text, sizeof(text), "%.*s", (int)length, sources);
		if (ret->sources_count == SOURCES_MAX ||
			inet_pton(AF_INET, text, &ret->sources[ret->sources_count]) != 1)
			return gb_error_set(error, -GB_EUSAGE,
				"--source %s: write at most %u addresses of IPv4 with commas between",
				sources, SOURCES_MAX);
		ret->sources_count++;
		sources += length + (sources[length] == ',');
	}
	return 0;
}

static int find(
	const char *address, const char *sources, uint64_t count, struct place *ret, struct gb_error *error)
{
	const struct sockaddr_in *to = (const struct sockaddr_in *)&ret->to;
	int rc;

	memset(ret, 0, sizeof(*ret));
	rc = strncmp(address, "unix:", 5) == 0 ? resolve_unix(address + 5, ret) : resolve_inet(address, ret);
	if (rc < 0)
		return gb_error_set(error, rc, "%s: %s", address, gb_strerror(rc));
	if (sources && ret->to.ss_family != AF_INET)
		return gb_error_set(error, -GB_EUSAGE, "--source goes with addresses of IPv4");
	if (sources)
		return read_sources(sources, ret, error);
	if (ret->to.ss_family == AF_INET && ntohl(to->sin_addr.s_addr) >> 24 == 127)
		for (uint64_t i = 0; i * EACH_SOURCE < count && i < SOURCES_MAX; i++)
			ret->sources[ret->sources_count++].s_addr = htonl(0x7f000002u + (uint32_t)i);
	return 0;
}

/* Begin one. Returns its descriptor or -errno. */
static int begin(const struct place *place, uint64_t number)
{
	int fd = socket(place->to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), rc = 0;

	if (fd < 0)
		return -errno;
	if (place->sources_count > 0) {
		struct sockaddr_in from = { .sin_family = AF_INET,
			.sin_addr = place->sources[number % place->sources_count] };

		/* The port is chosen when it connects, so that the same one may serve for several peers. */
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){ 1 }, sizeof(int));
		rc = bind(fd, (const struct sockaddr *)&from, sizeof(from));
	}
	if (rc == 0)
		rc = connect(fd, (const struct sockaddr *)&place->to, place->to_size);
	if (rc == 0 || errno == EINPROGRESS)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

/* Wait for those from `first` on. Returns 0 or -errno of one that failed. */
static int wait_for(const struct idle *idle, uint64_t first, uint64_t timeout_ms)
{
	for (uint64_t i = first; i < idle->count; i++) {
		struct pollfd one = { .fd = idle->fds[i], .events = POLLOUT };
		socklen_t size = sizeof(int);
		int error = 0, ready = poll(&one, 1, timeout_ms ? (int)timeout_ms : -1);

		if (ready <= 0)
			return ready == 0 ? -ETIMEDOUT : -errno;
		if (getsockopt(one.fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error)
			return error ? -error : -errno;
	}
	return 0;
}

int gb__idle_open(struct idle *idle, const char *address, uint64_t count, const char *sources,
	uint64_t timeout_ms, struct gb_error *error)
{
	struct place place;
	int rc = find(address, sources, count, &place, error);

	if (rc < 0)
		return rc;
	*idle = (struct idle){ .fds = calloc((size_t)count, sizeof(int)) };
	rc = idle->fds ? 0 : -ENOMEM;
	for (uint64_t first = 0; rc == 0 && idle->count < count; first = idle->count) {
		while (rc == 0 && idle->count < count && idle->count - first < AT_ONCE) {
			int fd = begin(&place, idle->count);

			if (fd >= 0)
				idle->fds[idle->count++] = fd;
			else
				rc = fd;
			if (fd == -EAGAIN &&
				idle->count > first) { /* a full backlog of a Unix socket: these first */
				rc = 0;
				break;
			}
		}
		if (rc == 0)
			rc = wait_for(idle, first, timeout_ms);
	}
	if (rc < 0)
		return gb_error_set(error, rc, "%s: %llu of %llu idle connections were established: %s",
			address, (unsigned long long)idle->count, (unsigned long long)count, gb_strerror(rc));
	return 0;
}

uint64_t gb__idle_lost(const struct idle *idle)
{
	uint64_t lost = 0;
	char byte;

	for (uint64_t i = 0; i < idle->count; i++)
		lost += recv(idle->fds[i], &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN;
	return lost;
}

void gb__idle_close(struct idle *idle)
{
	for (uint64_t i = 0; i < idle->count; i++)
		close(idle->fds[i]);
	free(idle->fds);
	*idle = (struct idle){ 0 };
}
