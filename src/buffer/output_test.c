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

static struct gb__chunk *chunk_of(const char *text)
{
	struct gb__chunk *chunk = gb__chunk_create(&pool, strlen(text));

	CHECK(chunk);
	CHECK_INT(gb__chunk_fill(chunk, text, strlen(text)), strlen(text));
	return chunk;
}

static void check_queue(const struct gb__output *output, const char *expected)
{
	unsigned char seen[256];

	CHECK_INT(output->bytes, strlen(expected));
	CHECK_INT(queue_read(output, seen, sizeof(seen)), strlen(expected));
	CHECK(memcmp(seen, expected, strlen(expected)) == 0);
}

TEST(what_is_spliced_follows_what_waits)
{
	struct gb__output output = { 0 }, from = { 0 };

	gb__pool_init(&pool);
	gb__output_splice(&output, &from);
	CHECK(gb__output_empty(&output));
	gb__output_append_chunk(&from, chunk_of("a"));
	gb__output_append_chunk(&from, chunk_of("b"));
	gb__output_splice(&output, &from);
	CHECK(gb__output_empty(&from));
	CHECK_INT(from.bytes, 0);
	check_queue(&output, "ab");
	gb__output_splice(&output, &from);
	check_queue(&output, "ab");
	gb__output_append_chunk(&from, chunk_of("c"));
	gb__output_append_chunk(&from, chunk_of("d"));
	gb__output_splice(&output, &from);
	gb__output_append_chunk(&output, chunk_of("e"));
	check_queue(&output, "abcde");
	CHECK_INT(gb__output_front(&output).iov_len, 1);
	CHECK(*(char *)gb__output_front(&output).iov_base == 'a');
	gb__output_consume(&output, &pool, 1);
	CHECK(*(char *)gb__output_front(&output).iov_base == 'b');
	gb__output_clear(&output, &pool);
	CHECK_INT(output.bytes, 0);
	CHECK_INT(pool.in_use, 0);
	gb__pool_finish(&pool);
}

TEST(no_more_parts_are_told_than_there_is_room_for)
{
	struct gb__output output = { 0 };
	struct iovec parts[4];

	gb__pool_init(&pool);
	CHECK_INT(gb__output_vector(&output, parts, 4), 0);
	for (int i = 0; i < 3; i++)
		gb__output_append_chunk(&output, chunk_of("xy"));
	CHECK_INT(gb__output_vector(&output, parts, 2), 2);
	CHECK_INT(gb__output_vector(&output, parts, 3), 3);
	CHECK_INT(gb__output_vector(&output, parts, 4), 3);
	gb__output_consume(&output, &pool, 1);
	CHECK_INT(gb__output_front(&output).iov_len, 1);
	gb__output_consume(&output, &pool, 0);
	CHECK_INT(output.bytes, 5);
	gb__output_consume(&output, &pool, 1);
	CHECK_INT(gb__output_vector(&output, parts, 4), 2);
	CHECK_INT(pool.in_use, 2); /* what is used up is given back at once */
	gb__output_consume(&output, &pool, 4);
	CHECK(gb__output_empty(&output));
	gb__pool_finish(&pool);
}

TEST(small_shared_buffers_are_copied_and_large_ones_are_not)
{
	static char text[1024];

	for (size_t size = 1023; size <= 1024; size++) {
		struct gb__output output = { 0 };
		struct gb_buffer *buffer;
		size_t ignored;

		gb__pool_init(&pool);
		CHECK_INT(gb_buffer_create(text, size, &buffer), 0);
		CHECK_INT(gb__output_append_shared(&output, &pool, buffer), 0);
		CHECK_INT(output.bytes, size);
		CHECK((gb__output_front(&output).iov_base == gb__buffer_bytes(buffer, &ignored)) ==
			(size == 1024));
		gb_buffer_unref(buffer);
		gb__output_clear(&output, &pool);
		gb__alloc_fail_at(1);
		gb__pool_finish(&pool);
		CHECK_INT(gb_buffer_create(text, size, &buffer), -ENOMEM);
		gb__alloc_fail_at(0);
	}
}

TEST(a_reference_without_memory_adds_nothing)
{
	static char text[5000];
	struct gb__output output = { 0 };
	struct gb_buffer *buffer;

	gb__pool_init(&pool);
	CHECK_INT(gb_buffer_create(text, sizeof(text), &buffer), 0);
	gb__alloc_fail_at(1);
	CHECK_INT(gb__output_append_shared(&output, &pool, buffer), -ENOMEM);
	gb__alloc_fail_at(0);
	CHECK(gb__output_empty(&output));
	CHECK_INT(output.bytes, 0);
	gb_buffer_unref(buffer);
	gb__pool_finish(&pool);
}
