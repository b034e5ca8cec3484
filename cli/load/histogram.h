/**
 * A histogram of durations with a bounded relative error: the layout that HdrHistogram made known.
 *
 * Each power of two is divided into 128 buckets of equal width, so what is read back lies less than 1/128
 * above what was added; values below 256 are exact. These are its buckets of two significant digits (see hdr.h). Adding never allocates; several histograms merge
 * without loss.
 */
#ifndef LOAD_HISTOGRAM_H
#define LOAD_HISTOGRAM_H

#include <stdint.h>

enum {
	HISTOGRAM_SUB_BITS = 7,
	HISTOGRAM_SUB = 1 << HISTOGRAM_SUB_BITS, /* buckets per power of two */
	HISTOGRAM_BUCKETS = (64 - HISTOGRAM_SUB_BITS + 1) * HISTOGRAM_SUB,
};

/** Begins with gb__histogram_init; holds no other memory. */
struct histogram {
	uint64_t count; /* values added */
	uint64_t sum;   /* of them; wraps after 584 years of nanoseconds */
	uint64_t min, max;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void gb__histogram_init(struct histogram *histogram);
/** Add one value, any of 64 bits. */
void gb__histogram_add(struct histogram *histogram, uint64_t value);
/** Add the same value `count` times. */
void gb__histogram_add_many(struct histogram *histogram, uint64_t value, uint64_t count);
/** Add everything that is in `other`. */
void gb__histogram_merge(struct histogram *histogram, const struct histogram *other);
/**
 * The smallest value that at least `ten_thousandths` / 10000 of all values do not exceed, rounded up by
 * less than 1/128 and never above the maximum: 5000 is the median, 9990 the 99.9th percentile. 0 when empty.
 */
uint64_t gb__histogram_quantile(const struct histogram *histogram, unsigned ten_thousandths);
/** The largest value of a bucket. */
uint64_t gb__histogram_bucket_top(unsigned bucket);
/** The mean, rounded down. 0 when empty. */
uint64_t gb__histogram_mean(const struct histogram *histogram);

#endif
