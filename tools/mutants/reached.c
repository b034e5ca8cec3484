/*
 * Notes which basic blocks a program reaches: what -fsanitize-coverage=trace-pc calls in each. reach.py links this in.
 *
 * The notes are memory shared by all that the program forks, so that they stay however a process ends. REACHED names
 * their file, REACHED_IN the program whose addresses are meant: what that executes has others.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define TEXT_MAX (16u << 20) /* bytes of a program */
#define PLACES_MAX (1u << 20)

struct notes {
	uint32_t count;
	uint32_t places[PLACES_MAX]; /* addresses behind the call, from the program's start */
	uint8_t seen[TEXT_MAX];
};

extern const char start[] __asm__("__ehdr_start") __attribute__((visibility("hidden")));
static struct notes *notes;

void __sanitizer_cov_trace_pc(void);

__attribute__((constructor(101))) static void open_notes(void)
{
	const char *path = getenv("REACHED"), *program = getenv("REACHED_IN");
	char own[4096];
	ssize_t size;
	void *memory;
	int file;

	if (!path || !program)
		return;
	size = readlink("/proc/self/exe", own, sizeof(own));
	if (size < 0 || (size_t)size != strlen(program) || memcmp(own, program, (size_t)size) != 0)
		return;
	file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (file < 0)
		return;
	memory = MAP_FAILED;
	if (ftruncate(file, sizeof(struct notes)) == 0)
		memory = mmap(NULL, sizeof(struct notes), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	close(file);
	if (memory != MAP_FAILED)
		notes = memory;
}

void __sanitizer_cov_trace_pc(void)
{
	const uintptr_t at = (uintptr_t)__builtin_return_address(0) - (uintptr_t)start;
	uint32_t place;

	if (!notes || at >= TEXT_MAX || __atomic_load_n(&notes->seen[at], __ATOMIC_RELAXED) ||
		__atomic_exchange_n(&notes->seen[at], 1, __ATOMIC_RELAXED))
		return;
	place = __atomic_fetch_add(&notes->count, 1, __ATOMIC_RELAXED);
	if (place < PLACES_MAX)
		notes->places[place] = (uint32_t)at;
}
