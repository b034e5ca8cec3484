#include "doctor/spread.h"

#include <stdlib.h>

static int compare(const void *left, const void *right)
{
	const double *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

static double at_fraction(const double *values, size_t count, double fraction)
{
	double place = fraction * (double)(count - 1);
	size_t below = (size_t)place;

	if (below + 1 >= count)
		return values[count - 1];
	return values[below] + (place - (double)below) * (values[below + 1] - values[below]);
}

struct spread gb__spread_of(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), compare);
	return (struct spread){ at_fraction(values, count, 0.25), at_fraction(values, count, 0.5),
		at_fraction(values, count, 0.75) };
}
