/* `gearbox advise`: measure the handler, let the rules name models, try the likely ones out, and say which it is to be. */
#include "advise/advice.h"
#include "advise/measure.h"
#include "advise/options.h"
#include "advise/running.h"
#include "advise/tell.h"
#include "command.h"
#include "compare/document.h"
#include "compare/drive.h"
#include "compare/findings.h"
#include "compare/plan.h"
#include "compare/run.h"
#include "compare/tell.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KNOWN_MAX 64

/* Which presets can be served; each is asked about once. */
struct admission {
	const struct compare_serving *serving;
	struct {
		char preset[64];
		bool yes;
	} known[KNOWN_MAX];
	size_t count;
};

static bool admits(void *arg, const char *spec)
{
	struct admission *admission = arg;
	char preset[64], full[COMPARE_SPEC_MAX];
	bool yes;

	snprintf(preset, sizeof(preset), "%.*s", (int)strcspn(spec, ","), spec);
	for (size_t i = 0; i < admission->count; i++)
		if (strcmp(admission->known[i].preset, preset) == 0)
			return admission->known[i].yes;
	yes = gb_model_check(preset, admission->serving->service, true, NULL) >= 0 &&
		gb__compare_probe(admission->serving, preset, full, NULL) == 0;
	if (admission->count < KNOWN_MAX) {
		memcpy(admission->known[admission->count].preset, preset, sizeof(preset));
		admission->known[admission->count++].yes = yes;
	}
	return yes;
}

static int probe(const struct compare_options *options, const char *spec, char ret_full[COMPARE_SPEC_MAX],
	struct gb_error *error)
{
	struct gb_error why = { 0 };
	int result = gb__compare_probe(&options->serving, spec, ret_full, &why);

	return result < 0 ? gb_error_set(error, result, "%s: %s", spec, why.text) : 0;
}

/* The user's own candidates, in place of the presets. */
static int name_candidates(struct advice *advice, struct gb_error *error)
{
	const struct compare_options *options = &advice->options->compare;
	struct advise_verdict *verdict = &advice->verdict;

	if (options->models_count > ADVISE_CANDIDATES_MAX)
		return gb_error_set(error, -GB_EUSAGE, "models: at most %d", ADVISE_CANDIDATES_MAX);
	for (size_t i = 0; i < options->models_count; i++) {
		const char *spec = options->models[i];
		char full[COMPARE_SPEC_MAX], name[64];
		int result = probe(options, spec, full, error);

		if (result < 0)
			return result;
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(spec, ","), spec);
		gb__advise_candidate_of(
			name, spec, full, &advice->situation, &verdict->candidates[verdict->count++]);
	}
	gb__advise_rank(&advice->situation, verdict);
	return 0;
}

static int judge(struct advice *advice, struct gb_error *error)
{
	static struct admission admission;
	int result = 0;

	admission = (struct admission){ .serving = &advice->options->compare.serving };
	if (advice->options->compare.models_count > 0)
		result = name_candidates(advice, error);
	else
		gb__advise_judge(&advice->situation, admits, &admission, &advice->verdict);
	if (result < 0)
		return result;
	if (advice->verdict.count == 0)
		return gb_error_set(error, -GB_EILLEGAL, "no model can serve it");
	advice->flips_count = gb__advise_flips(&advice->situation, admits, &admission, advice->flips);
	gb__advise_choose(advice, advice->options->candidates);
	return 0;
}

/* Put those that were chosen through a comparison. */
static int try_out(struct advice *advice, struct compare_options *options, struct gb_error *error)
{
	for (size_t i = 0; i < advice->tried_count; i++) {
		options->models[i] = strdup(advice->verdict.candidates[advice->tried[i]].spec);
		if (!options->models[i])
			return gb_error_set(error, -ENOMEM, "no memory for the candidates");
		options->models_count = i + 1;
	}
	return gb__compare_run(options, &advice->comparison, error);
}

static void forget_models(struct compare_options *options)
{
	while (options->models_count > 0)
		free(options->models[--options->models_count]);
}

static int write_config(const struct advice *advice)
{
	char *text = gb__advise_config(advice);
	FILE *file = text ? fopen(advice->options->write, "we") : NULL;
	int result = file ? 0 : -1;

	if (file && fputs(text, file) < 0)
		result = -1;
	if (file && fclose(file) != 0)
		result = -1;
	free(text);
	if (result < 0)
		return gb__command_fail(
			EXIT_FAILED, "advise: cannot write %s: %s", advice->options->write, strerror(errno));
	return EXIT_DONE;
}

