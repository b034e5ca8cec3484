#include "base/parse.h"
#include "harness.h"

#include <gearbox/setting.h>

#include <errno.h>

static void check_duration(const char *text, int64_t expected)
{
	uint64_t value = 77;

	CHECK_INT(gb_parse_duration(text, &value), expected < 0 ? -GB_EUSAGE : 0);
	CHECK_INT(value, expected < 0 ? 77 : expected);
}

static void check_size(const char *text, int64_t expected)
{
	uint64_t value = 77;

	CHECK_INT(gb_parse_size(text, &value), expected < 0 ? -GB_EUSAGE : 0);
	CHECK_INT(value, expected < 0 ? 77 : expected);
}

TEST(durations_take_ms_s_m_and_h)
{
	check_duration("250ms", 250);
	check_duration("30s", 30000);
	check_duration("5m", 300000);
	check_duration("2h", 7200000);
	check_duration("0", 0);
	check_duration("off", 0);
	check_duration("0s", 0);
	check_duration("007s", 7000);
}

TEST(anything_else_is_no_duration)
{
	static const char *const wrong[] = { "", "30", "s", "ms", "3x", "1.5s", "-1s", "+1s", " 1s", "1s ",
		"1 s", "1m30s", "30S", "Off", "no", "1sec", "0x10s", "00" };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		check_duration(wrong[i], -1);
}

TEST(sizes_take_binary_units)
{
	check_size("512", 512);
	check_size("0", 0);
	check_size("64KiB", 65536);
	check_size("1MiB", 1048576);
	check_size("2GiB", 2147483648);
}

TEST(anything_else_is_no_size)
{
	static const char *const wrong[] = { "", "KiB", "64K", "64KB", "64kib", "-1", "1.5MiB", "1 KiB",
		"off", "0x10", "1e6" };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		check_size(wrong[i], -1);
}

TEST(numbers_beyond_64_bits_are_refused)
{
	uint64_t value;

	CHECK_INT(gb__parse_units("18446744073709551615", gb__count_units, &value), 0);
	CHECK(value == UINT64_MAX);
	CHECK_INT(gb__parse_units("18446744073709551616", gb__count_units, &value), -ERANGE);
	CHECK_INT(gb__parse_units("99999999999999999999999999", gb__count_units, &value), -ERANGE);
	CHECK_INT(gb__parse_units("18446744073709551616x", gb__count_units, &value), -EINVAL);
	CHECK_INT(gb__parse_units("17179869183GiB", gb__size_units, &value), 0);
	CHECK(value == (uint64_t)17179869183u << 30);
	CHECK_INT(gb__parse_units("17179869184GiB", gb__size_units, &value), -ERANGE);
	check_duration("18446744073709551615h", -1);
	check_size("17179869184GiB", -1);
}

static void check_format(uint64_t value, const struct gb__unit *units, const char *expected)
{
	char text[32];

	CHECK_INT(gb__format_units(value, units, text, sizeof(text)), strlen(expected));
	CHECK_STR(text, expected);
}

TEST(numbers_are_written_in_the_largest_unit_that_divides_them)
{
	check_format(0, gb__duration_units, "0ms");
	check_format(1, gb__duration_units, "1ms");
	check_format(1500, gb__duration_units, "1500ms");
	check_format(90000, gb__duration_units, "90s");
	check_format(7200000, gb__duration_units, "2h");
	check_format(0, gb__size_units, "0");
	check_format(1025, gb__size_units, "1025");
	check_format(65536, gb__size_units, "64KiB");
	check_format((uint64_t)3 << 40, gb__size_units, "3072GiB");
	check_format(UINT64_MAX, gb__count_units, "18446744073709551615");
}

TEST(what_is_written_is_read_back)
{
	uint64_t state = test_seed();

	for (unsigned i = 0; i < 2000; i++) {
		unsigned shift = (unsigned)(test_random(&state) % 64);
		uint64_t value = test_random(&state) >> shift, back = ~value;
		const struct gb__unit *units = i % 2 ? gb__size_units : gb__duration_units;
		char text[32];

		gb__format_units(value, units, text, sizeof(text));
		CHECK_INT(gb__parse_units(text, units, &back), 0);
		CHECK(back == value);
	}
}
