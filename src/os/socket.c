#include "os/socket.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BIND_RETRY_MS 5
#define BIND_PATIENCE_MS 500u

static void set(int fd, int level, int name, int value)
{
	/* Tuning never fails a connection: an option that this socket does not have is left out. */
	(void)setsockopt(fd, level, name, &value, sizeof(value));
}

void gb__socket_tune(int fd, const struct gb__socket_options *options)
{
	if (options->sndbuf)
		set(fd, SOL_SOCKET, SO_SNDBUF, (int)options->sndbuf);
	if (options->rcvbuf)
		set(fd, SOL_SOCKET, SO_RCVBUF, (int)options->rcvbuf);
	if (options->nodelay)
		set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (options->user_timeout_ms)
		set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)options->user_timeout_ms);
}

/* A socket file that nobody listens on any more stands in the way of bind(2). */
static void remove_stale(const struct gb__address *address)
{
	struct stat status;
	int fd;

	if (stat(address->local.sun_path, &status) < 0 || !S_ISSOCK(status.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	if (connect(fd, &address->any, address->size) < 0 && errno == ECONNREFUSED)
		unlink(address->local.sun_path);
	close(fd);
}

static int explain(int code, const struct gb__address *address, struct gb_error *error)
{
	char text[GB__ADDRESS_TEXT];

	gb__address_format(address, text, sizeof(text));
	switch (-code) {
	case EADDRINUSE:
		if (!gb__address_is_ip(address))
			return gb_error_set(error, code,
				"%s is in use: another program listens there, or the file is no socket; choose another path",
				text);
		return gb_error_set(error, code,
			"%s is in use: another program listens there; choose another port, or 0 for a free one",
			text);
	case EACCES:
	case EPERM:
		return gb_error_set(error, code,
			"listening on %s is not permitted: ports below net.ipv4.ip_unprivileged_port_start and foreign "
			"folders need root; choose another",
			text);
	case EADDRNOTAVAIL:
		return gb_error_set(error, code, "%s is not an address of this machine: see `ip addr`", text);
	default:
		return gb_error_set(error, code, "cannot listen on %s: %s", text, gb_strerror(code));
	}
}

static int bind_once(int fd, const struct gb__address *address)
{
	return bind(fd, &address->any, address->size) < 0 ? -errno : 0;
}

/*
 * The ring of a server that was killed keeps its sockets until the kernel has taken it down, which a process that is
 * started in its place may come before.
 */
static int bind_patiently(int fd, const struct gb__address *address)
{
	const struct timespec pause = { .tv_nsec = BIND_RETRY_MS * 1000000 };
	int code = bind_once(fd, address);

	for (unsigned waited_ms = 0; code == -EADDRINUSE && waited_ms < BIND_PATIENCE_MS;
		waited_ms += BIND_RETRY_MS) {
		nanosleep(&pause, NULL);
		code = bind_once(fd, address);
	}
	return code;
}

int gb__socket_listen(
	const struct gb__address *address, const struct gb__socket_options *options, struct gb_error *error)
{
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), code;

	if (fd < 0)
		return explain(-errno, address, error);
	if (gb__address_is_ip(address)) {
		set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
		if (options->reuseport)
			set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
		gb__socket_tune(fd, options);
	} else {
		remove_stale(address);
	}
	code = gb__address_is_ip(address) ? bind_patiently(fd, address) : bind_once(fd, address);
	if (code == 0 && listen(fd, (int)options->backlog) < 0)
		code = -errno;
	if (code < 0) {
		close(fd);
		return explain(code, address, error);
	}
	return fd;
}

void gb__socket_close(int fd)
{
	close(fd);
}

struct gb__socket_file gb__socket_file(const char *path)
{
	struct stat status;

	if (stat(path, &status) < 0)
		return (struct gb__socket_file){ 0 };
	return (struct gb__socket_file){ status.st_dev, status.st_ino };
}

void gb__socket_unlink(const char *path, struct gb__socket_file file)
{
	struct gb__socket_file now = gb__socket_file(path);

	if (now.number && now.number == file.number && now.device == file.device)
		unlink(path);
}

int gb__socket_local(int fd, struct gb__address *ret)
{
	*ret = (struct gb__address){ .size = sizeof(struct sockaddr_un) };
	return getsockname(fd, &ret->any, &ret->size) < 0 ? -errno : 0;
}

int gb__socket_peer(int fd, struct gb__address *ret)
{
	*ret = (struct gb__address){ .size = sizeof(struct sockaddr_un) };
	return getpeername(fd, &ret->any, &ret->size) < 0 ? -errno : 0;
}

unsigned gb__socket_waiting(int fd, unsigned guess)
{
	struct pollfd readable = { .fd = fd, .events = POLLIN };
	struct tcp_info info;
	socklen_t size = sizeof(info);

	if (poll(&readable, 1, 0) <= 0)
		return 0;
	/* Of a listening socket this is the length of its queue (tcp_get_info in the kernel). */
	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? info.tcpi_unacked : guess;
}
