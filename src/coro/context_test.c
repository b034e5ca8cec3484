#include "base/libc.h"
#include "coro/context.h"
#include "harness.h"

#include <fenv.h>
#include <math.h>
#include <stdint.h>

#define STACK_SIZE 65536

static char stack[STACK_SIZE] __attribute__((aligned(4096))), second_stack[STACK_SIZE];
static struct gb__context native, inner, second;
static unsigned counter;

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static void counts(void *argument)
{
	unsigned *number = argument;

	for (;;) {
		++*number;
		gb__context_switch(&inner, &native);
	}
}

TEST(a_million_switches_come_back_in_order)
{
	gb__context_prepare(&inner, stack, sizeof(stack), counts, &counter);
	for (unsigned i = 0; i < 1000000; i++) {
		CHECK(counter == i);
		gb__context_switch(&native, &inner);
	}
	CHECK_INT(counter, 1000000);
}

static void ping(void *argument)
{
	for (;;) {
		counter++;
		gb__context_switch(&inner, &second);
	}
}

static void pong(void *argument)
{
	for (;;) {
		counter++;
		gb__context_switch(&second, counter >= 2000 ? &native : &inner);
	}
}

TEST(contexts_switch_to_each_other)
{
	gb__context_prepare(&inner, stack, sizeof(stack), ping, NULL);
	gb__context_prepare(&second, second_stack, sizeof(second_stack), pong, NULL);
	gb__context_switch(&native, &inner);
	CHECK_INT(counter, 2000);
}

/* Enough live values for every register that a call keeps. */
static __attribute__((noinline)) uint64_t churn(
	uint64_t seed, struct gb__context *from, struct gb__context *to)
{
	uint64_t a = test_random(&seed), b = test_random(&seed), c = test_random(&seed),
		 d = test_random(&seed), e = test_random(&seed), f = test_random(&seed),
		 g = test_random(&seed), h = test_random(&seed);
	double x = (double)(a >> 12), y = (double)(b >> 12), z = (double)(c >> 12);

	for (int i = 0; i < 1000; i++) {
		gb__context_switch(from, to);
		a += b ^ (c << 1);
		b += c ^ (d << 1);
		c += d ^ (e << 1);
		d += e ^ (f << 1);
		e += f ^ (g << 1);
		f += g ^ (h << 1);
		g += h ^ (a << 1);
		h += a ^ (b << 1);
		x = x * 0.5 + y;
		y = y * 0.25 + z;
		z = z * 0.125 + (double)(h >> 40);
	}
	return a ^ b ^ c ^ d ^ e ^ f ^ g ^ h ^ (uint64_t)(x + y + z);
}

static uint64_t inner_result;

static void churns(void *argument)
{
	for (;;)
		inner_result = churn(*(uint64_t *)argument, &inner, &native);
}

static void returns_at_once(void *argument)
{
	for (;;)
		gb__context_switch(&second, &native);
}

TEST(registers_are_kept)
{
	uint64_t seed = test_seed(), other = seed + 1, expected, expected_inner;

	gb__context_prepare(&second, second_stack, sizeof(second_stack), returns_at_once, NULL);
	expected = churn(seed, &native, &second);
	expected_inner = churn(other, &native, &second);
	gb__context_prepare(&inner, stack, sizeof(stack), churns, &other);
	for (int i = 0; i < 3; i++)
		CHECK(churn(seed, &native, &inner) == expected);
	gb__context_switch(&native, &inner);
	CHECK(inner_result == expected_inner);
}

static int inner_rounding;
static volatile double one = 1, three = 3;

static void rounds_up(void *argument)
{
	inner_rounding = fegetround();
	fesetround(FE_UPWARD);
	for (;;) {
		gb__context_switch(&inner, &native);
		inner_rounding = fegetround();
	}
}

TEST(the_floating_point_environment_is_each_ones_own)
{
	double down, up;

	fesetround(FE_DOWNWARD);
	gb__context_prepare(&inner, stack, sizeof(stack), rounds_up, NULL);
	gb__context_switch(&native, &inner);
	CHECK_INT(inner_rounding, FE_DOWNWARD); /* it begins with what was when it was prepared */
	CHECK_INT(fegetround(), FE_DOWNWARD);
	down = one / three;
	gb__context_switch(&native, &inner);
	CHECK_INT(inner_rounding, FE_UPWARD);
	CHECK_INT(fegetround(), FE_DOWNWARD);
	fesetround(FE_UPWARD);
	up = one / three;
	CHECK(down < up);
#ifdef __x86_64__
	{
		unsigned short before = 0, after = 0, single = 0x007f;

		__asm__ volatile("fnstcw %0" : "=m"(before));
		__asm__ volatile("fldcw %0" : : "m"(single));
		gb__context_switch(&native, &inner);
		__asm__ volatile("fnstcw %0" : "=m"(after));
		CHECK_INT(after, single);
		__asm__ volatile("fldcw %0" : : "m"(before));
	}
#endif
}

static bool aligned;

/* Compilers use moves that trap here when the stack is not aligned. */
static __attribute__((noinline)) bool check_alignment(void)
{
	volatile _Alignas(16) char line[64];

	line[0] = 1;
#ifdef __x86_64__
	__asm__ volatile("movaps %%xmm0, %0" : "=m"(*(char(*)[16])line));
#endif
	return (uintptr_t)line % 16 == 0;
}

static void aligns(void *argument)
{
	char text[64];

	snprintf(text, sizeof(text), "%.3f", 0.125 + counter); /* the C library relies on it */
	aligned = check_alignment() && (uintptr_t)__builtin_frame_address(0) % 16 == 0 &&
		strcmp(text, "0.125") == 0;
	gb__context_switch(&inner, &native);
}

TEST(the_stack_is_aligned_however_it_is_given)
{
	for (size_t off = 0; off < 32; off++)
		for (size_t less = 0; less < 32; less += 5) {
			aligned = false;
			gb__context_prepare(
				&inner, stack + off, sizeof(stack) - 64 + off - less, aligns, NULL);
			gb__context_switch(&native, &inner);
			CHECK(aligned);
		}
}

#ifndef GB__LACKS_BACKTRACE
static int frames;

#ifdef __clang__ /* has no noipa */
#define ALONE __attribute__((noinline))
#else
#define ALONE __attribute__((noipa))
#endif

/* Debuggers stop here (tests/blackbox/debugger_test.py). */
ALONE int gb__context_test_deepest(void);
ALONE int gb__context_test_deepest(void)
{
	void *addresses[64];
	volatile int count = backtrace(addresses, 64); /* no tail call */

	return count;
}

ALONE int gb__context_test_descend(int levels);
ALONE int gb__context_test_descend(int levels)
{
	volatile int here; /* no tail call */

	here = levels == 0 ? gb__context_test_deepest() : gb__context_test_descend(levels - 1);
	return here;
}

static void traces(void *argument)
{
	frames = gb__context_test_descend(*(int *)argument);
	gb__context_switch(&inner, &native);
}

TEST(a_backtrace_ends_at_the_entry)
{
	static int levels[] = { 0, 7 };
	int first;

	gb__context_prepare(&inner, stack, sizeof(stack), traces, &levels[0]);
	gb__context_switch(&native, &inner);
	first = frames;
	CHECK(first >= 4 &&
		first <= 7); /* the two above, traces, where contexts begin, and what a C library adds */
	gb__context_prepare(&inner, stack, sizeof(stack), traces, &levels[1]);
	gb__context_switch(&native, &inner);
	CHECK_INT(frames, first + 7);
}
#endif
