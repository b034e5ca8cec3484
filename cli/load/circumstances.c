#include "load/circumstances.h"

#include "clock.h"
#include "doctor/cgroup.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 65536 /* of a file below /proc */

/* How far a clock is from the monotonic one. Of some readings the quickest: others may come between two. */
static int64_t distance(clockid_t clock)
{
	int64_t best = 0, best_took = INT64_MAX;

	for (unsigned i = 0; i < 5; i++) {
		int64_t before = (int64_t)gb__clock_ns(CLOCK_MONOTONIC), other = (int64_t)gb__clock_ns(clock);
		int64_t took = (int64_t)gb__clock_ns(CLOCK_MONOTONIC) - before;

		if (took < best_took) {
			best_took = took;
			best = other - before - took / 2;
		}
	}
	return best;
}

/* The number behind a word of cpu.stat, or -1. */
static int64_t number_of(const char *text, const char *word)
{
	const char *place = strstr(text, word);

	return place ? (int64_t)strtoll(place + strlen(word), NULL, 10) : -1;
}

static int64_t throttled_of_group(const char *folder)
{
	char path[PATH_MAX + sizeof("/cpu.stat")], stat[4096];

	snprintf(path, sizeof(path), "%s/cpu.stat", folder);
	if (gb__facts_file("", path, stat, sizeof(stat)) < 0)
		return -1;
	if (number_of(stat, "throttled_usec ") >= 0) /* version 2 */
		return number_of(stat, "throttled_usec ") * 1000;
	return number_of(stat, "throttled_time ");
}

/* Of the process's own group and those above it whichever was stopped for longest. */
static int64_t throttled_in(const char *cgroups, const char *mounts, const char *controller)
{
	char folder[PATH_MAX];
	int64_t longest = -1;
	size_t mount;

	if (gb__cgroup_folder(cgroups, mounts, controller, folder, sizeof(folder), &mount) < 0)
		return -1;
	for (;;) {
		int64_t one = throttled_of_group(folder);
		char *slash = strrchr(folder, '/');

		longest = one > longest ? one : longest;
		if (strlen(folder) <= mount || !slash)
			return longest;
		*slash = '\0';
	}
}

static int64_t throttled(void)
{
	char *cgroups = malloc(TEXT_MAX), *mounts = malloc(TEXT_MAX);
	int64_t ns = -1;

	if (cgroups && mounts && gb__facts_file("", "/proc/self/cgroup", cgroups, TEXT_MAX) == 0 &&
		gb__facts_file("", "/proc/self/mountinfo", mounts, TEXT_MAX) == 0) {
		ns = throttled_in(cgroups, mounts, "");
		if (ns < 0)
			ns = throttled_in(cgroups, mounts, "cpu");
	}
	free(cgroups);
	free(mounts);
	return ns;
}

void gb__circumstances_note(struct circumstances *ret)
{
	ret->of_day_ns = distance(CLOCK_REALTIME);
	ret->raw_ns = distance(CLOCK_MONOTONIC_RAW);
	ret->awake_ns = distance(CLOCK_BOOTTIME);
	ret->throttled_ns = throttled();
}

void gb__circumstances_compare(const struct circumstances *before, struct facts_of_run *facts)
{
	struct circumstances now;

	gb__circumstances_note(&now);
	facts->stepped_ns = (uint64_t)llabs(now.of_day_ns - before->of_day_ns);
	facts->slewed_ns = (uint64_t)llabs(now.raw_ns - before->raw_ns);
	facts->suspended_ns = (uint64_t)llabs(now.awake_ns - before->awake_ns);
	facts->throttled_ns = before->throttled_ns >= 0 && now.throttled_ns > before->throttled_ns
		? (uint64_t)(now.throttled_ns - before->throttled_ns)
		: 0;
}
