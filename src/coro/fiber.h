/**
 * What sanitizers have to know of a coroutine. Without them this is a switch of contexts, and a struct of no size.
 *
 * The address sanitizer keeps where the stack is and the frames that it has elsewhere (detect_stack_use_after_return);
 * the thread sanitizer what has happened before (it has room for some 8,000 at once). valgrind knows stacks: stack.c.
 */
#ifndef CORO_FIBER_H
#define CORO_FIBER_H

#include "base/poison.h"
#include "coro/context.h"

#ifdef __has_feature
#if __has_feature(thread_sanitizer) && !defined(__SANITIZE_THREAD__)
#define __SANITIZE_THREAD__
#endif
#endif

struct gb__fiber {
#ifdef __SANITIZE_ADDRESS__
	void *frames;
	const void *low;
	size_t size;
#endif
#ifdef __SANITIZE_THREAD__
	void *thread;
#endif
};

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

/** Of the calling thread's own stack. */
static inline void gb__fiber_init_native(struct gb__fiber *fiber)
{
	*fiber = (struct gb__fiber){};
#ifdef __SANITIZE_THREAD__
	fiber->thread = __tsan_get_current_fiber();
#endif
	(void)fiber;
}

static inline void gb__fiber_init(struct gb__fiber *fiber, const void *low, size_t size)
{
	*fiber = (struct gb__fiber){};
#ifdef __SANITIZE_ADDRESS__
	fiber->low = low;
	fiber->size = size;
#endif
#ifdef __SANITIZE_THREAD__
	fiber->thread = __tsan_create_fiber(0);
#endif
	(void)fiber, (void)low, (void)size;
}

static inline void gb__fiber_finish(struct gb__fiber *fiber)
{
#ifdef __SANITIZE_THREAD__
	__tsan_destroy_fiber(fiber->thread);
#endif
	(void)fiber;
}

/** First on a new stack, which `before` has switched to. */
static inline void gb__fiber_begun(struct gb__fiber *before)
{
#ifdef __SANITIZE_ADDRESS__
	__sanitizer_finish_switch_fiber(NULL, &before->low, &before->size);
#endif
	(void)before;
}

/** As gb__context_switch. `ends`: from is not come back to. */
static inline __attribute__((always_inline)) void gb__fiber_switch(struct gb__fiber *from_fiber,
	struct gb__context *from, struct gb__fiber *to_fiber, const struct gb__context *to, bool ends)
{
	(void)from_fiber, (void)to_fiber, (void)ends;
#ifdef __SANITIZE_ADDRESS__
	__sanitizer_start_switch_fiber(ends ? NULL : &from_fiber->frames, to_fiber->low, to_fiber->size);
#endif
#ifdef __SANITIZE_THREAD__
	__tsan_switch_to_fiber(to_fiber->thread, 0);
#endif
	gb__context_switch(from, to);
#ifdef __SANITIZE_ADDRESS__
	__sanitizer_finish_switch_fiber(from_fiber->frames, NULL, NULL);
#endif
}

#endif
