/** The memory of the library, from an allocator of the program's own. */
#ifndef GEARBOX_ALLOC_H
#define GEARBOX_ALLOC_H

#include <gearbox/types.h>

GB_BEGIN

/** Five functions as those of the C library are called and behave. Thread: any, several at a time. */
struct gb_allocator {
	void *(*alloc)(size_t size);                           /* malloc */
	void *(*alloc_zero)(size_t count, size_t size);        /* calloc */
	void *(*alloc_aligned)(size_t alignment, size_t size); /* aligned_alloc; released by `release` */
	void *(*resize)(void *memory, size_t size);            /* realloc; never of what is aligned */
	void (*release)(void *memory);                         /* free; NULL is nothing */
};

/**
 * Take the library's memory from there, until the program ends: what is released was given by the same allocator.
 *
 * Call it before all else of the library. Copies. All of the library's own allocations go there; large tables, stacks and
 * what processes share are mapped from the kernel. It does not reach what others allocate for it: the C library (threads,
 * streams), ldns, libdbus, OpenSSL, jansson, c-ares. Who wants the last three as well gives it to them first:
 * CRYPTO_set_mem_functions, json_set_alloc_funcs, ares_library_init_mem.
 *
 * Returns 0, or -EINVAL (a function is missing), -EBUSY (this thread has allocated already).
 */
GB_API int gb_alloc_set(const struct gb_allocator *allocator);

GB_END

#endif
