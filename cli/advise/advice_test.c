#include "advise/advice.h"

#include "harness.h"

#include <math.h>
#include <string.h>

#define TRIED 3

/* Echo, of which three candidates were measured. */
static struct advice advice;
static struct compare_options options;
static struct compare_model models[TRIED];
static struct compare_point points[TRIED];
static struct compare_sample sample;

static void begin(void)
{
	advice = (struct advice){ .situation = { .cpus = 4,
					  .quota = NAN,
					  .cpu_ns = 1e3,
					  .io_ns = 5e3,
					  .median_ns = 1e3,
					  .p99_ns = 1e3,
					  .longest_ns = 2e3,
					  .connections = 100,
					  .depth = 1,
					  .rate = NAN } };
	gb__advise_judge(&advice.situation, NULL, NULL, &advice.verdict);
	gb__advise_choose(&advice, TRIED);
}

/* Messages per second of each, and the noise. */
static void measured(double first, double second, double third, double noise)
{
	const double values[TRIED] = { first, second, third };

	memset(models, 0, sizeof(models));
	memset(points, 0, sizeof(points));
	advice.comparison = (struct comparison){ .options = &options,
		.models = models,
		.models_count = TRIED,
		.points = points,
		.points_count = TRIED,
		.grid = 1 };
	for (size_t i = 0; i < TRIED; i++) {
		models[i].name = advice.verdict.candidates[advice.tried[i]].spec;
		points[i] = (struct compare_point){
			.model = i, .samples = &sample, .samples_count = !isnan(values[i])
		};
		points[i].spreads[METRIC_MESSAGES_PER_SECOND] =
			(struct compare_spread){ values[i], values[i] * 0.99, values[i] * 1.01 };
	}
	advice.comparison.noise[METRIC_MESSAGES_PER_SECOND] = noise;
	gb__advise_conclude(&advice);
}

TEST(the_first_is_tried_and_no_more_than_two_of_a_kind)
{
	const unsigned kind = ADVISE_BLOCKING | ADVISE_INLINE | ADVISE_POOL | ADVISE_LOOPS;

	begin();
	gb__advise_choose(&advice, ADVISE_CANDIDATES_MAX);
	CHECK(advice.tried[0] == 0);
	for (size_t i = 0; i < advice.tried_count; i++) {
		size_t same = 0;

		for (size_t j = 0; j < advice.tried_count; j++)
			same += (advice.verdict.candidates[advice.tried[i]].features & kind) ==
				(advice.verdict.candidates[advice.tried[j]].features & kind);
		CHECK(same <= 2);
	}
}

TEST(what_is_best_when_it_is_tried_held)
{
	begin();
	measured(1000, 500, 700, 1.1);
	CHECK(advice.outcome == ADVISE_HELD && advice.chosen == 0 && !advice.noise);
	CHECK(advice.runner_up == advice.tried[2]);
	CHECK(advice.why_count > 1);
}

TEST(what_the_noise_does_not_tell_from_the_best_held_as_well)
{
	begin();
	measured(1000, 1050, 990, 1.1);
	CHECK(advice.outcome == ADVISE_HELD && advice.chosen == 0 && advice.noise);
	CHECK(advice.runner_up == advice.tried[1]);
}

/* Rounds of the first two candidates, medians 1000 and 1100, of which the second wins so many. */
static void measured_in_rounds(size_t rounds, size_t won)
{
	static struct compare_sample samples[2][5];

	measured(1000, 1100, 900, 1.5);
	for (size_t i = 0; i < rounds; i++) {
		samples[0][i].values[METRIC_MESSAGES_PER_SECOND] = 1000;
		samples[1][i].values[METRIC_MESSAGES_PER_SECOND] = i < won ? 1100 : 990;
	}
	for (size_t i = 0; i < 2; i++) {
		points[i].samples = samples[i];
		points[i].samples_count = rounds;
	}
	gb__advise_conclude(&advice);
}

TEST(what_is_better_in_most_rounds_is_advised_within_the_noise_as_well)
{
	begin();
	measured_in_rounds(5, 4);
	CHECK(advice.outcome == ADVISE_LED && advice.chosen == advice.tried[1] && advice.noise);
	measured_in_rounds(5, 3);
	CHECK(advice.outcome == ADVISE_HELD && advice.chosen == 0);
	measured_in_rounds(2, 2);
	CHECK(advice.outcome == ADVISE_HELD && advice.chosen == 0);
}

TEST(what_is_better_beyond_the_noise_is_advised)
{
	begin();
	measured(1000, 1050, 2000, 1.1);
	CHECK(advice.outcome == ADVISE_TURNED && advice.chosen == advice.tried[2] && !advice.noise);
	CHECK(advice.runner_up == advice.tried[1]);
}

TEST(a_model_that_failed_is_not_advised)
{
	begin();
	measured(NAN, 1050, 2000, 1.1);
	CHECK(advice.outcome == ADVISE_TURNED && advice.chosen == advice.tried[2]);
}

TEST(without_figures_the_rules_alone_advise)
{
	begin();
	advice.tried_count = 0;
	gb__advise_conclude(&advice);
	CHECK(advice.outcome == ADVISE_UNTRIED && advice.chosen == 0 && advice.runner_up == 1 &&
		!advice.noise);
	measured(NAN, NAN, NAN, 1.1);
	CHECK(advice.outcome == ADVISE_UNTRIED && advice.chosen == 0);
}

TEST(less_is_better_where_that_is_the_goal)
{
	begin();
	advice.situation.goal = ADVISE_CPU;
	measured(1, 1, 1, 1.1);
	for (size_t i = 0; i < TRIED; i++) {
		double value = i == 1 ? 10 : 100;

		points[i].spreads[METRIC_CPU] = (struct compare_spread){ value, value, value };
	}
	advice.comparison.noise[METRIC_CPU] = 1.1;
	gb__advise_conclude(&advice);
	CHECK(advice.outcome == ADVISE_TURNED && advice.chosen == advice.tried[1]);
}
