/* What was asked for is there, on the listening socket and on what it accepts; what cannot be is told. */
#include "os/socket.h"

#include "harness.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

static int listening(const char *text, const struct gb__socket_options *options, struct gb__address *ret,
	struct gb_error *error)
{
	CHECK_INT(gb__address_parse(text, false, ret, error), 0);
	return gb__socket_listen(ret, options, error);
}

static int must_listen(const char *text, const struct gb__socket_options *options, struct gb__address *ret)
{
	struct gb_error error = { 0 };
	int fd = listening(text, options, ret, &error);

	if (fd < 0)
		test_fail(__FILE__, __LINE__, "%s: %s", text, error.text);
	return fd;
}

static int get(int fd, int level, int name)
{
	int value = -1;

	CHECK(getsockopt(fd, level, name, &value, &(socklen_t){ sizeof(value) }) == 0);
	return value;
}

/* A connection of the listening socket, as its server has it. */
static int accepted(int listener, const struct gb__address *address)
{
	int client = socket(address->any.sa_family, SOCK_STREAM, 0), fd;

	CHECK(client >= 0 && connect(client, &address->any, address->size) == 0);
	while ((fd = accept(listener, NULL, NULL)) < 0)
		CHECK(errno == EAGAIN);
	return fd;
}

TEST(keepalive_is_inherited)
{
	const struct gb__socket_options options = { .backlog = 5, .keepalive = { 61000, 7500, 4 } };
	struct gb__address address;
	int fd = accepted(must_listen("127.0.0.1:0", &options, &address), &address);

	CHECK_INT(get(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
	CHECK_INT(get(fd, IPPROTO_TCP, TCP_KEEPIDLE), 61);
	CHECK_INT(get(fd, IPPROTO_TCP, TCP_KEEPINTVL), 8); /* whole seconds, rounded up */
	CHECK_INT(get(fd, IPPROTO_TCP, TCP_KEEPCNT), 4);
}

TEST(without_keepalive_there_is_none)
{
	const struct gb__socket_options options = { .backlog = 5 };
	struct gb__address address;
	int fd = accepted(must_listen("127.0.0.1:0", &options, &address), &address);

	CHECK_INT(get(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
}

TEST(a_client_is_waited_for_until_it_has_sent_something)
{
	const struct gb__socket_options options = { .backlog = 5, .defer_accept_ms = 60000 };
	struct gb__address address;
	int fd = must_listen("127.0.0.1:0", &options, &address), client = socket(AF_INET, SOCK_STREAM, 0);

	CHECK(get(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT) >= 60);
	CHECK(connect(client, &address.any, address.size) == 0);
	CHECK(accept(fd, NULL, NULL) < 0 && errno == EAGAIN);
	CHECK_INT(write(client, "x", 1), 1);
	while (accept(fd, NULL, NULL) < 0)
		CHECK(errno == EAGAIN);
}

TEST(an_address_that_is_not_here_yet_is_bound_if_asked_for)
{
	struct gb__socket_options options = { .backlog = 5 };
	struct gb__address address;
	struct gb_error error = { 0 };

	CHECK_INT(listening("192.0.2.77:0", &options, &address, &error), -EADDRNOTAVAIL);
	options.freebind = true;
	must_listen("192.0.2.77:0", &options, &address);
}

TEST(the_families_of_an_address_are_as_asked_for)
{
	struct gb__socket_options options = { .backlog = 5, .v6only = GB__V6ONLY_NO };
	struct gb__address address;
	char text[GB__ADDRESS_TEXT];
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	if (fd < 0)
		return; /* IPv6 is off here */
	fd = must_listen("[::]:0", &options, &address);
	CHECK_INT(gb__address_format(&address, text, sizeof(text)), 0);
	CHECK(strncmp(text, "*:", 2) == 0);
	CHECK_INT(get(fd, IPPROTO_IPV6, IPV6_V6ONLY), 0);
	options.v6only = GB__V6ONLY_YES;
	fd = must_listen("*:0", &options, &address);
	CHECK_INT(gb__address_format(&address, text, sizeof(text)), 0);
	CHECK(strncmp(text, "[::]:", 5) == 0);
	CHECK_INT(get(fd, IPPROTO_IPV6, IPV6_V6ONLY), 1);
}

TEST(an_interface_that_is_not_there_is_told)
{
	const struct gb__socket_options options = { .backlog = 5, .device = "nowhere9" };
	struct gb__address address;
	struct gb_error error = { 0 };

	CHECK_INT(listening("127.0.0.1:0", &options, &address, &error), -ENODEV);
	CHECK(strstr(error.text, "device: there is no interface \"nowhere9\""));
}

TEST(what_needs_a_right_says_which)
{
	const struct gb__socket_options options = { .backlog = 5, .mark = 7 };
	struct gb__address address;
	struct gb_error error = { 0 };
	int fd;

	if (getuid() == 0) {
		fd = listening("127.0.0.1:0", &options, &address, &error);
		if (fd >= 0) /* a container may forbid it to root */
			CHECK_INT(get(fd, SOL_SOCKET, SO_MARK), 7);
		if (setgid(65534) < 0 || setuid(65534) < 0)
			return;
	}
	CHECK_INT(listening("127.0.0.1:0", &options, &address, &error), -EPERM);
	CHECK(strstr(error.text, "mark: SO_MARK is not permitted: it needs CAP_NET_ADMIN"));
	CHECK_INT(gb__socket_try_connect(&options, &error), -EPERM);
}

static void come_from(struct gb__socket_options *options, const char *source)
{
	CHECK_INT(gb__address_parse(source, false, &options->source.v4, NULL), 0);
}

TEST(outgoing_connections_come_from_where_they_were_told_to)
{
	struct gb__socket_options options = { .backlog = 5 };
	struct gb__address address, peer;
	int listener = must_listen("127.0.0.1:0", &options, &address), fd;

	come_from(&options, "127.0.0.9:0");
	CHECK_INT(gb__socket_try_connect(&options, NULL), 0);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_INT(gb__socket_prepare_connect(fd, AF_INET, &options, NULL), 0);
	CHECK(connect(fd, &address.any, address.size) == 0);
	while ((fd = accept(listener, NULL, NULL)) < 0)
		CHECK(errno == EAGAIN);
	CHECK_INT(gb__socket_peer(fd, &peer), 0);
	CHECK_INT(ntohl(peer.v4.sin_addr.s_addr), 0x7f000009);
	/* The other family has none, and Unix sockets know none. */
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK_INT(gb__socket_prepare_connect(fd, AF_UNIX, &options, NULL), 0);
}

TEST(a_source_that_is_not_ours_is_told)
{
	struct gb__socket_options options = { .backlog = 5 };
	struct gb_error error = { 0 };

	come_from(&options, "192.0.2.77:0");
	CHECK_INT(gb__socket_try_connect(&options, &error), -EADDRNOTAVAIL);
	CHECK(strstr(error.text, "connect-source: 192.0.2.77 is not an address of this machine"));
}
