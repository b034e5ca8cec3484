/* `gearbox compare`: the same load under many models. Run, find, tell. */
#include "command.h"
#include "compare/baseline.h"
#include "compare/document.h"
#include "compare/findings.h"
#include "compare/run.h"
#include "compare/tell.h"
#include "report/report.h"

#include <stdio.h>
#include <string.h>

static int write_json(const json_t *document, const char *path)
{
	int result = gb__json_write(document, path);

	if (result < 0)
		return gb__command_fail(
			EXIT_FAILED, "compare: cannot write %s: %s", path, gb_strerror(result));
	return EXIT_DONE;
}

static int write_report(const json_t *document, const char *path)
{
	struct gb_error error = { 0 };

	if (gb__report_write(document, path, &error) < 0)
		return gb__command_fail(EXIT_FAILED, "compare: cannot write %s: %s", path, error.text);
	return EXIT_DONE;
}

static int publish(const struct comparison *comparison, json_t *document)
{
	const struct compare_options *options = comparison->options;
	int exit_code = EXIT_DONE;

	if (options->json && strcmp(options->json, "-") == 0) {
		exit_code = gb__json_print(json_incref(document));
	} else {
		gb__compare_tell(comparison, document);
		if (options->json)
			exit_code = write_json(document, options->json);
	}
	if (options->report && write_report(document, options->report) != EXIT_DONE)
		exit_code = EXIT_FAILED;
	return exit_code;
}

/* The first thing that went wrong, as the line on standard error. */
static int judge(const struct comparison *comparison)
{
	size_t failed = 0;
	const struct compare_point *first = NULL;

	for (size_t i = 0; i < comparison->points_count; i++)
		if (comparison->points[i].error[0]) {
			first = first ? first : &comparison->points[i];
			failed++;
		}
	if (first)
		return gb__command_fail(EXIT_FAILED, "compare: %zu of %zu points failed; the first, %s: %s",
			failed, comparison->points_count, comparison->models[first->model].name,
			first->error);
	if (comparison->interrupted)
		return gb__command_fail(EXIT_FAILED, "compare: interrupted");
	return EXIT_DONE;
}

/* Say what was measured. Returns the exit code. */
static int conclude(struct comparison *comparison, const json_t *before, int argc, char **argv)
{
	json_t *document;
	int exit_code;

	document = gb__compare_document(comparison, argc, argv);
	if (!document)
		return gb__command_fail(EXIT_FAILED, "compare: no memory for the result");
	json_object_set_new(document, "findings", gb__compare_findings(comparison));
	if (before)
		json_object_set_new(document, "baseline", gb__compare_baseline(before, document));
	exit_code = publish(comparison, document);
	json_decref(document);
	fflush(stdout);
	return exit_code == EXIT_DONE ? judge(comparison) : exit_code;
}

static int compare(struct compare_options *options, int argc, char **argv, struct gb_error *error)
{
	static struct verify_upstream upstream; /* options refer to it */
	struct comparison comparison = { 0 };
	json_t *before = NULL;
	int exit_code = EXIT_DONE, result = 0;

	if (options->baseline)
		result = gb__compare_baseline_read(options->baseline, &before, error);
	if (result == 0)
		result = gb__compare_upstream_start(options, &upstream, error);
	if (result == 0)
		result = gb__compare_run(options, &comparison, error);
	if (result == 0)
		exit_code = conclude(&comparison, before, argc, argv);
	gb__verify_upstream_stop(&upstream);
	gb__comparison_finish(&comparison);
	json_decref(before);
	return result < 0 ? result : exit_code;
}

int gb__command_compare(int argc, char **argv)
{
	struct compare_options options;
	struct gb_error error = { 0 };
	int result = gb__compare_options_parse(argc - 1, argv + 1, &options, &error);

	if (result == 0 && options.help)
		gb__compare_options_help();
	else if (result == 0)
		result = compare(&options, argc, argv, &error);
	gb__compare_options_finish(&options);
	if (result < 0)
		return gb__command_fail(
			result == -GB_EUSAGE || result == -GB_EILLEGAL ? EXIT_WRONG_USAGE : EXIT_FAILED,
			"compare: %s", error.text);
	return result;
}
