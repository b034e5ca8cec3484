/* Chunks by size, what the pool keeps of them, and that it knows how much that is. */
#include "buffer/pool.h"

#include "base/alloc.h"
#include "base/macros.h"
#include "harness.h"

#include <gearbox/conn.h>

#define HEADER sizeof(struct gb__chunk)

static const uint32_t sizes[GB__POOL_CLASSES] = GB__POOL_CLASS_SIZES;
static struct gb__pool pool;

/* What lies in the pool, added up. */
static size_t kept(const struct gb__pool *of)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < GB__POOL_CLASSES; i++)
		for (const struct gb__chunk *chunk = of->free[i]; chunk; chunk = chunk->next) {
			CHECK_INT(chunk->size_class, i);
			CHECK_INT(chunk->capacity, sizes[i] - HEADER);
			CHECK(chunk->data == chunk->memory);
			CHECK(!chunk->shared);
			bytes += sizes[i];
		}
	return bytes;
}

TEST(a_chunk_is_of_the_smallest_class_that_holds_it)
{
	gb__pool_init(&pool);
	for (unsigned i = 0; i < GB__POOL_CLASSES; i++) {
		struct gb__chunk *full = gb__chunk_create(&pool, sizes[i] - HEADER);
		struct gb__chunk *more = gb__chunk_create(&pool, sizes[i] - HEADER + 1);

		CHECK_INT(full->size_class, i);
		CHECK_INT(full->capacity, sizes[i] - HEADER);
		CHECK_INT(more->size_class, i + 1);
		CHECK(more->capacity >= sizes[i] - HEADER + 1);
		CHECK_INT(pool.in_use, 2);
		gb__chunk_destroy(&pool, full);
		gb__chunk_destroy(&pool, more);
		CHECK_INT(pool.in_use, 0);
		CHECK_INT(pool.cached, kept(&pool));
	}
	gb__pool_finish(&pool);
	CHECK_INT(pool.cached, 0);
}

TEST(what_came_back_is_handed_out_again_empty_without_an_allocation)
{
	gb__pool_init(&pool);
	for (unsigned i = 0; i < GB__POOL_CLASSES; i++) {
		struct gb__chunk *first = gb__chunk_create(&pool, sizes[i] - HEADER), *second;
		uint64_t allocations;

		first->begin = 1;
		first->end = 7;
		first->operation = &pool;
		first->next = first;
		gb__chunk_destroy(&pool, first);
		CHECK_INT(pool.cached, sizes[i]);
		allocations = gb__alloc_count();
		second = gb__chunk_create(&pool, sizes[i] - HEADER);
		CHECK_INT(gb__alloc_count() - allocations, 0);
		CHECK(second == first);
		CHECK_INT(second->begin, 0);
		CHECK_INT(second->end, 0);
		CHECK(!second->operation);
		CHECK(!second->next);
		CHECK_INT(pool.cached, 0);
		gb__chunk_destroy(&pool, second);
		gb__pool_finish(&pool);
	}
}

TEST(the_pool_knows_what_it_keeps_whatever_comes_and_goes)
{
	struct gb__chunk *held[200] = { NULL };
	uint64_t random = test_seed();

	gb__pool_init(&pool);
	for (unsigned round = 0; round < 20000; round++) {
		struct gb__chunk **place = &held[test_random(&random) % gb__countof(held)];

		if (*place) {
			gb__chunk_destroy(&pool, *place);
			*place = NULL;
		} else {
			size_t wish = test_random(&random) % 3 ? test_random(&random) % 9000
							       : test_random(&random) % 200000;

			*place = gb__chunk_create(&pool, wish);
			CHECK(*place && (*place)->capacity >= wish);
		}
		if (round % 64 == 0) {
			size_t in_use = 0;

			for (unsigned i = 0; i < gb__countof(held); i++)
				in_use += held[i] != NULL;
			CHECK_INT(pool.in_use, in_use);
			CHECK_INT(pool.cached, kept(&pool));
			CHECK(pool.cached <= GB__POOL_CACHED_MAX);
		}
	}
	for (unsigned i = 0; i < gb__countof(held); i++)
		gb__chunk_destroy(&pool, held[i]);
	CHECK_INT(pool.cached, kept(&pool));
	gb__pool_finish(&pool);
}

TEST(no_more_is_kept_than_the_maximum_and_that_much_is)
{
	enum { COUNT = GB__POOL_CACHED_MAX / 131072 + 5 };
	struct gb__chunk *held[COUNT];

	gb__pool_init(&pool);
	for (unsigned i = 0; i < COUNT; i++)
		CHECK((held[i] = gb__chunk_create(&pool, 131072 - HEADER)));
	for (unsigned i = 0; i < COUNT; i++)
		gb__chunk_destroy(&pool, held[i]);
	CHECK_INT(pool.cached, GB__POOL_CACHED_MAX);
	CHECK_INT(kept(&pool), GB__POOL_CACHED_MAX);
	CHECK_INT(pool.in_use, 0);
	gb__pool_finish(&pool);
	for (unsigned i = 0; i < GB__POOL_CLASSES; i++)
		CHECK(!pool.free[i] || kept(&pool) == 0);
}

