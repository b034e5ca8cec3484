/** Limits of the process, and of the machine for it. */
#ifndef OS_LIMIT_H
#define OS_LIMIT_H

#include <stddef.h>
#include <stdint.h>

/** Raise the soft limit of descriptors to the hard one; returns the limit in force. */
uint64_t gb__descriptors_raise(void);
/** The hard limit of descriptors. */
uint64_t gb__descriptors_max(void);
/** How many descriptors this process has open. */
uint64_t gb__descriptors_open(void);
/** What to say behind an error's text: of -EMFILE both limits and where they come from, of others nothing. */
const char *gb__limit_hint(int error, char *text, size_t size);
/** How many processes and threads there may be: the least of RLIMIT_NPROC (where it is enforced), the kernel's
 *  thread and pid limits and the cgroup's. Others that exist already are not looked at. */
uint64_t gb__tasks_max(void);
/** How many threads the memory maps of a process have room for (vm.max_map_count). */
uint64_t gb__stacks_max(void);
/** The same, where `root` stands before every path that is read, as for gb__cgroup_visit. */
uint64_t gb__tasks_max_at(const char *root);
uint64_t gb__stacks_max_at(const char *root);

/**
 * Open /dev/null as those of the descriptors 0 to 2 that are closed, before a socket takes their place and is written to
 * by whoever prints. Others inherit it, as they would the real ones. Returns 0 or a negative errno.
 */
int gb__descriptors_standard(void);

#endif
