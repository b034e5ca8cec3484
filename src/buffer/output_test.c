#include "buffer/output.h"

#include "base/alloc.h"
#include "base/macros.h"
#include "harness.h"

#include <errno.h>
#include <gearbox/conn.h>

static struct gb__pool pool;

static unsigned char pattern(size_t i)
{
	return (unsigned char)(i * 31 + i / 251);
}

static size_t queue_read(const struct gb__output *output, unsigned char *ret, size_t max)
{
	struct iovec parts[64];
	unsigned count = gb__output_vector(output, parts, 64);
	size_t size = 0;

	for (unsigned i = 0; i < count; i++) {
		CHECK(size + parts[i].iov_len <= max);
		memcpy(ret + size, parts[i].iov_base, parts[i].iov_len);
		size += parts[i].iov_len;
	}
	return size;
}

TEST(bytes_come_out_in_the_order_they_went_in)
{
	static unsigned char data[300000], seen[300000];
	struct gb__output output = { 0 };
	uint64_t random = test_seed();
	size_t in = 0, out = 0;

	gb__pool_init(&pool);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = pattern(i);
	while (out < sizeof(data)) {
		size_t wish = test_random(&random) % 90000, size = gb__min(wish, sizeof(data) - in);
		size_t queued;

		CHECK_INT(gb__output_append(&output, &pool, data + in, size), 0);
		in += size;
		queued = queue_read(&output, seen, sizeof(seen));
		CHECK_INT(queued, output.bytes);
		CHECK(memcmp(seen, data + out, queued) == 0);
		wish = test_random(&random) % 90000;
		size = gb__min(wish, output.bytes);
		gb__output_consume(&output, &pool, size);
		out += size;
	}
	CHECK(gb__output_empty(&output));
	CHECK_INT(pool.in_use, 0);
	gb__pool_finish(&pool);
}

TEST(a_shared_buffer_is_sent_between_copies_and_given_back)
{
	struct gb__output output = { 0 };
	struct gb_buffer *buffer;
	unsigned char seen[64];

	gb__pool_init(&pool);
	CHECK_INT(gb_buffer_create("shared", 6, &buffer), 0);
	CHECK_INT(gb__output_append(&output, &pool, "a", 1), 0);
	CHECK_INT(gb__output_append_shared(&output, &pool, buffer), 0);
	gb_buffer_unref(buffer);
	CHECK_INT(gb__output_append(&output, &pool, "z", 1), 0);
	CHECK_INT(queue_read(&output, seen, sizeof(seen)), 8);
	CHECK(memcmp(seen, "asharedz", 8) == 0);
	gb__output_consume(&output, &pool, 4);
	CHECK_INT(queue_read(&output, seen, sizeof(seen)), 4);
	CHECK(memcmp(seen, "redz", 4) == 0);
	gb__output_clear(&output, &pool);
	CHECK_INT(pool.in_use, 0);
	gb__pool_finish(&pool);
}

TEST(an_append_without_memory_adds_nothing)
{
	static unsigned char data[400000], seen[400000];
	struct gb__output output = { 0 };

	for (uint64_t n = 1; n < 9; n++) {
		int result;

		gb__pool_init(&pool);
		CHECK_INT(gb__output_append(&output, &pool, "head", 4), 0);
		gb__alloc_fail_at(n);
		result = gb__output_append(&output, &pool, data, sizeof(data));
		gb__alloc_fail_at(0);
		if (result < 0) {
			CHECK_INT(result, -ENOMEM);
			CHECK_INT(output.bytes, 4);
			CHECK_INT(queue_read(&output, seen, sizeof(seen)), 4);
			CHECK(memcmp(seen, "head", 4) == 0);
		} else {
			CHECK(n > 4);
			CHECK_INT(output.bytes, 4 + sizeof(data));
		}
		gb__output_clear(&output, &pool);
		gb__pool_finish(&pool);
	}
}

TEST(a_warm_pool_allocates_nothing)
{
	struct gb__output output = { 0 };
	uint64_t before;

	gb__pool_init(&pool);
	CHECK_INT(gb__output_append(&output, &pool, "x", 1), 0);
	gb__output_consume(&output, &pool, 1);
	before = gb__alloc_count();
	for (int i = 0; i < 1000; i++) {
		CHECK_INT(gb__output_append(&output, &pool, "x", 1), 0);
		gb__output_consume(&output, &pool, 1);
	}
	CHECK_INT(gb__alloc_count() - before, 0);
	gb__pool_finish(&pool);
}
