#include "base/alloc.h"

#include <gearbox/alloc.h>

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CACHE_LINE ((size_t)64)

/* Called through these, which costs no more than the linker's table would. */
static struct gb_allocator used = { malloc, calloc, aligned_alloc, realloc, free };

/* Per thread: nothing is shared on the way to malloc, and one test thread cannot make another fail. */
static _Thread_local uint64_t count;
static _Thread_local uint64_t fail_at; /* a value of `count`; 0: never */

/* Counts an allocation; false when a test wants this one to fail. */
static bool allowed(void)
{
	if (++count != fail_at)
		return true;
	fail_at = 0;
	errno = ENOMEM;
	return false;
}

/* Of size 0 one byte is taken, so that NULL always means failure and realloc never frees. */
static size_t at_least_one(size_t size)
{
	return size ? size : 1;
}

void *gb__alloc(size_t size)
{
	return allowed() ? used.alloc(at_least_one(size)) : NULL;
}

void *gb__alloc_zero(size_t size)
{
	return allowed() ? used.alloc_zero(1, at_least_one(size)) : NULL;
}

void *gb__alloc_lines(size_t size)
{
	size_t rounded = (at_least_one(size) + CACHE_LINE - 1) & ~(CACHE_LINE - 1);

	if (!allowed())
		return NULL;
	if (rounded < size) {
		errno = ENOMEM;
		return NULL;
	}
	return used.alloc_aligned(CACHE_LINE, rounded);
}

void *gb__realloc(void *memory, size_t size)
{
	return allowed() ? used.resize(memory, at_least_one(size)) : NULL;
}

char *gb__strdup(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = gb__alloc(size);

	if (copy)
		memcpy(copy, text, size);
	return copy;
}

void gb__free(void *memory)
{
	used.release(memory);
}

void gb__alloc_trim(void)
{
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}

/* Leak checkers look for pointers in what the allocator gave. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TABLE_MAPPED SIZE_MAX
#else
#define TABLE_MAPPED ((size_t)16 << 10)
#endif

static void *table_map(const void *table, size_t size_before, size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	if (size_before)
		memcpy(memory, table, size_before);
	return memory;
}

void *gb__table_grow(void *table, size_t size_before, size_t size)
{
	void *memory;

	if (size < TABLE_MAPPED)
		return gb__realloc(table, size);
	if (!allowed())
		return NULL;
	if (size_before >= TABLE_MAPPED) {
		memory = mremap(table, size_before, size, MREMAP_MAYMOVE);
		return memory == MAP_FAILED ? NULL : memory;
	}
	memory = table_map(table, size_before, size);
	if (memory)
		gb__free(table);
	return memory;
}

void gb__table_free(void *table, size_t size)
{
	if (size < TABLE_MAPPED)
		gb__free(table);
	else
		munmap(table, size);
}

int gb_alloc_set(const struct gb_allocator *allocator)
{
	if (!allocator->alloc || !allocator->alloc_zero || !allocator->alloc_aligned || !allocator->resize ||
		!allocator->release)
		return -EINVAL;
	if (count > 0)
		return -EBUSY;
	used = *allocator;
	return 0;
}

uint64_t gb__alloc_count(void)
{
	return count;
}

void gb__alloc_fail_at(uint64_t n)
{
	fail_at = n ? count + n : 0;
}
