/*
 * Counts what a program takes from malloc, exactly: to be preloaded (LD_PRELOAD). The counts are in the file
 * that GEARBOX_HEAP_COUNT names, which forked children share: see bench/memory.py for its layout.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct counts {
	uint64_t allocations;
	uint64_t bytes; /* live; of a process that has ended, what it left */
};

/* glibc's own, by the names under which it exports them besides: no symbol has to be looked up. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *memory);

static struct counts early; /* until the file is there */
static struct counts *counts = &early;

static void count(void *memory, uint64_t bytes_before)
{
	if (!memory)
		return;
	__atomic_fetch_add(&counts->allocations, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&counts->bytes, malloc_usable_size(memory) - bytes_before, __ATOMIC_RELAXED);
}

__attribute__((constructor)) static void open_counts(void)
{
	const char *path = getenv("GEARBOX_HEAP_COUNT");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *memory;

	if (fd < 0)
		return;
	memory = mmap(NULL, sizeof(struct counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (memory != MAP_FAILED)
		counts = memory;
}

void *malloc(size_t size)
{
	void *memory = __libc_malloc(size);

	count(memory, 0);
	return memory;
}

void *calloc(size_t number, size_t size)
{
	void *memory = __libc_calloc(number, size);

	count(memory, 0);
	return memory;
}

void *realloc(void *memory, size_t size)
{
	size_t before = malloc_usable_size(memory);

	memory = __libc_realloc(memory, size);
	count(memory, before);
	return memory;
}

void *memalign(size_t alignment, size_t size)
{
	void *memory = __libc_memalign(alignment, size);

	count(memory, 0);
	return memory;
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return memalign(alignment, size);
}

int posix_memalign(void **ret, size_t alignment, size_t size)
{
	void *memory = memalign(alignment, size);

	if (!memory)
		return ENOMEM;
	*ret = memory;
	return 0;
}

void free(void *memory)
{
	__atomic_fetch_sub(&counts->bytes, malloc_usable_size(memory), __ATOMIC_RELAXED);
	__libc_free(memory);
}
