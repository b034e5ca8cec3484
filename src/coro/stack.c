#include "coro/stack.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/macros.h"
#include "base/poison.h"
#include "coro/context.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef GB__VALGRIND
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(low, high) 0u
#define VALGRIND_STACK_DEREGISTER(number) ((void)(number))
#endif

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

#define SLAB_BYTES (4u << 20) /* about so much address space at once, at least one stack */
#define VECTOR_PAGES 512      /* for mincore */
/* About what is touched of a stack by one that is resumed and suspends itself, so many times: less than a page. */
#define COLOUR_BYTES 256
#define COLOURS 4

struct gb__stack_slab {
	struct gb__list node;
	char *memory;
	size_t size;
	size_t count, made; /* stacks there is room for, stacks with a guard so far */
	size_t taken;
	bool kept; /* by the trim that runs */
	struct gb__stack stacks[];
};

/* What this kernel has, probed by the first one. */
enum { GUARDS_UNKNOWN, GUARDS_LIGHT, GUARDS_HEAVY };
static atomic_int light_guards;

static size_t page_size(void)
{
	static _Atomic size_t size;
	size_t known = atomic_load_explicit(&size, memory_order_relaxed);

	if (!known) {
		known = (size_t)sysconf(_SC_PAGESIZE);
		atomic_store_explicit(&size, known, memory_order_relaxed);
	}
	return known;
}

static size_t round_up(size_t size)
{
	return (size + page_size() - 1) & ~(page_size() - 1);
}

int gb__stacks_init(struct gb__stacks *stacks, size_t size)
{
	if (size > SIZE_MAX / 4)
		return -ENOMEM;
	*stacks = (struct gb__stacks){
		.size = round_up(gb__max(size, (size_t)GB__STACK_SIZE_MIN)),
		.guard = round_up(GB__STACK_GUARD),
	};
	gb__list_init(&stacks->slabs);
	return 0;
}

static void destroy_slab(struct gb__stacks *stacks, struct gb__stack_slab *slab)
{
	if (stacks->at == slab)
		stacks->at = NULL;
	for (size_t i = 0; i < slab->made; i++)
		VALGRIND_STACK_DEREGISTER(slab->stacks[i].valgrind);
	gb__unpoison(slab->memory, slab->size);
	munmap(slab->memory, slab->size);
	gb__list_remove(&slab->node);
	gb__free(slab);
}

void gb__stacks_finish(struct gb__stacks *stacks)
{
	gb__assert(stacks->taken == 0);
	while (!gb__list_empty(&stacks->slabs))
		destroy_slab(stacks, gb__container_of(stacks->slabs.next, struct gb__stack_slab, node));
	stacks->warm = stacks->cold = NULL;
	stacks->idle_warm = stacks->idle_cold = 0;
}