TEST(what_is_larger_than_any_class_comes_from_the_allocator_and_goes_back)
{
	struct gb__chunk *chunk;

	gb__pool_init(&pool);
	chunk = gb__chunk_create(&pool, 131072);
	CHECK_INT(chunk->capacity, 131072);
	gb__chunk_destroy(&pool, chunk);
	CHECK_INT(pool.cached, 0);
	CHECK(!gb__chunk_create(&pool, (size_t)UINT32_MAX + 1));
	gb__chunk_destroy(&pool, NULL);
	CHECK_INT(pool.in_use, 0);
	gb__pool_finish(&pool);
}

TEST(a_chunk_is_filled_to_its_end_and_no_further)
{
	static const unsigned char bytes[4096] = "0123456789";
	struct gb__chunk *chunk;

	gb__pool_init(&pool);
	chunk = gb__chunk_create(&pool, 10);
	CHECK_INT(gb__chunk_fill(chunk, bytes, 10), 10);
	CHECK_INT(gb__chunk_fill(chunk, bytes, sizeof(bytes)), 2048 - HEADER - 10);
	CHECK_INT(chunk->end, chunk->capacity);
	CHECK_INT(gb__chunk_fill(chunk, bytes, 1), 0);
	CHECK(memcmp(chunk->data, bytes, 10) == 0);
	CHECK(memcmp(chunk->data + 10, bytes, 10) == 0);
	gb__chunk_destroy(&pool, chunk);
	gb__pool_finish(&pool);
}

TEST(a_shared_buffer_lends_its_bytes_and_the_chunk_is_as_before)
{
	static char text[3000];
	struct gb_buffer *buffer;
	struct gb__chunk *chunk;
	size_t size;

	gb__pool_init(&pool);
	CHECK_INT(gb_buffer_create(text, sizeof(text), &buffer), 0);
	chunk = gb__chunk_create_shared(&pool, buffer);
	CHECK(chunk->data == gb__buffer_bytes(buffer, &size));
	CHECK_INT(size, sizeof(text));
	CHECK_INT(chunk->begin, 0);
	CHECK_INT(chunk->end, sizeof(text));
	CHECK_INT(gb__chunk_fill(chunk, "x", 1), 0); /* nobody writes into what is shared */
	gb_buffer_unref(buffer);
	CHECK_INT(chunk->data[0], 0); /* the chunk's own reference keeps it */
	gb__chunk_destroy(&pool, chunk);
	CHECK_INT(pool.cached, sizes[0]);
	CHECK_INT(kept(&pool), sizes[0]);
	gb__pool_finish(&pool);
}

static unsigned given_back;

static void give_back(struct gb__pool *of, struct gb__chunk *chunk)
{
	CHECK(of == &pool);
	given_back++;
}

TEST(a_borrowed_chunk_goes_back_to_its_lender)
{
	struct gb__chunk borrowed = { .size_class = GB__POOL_BORROWED };

	gb__pool_init(&pool);
	pool.give_back = give_back;
	gb__chunk_destroy(&pool, &borrowed);
	CHECK_INT(given_back, 1);
	CHECK_INT(pool.in_use, 0);
	CHECK_INT(pool.cached, 0);
	gb__pool_finish(&pool);
}

TEST(what_is_lent_serves_once_and_comes_home_with_what_was_made_of_it)
{
	struct gb__pool other;
	struct gb__chunk *used, *own;
	uint64_t allocations;

	gb__pool_init(&pool);
	gb__pool_init(&other);
	gb__pool_lend(&pool, 5000, &other);
	CHECK_INT(pool.in_use, 0);
	CHECK_INT(other.in_use, 0);
	CHECK_INT(other.cached, sizes[1]);
	CHECK_INT(kept(&other), sizes[1]);
	allocations = gb__alloc_count();
	used = gb__chunk_create(&other, 5000);
	CHECK_INT(gb__alloc_count() - allocations, 0);
	own = gb__chunk_create(&other, 100);
	gb__chunk_destroy(&other, own);
	gb__pool_return(&pool, &other);
	CHECK_INT(other.in_use, 0);
	CHECK_INT(other.cached, 0);
	CHECK_INT(pool.in_use, 1); /* the one that holds bytes */
	CHECK_INT(pool.cached, sizes[0]);
	CHECK_INT(kept(&pool), sizes[0]);
	gb__chunk_destroy(&pool, used);
	CHECK_INT(pool.cached, sizes[0] + sizes[1]);
	gb__pool_finish(&other);
	gb__pool_finish(&pool);
}

TEST(no_more_is_lent_than_the_largest_class_holds)
{
	struct gb__pool other;

	gb__pool_init(&pool);
	gb__pool_init(&other);
	gb__pool_lend(&pool, 1u << 20, &other);
	CHECK_INT(other.cached, sizes[GB__POOL_CLASSES - 1]);
	CHECK_INT(kept(&other), sizes[GB__POOL_CLASSES - 1]);
	gb__pool_return(&pool, &other);
	gb__alloc_fail_at(1);
	gb__pool_lend(&pool, 10, &other); /* without memory: nothing, and nobody minds */
	gb__alloc_fail_at(0);
	CHECK_INT(other.cached, 0);
	CHECK_INT(pool.in_use, 0);
	gb__pool_finish(&pool);
}
