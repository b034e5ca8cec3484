#include "advise/tell.h"

#include "command.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOISY 0.25 /* a quarter */

static const char *const goals[ADVISE_GOALS] = { "throughput", "cpu", "p99", "memory" };

static const char *name_of(const struct advice *advice)
{
	const struct gb_service *service = advice->options->compare.serving.service;

	return service ? service->name : "a server that runs";
}

static void tell_outcome(const struct advice *advice)
{
	const struct advise_candidate *list = advice->verdict.candidates;
	char text[2 * ADVISE_SPEC_MAX + 128];
	double noise;

	if (advice->outcome == ADVISE_UNTRIED)
		snprintf(text, sizeof(text), "By the rules alone: nothing was tried out.");
	else if (advice->outcome == ADVISE_TURNED)
		snprintf(text, sizeof(text),
			"The rules name %s, but that did not hold: %s was better beyond the noise.",
			list[0].spec, list[advice->chosen].spec);
	else if (advice->outcome == ADVISE_LED)
		snprintf(text, sizeof(text),
			"The rules name %s, but %s was better in most rounds, though not beyond the noise.",
			list[0].spec, list[advice->chosen].spec);
	else if (advice->noise)
		snprintf(text, sizeof(text), "The rules name it; it held, but all %zu differ by noise alone.",
			advice->tried_count);
	else
		snprintf(text, sizeof(text),
			"The rules name it, and it held: of %zu none was better beyond the noise.",
			advice->tried_count);
	puts(text);
	noise = advice->comparison.noise[gb__advise_metric(advice->situation.goal)];
	if (advice->outcome != ADVISE_UNTRIED && noise > 1 + NOISY)
		printf("The noise hides differences of up to %.0f %%: more rounds, or a machine that does nothing else, tell more.\n",
			100 * (noise - 1));
}

void gb__advise_tell(const struct advice *advice)
{
	const struct advise_candidate *list = advice->verdict.candidates;
	char text[2 * ADVISE_SPEC_MAX];

	printf("%s, by %s: --model %s\n", name_of(advice), goals[advice->situation.goal],
		list[advice->chosen].spec);
	tell_outcome(advice);
	if (advice->running[0])
		printf("It runs under %s now.\n", advice->running);
	puts("\nWhy:");
	for (size_t i = 0; i < advice->why_count; i++)
		gb_args_row(stdout, "  -", 5, advice->why[i]);
	if (advice->runner_up != advice->chosen)
		printf("\nRunner-up: --model %s\n", list[advice->runner_up].spec);
	puts("\nWhere the rules name another one:");
	for (size_t i = 0; i < advice->flips_count; i++) {
		const struct advise_flip *flip = &advice->flips[i];

		snprintf(text, sizeof(text), "%s %s %.3g%s%s: %s", flip->axis, flip->below ? "up to" : "from",
			flip->at, *flip->unit ? " " : "", flip->unit, flip->spec);
		gb_args_row(stdout, "  -", 5, text);
	}
	if (advice->flips_count == 0)
		puts("  - nowhere that was looked at");
	putchar('\n');
}

static void set(json_t *object, const char *key, double value)
{
	json_object_set_new(object, key, isfinite(value) ? json_real(value) : json_null());
}

static json_t *json_situation(const struct advise_situation *situation)
{
	json_t *object = json_object();

	set(object, "compute_ns", situation->cpu_ns);
	set(object, "block_ns", situation->blocked_ns);
	set(object, "wait_ns", situation->waits_ns);
	set(object, "io_ns", situation->io_ns);
	set(object, "load_ns", situation->load_ns > 0 ? situation->load_ns : NAN);
	set(object, "compute_share", gb__advise_share(situation));
	set(object, "under_load", situation->under_load > 0 ? situation->under_load : NAN);
	set(object, "held_p50_ns", situation->median_ns);
	set(object, "held_p99_ns", situation->p99_ns);
	set(object, "held_max_ns", situation->longest_ns);
	json_object_set_new(object, "messages", json_integer((json_int_t)situation->measured));
	set(object, "request_bytes", situation->request_bytes);
	set(object, "reply_bytes", situation->reply_bytes);
	set(object, "connections", situation->connections);
	set(object, "idle", situation->idle);
	set(object, "depth", situation->depth);
	set(object, "rate", situation->rate);
	json_object_set_new(object, "bursts", json_boolean(situation->bursts));
	json_object_set_new(object, "worker_state", json_boolean(situation->worker_state));
	json_object_set_new(object, "isolate", json_boolean(situation->isolate));
	json_object_set_new(object, "cpus", json_integer(situation->cpus));
	set(object, "quota", situation->quota);
	return object;
}

