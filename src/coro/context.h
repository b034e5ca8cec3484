/**
 * One switch of stacks. What a machine needs for it is a file of assembly, context_*.S; context_ucontext.c does the
 * same with the C library's ucontext, some hundred times slower: on other machines, with -Dcontext=ucontext, and at
 * run time where a thread has a shadow stack, which only the C library may switch.
 *
 * A switch is a call: it keeps what calls keep (callee-saved registers, the control words of the floating point
 * units), not errno, the signal mask or anything else of a thread.
 */
#ifndef CORO_CONTEXT_H
#define CORO_CONTEXT_H

#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>

/* The build says what it has: GB__CONTEXT_NATIVE, GB__CONTEXT_UCONTEXT, or both. */
#if !defined(GB__CONTEXT_NATIVE) && !defined(GB__CONTEXT_UCONTEXT)
#define GB__CONTEXT_NATIVE 1
#endif

struct gb__context {
	void *stack_pointer; /* of one that does not run; what lies GB__CONTEXT_BELOW bytes below it is not needed */
};

#define GB__CONTEXT_BELOW 1024

/** What a context needs at most of its stack before `entry` runs. */
#ifdef GB__CONTEXT_UCONTEXT
#define GB__CONTEXT_BYTES_MAX 8192
#else
#define GB__CONTEXT_BYTES_MAX 256
#endif

/** Whether the calling thread can switch at all: not with a shadow stack and nothing but assembly. */
bool gb__context_possible(void);

/**
 * The first switch to it calls `entry(argument)` on the stack of `size` bytes at `low`, aligned as the machine's
 * calling convention wants it. `entry` does not return; backtraces end there.
 */
void gb__context_prepare(
	struct gb__context *context, void *low, size_t size, void (*entry)(void *argument), void *argument);

/* Of the files of machines. */
void gb__context_native_prepare(
	struct gb__context *context, void *low, size_t size, void (*entry)(void *argument), void *argument);
void gb__context_native_switch(struct gb__context *from, const struct gb__context *to);
bool gb__context_shadowed(void); /* the calling thread has a shadow stack */
void gb__context_portable_prepare(
	struct gb__context *context, void *low, size_t size, void (*entry)(void *argument), void *argument);
void gb__context_portable_switch(struct gb__context *from, const struct gb__context *to);
extern bool
	gb__context_portable; /* both are there, and the portable one is to be used; set before the first switch */

/** Leave the running context to `from` and go on where `to` was left. Thread: that on which both began. */
static inline __attribute__((always_inline)) void gb__context_switch(
	struct gb__context *from, const struct gb__context *to)
{
#if defined(GB__CONTEXT_NATIVE) && defined(GB__CONTEXT_UCONTEXT)
	if (gb__unlikely(gb__context_portable))
		gb__context_portable_switch(from, to);
	else
		gb__context_native_switch(from, to);
#elif defined(GB__CONTEXT_NATIVE)
	gb__context_native_switch(from, to);
#else
	gb__context_portable_switch(from, to);
#endif
}

#endif
