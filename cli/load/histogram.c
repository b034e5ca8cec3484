#include "load/histogram.h"

#include <string.h>

/*
 * Values below 2 * SUB have a bucket each. From there on the top SUB_BITS + 1 bits say which bucket:
 * the highest one is always set, so each power of two takes SUB buckets.
 */
static unsigned bucket_of(uint64_t value)
{
	unsigned shift;

	if (value < HISTOGRAM_SUB)
		return (unsigned)value;
	shift = 63u - (unsigned)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
	return (shift << HISTOGRAM_SUB_BITS) + (unsigned)(value >> shift);
}

uint64_t gb__histogram_bucket_top(unsigned bucket)
{
	unsigned shift;
	uint64_t first;

	if (bucket < HISTOGRAM_SUB)
		return bucket;
	shift = (bucket >> HISTOGRAM_SUB_BITS) - 1;
	first = (uint64_t)((bucket & (HISTOGRAM_SUB - 1)) | HISTOGRAM_SUB) << shift;
	return first + ((UINT64_C(1) << shift) - 1);
}

void gb__histogram_init(struct histogram *histogram)
{
	memset(histogram, 0, sizeof(*histogram));
	histogram->min = UINT64_MAX;
}

void gb__histogram_add(struct histogram *histogram, uint64_t value)
{
	histogram->count++;
	histogram->sum += value;
	if (value < histogram->min)
		histogram->min = value;
	if (value > histogram->max)
		histogram->max = value;
	histogram->buckets[bucket_of(value)]++;
}

void gb__histogram_add_many(struct histogram *histogram, uint64_t value, uint64_t count)
{
	if (count == 0)
		return;
	gb__histogram_add(histogram, value);
	histogram->count += count - 1;
	histogram->sum += value * (count - 1);
	histogram->buckets[bucket_of(value)] += count - 1;
}

void gb__histogram_merge(struct histogram *histogram, const struct histogram *other)
{
	histogram->count += other->count;
	histogram->sum += other->sum;
	if (other->min < histogram->min)
		histogram->min = other->min;
	if (other->max > histogram->max)
		histogram->max = other->max;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		histogram->buckets[i] += other->buckets[i];
}

uint64_t gb__histogram_quantile(const struct histogram *histogram, unsigned ten_thousandths)
{
	uint64_t whole = histogram->count / 10000 * ten_thousandths;
	uint64_t rank = whole + (histogram->count % 10000 * ten_thousandths + 9999) / 10000, seen = 0;

	if (histogram->count == 0)
		return 0;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += histogram->buckets[i];
		if (seen > 0 && seen >= rank) {
			uint64_t top = gb__histogram_bucket_top(i);

			return top < histogram->max ? top : histogram->max;
		}
	}
	return histogram->max;
}

uint64_t gb__histogram_mean(const struct histogram *histogram)
{
	return histogram->count ? histogram->sum / histogram->count : 0;
}
