/* A process that is there for when another has died: what it does then, and that nothing else ends it. */
#include "os/survivor.h"

#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { END = 'e', ACT = 'a' }; /* what the server is told to do with it */

static char folder[] = "/tmp/gearbox-survivor-XXXXXX", fifo[64];
static int told; /* what the last will writes */
static int commands;
static pid_t server, survivor;

#ifndef GB__LACKS_CLOSE_RANGE
static bool old_kernel;

/* In place of the C library's. */
int close_range(unsigned first, unsigned last, int flags)
{
	if (!old_kernel)
		return (int)syscall(SYS_close_range, first, last, flags);
	errno = ENOSYS;
	return -1;
}
#endif

static void last_will(void *arg)
{
	const int fd = open(arg, O_WRONLY | O_CLOEXEC);

	if (write(fd, "w", 1) != 1)
		_exit(9);
}

/* Has one, and does as it is told until nobody can tell it anything any more. */
static void serve(int orders, int held)
{
	const int fd = gb__survivor_start("survivor", last_will, fifo);
	char order;

	if (fd < 0)
		_exit(1);
	close(held);
	while (read(orders, &order, 1) == 1)
		gb__survivor_dismiss(fd, order == ACT);
	_exit(0);
}

/* It is nobody's child, and so comes to us. */
static pid_t find_orphan(void)
{
	DIR *all = opendir("/proc");
	const struct dirent *entry;
	pid_t found = -1;

	CHECK(all);
	while (found < 0 && (entry = readdir(all))) {
		char path[300], name[32];
		int pid, parent;
		FILE *file;

		snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
		file = entry->d_name[0] >= '0' && entry->d_name[0] <= '9' ? fopen(path, "re") : NULL;
		if (!file)
			continue;
		if (fscanf(file, "%d (%31[^)]) %*c %d", &pid, name, &parent) == 3 && parent == getpid() &&
			pid != server)
			found = pid;
		fclose(file);
	}
	closedir(all);
	return found;
}

static void begin(void)
{
	int orders[2], held[2];
	char byte;

	CHECK_INT(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	CHECK(mkdtemp(folder));
	snprintf(fifo, sizeof(fifo), "%s/told", folder);
	CHECK_INT(mkfifo(fifo, 0600), 0);
	told = open(fifo, O_RDWR | O_CLOEXEC);
	CHECK(told >= 0);
	CHECK_INT(pipe(orders), 0);
	CHECK_INT(pipe(held), 0);
	server = fork();
	CHECK(server >= 0);
	if (server == 0) {
		close(orders[1]);
		close(held[0]);
		serve(orders[0], held[1]);
	}
	commands = orders[1];
	close(orders[0]);
	close(held[1]);
	/* The end: it has let go of what its parent had open, although its parent had opened that for anybody. */
	CHECK_INT(read(held[0], &byte, 1), 0);
	close(held[0]);
	survivor = find_orphan();
	CHECK(survivor > 0);
}

static void order(char what)
{
	CHECK_INT(write(commands, &what, 1), 1);
}

static void await(pid_t pid, int expected)
{
	int status;

	CHECK_INT(waitpid(pid, &status, 0), pid);
	CHECK_INT(status, expected);
}

static void finish(bool with_last_will)
{
	char bytes[2];

	await(survivor, 0);
	CHECK_INT(fcntl(told, F_SETFL, O_NONBLOCK), 0);
	CHECK_INT(read(told, bytes, sizeof(bytes)), with_last_will ? 1 : -1);
	unlink(fifo);
	rmdir(folder);
}

TEST(the_last_will_is_done_when_its_parent_was_killed)
{
	begin();
	kill(server, SIGKILL);
	await(server, SIGKILL);
	finish(true);
}

TEST(the_last_will_is_done_when_its_parent_has_ended)
{
	begin();
	close(commands);
	await(server, 0);
	finish(true);
}

TEST(who_is_dismissed_ends_without_it)
{
	begin();
	order(END);
	finish(false);
	CHECK_INT(kill(server, 0), 0);
	close(commands);
	await(server, 0);
}

TEST(who_is_told_to_does_it_at_once)
{
	begin();
	order(ACT);
	finish(true);
	CHECK_INT(kill(server, 0), 0);
	close(commands);
	await(server, 0);
}

/* As a terminal that is closed, or a supervisor that ends all of a group, would end its parent. */
TEST(signals_that_end_programs_do_not_end_it)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGPIPE,
		SIGTSTP };

	begin();
	CHECK_INT(getsid(survivor), survivor);
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		CHECK_INT(kill(survivor, signals[i]), 0);
	order(ACT);
	finish(true);
	close(commands);
	await(server, 0);
}

#ifndef GB__LACKS_CLOSE_RANGE
TEST(on_older_kernels_it_lets_go_of_what_its_parent_has_as_well)
{
	const struct rlimit few = { 200, 200 };

	CHECK_INT(setrlimit(RLIMIT_NOFILE, &few), 0);
	old_kernel = true;
	begin();
	kill(server, SIGKILL);
	await(server, SIGKILL);
	finish(true);
}
#endif
