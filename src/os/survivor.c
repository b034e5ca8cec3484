#include "os/survivor.h"

#include "base/libc.h"
#include "base/log_socket.h"
#include "base/macros.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PARENT = 3, ORDERS, REST };     /* descriptors */
enum { UNTOLD, END = 'e', ACT = 'a' }; /* orders */

static void ignore_signals(void)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGPIPE,
		SIGTSTP, SIGCHLD };

	for (size_t i = 0; i < gb__countof(signals); i++)
		signal(signals[i], SIG_IGN);
}

/* Of a server's descriptors one that stays open would keep a port, or a client. */
static void keep(int parent, int orders)
{
	const int high_parent = fcntl(parent, F_DUPFD, REST), high_orders = fcntl(orders, F_DUPFD, REST);
	const int none = open("/dev/null", O_RDWR);

	dup2(high_parent, PARENT);
	dup2(high_orders, ORDERS);
	dup2(none, STDIN_FILENO);
	dup2(none, STDOUT_FILENO);
	if (close_range(REST, ~0u, 0) < 0)
		for (long fd = sysconf(_SC_OPEN_MAX); fd >= REST; fd--)
			close((int)fd);
	gb__log_socket_reopen();
}

_Noreturn static void survive(
	const char *name, int parent, int orders, void (*last_will)(void *arg), void *arg)
{
	sigset_t none;
	char order = UNTOLD;
	struct pollfd wanted[] = { { .fd = PARENT, .events = POLLIN }, { .fd = ORDERS, .events = POLLIN } };

	ignore_signals();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	prctl(PR_SET_NAME, name);
	keep(parent, orders);
	while (!wanted[0].revents && order == UNTOLD)
		if (poll(wanted, gb__countof(wanted), -1) > 0 && wanted[1].revents &&
			read(ORDERS, &order, 1) <= 0)
			wanted[1].fd = -1; /* closed: its parent dies */
	if (order != END)
		last_will(arg);
	_exit(0);
}

int gb__survivor_start(const char *name, void (*last_will)(void *arg), void *arg)
{
	const int parent = (int)syscall(SYS_pidfd_open, getpid(), 0);
	int fds[2], result;
	sigset_t all, before;
	pid_t pid;

	if (parent < 0)
		return -errno;
	if (fcntl(parent, F_SETFD, FD_CLOEXEC) < 0 || pipe2(fds, O_CLOEXEC) < 0) {
		result = -errno;
		close(parent);
		return result;
	}
	fflush(NULL);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	pid = fork();
	if (pid == 0) {
		if (fork() == 0)
			survive(name, parent, fds[0], last_will, arg);
		_exit(0);
	}
	result = pid < 0 ? -errno : fds[1];
	sigprocmask(SIG_SETMASK, &before, NULL);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	close(parent);
	close(fds[0]);
	if (pid < 0)
		close(fds[1]);
	return result;
}

void gb__survivor_dismiss(int fd, bool with_last_will)
{
	const char order = with_last_will ? ACT : END;

	if (fd < 0)
		return;
	while (write(fd, &order, 1) < 0 && errno == EINTR)
		;
	close(fd);
}

void gb__survivor_abandon(int fd)
{
	if (fd >= 0)
		close(fd);
}
