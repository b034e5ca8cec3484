#include "coro/context.h"

bool gb__context_portable;

#ifdef GB__CONTEXT_NATIVE

bool gb__context_possible(void)
{
#ifdef GB__CONTEXT_UCONTEXT
	return true;
#else
	return !gb__context_shadowed();
#endif
}

void gb__context_prepare(
	struct gb__context *context, void *low, size_t size, void (*entry)(void *argument), void *argument)
{
#ifdef GB__CONTEXT_UCONTEXT
	/* Threads of a process have shadow stacks, or none has; so all write the same, if any does. */
	if (gb__unlikely(gb__context_shadowed()))
		__atomic_store_n(&gb__context_portable, true, __ATOMIC_RELAXED);
	if (gb__unlikely(gb__context_portable)) {
		gb__context_portable_prepare(context, low, size, entry, argument);
		return;
	}
#endif
	gb__context_native_prepare(context, low, size, entry, argument);
}

#else

bool gb__context_possible(void)
{
	return true;
}

void gb__context_prepare(
	struct gb__context *context, void *low, size_t size, void (*entry)(void *argument), void *argument)
{
	gb__context_portable_prepare(context, low, size, entry, argument);
}

#endif
