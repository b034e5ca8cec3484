/* The same tests with the C library's ucontext: what a machine with shadow stacks falls back on. */
#include "coro/context.h"

static void __attribute__((constructor)) choose(void)
{
	gb__context_portable = true;
}
