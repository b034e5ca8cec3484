/**
 * Coroutines with stacks of their own, of one worker.
 *
 * Whoever resumes one waits until it suspends itself or has returned, as for a call; resuming may nest. A coroutine
 * lives and dies on the thread that made it: compilers keep the addresses of errno and of other thread-locals in
 * registers across a switch. errno itself is the thread's: what others did meanwhile to it is seen.
 *
 * It lies at the top of its own stack, so that one that is suspended not far from its beginning takes one page.
 */
#ifndef CORO_CORO_H
#define CORO_CORO_H

#include "base/assert.h"
#include "coro/context.h"
#include "coro/fiber.h"
#include "coro/stack.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct gb__coros;

struct gb__coro {
	struct gb__context context;
	struct gb__coro
		*resumer; /* who waits for it; itself: the worker's own stack; NULL: it is suspended */
	struct gb__coros *coros;
	void (*run)(struct gb__coro *coro, void *argument);
	void *argument;
	struct gb__stack *stack;
	const char *name; /* whose it is, for who reports; may stay NULL; outlives it */
	bool ended;       /* run has returned */
	struct gb__fiber fiber;
} __attribute__((aligned(16)));

/** A worker's. */
struct gb__coros {
	struct gb__coro *running; /* NULL: the worker's own stack runs */
	struct gb__context native;
	struct gb__fiber native_fiber;
	struct gb__stacks stacks;
	size_t alive, alive_max;
	uint64_t ended; /* so far */
	/* Of src/coro/overflow.c. */
	struct gb__coros *outer; /* others of the thread */
	void *signal_stack;
	size_t signal_stack_size;
	pid_t armed; /* the process in which a first one was created */
};

struct gb__coros_stats {
	size_t alive, alive_max; /* coroutines */
	uint64_t ended;
	size_t stacks, idle; /* stacks there are, those of them that wait to be used again */
	size_t stack_size;
	size_t stack_used_max; /* bytes of the fullest one that has been looked at */
};

/** Takes no memory until the first is created. Returns 0, -ENOMEM (such a size there cannot be), -ENOTSUP (see
 *  gb__context_possible). `stack_size` is rounded up to pages, and to GB__STACK_SIZE_MIN. */
int gb__coros_init(struct gb__coros *coros, size_t stack_size);
/** None is alive. Thread: the one that created any. */
void gb__coros_destroy(struct gb__coros *coros);

static inline size_t gb__coros_alive(const struct gb__coros *coros)
{
	return coros->alive;
}

/**
 * Make one, suspended before the first line of `run`. Beside it, at the top of its stack, lie `extra` bytes, zeroed and
 * aligned to 16, which go with it. When `run` has returned, its stack may be used by the next one at once.
 *
 * Returns 0, -ENOMEM, or -E2BIG: extra is more than half of the stack.
 */
int gb__coro_create(struct gb__coros *coros, size_t extra, void (*run)(struct gb__coro *coro, void *argument),
	void *argument, struct gb__coro **ret);
/** Undo gb__coro_create of one that was never resumed. */
void gb__coro_discard(struct gb__coro *coro);

static inline void *gb__coro_extra(struct gb__coro *coro)
{
	return coro + 1;
}

/** High-water mark of its stack in bytes. A system call. */
size_t gb__coro_stack_used(struct gb__coro *coro);

/**
 * Give back to the system what nobody needs: pages and address space of idle stacks, but of a few, and of suspended
 * coroutines what lies below where they were left. Returns false when there is more to look at: call it again later.
 */
bool gb__coros_trim(struct gb__coros *coros);
/** Looks at some of the stacks each time. Thread: the worker's. */
void gb__coros_stats(struct gb__coros *coros, struct gb__coros_stats *ret);

/** Whether the calling worker is in a coroutine. */
static inline bool gb__coro_running(const struct gb__coros *coros)
{
	return coros->running;
}

/* Its run has returned, and its stack is not stood on any more. */
void gb__coro_free(struct gb__coro *coro);

static inline __attribute__((always_inline)) struct gb__context *gb__coro_context(
	struct gb__coros *coros, struct gb__coro *coro)
{
	return coro ? &coro->context : &coros->native;
}

static inline __attribute__((always_inline)) struct gb__fiber *gb__coro_fiber(
	struct gb__coros *coros, struct gb__coro *coro)
{
	return coro ? &coro->fiber : &coros->native_fiber;
}

/**
 * Run it until it suspends itself or has returned; then it is gone. It is suspended, and nobody else waits for it.
 * Thread: the worker's; from its own stack or from another coroutine of it.
 */
static inline void gb__coro_resume(struct gb__coro *coro)
{
	struct gb__coros *coros = coro->coros;
	struct gb__coro *before = coros->running;

	gb__assert(!coro->resumer);
	coro->resumer = before ? before : coro;
	coros->running = coro;
	gb__fiber_switch(gb__coro_fiber(coros, before), gb__coro_context(coros, before), &coro->fiber,
		&coro->context, false);
	coros->running = before;
	if (gb__unlikely(coro->ended))
		gb__coro_free(coro);
}

/** The same from the worker's own stack, for one that waits with gb__coro_suspend_out. */
static inline void gb__coro_resume_in(struct gb__coros *coros, struct gb__coro *coro)
{
	gb__assert(!coro->resumer);
	coro->resumer = coro;
	coros->running = coro;
	gb__fiber_switch(&coros->native_fiber, &coros->native, &coro->fiber, &coro->context, false);
	coros->running = NULL;
	if (gb__unlikely(coro->ended))
		gb__coro_free(coro);
}

/** As gb__coro_suspend, of the running one, which was resumed from the worker's own stack. */
static inline void gb__coro_suspend_out(struct gb__coros *coros, struct gb__coro *coro)
{
	gb__assert(coro->resumer == coro);
	coro->resumer = NULL;
	gb__fiber_switch(&coro->fiber, &coro->context, &coros->native_fiber, &coros->native, false);
}

/** Go back to who resumed the running one, until somebody does again. Thread: the worker's, in a coroutine. */
static inline void gb__coro_suspend(struct gb__coros *coros)
{
	struct gb__coro *coro = coros->running, *resumer;

	gb__assert(coro);
	resumer = coro->resumer == coro ? NULL : coro->resumer;
	coro->resumer = NULL;
	gb__fiber_switch(&coro->fiber, &coro->context, gb__coro_fiber(coros, resumer),
		gb__coro_context(coros, resumer), false);
}

#endif
