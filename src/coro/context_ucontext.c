#include "coro/context.h"

#include <stdint.h>
#include <string.h>
#include <ucontext.h>

/* One that does not run lies on its own stack, where it was left: stack_pointer is its address. A new one lies at the
 * top, beside what it begins with. */
struct start {
	void (*entry)(void *argument);
	void *argument;
	ucontext_t context;
};

static_assert(sizeof(struct start) + 64 <= GB__CONTEXT_BYTES_MAX, "what a new one takes of its stack");

/* makecontext passes ints. */
static void begin(unsigned high, unsigned low)
{
	const struct start *start = (void *)(((uintptr_t)high << 16 << 16) | low);

	start->entry(start->argument);
	__builtin_trap();
}

void gb__context_portable_prepare(
	struct gb__context *context, void *low, size_t size, void (*entry)(void *argument), void *argument)
{
	const uintptr_t alignment = _Alignof(max_align_t) > 16 ? _Alignof(max_align_t) : 16;
	struct start *start = (void *)(((uintptr_t)low + size - sizeof(*start)) & ~(alignment - 1));
	uintptr_t address = (uintptr_t)start;

	start->entry = entry;
	start->argument = argument;
	getcontext(&start->context);
	start->context.uc_link = NULL;
	start->context.uc_stack.ss_sp = low;
	start->context.uc_stack.ss_size = (size_t)((char *)start - (char *)low);
	makecontext(&start->context, (void (*)(void))begin, 2, (unsigned)(address >> 16 >> 16),
		(unsigned)address);
	context->stack_pointer = &start->context;
}

void gb__context_portable_switch(struct gb__context *from, const struct gb__context *to)
{
	ucontext_t here;

	/* cppcheck-suppress autoVariables ; used as long as this is suspended in here */
	from->stack_pointer = &here;
	swapcontext(&here, to->stack_pointer);
}
