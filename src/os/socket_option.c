#include "os/socket_option.h"

#include "base/macros.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78 /* linux/in6.h, which cannot be included beside netinet/in.h */
#endif

#define FASTOPEN "/proc/sys/net/ipv4/tcp_fastopen"
#define FASTOPEN_SERVER 2 /* its bit for servers */

static void set(int fd, int level, int name, int value)
{
	(void)setsockopt(fd, level, name, &value, sizeof(value));
}

static int seconds(uint64_t ms)
{
	return (int)((ms + 999) / 1000);
}

void gb__socket_tune(int fd, const struct gb__socket_options *options)
{
	const struct gb__keepalive *keepalive = &options->keepalive;

	if (options->sndbuf)
		set(fd, SOL_SOCKET, SO_SNDBUF, (int)options->sndbuf);
	if (options->rcvbuf)
		set(fd, SOL_SOCKET, SO_RCVBUF, (int)options->rcvbuf);
	if (options->nodelay)
		set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (options->user_timeout_ms)
		set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)options->user_timeout_ms);
	if (keepalive->idle_ms == 0)
		return;
	set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds(keepalive->idle_ms));
	if (keepalive->interval_ms)
		set(fd, IPPROTO_TCP, TCP_KEEPINTVL, seconds(keepalive->interval_ms));
	if (keepalive->count)
		set(fd, IPPROTO_TCP, TCP_KEEPCNT, (int)keepalive->count);
}

/* An option that was asked for is there or the socket is not. */
static int refuse(int code, const char *key, const char *what, const char *right, struct gb_error *error)
{
	if (!error)
		return code;
	if (code == -EPERM)
		return gb_error_set(error, code, "%s: %s is not permitted: it needs %s", key, what, right);
	if (code == -ENOPROTOOPT || code == -EOPNOTSUPP)
		return gb_error_set(error, code, "%s: this kernel has no %s: leave it out", key, what);
	return gb_error_set(error, code, "%s: %s: %s", key, what, gb_strerror(code));
}

static int demand(
	int fd, int level, int name, int value, const char *key, const char *what, struct gb_error *error)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)) == 0)
		return 0;
	return refuse(-errno, key, what, "CAP_NET_ADMIN", error);
}

static int demand_mark(int fd, const struct gb__socket_options *options, struct gb_error *error)
{
	return options->mark ? demand(fd, SOL_SOCKET, SO_MARK, (int)options->mark, "mark", "SO_MARK", error)
			     : 0;
}

static int demand_device(int fd, const char *device, const char *key, struct gb_error *error)
{
	if (!*device ||
		setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device) + 1) == 0)
		return 0;
	if (errno == ENODEV && error)
		return gb_error_set(
			error, -ENODEV, "%s: there is no interface \"%s\": see `ip link`", key, device);
	return refuse(-errno, key, "SO_BINDTODEVICE", "CAP_NET_RAW", error);
}

/* The kernel takes the option whatever its sysctl says, and does nothing. */
static int check_fastopen(struct gb_error *error)
{
	char text[16] = "";
	int fd = open(FASTOPEN, O_RDONLY | O_CLOEXEC);
	long bits;

	if (fd < 0)
		return 0;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	close(fd);
	bits = strtol(text, NULL, 10);
	if (!*text || (bits & FASTOPEN_SERVER))
		return 0;
	return gb_error_set(error, -EOPNOTSUPP,
		"fastopen: it is off on this machine: `sysctl net.ipv4.tcp_fastopen=%ld` switches it on for servers",
		bits | FASTOPEN_SERVER);
}

int gb__socket_prepare_listen(int fd, const struct gb__address *address,
	const struct gb__socket_options *options, struct gb_error *error)
{
	const bool v6 = address->any.sa_family == AF_INET6;
	int result = demand_mark(fd, options, error);

	if (result == 0)
		result = demand_device(fd, options->device, "device", error);
	if (result == 0 && options->freebind)
		result = v6 ? demand(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1, "freebind", "IPV6_FREEBIND", error)
			    : demand(fd, IPPROTO_IP, IP_FREEBIND, 1, "freebind", "IP_FREEBIND", error);
	if (result == 0 && options->defer_accept_ms)
		result = demand(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, seconds(options->defer_accept_ms),
			"defer-accept", "TCP_DEFER_ACCEPT", error);
	if (result == 0 && options->fastopen) {
		result = demand(fd, IPPROTO_TCP, TCP_FASTOPEN, (int)options->fastopen, "fastopen",
			"TCP_FASTOPEN", error);
		if (result == 0)
			result = check_fastopen(error);
	}
	return result;
}

/* The port is chosen when it connects, so that the same may be used to several peers. */
static int bind_source(int fd, const struct gb__address *source, struct gb_error *error)
{
	char text[GB__ADDRESS_TEXT];
	int code;

	set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
	if (bind(fd, &source->any, source->size) == 0)
		return 0;
	code = -errno;
	if (error) {
		gb__address_format(source, text, sizeof(text));
		*strrchr(text, ':') = '\0'; /* an address has a port */
		gb_error_set(error, code,
			code == -EADDRNOTAVAIL
				? "connect-source: %s is not an address of this machine: see `ip addr`"
				: "connect-source: %s cannot be bound",
			text);
	}
	return code;
}

int gb__socket_prepare_connect(
	int fd, sa_family_t family, const struct gb__socket_options *options, struct gb_error *error)
{
	const struct gb__address *source = family == AF_INET ? &options->source.v4 : &options->source.v6;
	int result;

	if (family != AF_INET && family != AF_INET6)
		return 0;
	result = demand_mark(fd, options, error);
	if (result == 0)
		result = demand_device(fd, options->connect_device, "connect-device", error);
	if (result == 0 && source->size)
		result = bind_source(fd, source, error);
	return result;
}

int gb__socket_try_connect(const struct gb__socket_options *options, struct gb_error *error)
{
	static const sa_family_t families[] = { AF_INET, AF_INET6 };
	int result = 0;

	if (!options->source.v4.size && !options->source.v6.size && !*options->connect_device &&
		!options->mark)
		return 0;
	for (size_t i = 0; i < gb__countof(families) && result == 0; i++) {
		int fd = socket(families[i], SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fd < 0)
			continue; /* one family of the two may be off */
		result = gb__socket_prepare_connect(fd, families[i], options, error);
		close(fd);
	}
	return result;
}
