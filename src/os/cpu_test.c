/* Lists of CPUs, quotas, and threads that run where they were told to. */
#include "os/cpu.h"

#include "os/root_test_driver.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>

static bool has(const struct gb__cpus *cpus, unsigned cpu)
{
	return cpus->words[cpu / GB__CPUS_WORD] >> (cpu % GB__CPUS_WORD) & 1u;
}

TEST(none_is_an_empty_set_and_leaves_threads_alone)
{
	struct gb__cpus before, after, none;

	CHECK_INT(gb__cpus_parse("none", &none, NULL), 0);
	CHECK_INT(gb__cpus_count(&none), 0);
	gb__cpus_get(&before);
	CHECK_INT(gb__cpus_use_one(&none, 3), 0);
	gb__cpus_get(&after);
	CHECK(memcmp(&before, &after, sizeof(before)) == 0);
}

TEST(auto_is_all_that_the_thread_may_use)
{
	struct gb__cpus allowed, all;

	gb__cpus_get(&allowed);
	CHECK(gb__cpus_count(&allowed) > 0);
	CHECK_INT(gb__cpus_parse("auto", &all, NULL), 0);
	CHECK(memcmp(&all, &allowed, sizeof(all)) == 0);
}

TEST(a_thread_runs_on_the_one_that_its_turn_is)
{
	struct gb__cpus before, after, used = { 0 };
	unsigned count;

	gb__cpus_get(&before);
	count = gb__cpus_count(&before);
	for (unsigned n = 0; n < 2 * count; n++) {
		CHECK_INT(gb__cpus_use_one(&before, n), 0);
		gb__cpus_get(&after);
		CHECK_INT(gb__cpus_count(&after), 1);
		CHECK(has(&after, (unsigned)sched_getcpu()));
		for (unsigned i = 0; i < GB__CPUS_MAX / GB__CPUS_WORD; i++)
			used.words[i] |= after.words[i];
		CHECK_INT(gb__cpus_count(&used), n < count ? n + 1 : count);
		CHECK_INT(gb__cpus_use(&before), 0);
	}
	gb__cpus_get(&after);
	CHECK(memcmp(&before, &after, sizeof(before)) == 0);
}

TEST(numbers_and_ranges_may_be_mixed)
{
	struct gb__cpus allowed, chosen;
	unsigned first = 0;
	char text[64];

	gb__cpus_get(&allowed);
	while (!has(&allowed, first))
		first++;
	snprintf(text, sizeof(text), "%u", first);
	CHECK_INT(gb__cpus_parse(text, &chosen, NULL), 0);
	CHECK_INT(gb__cpus_count(&chosen), 1);
	snprintf(text, sizeof(text), "%u-%u,%u", first, first, first);
	CHECK_INT(gb__cpus_parse(text, &chosen, NULL), 0);
	CHECK_INT(gb__cpus_count(&chosen), 1);
	CHECK(has(&chosen, first));
}

TEST(what_is_no_list_is_refused_and_changes_nothing)
{
	static const char *const wrong[] = { "", " ", "all", "1-", "-1", "0,", ",0", "0-0-0", "0 ", "0x1",
		"1-0", "4096", "0-4096", "99999999999999999999", "none,0" };
	struct gb__cpus chosen = { { 7 } };

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct gb_error error;

		CHECK_INT(gb__cpus_parse(wrong[i], &chosen, &error), -GB_EUSAGE);
		CHECK(strstr(error.text, "is not a list of CPUs"));
		CHECK_INT(chosen.words[0], 7);
	}
}

TEST(a_cpu_that_is_not_there_is_named_with_those_that_are)
{
	struct gb__cpus chosen;
	struct gb_error error;

	CHECK_INT(gb__cpus_parse("4095", &chosen, &error), -GB_EUSAGE);
	CHECK(strstr(error.text, "CPU 4095 is none of those that this process may use: "));
}

#define CPUS 64 /* of a machine with many */

static void check_two(const char *quota, unsigned expected)
{
	driver_root_make();
	driver_root_file("/proc/self/cgroup", "0::/slice/service\n");
	driver_root_file("/proc/self/mountinfo", "30 22 0:26 / /cg rw - cgroup2 cgroup2 rw\n");
	driver_root_file("/cg/slice/service/cpu.max", quota);
	CHECK_INT(gb__cpus_within_quota(driver_root, CPUS), expected);
	driver_root_remove();
}

TEST(a_quota_of_version_two_is_rounded_up)
{
	check_two("150000 100000\n", 2);
	check_two("100000 100000\n", 1);
	check_two("100001 100000\n", 2);
	check_two("1000 100000\n", 1);
	check_two("6300000 100000\n", 63);
}

