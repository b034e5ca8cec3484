/**
 * Stacks: memory mappings with a guard below each, pooled.
 *
 * They are cut from larger mappings, slabs, and the guards are the kernel's light ones (MADV_GUARD_INSTALL, Linux 6.13)
 * where it has them, so that any number costs no mappings of its own; else by mprotect, two mappings a stack, of which
 * there are vm.max_map_count. A page that was never touched costs nothing.
 *
 * Thread: one, that of the worker; but for gb__stacks_guards nothing here is async-signal-safe.
 */
#ifndef CORO_STACK_H
#define CORO_STACK_H

#include "base/list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GB__STACK_SIZE_MIN (16u << 10)
/* A frame that is larger than the guard could reach beyond it. Costs address space only. */
#define GB__STACK_GUARD (32u << 10)

struct gb__context;
struct gb__stack_slab;

/** One stack, beside its pages, which need not be there while it is idle. */
struct gb__stack {
	struct gb__stack *next;          /* of idle ones */
	char *low;                       /* the lowest byte */
	struct gb__stack_slab *slab;     /* where it was cut from */
	const struct gb__context *owner; /* while it is taken: what runs on it; may stay NULL */
	unsigned valgrind;               /* its number there */
	unsigned colour;                 /* bytes left free at its top */
};

struct gb__stacks {
	size_t size;            /* of each, in bytes; whole pages */
	size_t guard;           /* bytes below each that may not be touched */
	struct gb__stack *warm; /* idle ones with their pages, last used first */
	struct gb__stack *cold; /* idle ones without pages */
	struct gb__list slabs;
	size_t taken, idle_warm, idle_cold;
	size_t used_max;           /* bytes of any, so far as was looked */
	struct gb__stack_slab *at; /* where looking goes on */
	size_t at_index;
};

/** Stacks of at least `size` bytes. Takes no memory yet. Returns 0, or -ENOMEM: such a size there cannot be. */
int gb__stacks_init(struct gb__stacks *stacks, size_t size);
/** None is taken. */
void gb__stacks_finish(struct gb__stacks *stacks);

/** Returns 0 or -ENOMEM. */
int gb__stacks_take(struct gb__stacks *stacks, struct gb__stack **ret);
void gb__stacks_give(struct gb__stacks *stacks, struct gb__stack *stack);

/**
 * Where it begins to grow down from. Not at the end of its page in each: what is used of idle ones would share a few
 * sets of the caches, and going through thousands take half as long again.
 */
static inline char *gb__stack_top(const struct gb__stacks *stacks, const struct gb__stack *stack)
{
	return stack->low + stacks->size - stack->colour;
}

/**
 * Give pages back to the system: all of idle stacks but of the `keep` last used ones, and of taken ones what lies
 * below where their owner was left. `running` is the owner that runs, or NULL. Takes some microseconds a stack, so it
 * looks at `looks` of the idle and of the taken ones at most, and goes on there the next time. Returns whether that was all.
 */
bool gb__stacks_trim(struct gb__stacks *stacks, size_t keep, size_t looks, const struct gb__context *running);

/** The high-water mark of a stack since its pages were last given back: bytes from its top. A system call. */
size_t gb__stack_used(struct gb__stacks *stacks, const struct gb__stack *stack);
/** Look at `looks` stacks, going on at the next one each time, for `used_max`. */
void gb__stacks_measure(struct gb__stacks *stacks, size_t looks);

/** Whether an address lies in a guard; async-signal-safe on the thread that owns the stacks. */
bool gb__stacks_guards(const struct gb__stacks *stacks, const void *address);

/** Whether the kernel's light guards are used, as far as is known: from the first stack on. */
bool gb__stacks_light_guards(void);
/** Have guards made by mprotect, as before Linux 6.13. For tests; before the first one. */
void gb__stacks_without_light_guards(bool without);

#endif
