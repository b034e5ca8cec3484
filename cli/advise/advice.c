#include "advise/advice.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define KIND (ADVISE_BLOCKING | ADVISE_INLINE | ADVISE_POOL | ADVISE_LOOPS)
#define OF_A_KIND 2
#define WORTH 1.05 /* a ratio below which it is not worth to differ from the rules */
#define ROUNDS_LEAST 3
#define MOST 4 /* of MOST_OF rounds */
#define MOST_OF 5
#define FORBIDDEN 12 /* points below the first: a rule of that weight speaks against it */

enum compare_metric gb__advise_metric(enum advise_goal goal)
{
	static const enum compare_metric metrics[ADVISE_GOALS] = { [ADVISE_THROUGHPUT] =
									   METRIC_MESSAGES_PER_SECOND,
		[ADVISE_CPU] = METRIC_CPU,
		[ADVISE_P99] = METRIC_P99,
		[ADVISE_MEMORY] = METRIC_MEMORY };

	return metrics[goal];
}

static size_t of_kind(const struct advice *advice, unsigned features)
{
	size_t count = 0;

	for (size_t i = 0; i < advice->tried_count; i++)
		count += (advice->verdict.candidates[advice->tried[i]].features & KIND) == (features & KIND);
	return count;
}

void gb__advise_choose(struct advice *advice, size_t most)
{
	const struct advise_verdict *verdict = &advice->verdict;

	advice->tried_count = 0;
	for (size_t i = 0; i < verdict->count && advice->tried_count < most; i++)
		if (verdict->scores[0] - verdict->scores[i] < FORBIDDEN &&
			of_kind(advice, verdict->candidates[i].features) < OF_A_KIND)
			advice->tried[advice->tried_count++] = i;
}

static void say(struct advice *advice, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct advice *advice, const char *format, ...)
{
	char *line = advice->why[advice->why_count % ADVISE_WHY_MAX];
	va_list arguments;

	if (advice->why_count == ADVISE_WHY_MAX)
		return;
	va_start(arguments, format);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it does not see va_start in a function that it inlines. */
	vsnprintf(line, ADVISE_LINE_MAX, format, arguments);
	va_end(arguments);
	advice->why_count++;
}

/* Of the rules those that speak for the model, or against others that were likely. */
static void say_rules(struct advice *advice)
{
	const struct advise_candidate *chosen = &advice->verdict.candidates[advice->chosen];

	for (const struct advise_rule *rule = gb__advise_rules; rule->name; rule++) {
		bool of_it = gb__advise_rule_says(rule, &advice->situation, chosen), of_another = false;

		for (size_t i = 0; i < advice->verdict.count; i++)
			of_another = of_another ||
				gb__advise_rule_says(
					rule, &advice->situation, &advice->verdict.candidates[i]);
		if (rule->weight > 0 ? of_it : of_another && !of_it)
			say(advice, "%s (%s)", rule->says, rule->source);
		else if (of_it)
			say(advice, "against it: %s (%s)", rule->says, rule->source);
	}
}

static void say_situation(struct advice *advice)
{
	const struct advise_situation *situation = &advice->situation;
	char cpu[FIGURE_MAX], blocked[FIGURE_MAX], rest[FIGURE_MAX];
	char waits[FIGURE_MAX], median[FIGURE_MAX], longest[FIGURE_MAX];

	say(advice,
		"a message computes for %s in its handler, blocks for %s, and takes %s of CPU time besides: P = %.2g",
		gb__figure(FORM_NS, situation->cpu_ns, cpu),
		gb__figure(FORM_NS, situation->blocked_ns, blocked),
		gb__figure(FORM_NS, situation->io_ns, rest), gb__advise_share(situation));
	if (situation->under_load > 0)
		say(advice,
			"among others it takes %.2g times the CPU time that it takes alone: %.0f at a time keep the CPUs busy",
			situation->under_load, ceil(gb__advise_at_a_time(situation)));
	if (situation->waits_ns > 0)
		say(advice, "its reply comes %s later, for which no thread waits",
			gb__figure(FORM_NS, situation->waits_ns, waits));
	if (situation->longest_ns > 2 * situation->median_ns)
		say(advice, "the longest of %llu held its thread for %s, the median is %s",
			(unsigned long long)situation->measured,
			gb__figure(FORM_NS, situation->longest_ns, longest),
			gb__figure(FORM_NS, situation->median_ns, median));
}

