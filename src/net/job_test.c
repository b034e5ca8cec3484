/* The order in which jobs are taken, which depends on the order of calls alone. */
#include "net/job.h"

#include "base/macros.h"

#include "harness.h"

#define JOBS_MAX 400u

static struct gb__jobs jobs;
static struct gb__job all[JOBS_MAX];
static unsigned made;

static unsigned put(enum gb_priority priority)
{
	all[made].level = gb__level_of(priority);
	gb__jobs_put(&jobs, &all[made]);
	return made++;
}

static unsigned take(void)
{
	struct gb__job *job = gb__jobs_take(&jobs);

	CHECK(job);
	return (unsigned)(job - all);
}

TEST(higher_priorities_are_taken_first_and_equals_as_they_came)
{
	static const enum gb_priority came[] = { GB_PRIORITY_LOW, GB_PRIORITY_NORMAL, GB_PRIORITY_HIGH,
		GB_PRIORITY_NORMAL, GB_PRIORITY_LOW, GB_PRIORITY_HIGH };
	static const unsigned order[] = { 2, 5, 1, 3, 0, 4 };

	for (unsigned i = 0; i < gb__countof(came); i++)
		CHECK_INT(put(came[i]), i);
	CHECK_INT(jobs.count, gb__countof(came));
	for (unsigned i = 0; i < gb__countof(came); i++)
		CHECK_INT(take(), order[i]);
	CHECK_INT(jobs.count, 0);
	CHECK(!gb__jobs_take(&jobs));
}

/* How many are taken before that one, while there is always another of `flood`. */
static unsigned passed_over(unsigned one, enum gb_priority flood)
{
	for (unsigned taken = 0;; taken++) {
		put(flood);
		if (take() == one)
			return taken;
	}
}

TEST(a_flood_of_high_ones_passes_a_normal_one_eight_times)
{
	CHECK_INT(passed_over(put(GB_PRIORITY_NORMAL), GB_PRIORITY_HIGH), 8);
}

TEST(a_flood_passes_a_low_one_thirty_two_times)
{
	CHECK_INT(passed_over(put(GB_PRIORITY_LOW), GB_PRIORITY_HIGH), 32);
	while (gb__jobs_take(&jobs))
		;
	CHECK_INT(passed_over(put(GB_PRIORITY_LOW), GB_PRIORITY_NORMAL), 32);
}

TEST(a_low_one_is_not_kept_by_floods_of_both_others)
{
	unsigned low = put(GB_PRIORITY_LOW), normals = 0, taken = 0, at;

	for (;; taken++) {
		put(GB_PRIORITY_HIGH);
		put(GB_PRIORITY_NORMAL);
		at = take();
		if (at == low)
			break;
		normals += all[at].level == gb__level_of(GB_PRIORITY_NORMAL);
	}
	CHECK_INT(taken, 32);
	CHECK_INT(normals, 3);
}

/* Whoever was passed over gets nothing for it once nobody of his level waits. */
TEST(patience_begins_anew_with_each_that_is_taken)
{
	unsigned first = put(GB_PRIORITY_NORMAL), second = put(GB_PRIORITY_NORMAL);

	CHECK_INT(passed_over(first, GB_PRIORITY_HIGH), 8);
	CHECK_INT(passed_over(second, GB_PRIORITY_HIGH), 8);
}

/* Any order of calls: each is taken once, in the order of its level, and within the bounds. */
TEST(none_is_lost_and_none_starves_whatever_comes)
{
	uint64_t random = test_seed();
	unsigned next[GB__LEVELS][JOBS_MAX], first[GB__LEVELS] = { 0 }, last[GB__LEVELS] = { 0 };
	unsigned waited[GB__LEVELS] = { 0 }, taken = 0;

	while (taken < JOBS_MAX) {
		if (made < JOBS_MAX && (jobs.count == 0 || test_random(&random) % 3)) {
			unsigned level = (unsigned)(test_random(&random) % GB__LEVELS);

			next[level][last[level]++] = put((enum gb_priority)(GB_PRIORITY_HIGH - (int)level));
			continue;
		}
		unsigned at = take(), level = all[at].level;

		CHECK_INT(at, next[level][first[level]++]);
		taken++;
		for (unsigned i = 0; i < GB__LEVELS; i++) {
			waited[i] = i == level || first[i] == last[i] ? 0 : waited[i] + 1;
			CHECK(waited[i] <= 33 + 1);
		}
	}
	CHECK_INT(jobs.count, 0);
}
