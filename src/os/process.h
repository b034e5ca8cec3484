/** Child processes that serve, and memory shared with them. */
#ifndef OS_PROCESS_H
#define OS_PROCESS_H

#include <stddef.h>
#include <sys/types.h>

/**
 * fork(2) for a worker: the child dies with its parent (PR_SET_PDEATHSIG, SIGKILL), even when that died
 * before the call took effect.
 *
 * Returns as fork does, or a negative errno.
 */
pid_t gb__process_fork(void);
/**
 * Take the exit status of a child, without waiting. Only this child: others of the surrounding program
 * stay for it to reap.
 *
 * Returns 1 with `*ret_status` as waitpid(2) has it, 0 while it lives, -ECHILD.
 */
int gb__process_reap(pid_t pid, int *ret_status);
/** The pid of some child that has ended and not been reaped yet, or 0. */
pid_t gb__process_ended(void);
/** Zeroed memory shared with later children, or NULL. */
void *gb__shared_map(size_t size);
void gb__shared_unmap(void *memory, size_t size);

#endif
