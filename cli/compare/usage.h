/** What a server uses, all of its processes and threads together, as the kernel tells anybody. */
#ifndef COMPARE_USAGE_H
#define COMPARE_USAGE_H

#include <stdint.h>
#include <sys/types.h>

/**
 * CPU time of a process, of its threads and all processes below it, those that ended included; once it stands still
 * for a millisecond, or after `patience_ms`. Processes that were waited for are known to the tick.
 */
uint64_t gb__usage_cpu_ns(pid_t pid, unsigned patience_ms);

/** Memory that no file is behind, of the same processes; what they share counts once (proportional set size). */
uint64_t gb__usage_memory(pid_t pid);

#endif
