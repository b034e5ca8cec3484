#include "os/cpu.h"

#include "base/macros.h"
#include "os/cgroup.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

static bool has(const struct gb__cpus *cpus, unsigned cpu)
{
	return cpus->words[cpu / GB__CPUS_WORD] >> (cpu % GB__CPUS_WORD) & 1u;
}

static void add(struct gb__cpus *cpus, unsigned cpu)
{
	cpus->words[cpu / GB__CPUS_WORD] |= 1ul << (cpu % GB__CPUS_WORD);
}

static int read_numbers(const char *folder, const char *name, long long *ret_first, long long *ret_second)
{
	char path[2048];
	FILE *file;
	int count;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "re");
	if (!file)
		return 0;
	count = fscanf(file, "%lld %lld", ret_first, ret_second);
	fclose(file);
	return count;
}

/* Lowers the number to the quota of one group, in CPUs rounded up: what is left of the last one is to be used, too. */
static void tighten(const char *folder, void *arg)
{
	unsigned *least = arg;
	long long quota = -1, period = 0, none;

	/* Version 2 has both in one file, or the word "max"; version 1 says -1 for no quota. */
	if (read_numbers(folder, "cpu.max", &quota, &period) != 2 &&
		(read_numbers(folder, "cpu.cfs_quota_us", &quota, &none) < 1 ||
			read_numbers(folder, "cpu.cfs_period_us", &period, &none) < 1))
		return;
	if (quota > 0 && period > 0 && (quota + period - 1) / period < *least)
		*least = (unsigned)((quota + period - 1) / period);
}

unsigned gb__cpus_within_quota(const char *root, unsigned cpus)
{
	gb__cgroup_visit(root, "cpu", tighten, &cpus);
	return cpus;
}

unsigned gb__cpus_allotted(void)
{
	struct gb__cpus allowed;

	gb__cpus_get(&allowed);
	return gb__cpus_within_quota("", gb__max(gb__cpus_count(&allowed), 1u));
}

void gb__cpus_get(struct gb__cpus *ret)
{
	*ret = (struct gb__cpus){ 0 };
	sched_getaffinity(0, sizeof(ret->words), (cpu_set_t *)ret->words);
}

int gb__cpus_use(const struct gb__cpus *cpus)
{
	return sched_setaffinity(0, sizeof(cpus->words), (const cpu_set_t *)cpus->words) < 0 ? -errno : 0;
}

unsigned gb__cpus_count(const struct gb__cpus *cpus)
{
	unsigned count = 0;

	for (unsigned i = 0; i < gb__countof(cpus->words); i++)
		count += (unsigned)__builtin_popcountl(cpus->words[i]);
	return count;
}

static __attribute__((noinline)) int use_one(const struct gb__cpus *cpus, unsigned n)
{
	unsigned count = gb__cpus_count(cpus), cpu = 0;
	struct gb__cpus one = { 0 };

	for (n %= count; !has(cpus, cpu) || n-- > 0; cpu++)
		;
	add(&one, cpu);
	return gb__cpus_use(&one);
}

/* Asked for each worker, of which there may be one for each connection. */
int gb__cpus_use_one(const struct gb__cpus *cpus, unsigned n)
{
	static const struct gb__cpus none;

	return memcmp(cpus, &none, sizeof(none)) == 0 ? 0 : use_one(cpus, n);
}

/* Digits, below the maximum. Returns what follows them, or NULL. */
static const char *parse_cpu(const char *text, unsigned *ret)
{
	const char *begin = text;

	for (*ret = 0; *text >= '0' && *text <= '9' && *ret < GB__CPUS_MAX; text++)
		*ret = *ret * 10 + (unsigned)(*text - '0');
	return text > begin && *ret < GB__CPUS_MAX ? text : NULL;
}

/* As people write them: "0-3,6". */
static void format(const struct gb__cpus *cpus, char *text, size_t size)
{
	size_t used = 0;

	*text = '\0';
	for (unsigned first = 0; first < GB__CPUS_MAX && used < size; first++) {
		unsigned last = first;

		if (!has(cpus, first))
			continue;
		while (last + 1 < GB__CPUS_MAX && has(cpus, last + 1))
			last++;
		used += (size_t)snprintf(text + used, size - used, last > first ? "%s%u-%u" : "%s%u",
			used ? "," : "", first, last);
		first = last;
	}
}

int gb__cpus_parse(const char *text, struct gb__cpus *ret, struct gb_error *error)
{
	struct gb__cpus allowed, chosen = { 0 };
	const char *at = text;
	char list[128];

	if (strcmp(text, "none") == 0) {
		*ret = chosen;
		return 0;
	}
	gb__cpus_get(&allowed);
	if (strcmp(text, "auto") == 0) {
		*ret = allowed;
		return 0;
	}
	do {
		unsigned first, last;

		at = parse_cpu(at, &first);
		last = first;
		if (at && *at == '-')
			at = parse_cpu(at + 1, &last);
		if (!at || last < first || (*at && *at != ','))
			return gb_error_set(error, -GB_EUSAGE,
				"affinity: \"%.48s\" is not a list of CPUs: write none, auto, or numbers as in "
				"0-3,6",
				text);
		for (unsigned cpu = first; cpu <= last; cpu++) {
			if (!has(&allowed, cpu)) {
				format(&allowed, list, sizeof(list));
				return gb_error_set(error, -GB_EUSAGE,
					"affinity: CPU %u is none of those that this process may use: %s",
					cpu, list);
			}
			add(&chosen, cpu);
		}
	} while (*at++ == ',');
	*ret = chosen;
	return 0;
}