static const struct compare_point *point_of(const struct advice *advice, size_t candidate)
{
	for (size_t i = 0; i < advice->tried_count; i++)
		if (i < compare_told(&advice->comparison) && advice->tried[i] == candidate &&
			compare_measured(compare_point(&advice->comparison, i, 0)))
			return compare_point(&advice->comparison, i, 0);
	return NULL;
}

static double value(const struct advice *advice, const struct compare_point *point)
{
	return point ? point->spreads[gb__advise_metric(advice->situation.goal)].median : NAN;
}

/* The best by measurement but for one; `none` when there is none. */
static size_t best_but(const struct advice *advice, size_t but, size_t none)
{
	const enum compare_metric metric = gb__advise_metric(advice->situation.goal);
	size_t best = none;
	double known = NAN;

	for (size_t i = 0; i < advice->tried_count; i++) {
		double now = value(advice, point_of(advice, advice->tried[i]));

		if (advice->tried[i] == but || isnan(now))
			continue;
		if (isnan(known) || (now != known && gb__compare_better(metric, now, known))) {
			best = advice->tried[i];
			known = now;
		}
	}
	return best;
}

static bool differ(const struct advice *advice, size_t a, size_t b)
{
	const struct compare_point *of_a = point_of(advice, a), *of_b = point_of(advice, b);

	return of_a && of_b &&
		gb__compare_points_differ(
			&advice->comparison, of_a, of_b, gb__advise_metric(advice->situation.goal));
}

/* What the noise does not tell apart is a guess all the same, and falls on `a` if it is worth more than a little and was better in
 * most rounds, which were measured side by side. */
static bool leads(const struct advice *advice, size_t a, size_t b)
{
	const enum compare_metric metric = gb__advise_metric(advice->situation.goal);
	const struct compare_point *of_a = point_of(advice, a), *of_b = point_of(advice, b);
	size_t rounds, won = 0;

	if (!of_a || !of_b)
		return false;
	rounds = of_a->samples_count < of_b->samples_count ? of_a->samples_count : of_b->samples_count;
	for (size_t i = 0; i < rounds; i++)
		won += gb__compare_better(
			metric, of_a->samples[i].values[metric], of_b->samples[i].values[metric]);
	return rounds >= ROUNDS_LEAST && won * MOST_OF >= rounds * MOST &&
		fabs(log(value(advice, of_a) / value(advice, of_b))) > log(WORTH);
}

static void say_measured(struct advice *advice)
{
	const struct compare_metric_row *row =
		&gb__compare_metrics[gb__advise_metric(advice->situation.goal)];
	const struct advise_candidate *list = advice->verdict.candidates;
	char mine[FIGURE_MAX], other[FIGURE_MAX];
	size_t against = advice->chosen == 0 ? advice->runner_up : 0;
	const char *apart = "";

	if (advice->outcome == ADVISE_UNTRIED || against == advice->chosen || !point_of(advice, against))
		return;
	if (!differ(advice, advice->chosen, against))
		apart = leads(advice, advice->chosen, against)
			? ", in most rounds, though not beyond the noise"
			: ", which the noise does not let tell apart";
	gb__figure(row->form, value(advice, point_of(advice, advice->chosen)), mine);
	gb__figure(row->form, value(advice, point_of(advice, against)), other);
	say(advice, "measured: %s %s, with %s %s%s", mine, row->words, list[against].spec, other, apart);
}

void gb__advise_conclude(struct advice *advice)
{
	const size_t none = ADVISE_CANDIDATES_MAX;
	size_t best = best_but(advice, none, none);

	advice->chosen = 0;
	advice->why_count = 0;
	advice->outcome = best == none ? ADVISE_UNTRIED : ADVISE_HELD;
	if (best != none && best != 0) {
		if (!point_of(advice, 0) || isnan(value(advice, point_of(advice, 0))) ||
			differ(advice, best, 0))
			advice->outcome = ADVISE_TURNED;
		else if (leads(advice, best, 0))
			advice->outcome = ADVISE_LED;
	}
	if (advice->outcome == ADVISE_TURNED || advice->outcome == ADVISE_LED)
		advice->chosen = best;
	advice->runner_up = best_but(advice, advice->chosen, none);
	if (advice->runner_up == none)
		advice->runner_up = advice->verdict.count > 1 ? advice->chosen == 0 : advice->chosen;
	advice->noise = best != none;
	for (size_t i = 0; i < advice->tried_count; i++)
		advice->noise = advice->noise && !differ(advice, best, advice->tried[i]);
	say_situation(advice);
	say_measured(advice);
	say_rules(advice);
}
