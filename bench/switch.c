/*
 * What a switch of stacks costs, beside what it is used instead of: medians of rounds, in ns, on one CPU.
 *
 *     switch [ROUNDS]
 */
#include "coro/coro.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define ROUNDS_MAX 1001
#define MANY 10000
#define STACK_SIZE 65536

static unsigned rounds = 101;

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* `run(count)` does `each * count` of what is counted. */
static void measure(const char *what, void (*run)(unsigned count), unsigned count, unsigned each)
{
	static double times[ROUNDS_MAX];

	run(count);
	for (unsigned i = 0; i < rounds; i++) {
		const double began = now_ns();

		run(count);
		times[i] = (now_ns() - began) / count / each;
	}
	qsort(times, rounds, sizeof(*times), compare);
	printf("%-46s %8.1f %8.1f\n", what, times[rounds / 2], times[rounds / 10]);
}

static unsigned calls;

static __attribute__((noinline)) void called(void)
{
	calls++;
	__asm__ volatile("");
}

static void (*volatile to_call)(void) = called;

static void call(unsigned count)
{
	while (count-- > 0)
		to_call();
}

static char stack[STACK_SIZE] __attribute__((aligned(64)));
static struct gb__context native, inner;

static void switches_back(void *argument)
{
	for (;;)
		gb__context_switch(&inner, &native);
}

static void switch_contexts(unsigned count)
{
	while (count-- > 0)
		gb__context_switch(&native, &inner);
}

static struct gb__coros coros;
static struct gb__coro *one, *many[MANY];

static void suspends(struct gb__coro *coro, void *argument)
{
	for (;;)
		gb__coro_suspend(&coros);
}

static void resume(unsigned count)
{
	while (count-- > 0)
		gb__coro_resume(one);
}

static void resume_many(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		gb__coro_resume(many[i % MANY]);
}

static void ends(struct gb__coro *coro, void *argument)
{
}

static void create(unsigned count)
{
	struct gb__coro *coro;

	while (count-- > 0) {
		if (gb__coro_create(&coros, 256, ends, NULL, &coro) < 0)
			abort();
		gb__coro_resume(coro);
	}
}

static ucontext_t outside, inside;

static void swaps_back(void)
{
	for (;;)
		swapcontext(&inside, &outside);
}

static void swap_contexts(unsigned count)
{
	while (count-- > 0)
		swapcontext(&outside, &inside);
}

/* Two threads on this CPU: each waits for its turn and gives the other its. */
static atomic_int turn;

static void wait_turn(int mine)
{
	while (atomic_load(&turn) != mine)
		syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, 1 - mine, NULL, NULL, 0);
}

static void give_turn(int other)
{
	atomic_store(&turn, other);
	syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *other_thread(void *arg)
{
	for (;;) {
		wait_turn(1);
		give_turn(0);
	}
	return NULL;
}

static void switch_threads(unsigned count)
{
	while (count-- > 0) {
		give_turn(1);
		wait_turn(0);
	}
}

static void stay_here(void)
{
	cpu_set_t cpus;
	const int cpu = sched_getcpu();

	CPU_ZERO(&cpus);
	CPU_SET(cpu < 0 ? 0 : cpu, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
}

int main(int argc, char **argv)
{
	static char other_stack[STACK_SIZE];
	pthread_t thread;

	if (argc > 1)
		rounds = (unsigned)strtoul(argv[1], NULL, 10);
	if (argc > 2 || rounds < 1 || rounds > ROUNDS_MAX) {
		fprintf(stderr, "usage: switch [ROUNDS], at most %d\n", ROUNDS_MAX);
		return 2;
	}
	stay_here();
	if (gb__coros_init(&coros, STACK_SIZE) < 0 || gb__coro_create(&coros, 0, suspends, NULL, &one) < 0)
		return 1;
	for (int i = 0; i < MANY; i++)
		if (gb__coro_create(&coros, 0, suspends, NULL, &many[i]) < 0)
			return 1;
	gb__context_prepare(&inner, stack, sizeof(stack), switches_back, NULL);
	getcontext(&inside);
	inside.uc_stack.ss_sp = other_stack;
	inside.uc_stack.ss_size = sizeof(other_stack);
	makecontext(&inside, swaps_back, 0);
	if (pthread_create(&thread, NULL, other_thread, NULL) != 0)
		return 1;

	printf("%-46s %8s %8s\n", "ns", "median", "tenth");
	measure("a plain indirect call", call, 100000, 1);
	measure("a switch of stacks, one way", switch_contexts, 50000, 2);
	measure("a coroutine resumed, and suspended again", resume, 50000, 1);
	measure("the same, each of 10,000 in turn", resume_many, MANY, 1);
	measure("a coroutine created, run and ended", create, 10000, 1);
	measure("swapcontext, one way", swap_contexts, 2000, 2);
	measure("a switch of threads (futex), one way", switch_threads, 500, 2);
	printf("1 passed, 0 failed\n"); /* as a test */
	return 0;
}
