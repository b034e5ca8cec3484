/**
 * The threads of a process that wait for disks, so that loops do not. One set for all loops of a server; a thread is made
 * when one is missing, up to a bound: the disk is the bottleneck, not their number.
 */
#ifndef FILE_THREADS_H
#define FILE_THREADS_H

#include <stddef.h>

struct gb__file_job;
struct gb__file_threads;

#define GB__FILE_THREADS_MAX 4u

/** Without a thread yet, each to have `stack` bytes (0: the system's default). Returns NULL without memory. */
struct gb__file_threads *gb__file_threads_create(size_t stack);
/** No job is left. Waits for the threads. NULL is fine. */
void gb__file_threads_destroy(struct gb__file_threads *threads);
/** Have a thread run it, first in first out. Thread: any. Returns 0, or a negative errno: there is no thread. */
int gb__file_threads_submit(struct gb__file_threads *threads, struct gb__file_job *job);

#endif