static int make_slab(struct gb__stacks *stacks, struct gb__stack_slab **ret)
{
	size_t each = stacks->size + stacks->guard, count = gb__max(SLAB_BYTES / each, 1u);
	struct gb__stack_slab *slab = gb__alloc(sizeof(*slab) + count * sizeof(*slab->stacks));
	void *memory;

	if (!slab)
		return -ENOMEM;
	memory = mmap(NULL, count * each, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (memory == MAP_FAILED) {
		gb__free(slab);
		return -ENOMEM;
	}
	madvise(memory, count * each, MADV_NOHUGEPAGE); /* one touched page would become 2 MiB */
	*slab = (struct gb__stack_slab){ .memory = memory, .size = count * each, .count = count };
	gb__list_init(&slab->node);
	gb__list_append(&stacks->slabs, &slab->node);
	*ret = slab;
	return 0;
}

/* Emulators say yes to advice that they do not know: whether the kernel can write there tells. */
static bool is_guard(void *low)
{
	return syscall(SYS_uname, low) < 0 && errno == EFAULT;
}

static int install_guard(void *low, size_t size)
{
	const int known = atomic_load_explicit(&light_guards, memory_order_relaxed);

	if (known != GUARDS_HEAVY) {
		if (madvise(low, size, MADV_GUARD_INSTALL) < 0) {
			if (errno == ENOMEM)
				return -ENOMEM;
		} else if (known == GUARDS_LIGHT || is_guard(low)) {
			atomic_store_explicit(&light_guards, GUARDS_LIGHT, memory_order_relaxed);
			return 0;
		}
		/* An older kernel, memory that is locked. */
		atomic_store_explicit(&light_guards, GUARDS_HEAVY, memory_order_relaxed);
	}
	return mprotect(low, size, PROT_NONE) == 0 ? 0 : -ENOMEM;
}

/* The next one of the newest slab, or of a new one. */
static int make(struct gb__stacks *stacks, struct gb__stack **ret)
{
	struct gb__stack_slab *slab = NULL;
	struct gb__stack *stack;
	char *memory;
	int result;

	if (!gb__list_empty(&stacks->slabs))
		slab = gb__container_of(stacks->slabs.prev, struct gb__stack_slab, node);
	if (!slab || slab->made == slab->count) {
		result = make_slab(stacks, &slab);
		if (result < 0)
			return result;
	}
	memory = slab->memory + slab->made * (stacks->guard + stacks->size);
	result = install_guard(memory, stacks->guard);
	if (result < 0)
		return result;
	stack = &slab->stacks[slab->made];
	*stack = (struct gb__stack){
		.low = memory + stacks->guard,
		.slab = slab,
		.colour = slab->made++ % COLOURS * COLOUR_BYTES,
	};
	stack->valgrind = VALGRIND_STACK_REGISTER(stack->low, stack->low + stacks->size);
	*ret = stack;
	return 0;
}

int gb__stacks_take(struct gb__stacks *stacks, struct gb__stack **ret)
{
	struct gb__stack *stack = stacks->warm;

	if (gb__likely(stack)) {
		stacks->warm = stack->next;
		stacks->idle_warm--;
		gb__unpoison(stack->low, stacks->size);
	} else if (stacks->cold) {
		stack = stacks->cold;
		stacks->cold = stack->next;
		stacks->idle_cold--;
		gb__unpoison(stack->low, stacks->size);
	} else {
		int result = make(stacks, &stack);

		if (result < 0)
			return result;
	}
	stack->owner = NULL;
	stack->slab->taken++;
	stacks->taken++;
	*ret = stack;
	return 0;
}

void gb__stacks_give(struct gb__stacks *stacks, struct gb__stack *stack)
{
	gb__poison(stack->low, stacks->size);
	stack->owner = NULL;
	stack->slab->taken--;
	stacks->taken--;
	stack->next = stacks->warm;
	stacks->warm = stack;
	stacks->idle_warm++;
}

/* The lowest page that is there, as an address; the end when none is. */
static char *lowest_page(char *low, size_t size)
{
	unsigned char there[VECTOR_PAGES];
	const size_t page = page_size();

	for (size_t at = 0; at < size; at += VECTOR_PAGES * page) {
		size_t part = gb__min(size - at, VECTOR_PAGES * page);

		if (mincore(low + at, part, there) < 0)
			return low;
		for (size_t i = 0; i < part / page; i++)
			if (there[i] & 1)
				return low + at + i * page;
	}
	return low + size;
}

static size_t note_used(struct gb__stacks *stacks, size_t used)
{
	stacks->used_max = gb__max(stacks->used_max, used);
	return used;
}

size_t gb__stack_used(struct gb__stacks *stacks, const struct gb__stack *stack)
{
	const char *end = stack->low + stacks->size;

	return note_used(stacks, (size_t)(end - lowest_page(stack->low, stacks->size)));
}

/* The stack at which looking goes on, or NULL at the end. */
static struct gb__stack *look_next(struct gb__stacks *stacks)
{
	if (!stacks->at && !gb__list_empty(&stacks->slabs)) {
		stacks->at = gb__container_of(stacks->slabs.next, struct gb__stack_slab, node);
		stacks->at_index = 0;
	}
	while (stacks->at && stacks->at_index >= stacks->at->made) {
		struct gb__list *next = stacks->at->node.next;

		stacks->at =
			next == &stacks->slabs ? NULL : gb__container_of(next, struct gb__stack_slab, node);
		stacks->at_index = 0;
	}
	return stacks->at ? &stacks->at->stacks[stacks->at_index++] : NULL;
}

void gb__stacks_measure(struct gb__stacks *stacks, size_t looks)
{
	for (struct gb__stack *stack; looks > 0 && (stack = look_next(stacks)); looks--)
		gb__stack_used(stacks, stack);
}

static void give_pages(struct gb__stacks *stacks, const struct gb__stack *stack, size_t size)
{
	gb__unpoison(stack->low, size);
	madvise(stack->low, size, MADV_DONTNEED);
	if (!stack->owner && size == stacks->size)
		gb__poison(stack->low, size);
}

/* What a suspended owner left below itself is of no use to it. */
static void trim_taken(struct gb__stacks *stacks, const struct gb__stack *stack)
{
	const size_t page = page_size();
	size_t dead = (size_t)((char *)stack->owner->stack_pointer - GB__CONTEXT_BELOW - stack->low);

	if (dead > stacks->size || dead < page)
		return;
	dead &= ~(page - 1);
	if (gb__stack_used(stacks, stack) > stacks->size - dead)
		give_pages(stacks, stack, dead);
}

/* Up to `count` of idle stacks from `*at` on keep their pages. Returns where the list goes on. */
static struct gb__stack **keep_warm(struct gb__stacks *stacks, struct gb__stack **at, size_t count)
{
	for (; *at && count > 0; count--) {
		(*at)->slab->kept = true;
		stacks->idle_warm++;
		at = &(*at)->next;
	}
	return at;
}

/* Idle stacks behind the first `keep`, so many at most, lose their pages; those in slabs that nobody uses go with
 * these. Returns whether that was all. */
static bool trim_idle(struct gb__stacks *stacks, size_t keep, size_t looks)
{
	struct gb__stack *warm, **from, **end, *cold = stacks->cold;

	for (struct gb__list *node = stacks->slabs.next; node != &stacks->slabs; node = node->next)
		gb__container_of(node, struct gb__stack_slab, node)->kept = false;
	stacks->idle_warm = stacks->idle_cold = 0;
	from = keep_warm(stacks, &stacks->warm, keep);
	for (end = from; *end && looks > 0; looks--)
		end = &(*end)->next;
	warm = end == from ? NULL : *from;
	*from = *end; /* they are beyond the looks */
	if (warm)
		*end = NULL;
	keep_warm(stacks, from, SIZE_MAX);
	stacks->cold = NULL;
	for (int i = 0; i < 2; i++)
		for (struct gb__stack *stack = i ? cold : warm, *next; stack; stack = next) {
			next = stack->next;
			if (!i)
				gb__stack_used(stacks, stack);
			if (!stack->slab->taken && !stack->slab->kept)
				continue;
			if (!i)
				give_pages(stacks, stack, stacks->size);
			stack->next = stacks->cold;
			stacks->cold = stack;
			stacks->idle_cold++;
		}
	for (struct gb__list *node = stacks->slabs.next, *next; node != &stacks->slabs; node = next) {
		struct gb__stack_slab *slab = gb__container_of(node, struct gb__stack_slab, node);

		next = node->next;
		if (!slab->taken && !slab->kept)
			destroy_slab(stacks, slab);
	}
	return stacks->idle_warm <= keep;
}

bool gb__stacks_trim(struct gb__stacks *stacks, size_t keep, size_t looks, const struct gb__context *running)
{
	const bool all = trim_idle(stacks, keep, looks);

	for (struct gb__stack *stack; looks > 0; looks--) {
		stack = look_next(stacks);
		if (!stack)
			return all;
		if (stack->owner && stack->owner != running)
			trim_taken(stacks, stack);
	}
	return false;
}

bool gb__stacks_guards(const struct gb__stacks *stacks, const void *address)
{
	const char *byte = address;

	for (const struct gb__list *node = stacks->slabs.next; node != &stacks->slabs; node = node->next) {
		const struct gb__stack_slab *slab = gb__container_of(node, struct gb__stack_slab, node);

		if (byte >= slab->memory && byte < slab->memory + slab->size) {
			size_t offset = (size_t)(byte - slab->memory), each = stacks->size + stacks->guard;

			return offset / each < slab->made && offset % each < stacks->guard;
		}
	}
	return false;
}

bool gb__stacks_light_guards(void)
{
	return atomic_load_explicit(&light_guards, memory_order_relaxed) == GUARDS_LIGHT;
}

void gb__stacks_without_light_guards(bool without)
{
	atomic_store(&light_guards, without ? GUARDS_HEAVY : GUARDS_UNKNOWN);
}
