#include "os/spawn.h"

#include "os/signal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

#define STANDARD 3 /* descriptors */

static int pidfd_open(pid_t pid)
{
	const long fd = syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? -errno : (int)fd;
}

/* Out of the way of those that are being made: 0 to 2. Returns it, a copy, or a negative errno. */
static int above(int fd)
{
	const int copy = fd >= 0 && fd < STANDARD ? fcntl(fd, F_DUPFD_CLOEXEC, STANDARD) : fd;

	return copy == -1 && fd >= 0 ? -errno : copy;
}

static int add_standard(posix_spawn_file_actions_t *actions, int fd, int number)
{
	if (fd == GB__SPAWN_KEEP)
		return 0;
	if (fd == GB__SPAWN_NULL)
		return posix_spawn_file_actions_addopen(actions, number, "/dev/null", O_RDWR, 0);
	return posix_spawn_file_actions_adddup2(actions, fd, number);
}

#ifdef __GLIBC_PREREQ
#define HAS_CLOSEFROM __GLIBC_PREREQ(2, 34)
#else
#define HAS_CLOSEFROM 0
#endif
#if !HAS_CLOSEFROM
/* One by one, those that are open now. */
static int add_closefrom(posix_spawn_file_actions_t *actions, int first)
{
	DIR *folder = opendir("/proc/self/fd");
	struct dirent *entry;
	int result = 0;

	while (folder && result == 0 && (entry = readdir(folder))) {
		const int fd = atoi(entry->d_name), flags = fd >= first ? fcntl(fd, F_GETFD) : -1;

		if (flags >= 0 && !(flags & FD_CLOEXEC))
			result = posix_spawn_file_actions_addclose(actions, fd);
	}
	if (folder)
		closedir(folder);
	return result;
}
#endif

static int set_actions(
	posix_spawn_file_actions_t *actions, const struct gb__spawn *spawn, const int fds[STANDARD])
{
	int result = 0;

	for (int i = 0; i < STANDARD && result == 0; i++)
		result = add_standard(actions, fds[i], i);
#if HAS_CLOSEFROM
	/* Of what others have opened without close-on-exec. */
	if (result == 0)
		result = posix_spawn_file_actions_addclosefrom_np(actions, STANDARD);
#else
	if (result == 0)
		result = add_closefrom(actions, STANDARD);
#endif
	if (result == 0 && spawn->directory)
		result = posix_spawn_file_actions_addchdir_np(actions, spawn->directory);
	return result;
}

static int set_attributes(posix_spawnattr_t *attributes, const struct gb__spawn *spawn)
{
	sigset_t mask;
	int result;

	gb__signal_mask_of_program(&mask);
	result = posix_spawnattr_setsigmask(attributes, &mask);
	if (result == 0)
		result = posix_spawnattr_setflags(attributes,
			(short)(POSIX_SPAWN_SETSIGMASK | (spawn->group ? POSIX_SPAWN_SETPGROUP : 0)));
	return result;
}

static int start(const struct gb__spawn *spawn, const int fds[STANDARD], pid_t *ret_pid)
{
	char *const *arguments = (char *const *)(uintptr_t)spawn->arguments;
	char *const *environment =
		spawn->environment ? (char *const *)(uintptr_t)spawn->environment : environ;
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int result;

	result = posix_spawn_file_actions_init(&actions);
	if (result)
		return -result;
	result = posix_spawnattr_init(&attributes);
	if (result) {
		posix_spawn_file_actions_destroy(&actions);
		return -result;
	}
	result = set_actions(&actions, spawn, fds);
	if (result == 0)
		result = set_attributes(&attributes, spawn);
	if (result == 0)
		result = posix_spawnp(ret_pid, spawn->program, &actions, &attributes, arguments, environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return -result;
}

/* It has just been started: only who ignores the ends of children has none to wait for. */
static int name_child(pid_t pid, int *ret_pidfd)
{
	const int pidfd = pidfd_open(pid);

	if (pidfd >= 0) {
		*ret_pidfd = pidfd;
		return 0;
	}
	if (pidfd == -ESRCH)
		return -ECHILD;
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return pidfd;
}

int gb__spawn(const struct gb__spawn *spawn, pid_t *ret_pid, int *ret_pidfd)
{
	int fds[STANDARD] = { GB__SPAWN_NULL, GB__SPAWN_NULL, GB__SPAWN_NULL }, result = 0;
	/* Room for the child's, so that none is started that cannot be waited for; and the kernel's word that there are any. */
	const int reserve = pidfd_open(getpid());
	pid_t pid = 0;

	if (reserve < 0)
		return reserve;
	for (int i = 0; i < STANDARD; i++) {
		fds[i] = above(spawn->fds[i]);
		if (fds[i] < GB__SPAWN_KEEP) {
			result = fds[i];
			break;
		}
	}
	if (result == 0)
		result = start(spawn, fds, &pid);
	for (int i = 0; i < STANDARD; i++)
		if (fds[i] >= 0 && fds[i] != spawn->fds[i])
			close(fds[i]);
	close(reserve);
	if (result == 0)
		result = name_child(pid, ret_pidfd);
	if (result == 0)
		*ret_pid = pid;
	return result;
}

int gb__spawned_reap(int pidfd, struct gb__spawned_end *ret)
{
	siginfo_t info = { 0 };
	int result;

	do
		result = waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG);
	while (result < 0 && errno == EINTR);
	if (result < 0)
		return -ECHILD;
	if (info.si_pid == 0)
		return 0;
	ret->exit_code = info.si_code == CLD_EXITED ? info.si_status : -1;
	ret->signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
	return 1;
}

void gb__spawned_await(int pidfd)
{
	siginfo_t info;

	while (waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED) < 0 && errno == EINTR)
		;
}

int gb__spawned_signal(int pidfd, int signal)
{
	return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) < 0 ? -errno : 0;
}

int gb__spawned_signal_group(pid_t pid, int signal)
{
	return kill(-pid, signal) < 0 ? -errno : 0;
}

int gb__stream_pair(int ret_fds[2])
{
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret_fds) < 0 ? -errno : 0;
}

int gb__pipe_pair(int ret_fds[2], int ours)
{
	if (pipe2(ret_fds, O_CLOEXEC) < 0)
		return -errno;
	(void)fcntl(ret_fds[ours], F_SETFL, O_NONBLOCK); /* of a pipe it cannot fail */
	return 0;
}
