#include "load/sizes.h"

#include "harness.h"

static struct sizes parsed(const char *text)
{
	struct gb_error error;
	struct sizes sizes;

	CHECK_INT(gb__sizes_parse(text, &sizes, &error), 0);
	return sizes;
}

static size_t how_many(const struct messages *messages, size_t size)
{
	size_t count = 0;

	for (size_t i = 0; i < messages->count; i++)
		count += messages->list[i].size == size;
	return count;
}

TEST(sizes_have_their_weights)
{
	struct sizes sizes = parsed("64:0.75,1KiB:0.25");
	struct messages messages = { 0 };

	CHECK(gb__sizes_vary(&sizes));
	CHECK_INT(gb__sizes_mean(&sizes), 304);
	CHECK_INT(gb__sizes_make(&sizes, false, 1, &messages), 0);
	CHECK_INT(messages.count, 1024);
	CHECK_INT(how_many(&messages, 64), 768);
	CHECK_INT(how_many(&messages, 1024), 256);
	CHECK(messages.list[0].size != messages.list[1].size ||
		messages.list[1].size != messages.list[2].size ||
		messages.list[2].size != messages.list[3].size ||
		messages.list[3].size != messages.list[4].size ||
		messages.list[900].size != messages.list[901].size);
	gb__messages_finish(&messages);
}

TEST(a_range_has_all_sizes_alike)
{
	struct sizes sizes = parsed("1..1024");
	struct messages messages = { 0 };

	CHECK_INT(gb__sizes_make(&sizes, true, 1, &messages), 0);
	for (size_t size = 1; size <= 1024; size++)
		CHECK_INT(how_many(&messages, size), 1);
	for (size_t i = 0; i < messages.count; i++)
		CHECK(memchr(messages.list[i].data, '\n', messages.list[i].size) ==
			messages.list[i].data + messages.list[i].size - 1);
	gb__messages_finish(&messages);
}

TEST(one_size_does_not_vary_and_large_ones_take_bounded_memory)
{
	struct sizes sizes = parsed("16MiB");
	struct messages messages = { 0 };

	CHECK(!gb__sizes_vary(&sizes));
	CHECK_INT(gb__sizes_mean(&sizes), 16 << 20);
	sizes = parsed("1..2MiB");
	CHECK_INT(gb__sizes_make(&sizes, false, 1, &messages), 0);
	CHECK_INT(messages.count, 32);
	gb__messages_finish(&messages);
}

TEST(what_is_no_size_is_refused)
{
	static const char *const wrong[] = { "", "0", "x", "64:", "64:0", "64:-1", "64,", ",64", "64..",
		"..64", "64..32", "17MiB", "1..2..3", "64:1x" };
	struct gb_error error;
	struct sizes sizes;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		if (gb__sizes_parse(wrong[i], &sizes, &error) != -GB_EUSAGE)
			test_fail(__FILE__, __LINE__, "%s", wrong[i]);
}