static json_t *json_reasons(const struct advice *advice, const struct advise_candidate *candidate)
{
	json_t *list = json_array();

	for (const struct advise_rule *rule = gb__advise_rules; rule->name; rule++)
		if (gb__advise_rule_says(rule, &advice->situation, candidate))
			json_array_append_new(list,
				json_pack("{s:s, s:i, s:s, s:s}", "rule", rule->name, "weight", rule->weight,
					"says", rule->says, "source", rule->source));
	return list;
}

static json_t *json_candidates(const struct advice *advice)
{
	const enum compare_metric metric = gb__advise_metric(advice->situation.goal);
	json_t *list = json_array();

	for (size_t i = 0; i < advice->verdict.count; i++) {
		const struct advise_candidate *candidate = &advice->verdict.candidates[i];
		json_t *object = json_pack("{s:s, s:s, s:i, s:o}", "model", candidate->spec, "preset",
			candidate->preset, "score", advice->verdict.scores[i], "reasons",
			json_reasons(advice, candidate));

		for (size_t n = 0; n < advice->tried_count && n < advice->comparison.models_count; n++)
			if (advice->tried[n] == i && advice->comparison.points)
				set(object, "measured",
					compare_point(&advice->comparison, n, 0)->spreads[metric].median);
		json_array_append_new(list, object);
	}
	return list;
}

static json_t *json_flips(const struct advice *advice)
{
	json_t *list = json_array();

	for (size_t i = 0; i < advice->flips_count; i++)
		json_array_append_new(list,
			json_pack("{s:s, s:s, s:f, s:b, s:s}", "axis", advice->flips[i].axis, "unit",
				advice->flips[i].unit, "at", advice->flips[i].at, "below",
				advice->flips[i].below, "model", advice->flips[i].spec));
	return list;
}

json_t *gb__advise_document(const struct advice *advice, json_t *comparison)
{
	static const char *const verdicts[] = { [ADVISE_UNTRIED] = "not tried",
		[ADVISE_HELD] = "held",
		[ADVISE_LED] = "another was better in most rounds",
		[ADVISE_TURNED] = "another is better" };
	const struct advise_candidate *list = advice->verdict.candidates;
	json_t *why = json_array(), *object;

	for (size_t i = 0; i < advice->why_count; i++)
		json_array_append_new(why, gb__json_text(advice->why[i]));
	object = json_pack("{s:s, s:s, s:s, s:s, s:o, s:s?, s:o, s:s, s:b, s:s, s:o, s:s}", "format",
		"gearbox-advise-1", "service", name_of(advice), "goal", goals[advice->situation.goal],
		"model", list[advice->chosen].spec, "why", why, "runner_up",
		advice->runner_up != advice->chosen ? list[advice->runner_up].spec : NULL, "flips_at",
		json_flips(advice), "by_the_rules", list[0].spec, "noise", advice->noise, "verdict",
		verdicts[advice->outcome], "measured", json_situation(&advice->situation), "metric",
		gb__compare_metrics[gb__advise_metric(advice->situation.goal)].key);
	if (!object) {
		json_decref(comparison);
		return NULL;
	}
	json_object_set_new(object, "held",
		advice->outcome == ADVISE_UNTRIED ? json_null()
						  : json_boolean(advice->outcome == ADVISE_HELD));
	if (advice->running[0])
		json_object_set_new(object, "runs_under", gb__json_text(advice->running));
	json_object_set_new(object, "candidates", json_candidates(advice));
	json_object_set_new(object, "comparison", comparison ? comparison : json_null());
	return object;
}

char *gb__advise_config(const struct advice *advice)
{
	const struct compare_serving *serving = &advice->options->compare.serving;
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	if (!stream)
		return NULL;
	fprintf(stream, "# %s advise, by %s: %s\n", gb__program.name, goals[advice->situation.goal],
		name_of(advice));
	for (size_t i = 0; i < advice->why_count; i++)
		fprintf(stream, "# - %s\n", advice->why[i]);
	fprintf(stream, "model %s\n", advice->verdict.candidates[advice->chosen].spec);
	for (size_t i = 0; i < serving->options_count; i++) {
		const char *option = serving->options[i];
		int key = (int)strcspn(option, "=");

		if (gb__compare_of_run(&advice->options->compare, option))
			fprintf(stream, "# %.*s: a file of your own\n", key, option);
		else
			fprintf(stream, "%.*s %s\n", key, option, option + key + 1);
	}
	for (size_t i = 0; i < serving->sets_count; i++) {
		const char *set = serving->sets[i];

		if (gb__compare_of_run(&advice->options->compare, set))
			fprintf(stream, "# set %.*s=HOST:PORT, of your own\n", (int)strcspn(set, "="), set);
		else
			fprintf(stream, "set %s\n", set);
	}
	return fclose(stream) == 0 ? text : NULL;
}