static int write_json(json_t *document, const char *path)
{
	int result;

	if (strcmp(path, "-") == 0)
		return gb__json_print(document);
	result = gb__json_write(document, path);
	json_decref(document);
	if (result < 0)
		return gb__command_fail(
			EXIT_FAILED, "advise: cannot write %s: %s", path, gb_strerror(result));
	return EXIT_DONE;
}

/* A model that was tried and failed is a fault of it, or of the service; and an interrupted run is no whole one. */
static int fail_if(const struct advice *advice)
{
	const struct comparison *comparison = &advice->comparison;

	for (size_t i = 0; i < comparison->points_count; i++)
		if (comparison->points[i].error[0])
			return gb__command_fail(EXIT_FAILED, "advise: %s failed: %s",
				comparison->models[comparison->points[i].model].name,
				comparison->points[i].error);
	if (comparison->interrupted)
		return gb__command_fail(EXIT_FAILED, "advise: interrupted");
	return EXIT_DONE;
}

/* In text, JSON and a configuration, as was asked; takes `comparison`, which is NULL when nothing was tried. */
static int publish(struct advice *advice, json_t *comparison)
{
	const struct advise_options *options = advice->options;
	int exit_code = EXIT_DONE;

	if (!options->json || strcmp(options->json, "-") != 0) {
		gb__advise_tell(advice);
		if (comparison)
			gb__compare_tell(&advice->comparison, comparison);
	}
	if (options->json) {
		json_t *document = gb__advise_document(advice, comparison);

		exit_code = document ? write_json(document, options->json)
				     : gb__command_fail(EXIT_FAILED, "advise: no memory for the result");
	} else {
		json_decref(comparison);
	}
	if (options->write && exit_code == EXIT_DONE)
		exit_code = write_config(advice);
	fflush(stdout);
	return exit_code;
}

/* Of a server that runs: nothing is tried. */
static int advise_running(struct advise_options *options, struct gb_error *error)
{
	static struct advice advice;
	int result;

	advice = (struct advice){ .options = options };
	gb__compare_signals_install();
	result = gb__advise_running(options, &advice.situation, advice.running, error);
	if (result == 0)
		result = judge(&advice, error);
	if (result < 0)
		return result;
	advice.tried_count = 0;
	gb__advise_conclude(&advice);
	return publish(&advice, NULL);
}

/* What cannot be tried is told before anything is measured. */
static int check(const struct compare_options *options, struct gb_error *error)
{
	char full[COMPARE_SPEC_MAX];
	int result = gb__compare_claim(options, error);

	for (size_t i = 0; i < options->models_count && result == 0; i++)
		result = probe(options, options->models[i], full, error);
	return result;
}

static int advise(struct advise_options *options, int argc, char **argv, struct gb_error *error)
{
	static struct advice advice;
	struct verify_upstream upstream = { 0 };
	int exit_code = EXIT_DONE, result;

	advice = (struct advice){ .options = options };
	gb__compare_signals_install();
	result = gb__compare_upstream_start(&options->compare, &upstream, error);
	options->compare.serving.sets = options->compare.sets;
	if (result == 0)
		result = check(&options->compare, error);
	if (result == 0)
		result = gb__advise_measure(options, &advice.situation, error);
	if (result == 0)
		result = judge(&advice, error);
	if (result == 0) {
		forget_models(&options->compare);
		result = try_out(&advice, &options->compare, error);
	}
	if (result == 0) {
		json_t *comparison = gb__compare_document(&advice.comparison, argc, argv);

		if (comparison)
			json_object_set_new(comparison, "findings", gb__compare_findings(&advice.comparison));
		gb__advise_conclude(&advice);
		exit_code = publish(&advice, comparison);
		exit_code = exit_code == EXIT_DONE ? fail_if(&advice) : exit_code;
	}
	gb__verify_upstream_stop(&upstream);
	gb__comparison_finish(&advice.comparison);
	return result < 0 ? result : exit_code;
}

int gb__command_advise(int argc, char **argv)
{
	static struct advise_options options;
	struct gb_error error = { 0 };
	int result = gb__advise_options_parse(argc - 1, argv + 1, &options, &error);

	if (result == 0 && options.help)
		gb__advise_options_help();
	else if (result == 0)
		result =
			options.pid ? advise_running(&options, &error) : advise(&options, argc, argv, &error);
	gb__advise_options_finish(&options);
	if (result < 0)
		return gb__command_fail(
			result == -GB_EUSAGE || result == -GB_EILLEGAL ? EXIT_WRONG_USAGE : EXIT_FAILED,
			"advise: %s", result == -EINTR && !error.text[0] ? "interrupted" : error.text);
	return result;
}
