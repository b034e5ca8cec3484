/* Durations in buckets: each power of two in 16, as HdrHistogram has them. */
#include "base/macros.h"

#include <gearbox/observe.h>

#define PARTS 16u
#define PARTS_LOG 4u

const char *gb_stage_name(enum gb_stage stage)
{
	static const char *const names[] = { "accept", "queue", "run", "output" };

	return (unsigned)stage < GB_STAGE_COUNT ? names[stage] : NULL;
}

unsigned gb_stage_bucket(uint64_t ns)
{
	unsigned power, bucket;

	if (ns < PARTS)
		return (unsigned)ns;
	power = 63u - (unsigned)__builtin_clzll(ns);
	bucket = (power - PARTS_LOG + 1) * PARTS + (unsigned)(ns >> (power - PARTS_LOG) & (PARTS - 1));
	return gb__min(bucket, GB_STAGE_BUCKETS - 1);
}

uint64_t gb_stage_bound_ns(unsigned bucket)
{
	const unsigned shift = bucket < PARTS ? 0 : bucket / PARTS - 1;
	const uint64_t part = bucket < PARTS ? bucket : PARTS + bucket % PARTS;

	return ((part + 1) << shift) - 1;
}

uint64_t gb_stage_quantile_ns(const struct gb_stage_times *times, double share)
{
	uint64_t total = 0, rank, seen = 0;

	for (unsigned i = 0; i < GB_STAGE_BUCKETS; i++)
		total += times->buckets[i];
	if (total == 0)
		return 0;
	rank = (uint64_t)(share * (double)total);
	rank = rank < total ? rank + 1 : total;
	if (share > 0 && (double)(rank - 1) == share * (double)total)
		rank = gb__max(rank - 1, 1u);
	for (unsigned i = 0; i < GB_STAGE_BUCKETS; i++) {
		seen += times->buckets[i];
		if (seen >= rank)
			return gb_stage_bound_ns(i);
	}
	return gb_stage_bound_ns(GB_STAGE_BUCKETS - 1);
}

void gb_stage_since(struct gb_stage_times *times, const struct gb_stage_times *before)
{
	times->count -= before->count;
	times->sum_ns -= before->sum_ns;
	for (unsigned i = 0; i < GB_STAGE_BUCKETS; i++)
		times->buckets[i] -= before->buckets[i];
}
