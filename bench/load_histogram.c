/* Durations in buckets, 32 an octave: within 3 %. */
#include "load.h"

static unsigned bucket_of(uint64_t ns)
{
	unsigned octave;

	if (ns < 32)
		return (unsigned)ns;
	octave = 63 - (unsigned)__builtin_clzll(ns) - 5;
	return octave * 32 + (unsigned)(ns >> octave);
}

void histogram_add(struct histogram *histogram, uint64_t ns)
{
	histogram->count++;
	histogram->buckets[bucket_of(ns)]++;
}

double histogram_us(const struct histogram *histogram, double part)
{
	uint64_t rank = (uint64_t)((double)histogram->count * part), seen = 0;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += histogram->buckets[i];
		if (seen > rank)
			return (double)(i < 64 ? i : (uint64_t)(32 + i % 32) << (i / 32 - 1)) / 1000;
	}
	return 0;
}
