#include "os/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BIND_RETRY_MS 5
#define BIND_PATIENCE_MS 500u

static void set(int fd, int level, int name, int value)
{
	(void)setsockopt(fd, level, name, &value, sizeof(value));
}

/* Streams, and packets of Unix sockets: what can be accepted and served. */
static bool is_type_served(int type, int domain)
{
	return type == SOCK_STREAM || (type == SOCK_SEQPACKET && domain == AF_UNIX);
}

int gb__socket_check_connected(int fd, struct gb_error *error)
{
	struct sockaddr_storage peer;
	socklen_t size = sizeof(int);
	int type, domain;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
		return gb_error_set(error, -errno, "descriptor %d is no socket: %s", fd, gb_strerror(-errno));
	size = sizeof(int);
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0)
		domain = AF_UNSPEC;
	if (!is_type_served(type, domain))
		return gb_error_set(error, -EPROTOTYPE, "descriptor %d is no stream socket", fd);
	if (domain != AF_INET && domain != AF_INET6 && domain != AF_UNIX)
		return gb_error_set(
			error, -EAFNOSUPPORT, "descriptor %d is a socket of neither IP nor Unix", fd);
	size = sizeof(peer);
	if (getpeername(fd, (struct sockaddr *)&peer, &size) < 0)
		return gb_error_set(
			error, -errno, "descriptor %d is not connected: %s", fd, gb_strerror(-errno));
	return 0;
}

/* Its text is "*" where it is of both families, or was asked to be. */
static int listening_address(int fd, bool every, struct gb__address *ret)
{
	int code = gb__socket_local(fd, ret), v6only = 1;

	if (code == 0 && ret->any.sa_family == AF_INET)
		ret->every = every;
	else if (code == 0 && ret->any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&ret->v6.sin6_addr) &&
		getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, &(socklen_t){ sizeof(v6only) }) == 0)
		ret->every = !v6only;
	return code;
}

int gb__socket_passed(int fd, struct gb__address *ret, struct gb_error *error)
{
	int listens = 0, type = 0, domain = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &(socklen_t){ sizeof(type) }) < 0)
		return gb_error_set(error, -errno,
			errno == EBADF ? "descriptor %d is not open" : "descriptor %d is no socket", fd);
	(void)getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &(socklen_t){ sizeof(domain) });
	if (!is_type_served(type, domain))
		return gb_error_set(error, -EPROTOTYPE, "descriptor %d is %s, and a stream socket is needed",
			fd, type == SOCK_DGRAM ? "a datagram socket" : "no stream socket");
	if (domain != AF_INET && domain != AF_INET6 && domain != AF_UNIX)
		return gb_error_set(
			error, -EAFNOSUPPORT, "descriptor %d is a socket of neither IP nor Unix", fd);
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &(socklen_t){ sizeof(listens) }) < 0 ||
		!listens)
		return gb_error_set(error, -EINVAL,
			"descriptor %d does not listen: whoever passes it calls listen(2) first", fd);
	(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	return listening_address(fd, false, ret);
}

void gb__socket_take_over(int fd, const struct gb__socket_options *options)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0 && (flags & O_NONBLOCK))
		(void)fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
	(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	gb__socket_tune(fd, options);
}

/* What a Unix socket says to a client: 0, -EAGAIN (its queue is full), -ECONNREFUSED (nobody listens any more), … . */
static int knock(const struct gb__address *address)
{
	int fd = socket(AF_UNIX, gb__address_type(address) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), code = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, &address->any, address->size) < 0)
		code = -errno;
	close(fd);
	return code;
}

/* A socket file that nobody listens on any more stands in the way of bind(2). */
static void remove_stale(const struct gb__address *address)
{
	struct stat status;

	if (stat(address->local.sun_path, &status) < 0 || !S_ISSOCK(status.st_mode))
		return;
	if (knock(address) == -ECONNREFUSED)
		unlink(address->local.sun_path);
}

/* The first folder of the path that does not exist, or is none, or ""; what is behind it is cut off. */
static void missing_folder(char *path)
{
	struct stat status;

	for (char *slash = path + (*path == '/'); (slash = strchr(slash, '/')) != NULL; slash++) {
		*slash = '\0';
		if (stat(path, &status) < 0 ? errno == ENOENT || errno == ENOTDIR : !S_ISDIR(status.st_mode))
			return;
		*slash = '/';
	}
	*path = '\0';
}

