#include "compare/comparison.h"

#include "same.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void gb__compare_warn(struct compare_point *point, const char *text)
{
	for (size_t i = 0; i < point->warnings_count; i++)
		if (gb__same_but_numbers(point->warnings[i], text))
			return;
	if (point->warnings_count < COMPARE_WARNINGS_MAX)
		snprintf(point->warnings[point->warnings_count++], COMPARE_TEXT_MAX, "%s", text);
}

static void gather(const struct compare_point *point, enum compare_metric metric, size_t rounds, double *ret)
{
	for (size_t i = 0; i < rounds; i++)
		ret[i] = i < point->samples_count ? point->samples[i].values[metric] : NAN;
}

/* What some rounds do not tell (too few messages for a percentile) is not told of the others. */
static size_t known(const double *values, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!isfinite(values[i]))
			return 0;
	return count;
}

static void sum_up_point(struct compare_point *point, double *values)
{
	for (int metric = 0; metric < METRICS_COUNT; metric++) {
		gather(point, metric, point->samples_count, values);
		point->spreads[metric] = gb__compare_spread(values, known(values, point->samples_count));
	}
}

static void find_noise(
	struct comparison *comparison, enum compare_metric metric, double *first, double *again)
{
	const size_t rounds = comparison->options->rounds, control = comparison->models_count - 1;

	for (size_t n = 0; n < comparison->grid; n++) {
		gather(compare_point(comparison, comparison->controlled, n), metric, rounds,
			first + n * rounds);
		gather(compare_point(comparison, control, n), metric, rounds, again + n * rounds);
	}
	comparison->noise[metric] = gb__compare_noise(first, again, comparison->grid * rounds, rounds);
}

void gb__compare_sum_up(struct comparison *comparison)
{
	const size_t count = comparison->grid * comparison->options->rounds;
	double *values = calloc(2 * count + 1, sizeof(*values));

	for (int metric = 0; metric < METRICS_COUNT; metric++)
		comparison->noise[metric] = NAN;
	if (!values)
		return;
	for (size_t i = 0; i < comparison->points_count; i++)
		sum_up_point(&comparison->points[i], values);
	if (compare_told(comparison) < comparison->models_count)
		for (int metric = 0; metric < METRICS_COUNT; metric++)
			find_noise(comparison, metric, values, values + count);
	free(values);
}

bool gb__compare_points_differ(const struct comparison *comparison, const struct compare_point *a,
	const struct compare_point *b, enum compare_metric metric)
{
	return gb__compare_differ(&a->spreads[metric], &b->spreads[metric], comparison->noise[metric],
		gb__compare_metrics[metric].least);
}

bool gb__compare_better(enum compare_metric metric, double a, double b)
{
	if (!isfinite(a) || !isfinite(b))
		return isfinite(a);
	return gb__compare_metrics[metric].more_is_better ? a > b : a < b;
}

void gb__comparison_finish(struct comparison *comparison)
{
	for (size_t i = 0; i < comparison->models_count; i++) {
		free(comparison->models[i].name);
		free(comparison->models[i].spec);
	}
	for (size_t i = 0; i < comparison->points_count; i++) {
		for (size_t j = 0; j < comparison->points[i].samples_count; j++)
			free(comparison->points[i].samples[j].histogram);
		free(comparison->points[i].samples);
		json_decref(comparison->points[i].tls);
	}
	for (size_t i = 0; i < comparison->left_out_count; i++)
		free(comparison->left_out[i]);
	free(comparison->models);
	free(comparison->points);
	*comparison = (struct comparison){ 0 };
}