TEST(no_quota_or_a_larger_one_leaves_the_number)
{
	check_two("max 100000\n", CPUS);
	check_two("6400000 100000\n", CPUS);
	check_two("9000000 100000\n", CPUS);
	check_two("", CPUS);
	check_two("150000\n", CPUS);
	check_two("0 100000\n", CPUS);
	check_two("150000 0\n", CPUS);
}

static void check_one(const char *quota, const char *period, unsigned expected)
{
	driver_root_make();
	driver_root_file("/proc/self/cgroup", "4:cpu,cpuacct:/a\n");
	driver_root_file("/proc/self/mountinfo", "31 30 0:28 / /cg rw - cgroup cgroup rw,cpu\n");
	driver_root_file("/cg/a/cpu.cfs_quota_us", quota);
	if (period)
		driver_root_file("/cg/a/cpu.cfs_period_us", period);
	CHECK_INT(gb__cpus_within_quota(driver_root, CPUS), expected);
	driver_root_remove();
}

TEST(a_quota_of_version_one_is_rounded_up)
{
	check_one("250000\n", "100000\n", 3);
	check_one("200000\n", "100000\n", 2);
	check_one("-1\n", "100000\n", CPUS);
	check_one("250000\n", NULL, CPUS);
}

TEST(the_tightest_of_all_groups_above_counts)
{
	driver_root_make();
	driver_root_file("/proc/self/cgroup", "0::/slice/service\n");
	driver_root_file("/proc/self/mountinfo", "30 22 0:26 / /cg rw - cgroup2 cgroup2 rw\n");
	driver_root_file("/cg/slice/service/cpu.max", "400000 100000\n");
	driver_root_file("/cg/slice/cpu.max", "300000 100000\n");
	driver_root_file("/cg/cpu.max", "max 100000\n");
	CHECK_INT(gb__cpus_within_quota(driver_root, CPUS), 3);
	driver_root_remove();
}

TEST(at_least_one_is_allotted_and_at_most_what_the_thread_may_use)
{
	struct gb__cpus before;

	gb__cpus_get(&before);
	CHECK(gb__cpus_allotted() >= 1);
	CHECK(gb__cpus_allotted() <= gb__cpus_count(&before));
	CHECK_INT(gb__cpus_use_one(&before, 0), 0);
	CHECK_INT(gb__cpus_allotted(), 1);
}

/* A set with a gap and two ranges, where the machine has them; the text that names those allowed tells. */
TEST(those_allowed_are_told_as_people_write_them)
{
	struct gb__cpus chosen, one = { 0 };
	struct gb_error error;
	unsigned first = 0, count;
	char expected[64];

	gb__cpus_get(&chosen);
	count = gb__cpus_count(&chosen);
	while (!has(&chosen, first))
		first++;
	if (count >= 2 && has(&chosen, first + 1)) {
		one.words[first / GB__CPUS_WORD] |= 1ul << first % GB__CPUS_WORD;
		one.words[(first + 1) / GB__CPUS_WORD] |= 1ul << (first + 1) % GB__CPUS_WORD;
		CHECK_INT(gb__cpus_use(&one), 0);
		snprintf(expected, sizeof(expected), "use: %u-%u", first, first + 1);
		CHECK_INT(gb__cpus_parse("4095", &chosen, &error), -GB_EUSAGE);
		CHECK_STR(strstr(error.text, "use: "), expected);
	}
	if (count >= 3 && has(&chosen, first + 2)) {
		one.words[(first + 1) / GB__CPUS_WORD] &= ~(1ul << (first + 1) % GB__CPUS_WORD);
		one.words[(first + 2) / GB__CPUS_WORD] |= 1ul << (first + 2) % GB__CPUS_WORD;
		CHECK_INT(gb__cpus_use(&one), 0);
		snprintf(expected, sizeof(expected), "use: %u,%u", first, first + 2);
		CHECK_INT(gb__cpus_parse("4095", &chosen, &error), -GB_EUSAGE);
		CHECK_STR(strstr(error.text, "use: "), expected);
	}
	CHECK_INT(gb__cpus_parse("auto", &chosen, NULL), 0);
	CHECK_INT(gb__cpus_use_one(&chosen, 0), 0);
	snprintf(expected, sizeof(expected), "use: %u", first);
	CHECK_INT(gb__cpus_parse("4095", &chosen, &error), -GB_EUSAGE);
	CHECK_STR(strstr(error.text, "use: "), expected);
}
