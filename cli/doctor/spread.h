/** Quartiles. */
#ifndef CLI_DOCTOR_SPREAD_H
#define CLI_DOCTOR_SPREAD_H

#include <stddef.h>

struct spread {
	double low, median, high; /* a quarter of the numbers lies below low, a quarter above high */
};

/** Put `values` in order and tell their quartiles, interpolated; `count` is at least 1. */
struct spread gb__spread_of(double *values, size_t count);

#endif
