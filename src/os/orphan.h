/**
 * Children that nobody else will wait for: those of others that have ended, which the kernel gives to process 1, and to
 * who asked for them (PR_SET_CHILD_SUBREAPER).
 */
#ifndef OS_ORPHAN_H
#define OS_ORPHAN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/** Whether they come to this process. */
bool gb__orphans_come(void);

/** Zeroed: none seen yet. */
struct gb__orphans {
	pid_t *seen; /* ended, at the last look */
	size_t count, size;
};

/**
 * Take the children of the first thread, to which orphans come, that have ended before the last look and still nobody
 * has waited for: a handler that forked one waits for it sooner. Those of which `waited_for` says so stay, however late that
 * is. Returns whether any are left to look at again.
 */
bool gb__orphans_reap(
	struct gb__orphans *orphans, bool (*waited_for)(pid_t pid, const void *arg), const void *arg);
void gb__orphans_finish(struct gb__orphans *orphans);

#endif
