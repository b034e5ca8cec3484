#include "base/poison.h"
#include "coro/stack.h"
#include "harness.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static struct gb__stacks stacks;

static size_t pages_there(const struct gb__stack *stack)
{
	static unsigned char there[65536];
	size_t page = (size_t)sysconf(_SC_PAGESIZE), count = 0;

	CHECK(mincore(stack->low, stacks.size, there) == 0);
	for (size_t i = 0; i < stacks.size / page; i++)
		count += there[i] & 1;
	return count;
}

static struct gb__stack *take(void)
{
	struct gb__stack *stack;

	CHECK_INT(gb__stacks_take(&stacks, &stack), 0);
	return stack;
}

TEST(sizes_are_whole_pages_and_not_too_small)
{
	CHECK_INT(gb__stacks_init(&stacks, 0), 0);
	CHECK_INT(stacks.size, GB__STACK_SIZE_MIN);
	CHECK_INT(gb__stacks_init(&stacks, 100001), 0);
	CHECK(stacks.size >= 100001 && stacks.size % (size_t)sysconf(_SC_PAGESIZE) == 0);
	CHECK_INT(gb__stacks_init(&stacks, SIZE_MAX), -ENOMEM);
	gb__stacks_finish(&stacks);
}

TEST(what_no_address_space_can_hold_is_refused)
{
	struct gb__stack *stack;

	CHECK_INT(gb__stacks_init(&stacks, SIZE_MAX / 8), 0);
	CHECK_INT(gb__stacks_take(&stacks, &stack), -ENOMEM);
	CHECK_INT(stacks.taken, 0);
	gb__stacks_finish(&stacks);
}

TEST(the_last_one_given_is_the_first_one_taken)
{
	struct gb__stack *a, *b;

	gb__stacks_init(&stacks, 65536);
	a = take();
	b = take();
	gb__stacks_give(&stacks, b);
	gb__stacks_give(&stacks, a);
	CHECK(take() == a);
	CHECK(take() == b);
	CHECK_INT(stacks.taken, 2);
	gb__stacks_give(&stacks, a);
	gb__stacks_give(&stacks, b);
	gb__stacks_finish(&stacks);
}

TEST(the_high_water_mark_counts_from_the_top)
{
	struct gb__stack *stack;

	gb__stacks_init(&stacks, 1u << 20);
	stack = take();
	CHECK_INT(gb__stack_used(&stacks, stack), 0);
	gb__stack_top(&stacks, stack)[-1] = 1;
	CHECK_INT(gb__stack_used(&stacks, stack), sysconf(_SC_PAGESIZE));
	gb__stack_top(&stacks, stack)[-300000] = 1; /* a large frame leaves pages out */
	CHECK(gb__stack_used(&stacks, stack) >= 300000);
	CHECK(gb__stack_used(&stacks, stack) < 300000 + 65536);
	CHECK_INT(stacks.used_max, gb__stack_used(&stacks, stack));
	gb__stacks_give(&stacks, stack);
	gb__stacks_finish(&stacks);
}

TEST(idle_stacks_give_their_pages_back_and_are_used_again)
{
	struct gb__stack *all[100];

	gb__stacks_init(&stacks, 65536);
	for (int i = 0; i < 100; i++) {
		all[i] = take();
		memset(all[i]->low, 1, stacks.size);
	}
	for (int i = 1; i < 100; i++) /* the first slab stays in use */
		gb__stacks_give(&stacks, all[i]);
	CHECK(gb__stacks_trim(&stacks, 2, 1000, NULL));
	CHECK_INT(stacks.idle_warm, 2);
	CHECK(stacks.idle_cold > 0 && stacks.idle_cold < 97); /* whole slabs have gone */
	CHECK(pages_there(all[99]) > 0 && pages_there(all[98]) > 0);
	CHECK_INT(pages_there(all[1]), 0);
	CHECK(pages_there(all[0]) > 0);
	CHECK_INT(stacks.used_max, stacks.size); /* seen before it went */
	for (int i = 1; i < 100; i++) {
		all[i] = take();
		memset(all[i]->low, 2, stacks.size);
	}
	CHECK_INT(stacks.idle_warm + stacks.idle_cold, 0);
	for (int i = 0; i < 100; i++)
		gb__stacks_give(&stacks, all[i]);
	CHECK(gb__stacks_trim(&stacks, 0, 1000, NULL));
	CHECK(gb__list_empty(&stacks.slabs));
	CHECK_INT(stacks.idle_warm + stacks.idle_cold, 0);
	gb__stacks_finish(&stacks);
}

static int signal_of_touching(char *address)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		*(volatile char *)address = 1;
		_exit(0);
	}
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void check_guards(void)
{
	struct gb__stack *a, *b;

	gb__stacks_init(&stacks, 65536);
	a = take();
	b = take();
	CHECK_INT(signal_of_touching(a->low), 0);
	CHECK_INT(signal_of_touching(a->low - 1), SIGSEGV);
	CHECK_INT(signal_of_touching(a->low - stacks.guard), SIGSEGV);
	CHECK_INT(signal_of_touching(b->low - 1), SIGSEGV);
	CHECK(gb__stacks_guards(&stacks, a->low - 1));
	CHECK(gb__stacks_guards(&stacks, a->low - stacks.guard));
	CHECK(!gb__stacks_guards(&stacks, a->low));
	CHECK(!gb__stacks_guards(&stacks, gb__stack_top(&stacks, b) - 1));
	CHECK(!gb__stacks_guards(&stacks, &stacks));
	gb__stacks_give(&stacks, a);
	CHECK(gb__stacks_trim(&stacks, 0, 1000, NULL));
	CHECK_INT(take() == a, 1);
	CHECK_INT(signal_of_touching(a->low - 1), SIGSEGV); /* giving pages back leaves the guard */
	gb__stacks_give(&stacks, a);
	gb__stacks_give(&stacks, b);
	gb__stacks_finish(&stacks);
}

TEST(a_guard_lies_below_each)
{
	check_guards();
}

TEST(a_guard_lies_below_each_on_older_kernels)
{
	gb__stacks_without_light_guards(true);
	check_guards();
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
/* Beyond what a process may have mappings, where guards are mappings of their own. */
TEST(when_there_are_no_more_mappings_no_stack_is_given)
{
	static struct gb__stack *all[70000];
	int count = 0, result = 0;

	gb__stacks_without_light_guards(true);
	gb__stacks_init(&stacks, 0);
	while (count < 70000 && (result = gb__stacks_take(&stacks, &all[count])) == 0)
		count++;
	CHECK(count == 70000 || result == -ENOMEM);
	while (count > 0)
		gb__stacks_give(&stacks, all[--count]);
	gb__stacks_finish(&stacks);
}
#endif