static int explain_path(int code, const char *text, const char *file, struct gb_error *error)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];

	snprintf(path, sizeof(path), "%s", file);
	missing_folder(path);
	if (*path)
		return gb_error_set(error, code, "cannot listen on %s: the folder %s %s", text, path,
			code == -ENOENT ? "does not exist" : "is no folder");
	return gb_error_set(error, code, "cannot listen on %s: %s", text, gb_strerror(code));
}

static bool needs_scope(const struct gb__address *address)
{
	return address->any.sa_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&address->v6.sin6_addr) &&
		!address->v6.sin6_scope_id;
}

static int explain(int code, const struct gb__address *address, struct gb_error *error)
{
	char text[GB__ADDRESS_TEXT];

	gb__address_format(address, text, sizeof(text));
	switch (-code) {
	case EADDRINUSE:
		if (!gb__address_is_ip(address))
			return gb_error_set(error, code, "%s is in use: another program listens there%s",
				text,
				*gb__address_path(address) ? ", or the file is no socket; choose another path"
							   : "; choose another name");
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
	case ENOENT:
	case ENOTDIR:
		return explain_path(code, text, gb__address_path(address), error);
	case EINVAL:
		if (needs_scope(address))
			return gb_error_set(error, code,
				"%s is of one link: name the interface, as [fe80::1%%eth0]:7000 (see `ip addr`)",
				text);
		break;
	default:
		break;
	}
	return gb_error_set(error, code, "cannot listen on %s: %s", text, gb_strerror(code));
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

/*
 * Who replaces a stale file holds the folder's lock from the look at it until it listens: of two servers that start at
 * the same time one would otherwise take the other's file, bound and not listening yet, for stale as well. A folder that
 * cannot be locked (some network file systems) does without. Returns the lock, or -1.
 */
static int lock_folder(const char *path)
{
	const struct timespec pause = { .tv_nsec = BIND_RETRY_MS * 1000000 };
	char folder[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
	char *slash;
	int fd;

	snprintf(folder, sizeof(folder), "%s", path);
	slash = strrchr(folder, '/');
	if (slash)
		slash[slash == folder] = '\0';
	fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (unsigned waited_ms = 0; fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0;
		waited_ms += BIND_RETRY_MS) {
		if (errno != EWOULDBLOCK || waited_ms >= BIND_PATIENCE_MS) {
			close(fd);
			return -1;
		}
		nanosleep(&pause, NULL);
	}
	return fd;
}

/* As chown(2) takes it: all ones leave it as it is. */
static uint32_t id_of(struct gb__owner owner)
{
	return owner.given ? owner.id : UINT32_MAX;
}

/* The permissions are there before the first client can be: the kernel takes the socket's for the file's, less what
 * the umask forbids, and nobody connects before listen(2). */
static int listen_unix(int fd, const struct gb__address *address, const struct gb__socket_options *options,
	struct gb_error *error)
{
	const char *path = gb__address_path(address);
	int lock = *path ? lock_folder(path) : -1, code;
	const bool mode = *path && options->unix_mode;
	bool bound;

	if (*path)
		remove_stale(address);
	if (mode)
		fchmod(fd, (mode_t)options->unix_mode);
	code = bind_once(fd, address);
	bound = code == 0 && *path;
	if (bound && (options->unix_owner.given || options->unix_group.given) &&
		lchown(path, id_of(options->unix_owner), id_of(options->unix_group)) < 0)
		code = gb_error_set(error, -errno, "unix-owner, unix-group: %s: %s%s", path,
			gb_strerror(-errno),
			errno == EPERM ? ": it needs CAP_CHOWN, or a group that we are of" : "");
	if (code == 0 && mode && chmod(path, (mode_t)options->unix_mode) < 0)
		code = -errno;
	if (code == 0 && listen(fd, (int)options->backlog) < 0)
		code = -errno;
	if (code < 0 && bound)
		unlink(path);
	if (lock >= 0)
		close(lock);
	return code;
}

/* "[::]" is IPv6 alone, so that "0.0.0.0" has its port beside it, whatever net.ipv6.bindv6only says. */
static bool is_v6_alone(const struct gb__address *address, const struct gb__socket_options *options)
{
	return options->v6only == GB__V6ONLY_AUTO ? !address->every : options->v6only == GB__V6ONLY_YES;
}

static int listen_ip(int fd, const struct gb__address *address, const struct gb__socket_options *options,
	struct gb_error *error)
{
	int code;

	set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (options->reuseport)
		set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (address->any.sa_family == AF_INET6)
		set(fd, IPPROTO_IPV6, IPV6_V6ONLY, is_v6_alone(address, options));
	gb__socket_tune(fd, options);
	code = gb__socket_prepare_listen(fd, address, options, error);
	if (code == 0)
		code = bind_patiently(fd, address);
	if (code == 0 && listen(fd, (int)options->backlog) < 0)
		code = -errno;
	return code;
}

/* `error` stays without a code where what the kernel said is to be explained. */
static int socket_listen(
	const struct gb__address *address, const struct gb__socket_options *options, struct gb_error *error)
{
	int fd = socket(address->any.sa_family, gb__address_type(address) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
	    code;

	if (fd < 0)
		return -errno;
	code = gb__address_is_ip(address) ? listen_ip(fd, address, options, error)
					  : listen_unix(fd, address, options, error);
	if (code < 0) {
		close(fd);
		return code;
	}
	return fd;
}

/* Where IPv6 is off every address is IPv4's. */
static bool lacks_v6(int code, const struct gb__address *address)
{
	return address->every && address->any.sa_family == AF_INET6 &&
		(code == -EAFNOSUPPORT || code == -EADDRNOTAVAIL);
}

static struct gb__address as_v4(const struct gb__address *address)
{
	return (struct gb__address){ .v4 = { .sin_family = AF_INET, .sin_port = address->v6.sin6_port },
		.size = sizeof(address->v4),
		.every = true };
}

int gb__socket_listen(
	struct gb__address *address, const struct gb__socket_options *options, struct gb_error *error)
{
	struct gb_error told = { 0 };
	int fd = socket_listen(address, options, &told), code;

	if (lacks_v6(fd, address) && options->v6only != GB__V6ONLY_YES) {
		*address = as_v4(address);
		fd = socket_listen(address, options, &told);
	}
	if (fd < 0)
		return told.code ? gb_error_set(error, fd, "%s", told.text) : explain(fd, address, error);
	code = listening_address(fd, address->every, address);
	if (code < 0) {
		close(fd);
		return gb_error_set(error, code, "cannot tell the port: %s", gb_strerror(code));
	}
	return fd;
}

static int bound_ip(const struct gb__address *address)
{
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), code;

	if (fd < 0)
		return -errno;
	set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (address->any.sa_family == AF_INET6)
		set(fd, IPPROTO_IPV6, IPV6_V6ONLY, !address->every);
	code = bind_once(fd, address);
	if (code == 0)
		return fd;
	close(fd);
	return code;
}

int gb__socket_reserve(struct gb__address *address)
{
	int fd = bound_ip(address), code;

	if (lacks_v6(fd, address)) {
		*address = as_v4(address);
		fd = bound_ip(address);
	}
	if (fd < 0)
		return fd;
	code = listening_address(fd, address->every, address);
	if (code < 0)
		close(fd);
	return code < 0 ? code : fd;
}

bool gb__socket_is_taken(const struct gb__address *address)
{
	struct gb__address copy = *address;
	int code = gb__address_is_ip(address) ? gb__socket_reserve(&copy) : knock(address);

	if (!gb__address_is_ip(address))
		return code == 0 || code == -EAGAIN;
	if (code >= 0)
		close(code);
	return code == -EADDRINUSE;
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

static int named(int fd, int result, struct gb__address *ret)
{
	int type = SOCK_STREAM;

	if (result < 0)
		return -errno;
	if (!gb__address_is_ip(ret))
		(void)getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &(socklen_t){ sizeof(type) });
	ret->packets = type == SOCK_SEQPACKET;
	return 0;
}

int gb__socket_local(int fd, struct gb__address *ret)
{
	*ret = (struct gb__address){ .size = sizeof(struct sockaddr_un) };
	return named(fd, getsockname(fd, &ret->any, &ret->size), ret);
}

int gb__socket_peer(int fd, struct gb__address *ret)
{
	*ret = (struct gb__address){ .size = sizeof(struct sockaddr_un) };
	return named(fd, getpeername(fd, &ret->any, &ret->size), ret);
}

int gb__socket_peer_process(int fd, pid_t *ret_pid, uid_t *ret_uid)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return -errno;
	*ret_pid = peer.pid;
	*ret_uid = peer.uid;
	return 0;
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
