/**
 * The test harness: `TEST(name_states_behaviour) { CHECK(…); }`, registered by itself.
 *
 * A failed check prints where and what, and ends that test program's run with exit code 1 after the
 * others ran. Each test runs in a child process with a bound on its time, so that a crash, a hang or
 * a leaked descriptor costs that test alone. Some run at the same time: what they share with each other is the
 * machine, as with anybody else.
 */
#ifndef HARNESS_H
#define HARNESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test {
	const char *name;
	void (*run)(void);
	struct test *next;
};

void test_register(struct test *test);
_Noreturn void test_fail(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/** The seed of this run: TEST_SEED, or a fresh one; a failing test's report names it. */
uint64_t test_seed(void);
/** The next number of a reproducible sequence (splitmix64). */
uint64_t test_random(uint64_t *state);

/**
 * Call `run` with each of the names. Several calls go on at the same time, in children, since what tests do is mostly
 * to wait; so what `run` changes is not seen here. Fails when one of them does, and says which.
 */
void test_side_by_side(void (*run)(const char *name), const char *const *names, size_t count);

/* Bodies may end in return. */
#define TEST(test_name) \
	static void test_body_##test_name(void); \
	static struct test test_entry_##test_name = { #test_name, test_body_##test_name, NULL }; \
	__attribute__((constructor)) static void test_add_##test_name(void) \
	{ \
		test_register(&test_entry_##test_name); \
	} \
	static void test_body_##test_name(void)

#define CHECK(condition) \
	do { \
		if (!(condition)) \
			test_fail(__FILE__, __LINE__, "%s", #condition); \
	} while (0)

#define CHECK_INT(actual, expected) \
	do { \
		long long check_actual = (long long)(actual), check_expected = (long long)(expected); \
		if (check_actual != check_expected) \
			test_fail(__FILE__, __LINE__, "%s is %lld, expected %lld", #actual, check_actual, \
				check_expected); \
	} while (0)

#define CHECK_STR(actual, expected) \
	do { \
		const char *check_actual = (actual), *check_expected = (expected); \
		if (strcmp(check_actual, check_expected) != 0) \
			test_fail(__FILE__, __LINE__, "%s is \"%s\", expected \"%s\"", #actual, \
				check_actual, check_expected); \
	} while (0)

#endif
