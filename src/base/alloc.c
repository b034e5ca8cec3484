#include "base/alloc.h"

#include "base/macros.h"

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

/* Leak checkers look for pointers in what the allocator gave. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WATCHED true
#else
#define WATCHED false
#endif

/* gb__alloc_region. The worker's part comes first, beside what else a process writes when it begins (GB__PER_PROCESS). Zero,
 * as it was not touched before. */
#define WORKER_SIZE ((size_t)9 << 10)
#define SERVER_SIZE ((size_t)23 << 10)
#define REGION_STEP ((size_t)16)
static struct {
	const void *thread; /* whose it is: where its `part` lies */
	struct region_part {
		size_t used, end;
	} parts[GB__REGION_WORKER];
	_Alignas(64) unsigned char bytes[WORKER_SIZE + SERVER_SIZE];
} region __attribute__((section("gb_region"))) = {
	.parts = { [GB__REGION_SERVER - 1] = { WORKER_SIZE, WORKER_SIZE + SERVER_SIZE },
		[GB__REGION_WORKER - 1] = { 0, WORKER_SIZE } },
};
static _Thread_local struct region_part *part; /* that this thread takes from; NULL: from none */

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

void gb__alloc_region(enum gb__region from)
{
	const void *owner = NULL;

	if (WATCHED || used.alloc != malloc)
		return;
	if (__atomic_compare_exchange_n(
		    &region.thread, &owner, &part, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED) ||
		owner == &part)
		part = from ? &region.parts[from - 1] : NULL;
}

/* Zeroed; NULL: elsewhere. What is taken is never given back, so nothing is used twice. */
static void *region_take(size_t size, size_t alignment)
{
	size_t at = (part->used + alignment - 1) & ~(alignment - 1);

	if (at > part->end || size > part->end - at)
		return NULL;
	part->used = at + size;
	return region.bytes + at;
}

static bool region_has(const void *memory)
{
	return (uintptr_t)memory - (uintptr_t)region.bytes < sizeof(region.bytes);
}

/* How large it is nobody knows: what lies behind it comes along. */
static void *region_resize(const unsigned char *memory, size_t size)
{
	const size_t rest = sizeof(region.bytes) - (size_t)(memory - region.bytes);
	void *other = used.alloc(size);

	return other ? memcpy(other, memory, size < rest ? size : rest) : NULL;
}

void *gb__alloc(size_t size)
{
	void *memory;

	if (!allowed())
		return NULL;
	size = at_least_one(size);
	memory = gb__unlikely(part) ? region_take(size, REGION_STEP) : NULL;
	return memory ? memory : used.alloc(size);
}

void *gb__alloc_zero(size_t size)
{
	void *memory;

	if (!allowed())
		return NULL;
	size = at_least_one(size);
	memory = gb__unlikely(part) ? region_take(size, REGION_STEP) : NULL;
	return memory ? memory : used.alloc_zero(1, size);
}

void *gb__alloc_lines(size_t size)
{
	size_t rounded = (at_least_one(size) + CACHE_LINE - 1) & ~(CACHE_LINE - 1);
	void *memory;

	if (!allowed())
		return NULL;
	if (rounded < size) {
		errno = ENOMEM;
		return NULL;
	}
	memory = gb__unlikely(part) ? region_take(rounded, CACHE_LINE) : NULL;
	return memory ? memory : used.alloc_aligned(CACHE_LINE, rounded);
}

void *gb__realloc(void *memory, size_t size)
{
	if (!memory)
		return gb__alloc(size);
	if (!allowed())
		return NULL;
	size = at_least_one(size);
	return gb__unlikely(region_has(memory)) ? region_resize(memory, size) : used.resize(memory, size);
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
	if (gb__likely(!region_has(memory)))
		used.release(memory);
}

void gb__alloc_trim(void)
{
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}

#define TABLE_MAPPED (WATCHED ? SIZE_MAX : (size_t)16 << 10)

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
