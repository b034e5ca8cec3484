#include "load/histogram.h"

#include "harness.h"

static struct histogram a, b, both;

static void check_error(uint64_t value)
{
	uint64_t read;

	gb__histogram_init(&a);
	gb__histogram_add(&a, value);
	gb__histogram_add(&a, UINT64_MAX); /* so that the maximum does not cut */
	read = gb__histogram_quantile(&a, 5000);
	CHECK(read >= value);
	CHECK((read - value) <= value / 128);
	if (value < 256)
		CHECK_INT(read, value);
}

TEST(an_empty_histogram_has_zeros)
{
	gb__histogram_init(&a);
	CHECK_INT(gb__histogram_quantile(&a, 5000), 0);
	CHECK_INT(gb__histogram_mean(&a), 0);
	CHECK_INT(a.max, 0);
}

TEST(every_value_reads_back_within_a_128th)
{
	uint64_t state = test_seed();

	for (uint64_t value = 0; value < 5000; value++)
		check_error(value);
	for (unsigned bit = 7; bit < 64; bit++) {
		check_error(UINT64_C(1) << bit);
		check_error((UINT64_C(1) << bit) - 1);
		check_error((UINT64_C(1) << bit) + 1);
	}
	for (unsigned i = 0; i < 10000; i++)
		check_error(test_random(&state) >> test_random(&state) % 64);
	check_error(UINT64_MAX);
}

TEST(quantiles_count_ranks_and_never_exceed_the_maximum)
{
	gb__histogram_init(&a);
	for (uint64_t value = 1; value <= 100; value++)
		gb__histogram_add(&a, value);
	CHECK_INT(gb__histogram_quantile(&a, 5000), 50);
	CHECK_INT(gb__histogram_quantile(&a, 9000), 90);
	CHECK_INT(gb__histogram_quantile(&a, 9900), 99);
	CHECK_INT(gb__histogram_quantile(&a, 9990), 100);
	CHECK_INT(gb__histogram_quantile(&a, 10000), 100);
	CHECK_INT(gb__histogram_quantile(&a, 1), 1);
	CHECK_INT(gb__histogram_quantile(&a, 0), 1);
	CHECK_INT(a.min, 1);
	CHECK_INT(a.max, 100);
	CHECK_INT(gb__histogram_mean(&a), 50);
	gb__histogram_add(&a, 1000001);
	CHECK_INT(gb__histogram_quantile(&a, 10000), 1000001);
}

TEST(many_values_keep_their_quantiles)
{
	gb__histogram_init(&a);
	for (unsigned i = 0; i < 30000; i++)
		gb__histogram_add(&a, i < 29997 ? 100 : 5000);
	CHECK_INT(gb__histogram_quantile(&a, 9990), 100);
	CHECK_INT(gb__histogram_quantile(&a, 9999), 100);
	CHECK(gb__histogram_quantile(&a, 10000) == 5000);
}

TEST(adding_many_equals_adding_each)
{
	gb__histogram_init(&a);
	gb__histogram_init(&b);
	for (unsigned i = 0; i < 1000; i++)
		gb__histogram_add(&a, 12345);
	gb__histogram_add_many(&b, 12345, 1000);
	gb__histogram_add_many(&b, 1, 0);
	CHECK(memcmp(&a, &b, sizeof(a)) == 0);
}

TEST(merging_equals_adding_to_one)
{
	uint64_t state = test_seed();

	gb__histogram_init(&a);
	gb__histogram_init(&b);
	gb__histogram_init(&both);
	for (unsigned i = 0; i < 20000; i++) {
		uint64_t value = test_random(&state) >> test_random(&state) % 60;

		gb__histogram_add(i % 3 ? &a : &b, value);
		gb__histogram_add(&both, value);
	}
	gb__histogram_merge(&a, &b);
	CHECK(memcmp(&a, &both, sizeof(a)) == 0);
	gb__histogram_init(&b);
	gb__histogram_merge(&a, &b);
	CHECK(memcmp(&a, &both, sizeof(a)) == 0);
}
