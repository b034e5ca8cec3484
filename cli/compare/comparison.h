/** What is compared, where, and what came of it. */
#ifndef COMPARE_COMPARISON_H
#define COMPARE_COMPARISON_H

#include "compare/metrics.h"
#include "compare/options.h"
#include "compare/statistics.h"

#include <gearbox/model.h>

#include <jansson.h>

enum { COMPARE_WARNINGS_MAX = 8, COMPARE_TEXT_MAX = 256 };

/** In the warning that a model serves fewer connections than there are. */
#define COMPARE_TURNS " at a time: each closes after "

struct compare_model {
	char *name;
	char *spec;                     /* as serve takes it; NULL: a command of others */
	const char *command;            /* of those, or NULL */
	const struct gb_preset *preset; /* that it is, or NULL */
	char full[COMPARE_SPEC_MAX];    /* all axes, at the first step */
	bool control;                   /* it is measured a second time, to see what that changes; not told */
};

/** One round. */
struct compare_sample {
	double values[METRICS_COUNT];
	char *histogram; /* of response times, as the load gives it, or NULL */
};

struct compare_point {
	size_t model;
	size_t step[COMPARE_AXES];
	char spec[COMPARE_SPEC_MAX]; /* of the model here */
	size_t capacity;             /* connections that it serves at once; SIZE_MAX: any number */
	bool per_connection;         /* each has a worker of its own */
	char error[COMPARE_LOG_MAX]; /* what went wrong, or "" */
	char warnings[COMPARE_WARNINGS_MAX][COMPARE_TEXT_MAX];
	size_t warnings_count;
	json_t *tls;                    /* as the load told it last; NULL: it speaks none */
	struct compare_sample *samples; /* of `rounds` */
	size_t samples_count;
	struct compare_spread spreads[METRICS_COUNT]; /* of all rounds */
};

struct comparison {
	const struct compare_options *options;
	char when[32]; /* ISO 8601 */
	struct compare_model *models;
	size_t models_count;          /* the control, if any, is the last */
	size_t controlled;            /* the model that is measured twice */
	struct compare_point *points; /* of each model all steps in order: see compare_point */
	size_t points_count, grid;    /* steps of all axes together */
	double noise[METRICS_COUNT];  /* ratio beyond which a difference is one; NAN: unknown */
	bool interrupted;
	char *left_out[COMPARE_NAMES_MAX]; /* models that cannot be compared, each with the reason */
	size_t left_out_count;
};

/** The model's point at the n-th step of the grid; the second axis moves first. */
static inline struct compare_point *compare_point(const struct comparison *comparison, size_t model, size_t n)
{
	return &comparison->points[model * comparison->grid + n];
}

/** The number of models without the control. */
static inline size_t compare_told(const struct comparison *comparison)
{
	size_t count = comparison->models_count;

	return count > 0 && comparison->models[count - 1].control ? count - 1 : count;
}

/** Whether figures came of a point. */
static inline bool compare_measured(const struct compare_point *point)
{
	return point->samples_count > 0 && !point->error[0];
}

/** Add a warning, unless it is known already; those that differ in numbers alone are one. */
void gb__compare_warn(struct compare_point *point, const char *text);

/** Medians, spreads and noise of all samples. */
void gb__compare_sum_up(struct comparison *comparison);

/** Whether two points differ in a metric, beyond noise. */
bool gb__compare_points_differ(const struct comparison *comparison, const struct compare_point *a,
	const struct compare_point *b, enum compare_metric metric);

/** Whether `a` is better than `b`, or equal and known: by the median. */
bool gb__compare_better(enum compare_metric metric, double a, double b);

void gb__comparison_finish(struct comparison *comparison);

#endif
