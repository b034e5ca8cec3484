/** What a comparison found, as sentences that a person would have written. */
#ifndef COMPARE_FINDINGS_H
#define COMPARE_FINDINGS_H

#include "compare/comparison.h"
#include "json.h"

/** A list of sentences, the most telling first. Only what is beyond the noise is called a difference. */
json_t *gb__compare_findings(const struct comparison *comparison);

/** The best point at the n-th step of the grid, by the median; NULL: nothing was measured. */
const struct compare_point *gb__compare_best(
	const struct comparison *comparison, enum compare_metric metric, size_t n);

#endif
