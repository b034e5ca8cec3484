/* Lists of CPUs, and threads that run where they were told to. */
#include "os/cpu.h"

#include "harness.h"

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
