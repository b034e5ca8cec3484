/* What was passed in: whose it is, what names it, and that it is claimed once. */
#include "os/passed.h"

#include "harness.h"
#include "os/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Some sockets at 3 and above, and what the environment says of them. */
static void pass(unsigned count, const char *names, pid_t pid)
{
	char text[16];

	for (unsigned i = 0; i < count; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		CHECK(fd >= 0 && dup2(fd, 20 + (int)i) >= 0);
		close(fd);
	}
	for (unsigned i = 0; i < count; i++) {
		CHECK_INT(dup2(20 + (int)i, 3 + (int)i), 3 + (int)i);
		close(20 + (int)i);
	}
	snprintf(text, sizeof(text), "%d", (int)pid);
	setenv("LISTEN_PID", text, 1);
	snprintf(text, sizeof(text), "%u", count);
	setenv("LISTEN_FDS", text, 1);
	if (names)
		setenv("LISTEN_FDNAMES", names, 1);
}

static void check_refused(const char *which, const char *part)
{
	int fds[GB__PASSED_MAX];
	struct gb_error error = { 0 };

	CHECK(gb__passed_claim(which, fds, &error) < 0);
	if (!strstr(error.text, part))
		test_fail(__FILE__, __LINE__, "%s: \"%s\" lacks \"%s\"", which, error.text, part);
}

TEST(the_environment_is_not_for_children)
{
	pass(2, "a:b", getpid());
	CHECK_INT(fcntl(3, F_GETFD), 0);
	gb__passed_take();
	CHECK(!getenv("LISTEN_PID") && !getenv("LISTEN_FDS") && !getenv("LISTEN_FDNAMES"));
	CHECK_INT(fcntl(3, F_GETFD), FD_CLOEXEC);
	CHECK_INT(fcntl(4, F_GETFD), FD_CLOEXEC);
}

TEST(names_numbers_and_all_the_rest)
{
	int fds[GB__PASSED_MAX];

	pass(5, "web:admin:web::x", getpid());
	CHECK_INT(gb__passed_claim("fd:web", fds, NULL), 2);
	CHECK_INT(fds[0], 3);
	CHECK_INT(fds[1], 5);
	check_refused("fd:web", "it is served already: there are fd:web, fd:admin, fd:web, fd:?, fd:x");
	CHECK_INT(gb__passed_claim("fd:7", fds, NULL), 1);
	CHECK_INT(fds[0], 7);
	CHECK_INT(gb__passed_claim("systemd", fds, NULL), 2);
	CHECK_INT(fds[0], 4);
	CHECK_INT(fds[1], 6);
	check_refused("systemd", "served already");
	check_refused("fd:7", "served already");
	check_refused("fd:other", "no such socket was passed");
	/* Whoever has another descriptor to pass says its number. */
	CHECK_INT(gb__passed_claim("fd:0", fds, NULL), 1);
	CHECK_INT(fds[0], 0);
	CHECK_INT(gb__passed_claim("fd:9", fds, NULL), 1);
	CHECK_INT(fds[0], 9);
}

TEST(what_is_for_another_process_is_not_taken)
{
	pass(1, NULL, getppid());
	check_refused("systemd", "(LISTEN_PID)");
	check_refused("fd:x", "whoever starts it execs it");
	CHECK_INT(fcntl(3, F_GETFD), 0);
}

TEST(without_any_it_is_told_what_passes_them)
{
	check_refused("systemd", "systemd-socket-activate");
	check_refused("fd:", "fd:NAME");
	CHECK(gb__passed_is("systemd") && gb__passed_is("fd:3") && !gb__passed_is("systemd:80"));
}

TEST(what_does_not_listen_is_told_by_what_it_is)
{
	static const struct {
		int domain, type;
		const char *part;
	} rows[] = { { AF_INET, SOCK_STREAM, "does not listen" },
		{ AF_INET, SOCK_DGRAM, "is a datagram socket" }, { AF_UNIX, SOCK_STREAM, "does not listen" },
		{ AF_NETLINK, SOCK_RAW, "is no stream socket" } };
	struct gb__address address;
	struct gb_error error = { 0 };
	int pipes[2], fd;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		fd = socket(rows[i].domain, rows[i].type, 0);
		CHECK(fd >= 0);
		CHECK(gb__socket_passed(fd, &address, &error) < 0);
		if (!strstr(error.text, rows[i].part))
			test_fail(__FILE__, __LINE__, "\"%s\" lacks \"%s\"", error.text, rows[i].part);
		close(fd);
	}
	CHECK(pipe(pipes) == 0);
	CHECK_INT(gb__socket_passed(pipes[0], &address, &error), -ENOTSOCK);
	CHECK(strstr(error.text, "is no socket"));
	CHECK_INT(gb__socket_passed(999, &address, &error), -EBADF);
	CHECK(strstr(error.text, "descriptor 999 is not open"));
}

TEST(one_that_listens_is_made_as_ours_are)
{
	struct gb__address address;
	char text[GB__ADDRESS_TEXT];
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	CHECK(fd >= 0 && listen(fd, 5) == 0);
	CHECK_INT(gb__socket_passed(fd, &address, NULL), 0);
	CHECK_INT(gb__address_format(&address, text, sizeof(text)), 0);
	CHECK(strncmp(text, "0.0.0.0:", 8) == 0 && atoi(text + 8) > 0);
	CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
	CHECK_INT(fcntl(fd, F_GETFD), FD_CLOEXEC);
}
