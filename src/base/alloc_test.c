#include "base/alloc.h"
#include "harness.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

static bool all_zero(const unsigned char *memory, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (memory[i])
			return false;
	return true;
}

TEST(zeroed_memory_is_zero)
{
	unsigned char *memory = gb__alloc_zero(1000);

	CHECK(memory && all_zero(memory, 1000));
	gb__free(memory);
}

TEST(lines_are_aligned)
{
	static const size_t sizes[] = { 0, 1, 63, 64, 65, 1000 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		unsigned char *memory = gb__alloc_lines(sizes[i]);

		CHECK(memory && (uintptr_t)memory % 64 == 0);
		gb__free(memory);
	}
}

TEST(size_that_no_rounding_can_hold_is_refused)
{
	volatile size_t size = SIZE_MAX - 3; /* volatile: the compiler would warn of it */

	errno = 0;
	CHECK(gb__alloc_lines(size) == NULL);
	CHECK_INT(errno, ENOMEM);
}

TEST(nothing_may_be_asked_for)
{
	void *memory = gb__alloc(0);

	CHECK(memory != NULL);
	memory = gb__realloc(memory, 0);
	CHECK(memory != NULL);
	gb__free(memory);
	gb__free(NULL);
}

TEST(realloc_keeps_content)
{
	char *text = gb__strdup("gear");

	CHECK(text != NULL);
	text = gb__realloc(text, 100000);
	CHECK(text != NULL);
	CHECK_STR(text, "gear");
	gb__free(text);
}

TEST(tables_keep_their_content_while_they_grow)
{
	uint32_t *table = NULL;
	size_t size = 0;

	for (size_t larger = 64; larger <= 4u << 20; larger *= 2) {
		uint32_t *grown = gb__table_grow(table, size * sizeof(*table), larger * sizeof(*table));

		CHECK(grown);
		table = grown;
		for (size_t i = 0; i < size; i++)
			CHECK(table[i] == i);
		for (size_t i = size; i < larger; i++)
			table[i] = (uint32_t)i;
		size = larger;
		gb__alloc_fail_at(1);
		CHECK(!gb__table_grow(table, size * sizeof(*table), 2 * size * sizeof(*table)));
		gb__alloc_fail_at(0);
	}
	gb__alloc_trim();
	for (size_t i = 0; i < size; i++)
		CHECK(table[i] == i);
	gb__table_free(table, size * sizeof(*table));
	gb__table_free(NULL, 0);
}

TEST(chosen_allocation_fails_once)
{
	void *kept = gb__alloc(1), *memory;

	gb__alloc_fail_at(2);
	memory = gb__alloc_zero(1);
	CHECK(memory != NULL);
	errno = 0;
	CHECK(gb__realloc(kept, 100) == NULL);
	CHECK_INT(errno, ENOMEM);
	gb__free(kept); /* still there */
	gb__free(memory);
	memory = gb__alloc(1);
	CHECK(memory != NULL);
	gb__free(memory);
}

TEST(every_kind_can_fail)
{
	gb__alloc_fail_at(1);
	CHECK(gb__alloc(1) == NULL);
	gb__alloc_fail_at(1);
	CHECK(gb__alloc_zero(1) == NULL);
	gb__alloc_fail_at(1);
	CHECK(gb__alloc_lines(1) == NULL);
	gb__alloc_fail_at(1);
	CHECK(gb__strdup("x") == NULL);
}

TEST(failure_can_be_called_off)
{
	void *memory;

	gb__alloc_fail_at(1);
	gb__alloc_fail_at(0);
	memory = gb__alloc(1);
	CHECK(memory != NULL);
	gb__free(memory);
}

static void *allocate_elsewhere(void *arg)
{
	void *memory = gb__alloc(1);

	*(uint64_t *)arg = memory ? gb__alloc_count() : 0;
	gb__free(memory);
	return NULL;
}

TEST(threads_count_and_fail_apart)
{
	uint64_t before = gb__alloc_count(), elsewhere = 0;
	pthread_t thread;

	gb__alloc_fail_at(1);
	CHECK(pthread_create(&thread, NULL, allocate_elsewhere, &elsewhere) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK_INT(elsewhere, 1);
	CHECK_INT(gb__alloc_count(), before);
	CHECK(gb__alloc(1) == NULL);
	CHECK_INT(gb__alloc_count(), before + 1);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define REGION_MAX ((size_t)64 << 10) /* more than it has */

/* The linker's: where the region lies. Another C library's malloc gives memory close by. */
extern const unsigned char __start_gb_region[], __stop_gb_region[];

static bool in_region(const unsigned char *memory)
{
	return memory >= __start_gb_region && memory < __stop_gb_region;
}

/* Returns how many of that size still fit. */
static size_t fill(size_t size)
{
	size_t fit = 0;

	for (size_t i = 0; i < REGION_MAX; i += size) {
		unsigned char *memory = gb__alloc_zero(size);

		CHECK(memory && all_zero(memory, size));
		memset(memory, 1, size);
		fit += in_region(memory);
		gb__free(memory);
	}
	return fit;
}

static void *allocate_in_the_region(void *arg)
{
	unsigned char *first, *second, *lines, *table, *large;
	char *text;

	gb__alloc_region(GB__REGION_SERVER);
	first = gb__alloc_zero(100);
	second = gb__alloc(1);
	lines = gb__alloc_lines(65);
	CHECK(first && second && lines);
	CHECK(all_zero(first, 100));
	CHECK(second > first && second - first < 200);
	CHECK(lines > second && lines - second < 200 && (uintptr_t)lines % 64 == 0);
	CHECK((uintptr_t)second % 16 == 0);
	/* What is given back is not used again, and what grows leaves it with all that it holds. */
	gb__free(second);
	text = gb__strdup("gear");
	CHECK(text && text != (char *)second && text - (char *)lines < 300);
	text = gb__realloc(text, 1000);
	CHECK(text);
	CHECK_STR(text, "gear");
	text = gb__realloc(text, 2000);
	CHECK(text);
	CHECK_STR(text, "gear");
	table = gb__table_grow(NULL, 0, 64);
	CHECK(table);
	memset(table, 7, 64);
	table = gb__table_grow(table, 64, 32 << 10);
	CHECK(table && table[0] == 7 && table[63] == 7);
	gb__table_free(table, 32 << 10);
	gb__alloc_fail_at(1);
	CHECK(!gb__alloc(1));
	/* What does not fit any more comes from malloc. */
	large = gb__alloc(REGION_MAX);
	CHECK(large);
	memset(large, 1, REGION_MAX);
	gb__free(large);
	CHECK(fill(1024) > 5);
	CHECK_INT(fill(1024), 0);
	gb__alloc_region(GB__REGION_WORKER);
	CHECK(fill(1024) > 5);
	CHECK_INT(fill(1024), 0);
	gb__alloc_region(GB__REGION_NONE);
	CHECK_INT(fill(1), 0);
	gb__free(text);
	gb__free(lines);
	*(unsigned char **)arg = first;
	return NULL;
}

TEST(region_is_close_together_and_of_one_thread)
{
	unsigned char *first = NULL, *other;
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, allocate_in_the_region, &first) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	other = gb__alloc(100);
	CHECK(in_region(first) && other && !in_region(other));
	gb__free(other);
	gb__free(first); /* by another thread */
}
#endif
