/**
 * Programs of others as children: started from a process that has threads, waited for one by one.
 *
 * posix_spawn(3) does not copy the address space, runs no handler in the child, and tells what exec said. A child is known
 * by a pidfd (pidfd_open(2), Linux 5.3): it is readable once the child has ended, and names nobody else afterwards. Nobody
 * is waited for but by it, so that worker processes and the program's own children stay theirs whose they are.
 */
#ifndef OS_SPAWN_H
#define OS_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

enum {
	GB__SPAWN_NULL = -1, /* /dev/null */
	GB__SPAWN_KEEP = -2, /* the same as here */
};

struct gb__spawn {
	const char *program; /* looked for in PATH unless it has a slash */
	const char *const *arguments;
	const char *const *environment; /* NULL: ours */
	const char *directory;          /* NULL: ours */
	int fds[3]; /* what is to be standard input, output and error there: descriptors that stay ours, or GB__SPAWN_… */
	bool group; /* a process group of its own */
};

/**
 * Start it. It has these three descriptors and no others, and signals as the program of this process had them.
 *
 * Returns 0, or a negative errno, in which case there is no child: -ENOENT, -EACCES… of the program or the directory, -EAGAIN,
 * -ENOMEM, -EMFILE, -ENOSYS (no pidfd here), -ECHILD (children end unseen: the program ignores SIGCHLD).
 */
int gb__spawn(const struct gb__spawn *spawn, pid_t *ret_pid, int *ret_pidfd);

struct gb__spawned_end {
	int exit_code; /* -1: a signal ended it */
	int signal;    /* or 0 */
};

/** Take its end. Returns 1, 0 while it lives, -ECHILD: somebody else has taken it, or the kernel keeps none. */
int gb__spawned_reap(int pidfd, struct gb__spawned_end *ret);
/** As that, but wait for it: it was killed. */
void gb__spawned_await(int pidfd);
/** Signal it, or its whole group, of which it is the leader and was not reaped. Returns 0, -ESRCH, -EINVAL, -EPERM. */
int gb__spawned_signal(int pidfd, int signal);
int gb__spawned_signal_group(pid_t pid, int signal);

/** A connected pair of stream sockets, close-on-exec. Returns 0 or a negative errno. */
int gb__stream_pair(int ret_fds[2]);
/** A pipe, close-on-exec; the end at `ours` (0: read, 1: written) does not block. */
int gb__pipe_pair(int ret_fds[2], int ours);

#endif
