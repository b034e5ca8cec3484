/** Arithmetic of repeated measurements: pure functions of numbers. NAN stands for what is not known. */
#ifndef COMPARE_STATISTICS_H
#define COMPARE_STATISTICS_H

#include <stdbool.h>
#include <stddef.h>

/** A median, and between which bounds it lies. */
struct compare_spread {
	double median, low, high; /* all NAN without a value */
};

/**
 * The median of those of `count` values that are known, with the bounds between which it lies with 95 % certainty:
 * values of order statistics, without an assumption about their distribution (Conover, Practical Nonparametric
 * Statistics, 3.2). Up to five values cannot be so certain: then these are the least and the greatest.
 */
struct compare_spread gb__compare_spread(const double *values, size_t count);

/**
 * The ratio beyond which two medians of `rounds` values each differ, as one thing measured twice, side by side, shows.
 *
 * `first[i]` and `again[i]` are of round `i`; `count` may span several points, each of `rounds` values. It is the most
 * by which medians of the two differ, and at least what their scatter makes likely in one of a hundred comparisons.
 * Returns a ratio above 1; NAN without values.
 */
double gb__compare_noise(const double *first, const double *again, size_t count, size_t rounds);

/** Whether `a` and `b` differ: by more than the noise and than `least`, and their bounds do not overlap. */
bool gb__compare_differ(
	const struct compare_spread *a, const struct compare_spread *b, double noise, double least);

/**
 * The knee of latency against offered load: the last of `count` rates, in ascending order, that is still answered in
 * full (within 3 %) at a latency of at most five times that of the lowest rate.
 *
 * Returns its index; `count` when none is; `count` - 1 means that no knee was reached.
 */
size_t gb__compare_knee(const double *offered, const double *answered, const double *latency, size_t count);

#endif
