/**
 * Memory for everything in gearbox: one place to count it and, in tests, to make it fail.
 */
#ifndef BASE_ALLOC_H
#define BASE_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Uninitialized, respectively zeroed memory, or NULL. Thread: any. */
void *gb__alloc(size_t size) __attribute__((malloc, warn_unused_result));
void *gb__alloc_zero(size_t size) __attribute__((malloc, warn_unused_result));
/** Uninitialized memory aligned to a cache line (64 bytes), or NULL. Freed by gb__free. */
void *gb__alloc_lines(size_t size) __attribute__((malloc, warn_unused_result));
/** As realloc; on NULL the old memory stays. */
void *gb__realloc(void *memory, size_t size) __attribute__((warn_unused_result));
char *gb__strdup(const char *text) __attribute__((warn_unused_result));
/** NULL is fine. */
void gb__free(void *memory);
/** Give back to the system what is free in all of the process's heaps. Takes a while. Thread: any. */
void gb__alloc_trim(void);

/**
 * A table that grows, of `size` bytes: as gb__realloc, but a large one is in pages of its own, so that nothing of its
 * former sizes stays behind it. `size_before` is 0 for NULL. Freed by gb__table_free.
 */
void *gb__table_grow(void *table, size_t size_before, size_t size) __attribute__((warn_unused_result));
void gb__table_free(void *table, size_t size);

enum gb__region {
	GB__REGION_NONE,
	GB__REGION_SERVER,
	GB__REGION_WORKER,
};
/**
 * From now on what the calling thread allocates lies one behind another, in a few kilobytes for what a server and the worker
 * processes that it forks write: both copy the pages that they share, and elsewhere each allocation may be on one of its
 * own, beside malloc's lists and free chunks. A worker's part is used in a forked process only.
 *
 * Nothing of it is used twice, so it is for what stays. It belongs to the first thread that asks; without effect on
 * others, and where the program has an allocator of its own.
 */
void gb__alloc_region(enum gb__region from);

/** Allocations since the program began, of this thread. */
uint64_t gb__alloc_count(void);
/** Make the n-th allocation of this thread from now on fail, once (1: the next); 0 never. For tests. */
void gb__alloc_fail_at(uint64_t n);

#endif
