#include "os/passed.h"

#include "base/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST 3 /* SD_LISTEN_FDS_START */
#define LIST_MAX 256u

/* Of the process. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool taken;
static long told_pid; /* of LISTEN_PID, where it is another process's */
static unsigned count;
static char *names[GB__PASSED_MAX]; /* NULL: without one */
static bool claimed[GB__PASSED_MAX];

static long number_of(const char *text)
{
	char *rest;
	long number;

	if (!text || *text < '0' || *text > '9')
		return -1;
	number = strtol(text, &rest, 10);
	return *rest || number > INT32_MAX ? -1 : number;
}

static void take_names(const char *text)
{
	for (unsigned i = 0; text && i < count; i++) {
		size_t length = strcspn(text, ":");

		names[i] = gb__alloc(length + 1);
		if (names[i]) {
			memcpy(names[i], text, length);
			names[i][length] = '\0';
		}
		text = text[length] ? text + length + 1 : NULL;
	}
}

static void take(void)
{
	const long pid = number_of(getenv("LISTEN_PID")), fds = number_of(getenv("LISTEN_FDS"));

	if (pid == getpid() && fds > 0) {
		count = fds < (long)GB__PASSED_MAX ? (unsigned)fds : GB__PASSED_MAX;
		take_names(getenv("LISTEN_FDNAMES"));
		for (unsigned i = 0; i < count; i++)
			(void)fcntl(FIRST + (int)i, F_SETFD, FD_CLOEXEC);
	} else if (pid > 0 && fds > 0) {
		told_pid = pid;
	}
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}

void gb__passed_take(void)
{
	pthread_mutex_lock(&lock);
	if (!taken)
		take();
	taken = true;
	pthread_mutex_unlock(&lock);
}

bool gb__passed_is(const char *text)
{
	return strcmp(text, "systemd") == 0 || strncmp(text, "fd:", 3) == 0;
}

static void list_names(char text[LIST_MAX])
{
	size_t used = 0;

	*text = '\0';
	for (unsigned i = 0; i < count && used < LIST_MAX; i++)
		used += (size_t)snprintf(text + used, LIST_MAX - used, "%sfd:%s", i ? ", " : "",
			names[i] && *names[i] ? names[i] : "?");
}

static int refuse(const char *which, struct gb_error *error)
{
	char list[LIST_MAX];

	if (told_pid)
		return gb_error_set(error, -ENOENT,
			"%s: sockets were passed to process %ld (LISTEN_PID), and this is %ld: whoever starts it execs it",
			which, told_pid, (long)getpid());
	if (count == 0)
		return gb_error_set(error, -ENOENT,
			"%s: no sockets were passed (LISTEN_FDS): start it by a socket unit, or by systemd-socket-activate",
			which);
	list_names(list);
	return gb_error_set(error, -ENOENT,
		"%s: no such socket was passed, or it is served already: there %s %s", which,
		count == 1 ? "is" : "are", list);
}

/* One of the standard ones, as inetd passes it, is no place for a socket: what is printed would be sent. Those that are
 * the same socket become /dev/null. Returns where it is now. */
static int move_away(int fd)
{
	struct stat socket, other;
	int moved, null;

	if (fstat(fd, &socket) < 0 || !S_ISSOCK(socket.st_mode))
		return fd; /* as what it is, it is refused */
	moved = fcntl(fd, F_DUPFD_CLOEXEC, FIRST);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int i = 0; i < FIRST && moved >= 0 && null >= 0; i++)
		if (fstat(i, &other) == 0 && other.st_dev == socket.st_dev && other.st_ino == socket.st_ino)
			dup2(null, i);
	if (null >= 0)
		close(null);
	return moved >= 0 ? moved : fd;
}

static int claim(const char *which, int ret_fds[GB__PASSED_MAX], struct gb_error *error)
{
	const bool all = strcmp(which, "systemd") == 0;
	const char *name = all ? "" : which + 3;
	const long number = number_of(name);
	unsigned found = 0;

	if (number >= 0 && (number < FIRST || number >= FIRST + (long)count)) {
		/* Not systemd's. */
		ret_fds[0] = number < FIRST ? move_away((int)number) : (int)number;
		return 1;
	}
	for (unsigned i = 0; i < count; i++)
		if (!claimed[i] &&
			(all || number == FIRST + (long)i ||
				(number < 0 && names[i] && strcmp(names[i], name) == 0))) {
			claimed[i] = true;
			ret_fds[found++] = FIRST + (int)i;
		}
	return found > 0 ? (int)found : refuse(which, error);
}

int gb__passed_claim(const char *which, int ret_fds[GB__PASSED_MAX], struct gb_error *error)
{
	int result;

	if (strcmp(which, "fd:") == 0)
		return gb_error_set(error, -GB_EUSAGE,
			"\"fd:\" is not an address: write fd:N, a descriptor, or fd:NAME, as in LISTEN_FDNAMES");
	gb__passed_take();
	pthread_mutex_lock(&lock);
	result = claim(which, ret_fds, error);
	pthread_mutex_unlock(&lock);
	return result;
}
