/**
 * A pool of threads that run jobs first-in first-out. One per process, shared by its loops.
 *
 * The queue is bounded by its users: each loop has at most `tasks_max` tasks of messages under way (net/net.h); functions lie
 * in their callers' memory.
 */
#ifndef POOL_COMPUTE_H
#define POOL_COMPUTE_H

#include <gearbox/error.h>

#include <stddef.h>

struct gb__compute;
struct gb__job;

/** Start `threads` threads with `stack` bytes each (0: the system's default). */
int gb__compute_create(unsigned threads, size_t stack, struct gb__compute **ret, struct gb_error *error);
/** No task is left. Waits for the threads. NULL is fine. */
void gb__compute_destroy(struct gb__compute *compute);
/** Have a thread run it. Thread: any. */
void gb__compute_submit(struct gb__compute *compute, struct gb__job *job);

#endif
