/* Numbers for people, and quartiles. */
#include "doctor/facts.h"
#include "doctor/format.h"
#include "doctor/spread.h"
#include "harness.h"

TEST(counts_have_separators)
{
	char text[FORMAT_MAX];

	CHECK_STR(gb__format_count(0, text), "0");
	CHECK_STR(gb__format_count(999, text), "999");
	CHECK_STR(gb__format_count(1000, text), "1,000");
	CHECK_STR(gb__format_count(1048576, text), "1,048,576");
	CHECK_STR(gb__format_count(FACT_UNLIMITED - 1, text), "18,446,744,073,709,551,613");
	CHECK_STR(gb__format_count(FACT_UNLIMITED, text), "unlimited");
	CHECK_STR(gb__format_count(FACT_UNKNOWN, text), "unknown");
}

TEST(bytes_have_units_and_a_digit_where_it_says_something)
{
	char text[FORMAT_MAX];

	CHECK_STR(gb__format_bytes(512, text), "512 B");
	CHECK_STR(gb__format_bytes(1024, text), "1 KiB");
	CHECK_STR(gb__format_bytes(5000, text), "4.9 KiB");
	CHECK_STR(gb__format_bytes(8 << 20, text), "8 MiB");
	CHECK_STR(gb__format_bytes(UINT64_C(25276026880), text), "23.5 GiB");
	CHECK_STR(gb__format_bytes(UINT64_C(24658116567), text), "23 GiB");
	CHECK_STR(gb__format_bytes(FACT_UNKNOWN, text), "unknown");
}

TEST(nanoseconds_have_a_digit_only_when_few)
{
	char text[FORMAT_MAX];

	CHECK_STR(gb__format_ns(0.04, text), "0.0");
	CHECK_STR(gb__format_ns(85.26, text), "85.3");
	CHECK_STR(gb__format_ns(99.96, text), "100");
	CHECK_STR(gb__format_ns(1234567.4, text), "1,234,567");
}

TEST(quartiles_are_interpolated)
{
	double one[] = { 7 }, two[] = { 4, 2 }, five[] = { 50, 10, 40, 20, 30 };
	struct spread spread = gb__spread_of(one, 1);

	CHECK(spread.low == 7 && spread.median == 7 && spread.high == 7);
	spread = gb__spread_of(two, 2);
	CHECK(spread.low == 2.5 && spread.median == 3 && spread.high == 3.5);
	spread = gb__spread_of(five, 5);
	CHECK(spread.low == 20 && spread.median == 30 && spread.high == 40);
}
