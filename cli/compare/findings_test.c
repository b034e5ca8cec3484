#include "compare/findings.h"

#include "harness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MODELS 3

/* Three models without a control, at the steps of an axis, or at one place. */
static struct compare_options options;
static struct compare_model models[MODELS];
static struct compare_point points[MODELS * 8];
static struct comparison comparison;
static struct compare_sample sample;

static void three_models(size_t grid)
{
	static const char *const names[MODELS] = { "reactor", "thread", "fork" };

	memset(&options, 0, sizeof(options));
	memset(models, 0, sizeof(models));
	memset(points, 0, sizeof(points));
	options.rounds = 5;
	for (size_t i = 0; i < MODELS; i++)
		models[i].name = (char *)names[i];
	comparison = (struct comparison){ .options = &options,
		.models = models,
		.models_count = MODELS,
		.points = points,
		.points_count = MODELS * grid,
		.grid = grid };
	for (int metric = 0; metric < METRICS_COUNT; metric++)
		comparison.noise[metric] = 1.05;
	for (size_t i = 0; i < MODELS * grid; i++) {
		points[i] = (struct compare_point){
			.model = i / grid, .step = { i % grid }, .samples = &sample, .samples_count = 1
		};
		for (int metric = 0; metric < METRICS_COUNT; metric++)
			points[i].spreads[metric] = (struct compare_spread){ NAN, NAN, NAN };
	}
}

static void axis(const char *name, const char *const *texts)
{
	struct compare_axis *axis = &options.axes[options.axes_count++];

	snprintf(axis->name, sizeof(axis->name), "%s", name);
	for (; texts[axis->count]; axis->count++)
		axis->steps[axis->count] =
			(struct compare_step){ (char *)texts[axis->count], strtod(texts[axis->count], NULL) };
}

static void set(size_t model, size_t n, enum compare_metric metric, double value)
{
	compare_point(&comparison, model, n)->spreads[metric] =
		(struct compare_spread){ value, value * 0.99, value * 1.01 };
}

/* Whether a finding says it. */
static bool found(const char *text)
{
	json_t *findings = gb__compare_findings(&comparison), *finding;
	bool any = false;
	size_t at;

	json_array_foreach(findings, at, finding)
	{
		any |= strcmp(json_string_value(finding), text) == 0;
	}
	json_decref(findings);
	return any;
}

TEST(the_best_and_the_worst_are_named)
{
	three_models(1);
	set(0, 0, METRIC_MESSAGES_PER_SECOND, 50000);
	set(1, 0, METRIC_MESSAGES_PER_SECOND, 40000);
	set(2, 0, METRIC_MESSAGES_PER_SECOND, 20000);
	CHECK(found(
		"reactor answers most messages a second: 50,000. fork answers fewest: 20,000, a factor of "
		"2.5."));
	set(0, 0, METRIC_P99, 2e6);
	set(1, 0, METRIC_P99, 1e6);
	CHECK(found(
		"thread has the shortest p99: 1.00 ms. reactor has the longest: 2.00 ms, a factor of 2.0."));
}

TEST(who_cannot_be_told_from_the_best_is_said)
{
	three_models(1);
	set(0, 0, METRIC_CPU, 5000);
	set(1, 0, METRIC_CPU, 5100);
	set(2, 0, METRIC_CPU, 20000);
	CHECK(found(
		"reactor takes least CPU time a message: 5.00 µs; thread cannot be told from it. fork takes most: "
		"20.0 µs, a factor of 4.0."));
}

TEST(what_is_all_noise_is_called_no_difference)
{
	three_models(1);
	set(0, 0, METRIC_MESSAGES_PER_SECOND, 50000);
	set(1, 0, METRIC_MESSAGES_PER_SECOND, 49000);
	set(2, 0, METRIC_MESSAGES_PER_SECOND, 49500);
	CHECK(found("messages/s: no difference between models is beyond the noise (50,000 to 49,000)."));
}

TEST(winners_along_an_axis_stay_while_nobody_is_better)
{
	static const char *const steps[] = { "1", "10", "100", NULL };

	three_models(3);
	axis("connections", steps);
	for (size_t n = 0; n < 3; n++) {
		set(0, n, METRIC_MESSAGES_PER_SECOND, n == 2 ? 90000 : 49500);
		set(1, n, METRIC_MESSAGES_PER_SECOND, n == 0 ? 60000 : n == 1 ? 49000 : 30000);
	}
	CHECK(found("Most messages a second: thread from connections=1 to 10, reactor at connections=100."));
}

TEST(knees_are_named_by_rate)
{
	static const char *const steps[] = { "1000", "2000", "4000", NULL };

	three_models(3);
	axis("rate", steps);
	for (size_t n = 0; n < 3; n++) {
		set(0, n, METRIC_MESSAGES_PER_SECOND, options.axes[0].steps[n].number);
		set(0, n, METRIC_P99, 1e6);
		set(1, n, METRIC_MESSAGES_PER_SECOND, n == 2 ? 2500 : options.axes[0].steps[n].number);
		set(1, n, METRIC_P99, n == 2 ? 1e9 : 1e6);
		set(2, n, METRIC_MESSAGES_PER_SECOND, 500);
		set(2, n, METRIC_P99, 1e9);
	}
	CHECK(found(
		"The knee of latency against load: reactor none up to 4000/s; thread after 2000/s; fork does not "
		"keep up with 1000/s."));
}

TEST(failures_are_told_with_their_place)
{
	static const char *const steps[] = { "1", "10", NULL };

	three_models(2);
	axis("size", steps);
	snprintf(compare_point(&comparison, 1, 1)->error, COMPARE_LOG_MAX, "3 wrong replies");
	CHECK(found("thread failed at size=10: 3 wrong replies."));
}

TEST(workers_that_are_uneven_and_busy_ones_are_named)
{
	three_models(1);
	set(0, 0, METRIC_IMBALANCE, 1.6);
	set(1, 0, METRIC_IMBALANCE, 1.0);
	set(2, 0, METRIC_IDLE_CPU, 0.99);
	CHECK(found(
		"Uneven between workers: reactor (the busiest has more than a quarter above the average)."));
	CHECK(found("Busy without any message: fork."));
}

TEST(so_few_rounds_tell_little)
{
	three_models(1);
	options.rounds = 2;
	CHECK(found("Of so few rounds nothing is known for certain: 5 or more tell differences from noise."));
}
