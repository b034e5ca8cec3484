#include "coro/coro.h"

#include "coro/overflow.h"

#include <errno.h>
#include <string.h>

#define IDLE_KEPT 16       /* stacks that keep their pages when the others give them back */
#define LOOKS_OF_TRIM 4096 /* about a millisecond */
#define LOOKS_OF_STATS 64
#define LOOK_EVERY 64 /* so many that have ended, at the stack of one: a system call */

static_assert(sizeof(struct gb__coro) % 16 == 0, "what lies beside it is aligned");

int gb__coros_init(struct gb__coros *coros, size_t stack_size)
{
	if (!gb__context_possible())
		return -ENOTSUP;
	*coros = (struct gb__coros){ .running = NULL };
	gb__fiber_init_native(&coros->native_fiber);
	return gb__stacks_init(&coros->stacks, stack_size);
}

void gb__coros_destroy(struct gb__coros *coros)
{
	gb__assert(coros->alive == 0);
	gb__overflow_disarm(coros);
	gb__stacks_finish(&coros->stacks);
}

/* On its own stack; does not return. */
static void begin(void *argument)
{
	struct gb__coro *coro = argument, *resumer = coro->resumer == coro ? NULL : coro->resumer;
	struct gb__coros *coros = coro->coros;

	gb__fiber_begun(gb__coro_fiber(coros, resumer));
	coro->run(coro, coro->argument);
	resumer = coro->resumer == coro ? NULL : coro->resumer;
	coro->ended = true;
	gb__fiber_switch(&coro->fiber, &coro->context, gb__coro_fiber(coros, resumer),
		gb__coro_context(coros, resumer), true);
	__builtin_trap();
}

int gb__coro_create(struct gb__coros *coros, size_t extra, void (*run)(struct gb__coro *coro, void *argument),
	void *argument, struct gb__coro **ret)
{
	struct gb__stack *stack;
	struct gb__coro *coro;
	int result;

	if (extra > coros->stacks.size / 2)
		return -E2BIG;
	if (gb__unlikely(!coros->armed)) {
		result = gb__overflow_arm(coros);
		if (result < 0)
			return result;
	}
	result = gb__stacks_take(&coros->stacks, &stack);
	if (gb__unlikely(result < 0))
		return result;
	extra = (extra + 15) & ~(size_t)15;
	coro = (void *)((uintptr_t)(gb__stack_top(&coros->stacks, stack) - extra - sizeof(*coro)) &
		~(uintptr_t)63);
	memset(gb__coro_extra(coro), 0, extra);
	*coro = (struct gb__coro){
		.coros = coros,
		.run = run,
		.argument = argument,
		.stack = stack,
	};
	stack->owner = &coro->context;
	gb__context_prepare(&coro->context, stack->low, (size_t)((char *)coro - stack->low), begin, coro);
	gb__fiber_init(&coro->fiber, stack->low, coros->stacks.size);
	coros->alive++;
	coros->alive_max = gb__max(coros->alive_max, coros->alive);
	*ret = coro;
	return 0;
}

void gb__coro_free(struct gb__coro *coro)
{
	struct gb__coros *coros = coro->coros;
	struct gb__stack *stack = coro->stack;

	gb__fiber_finish(&coro->fiber);
	coros->alive--;
	if (gb__unlikely(coros->ended++ % LOOK_EVERY == 0))
		gb__stack_used(&coros->stacks, stack);
	gb__stacks_give(&coros->stacks, stack);
}

void gb__coro_discard(struct gb__coro *coro)
{
	gb__assert(!coro->resumer);
	gb__coro_free(coro);
}

size_t gb__coro_stack_used(struct gb__coro *coro)
{
	return gb__stack_used(&coro->coros->stacks, coro->stack);
}

bool gb__coros_trim(struct gb__coros *coros)
{
	return gb__stacks_trim(
		&coros->stacks, IDLE_KEPT, LOOKS_OF_TRIM, coros->running ? &coros->running->context : NULL);
}

void gb__coros_stats(struct gb__coros *coros, struct gb__coros_stats *ret)
{
	const struct gb__stacks *stacks = &coros->stacks;

	gb__stacks_measure(&coros->stacks, LOOKS_OF_STATS);
	*ret = (struct gb__coros_stats){
		.alive = coros->alive,
		.alive_max = coros->alive_max,
		.ended = coros->ended,
		.stacks = stacks->taken + stacks->idle_warm + stacks->idle_cold,
		.idle = stacks->idle_warm + stacks->idle_cold,
		.stack_size = stacks->size,
		.stack_used_max = stacks->used_max,
	};
}
