#include "net/slab.h"

#include "base/alloc.h"
#include "harness.h"

#include <string.h>

enum { CELLS = 5000, SIZE = 112 };

static void *cells[CELLS];

static void take_all(struct gb__slabs *slabs, size_t size)
{
	for (unsigned i = 0; i < CELLS; i++) {
		cells[i] = gb__slabs_take(slabs, size);
		CHECK(cells[i]);
		memset(cells[i], (int)(i % 251 + 1), size);
	}
}

static void check_cell(unsigned i, size_t size)
{
	for (size_t at = 0; at < size; at++)
		CHECK_INT(((unsigned char *)cells[i])[at], i % 251 + 1);
}

TEST(trimming_leaves_alone_what_is_taken)
{
	uint64_t random = test_seed();

	for (unsigned round = 0; round < 20; round++) {
		struct gb__slabs slabs = { 0 };

		take_all(&slabs, SIZE);
		for (unsigned i = 0; i < CELLS; i++) {
			if (test_random(&random) % 20 < round) {
				gb__slabs_give(&slabs, cells[i], SIZE);
				cells[i] = NULL;
			}
		}
		gb__slabs_trim(&slabs);
		for (unsigned i = 0; i < CELLS; i++) {
			if (cells[i]) {
				check_cell(i, SIZE);
				continue;
			}
			cells[i] = gb__slabs_take(&slabs, SIZE);
			CHECK(cells[i]);
			memset(cells[i], (int)(i % 251 + 1), SIZE);
		}
		for (unsigned i = 0; i < CELLS; i++)
			check_cell(i, SIZE);
		gb__slabs_finish(&slabs);
	}
}

/* What was given back has to be allocated again, and no more than that. */
TEST(pages_that_hold_nothing_go_back)
{
	struct gb__slabs slabs = { 0 };
	uint64_t before = gb__alloc_count(), first, again;

	take_all(&slabs, SIZE);
	first = gb__alloc_count() - before;
	CHECK(first > 5);
	for (unsigned i = 0; i < CELLS; i++)
		gb__slabs_give(&slabs, cells[i], SIZE);
	gb__slabs_trim(&slabs);
	before = gb__alloc_count();
	take_all(&slabs, SIZE);
	again = gb__alloc_count() - before;
	CHECK_INT(again, first - 1);         /* the slab itself is there */
	for (unsigned i = 1; i < CELLS; i++) /* all but one in the first page */
		gb__slabs_give(&slabs, cells[i], SIZE);
	gb__slabs_trim(&slabs);
	check_cell(0, SIZE);
	before = gb__alloc_count();
	for (unsigned i = 1; i < CELLS; i++)
		CHECK(gb__slabs_take(&slabs, SIZE));
	CHECK_INT(gb__alloc_count() - before, again - 1);
	gb__slabs_finish(&slabs);
}

TEST(cells_larger_than_a_page_go_back_as_well)
{
	struct gb__slabs slabs = { 0 };
	void *large[3];
	uint64_t before;

	for (unsigned i = 0; i < 3; i++) {
		large[i] = gb__slabs_take(&slabs, 100000);
		CHECK(large[i]);
		memset(large[i], 1, 100000);
	}
	gb__slabs_give(&slabs, large[0], 100000);
	gb__slabs_give(&slabs, large[2], 100000);
	gb__slabs_trim(&slabs);
	CHECK_INT(((unsigned char *)large[1])[99999], 1);
	before = gb__alloc_count();
	CHECK(gb__slabs_take(&slabs, 100000));
	CHECK_INT(gb__alloc_count() - before, 1);
	gb__slabs_finish(&slabs);
}

TEST(without_memory_to_trim_all_stays_as_it_is)
{
	struct gb__slabs slabs = { 0 };

	take_all(&slabs, SIZE);
	for (unsigned i = 1; i < CELLS; i++)
		gb__slabs_give(&slabs, cells[i], SIZE);
	gb__alloc_fail_at(1);
	gb__slabs_trim(&slabs);
	gb__alloc_fail_at(0);
	check_cell(0, SIZE);
	CHECK(gb__slabs_take(&slabs, SIZE));
	gb__slabs_finish(&slabs);
}
