#include "compare/statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define VALUES_MAX 1024         /* of a median; of more the first */
#define TAIL 0.025              /* on each side of what is 95 % certain */
#define NOISE_LEAST 1.01        /* no measurement of ours is better */
#define SCATTER_OF_ONE 2.58     /* standard deviations that are exceeded in one of a hundred cases */
#define MEDIAN_SCATTER 1.253    /* of a median, in those of a mean: sqrt(pi / 2) */
#define DEVIATION_OF_MEAN 1.253 /* a standard deviation, in mean absolute ones: the same number */
#define ANSWERED_IN_FULL 0.97
#define KNEE_RATIO 5.0

static int ascending(const void *left, const void *right)
{
	const double *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

/* Copy what is known, in order. Returns how many. */
static size_t sorted(const double *values, size_t count, double ret[VALUES_MAX])
{
	size_t known = 0;

	for (size_t i = 0; i < count && known < VALUES_MAX; i++)
		if (isfinite(values[i]))
			ret[known++] = values[i];
	qsort(ret, known, sizeof(*ret), ascending);
	return known;
}

static double middle(const double *ordered, size_t count)
{
	return count % 2 ? ordered[count / 2] : (ordered[count / 2 - 1] + ordered[count / 2]) / 2;
}

/* How many values on each side lie outside of the bounds: of the binomial distribution with 1/2. */
static size_t outside(size_t count)
{
	double term = pow(0.5, (double)count), sum = term;
	size_t below = 0;

	while (below + 1 < count / 2) {
		term *= (double)(count - below) / (double)(below + 1);
		if (sum + term > TAIL)
			break;
		sum += term;
		below++;
	}
	return sum > TAIL ? 0 : below;
}

struct compare_spread gb__compare_spread(const double *values, size_t count)
{
	double ordered[VALUES_MAX];
	size_t known = sorted(values, count, ordered), skip;

	if (known == 0)
		return (struct compare_spread){ NAN, NAN, NAN };
	skip = outside(known);
	return (struct compare_spread){ middle(ordered, known), ordered[skip], ordered[known - 1 - skip] };
}

/* Add to `ret` how far each value is from their median, as logarithms. Returns how many there are. */
static size_t scatter(const double *values, size_t count, double *ret)
{
	double median = gb__compare_spread(values, count).median;
	size_t added = 0;

	for (size_t i = 0; i < count; i++) {
		double far = values[i] > 0 && median > 0 ? log(values[i] / median) : NAN;

		if (!isfinite(far))
			continue;
		*ret += fabs(far);
		added++;
	}
	return added;
}

double gb__compare_noise(const double *first, const double *again, size_t count, size_t rounds)
{
	double most = 0, far = 0, likely;
	size_t terms = 0, medians = 0;

	for (size_t at = 0; rounds > 0 && at + rounds <= count; at += rounds) {
		double a = gb__compare_spread(first + at, rounds).median;
		double b = gb__compare_spread(again + at, rounds).median;

		if (!(a > 0) || !(b > 0))
			continue;
		most = fmax(most, fabs(log(a / b)));
		terms += scatter(first + at, rounds, &far) + scatter(again + at, rounds, &far);
		medians += 2;
	}
	if (medians == 0)
		return NAN;
	/* Each median was taken from the values that it is compared with: as many degrees of freedom fewer. Deviations
	 * themselves, not their squares: a round that something else disturbed is not to decide. */
	likely = terms > medians ? DEVIATION_OF_MEAN * far / (double)(terms - medians) : 0;
	likely *= SCATTER_OF_ONE * MEDIAN_SCATTER * sqrt(2.0 / (double)rounds);
	return fmax(NOISE_LEAST, exp(fmax(most, likely)));
}

bool gb__compare_differ(
	const struct compare_spread *a, const struct compare_spread *b, double noise, double least)
{
	double more = fmax(a->median, b->median), less = fmin(a->median, b->median);

	if (!isfinite(a->median) || !isfinite(b->median) || more - less <= least)
		return false;
	if (isfinite(noise) && more <= less * noise)
		return false;
	return a->low > b->high || b->low > a->high;
}

size_t gb__compare_knee(const double *offered, const double *answered, const double *latency, size_t count)
{
	size_t knee = count;

	/* From above: a rate that did worse than a higher one was disturbed. */
	while (knee > 0 &&
		(!(answered[knee - 1] >= ANSWERED_IN_FULL * offered[knee - 1]) ||
			!(latency[knee - 1] <= KNEE_RATIO * latency[0])))
		knee--;
	return knee > 0 ? knee - 1 : count;
}
