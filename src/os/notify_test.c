/* A service manager that is a socket of the test. */
#include "os/notify.h"

#include "harness.h"

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Of the abstract kind, which leaves no file. */
static int manager(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0), length;
	char text[64];

	length = snprintf(text, sizeof(text), "@gearbox-notify-test-%d", (int)getpid());
	memcpy(address.sun_path, text, (size_t)length);
	address.sun_path[0] = '\0';
	CHECK(fd >= 0);
	CHECK(bind(fd, (struct sockaddr *)&address,
		      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)length)) == 0);
	setenv("NOTIFY_SOCKET", text, 1);
	return fd;
}

TEST(lines_arrive_as_they_were_sent)
{
	int fd = manager();
	char text[64];
	ssize_t size;

	CHECK_INT(gb__notify_send("READY=1\nSTATUS=x"), 1);
	size = recv(fd, text, sizeof(text), 0);
	CHECK_INT(size, 16);
	CHECK(memcmp(text, "READY=1\nSTATUS=x", 16) == 0);
	CHECK(!getenv("NOTIFY_SOCKET"));
}

TEST(a_reload_is_told_with_its_time)
{
	int fd = manager();
	char text[64] = "";
	unsigned long long first, second;

	CHECK_INT(gb__notify_reloading(), 1);
	CHECK(recv(fd, text, sizeof(text) - 1, 0) > 0);
	CHECK_INT(sscanf(text, "RELOADING=1\nMONOTONIC_USEC=%llu", &first), 1);
	CHECK_INT(gb__notify_reloading(), 1);
	memset(text, 0, sizeof(text));
	CHECK(recv(fd, text, sizeof(text) - 1, 0) > 0);
	CHECK_INT(sscanf(text, "RELOADING=1\nMONOTONIC_USEC=%llu", &second), 1);
	CHECK(second >= first);
}

TEST(a_manager_that_does_not_read_holds_up_nobody)
{
	int fd = manager(), result = 1;

	for (unsigned i = 0; i < 100000 && result == 1; i++)
		result = gb__notify_send("STATUS=again");
	CHECK_INT(result, -EAGAIN);
	close(fd);
	CHECK_INT(gb__notify_send("STATUS=gone"), -ECONNREFUSED);
}

TEST(without_one_nothing_is_sent)
{
	unsetenv("NOTIFY_SOCKET");
	CHECK(!gb__notify_wanted());
	CHECK_INT(gb__notify_send("READY=1"), 0);
	CHECK_INT(gb__notify_watchdog_us(), 0);
}

TEST(an_address_that_is_none_is_nobodys)
{
	setenv("NOTIFY_SOCKET", "vsock:2:9999", 1);
	CHECK(!gb__notify_wanted());
}

TEST(the_watchdog_may_be_another_process_s)
{
	char text[16];

	manager();
	setenv("WATCHDOG_USEC", "5000000", 1);
	snprintf(text, sizeof(text), "%d", (int)getppid());
	setenv("WATCHDOG_PID", text, 1);
	CHECK_INT(gb__notify_watchdog_us(), 0);
	CHECK(!getenv("WATCHDOG_USEC") && !getenv("WATCHDOG_PID"));
}

TEST(the_watchdog_is_ours_by_pid_or_without_one)
{
	manager();
	unsetenv("WATCHDOG_PID");
	setenv("WATCHDOG_USEC", "5000000", 1);
	CHECK_INT(gb__notify_watchdog_us(), 5000000);
}
