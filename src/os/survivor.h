/** A process that is there for when this one has died, whatever of. */
#ifndef OS_SURVIVOR_H
#define OS_SURVIVOR_H

#include <stdbool.h>

/**
 * Fork one: nobody's child, so that nobody waits for it, in a session of its own, without effect of the signals that end
 * programs, and with no descriptors but the standard error and the log's. Once this process has ended it calls
 * `last_will` and ends. The caller is the only thread of its process.
 *
 * Returns a descriptor for gb__survivor_dismiss, or a negative errno: -ENOSYS where the kernel has no pidfd.
 */
int gb__survivor_start(const char *name, void (*last_will)(void *arg), void *arg);
/** It ends, at once or after its last will. A negative descriptor is fine. */
void gb__survivor_dismiss(int fd, bool with_last_will);
/** In a forked child of the same parent, who keeps it. A negative descriptor is fine. */
void gb__survivor_abandon(int fd);

#endif
