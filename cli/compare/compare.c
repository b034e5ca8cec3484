/* `gearbox compare`: the same load under many models. Plan, visit all points in turns, sum up, tell. */
#include "command.h"
#include "compare/baseline.h"
#include "compare/document.h"
#include "compare/drive.h"
#include "compare/findings.h"
#include "compare/plan.h"
#include "compare/progress.h"
#include "compare/tell.h"
#include "compare/visit.h"
#include "report/report.h"
#include "verify/protocol.h"
#include "verify/upstream.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FORM (JSON_INDENT(1) | JSON_REAL_PRECISION(9))

static void on_signal(int number)
{
	(void)number;
	if (gb__compare_signals < 2)
		gb__compare_signals++;
}

/* The first has what there is told; the second ends the load at once. */
static void install_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigemptyset(&action.sa_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static void say_when(char *text, size_t size)
{
	time_t now = time(NULL);
	struct tm parts;

	gmtime_r(&now, &parts);
	strftime(text, size, "%Y-%m-%dT%H:%M:%SZ", &parts);
}

static void describe(
	const struct comparison *comparison, const struct compare_point *point, char *text, size_t size)
{
	const struct compare_options *options = comparison->options;
	const struct compare_model *model = &comparison->models[point->model];
	size_t used = (size_t)snprintf(text, size, "%.60s%s", model->name, model->control ? " again" : "");

	for (size_t i = 0; i < options->axes_count && used < size; i++)
		used += (size_t)snprintf(text + used, size - used, ", %s=%s", options->axes[i].name,
			options->axes[i].steps[point->step[i]].text);
}

/* One round at one step of the grid. Nobody always follows the same neighbour: the order moves on, and turns around. */
static int round_at(struct comparison *comparison, struct compare_progress *progress, size_t round, size_t n)
{
	const size_t count = comparison->models_count;

	for (size_t i = 0; i < count; i++) {
		size_t place = round % 2 ? count - 1 - i : i;
		struct compare_point *point = compare_point(comparison, (place + round) % count, n);
		char what[256];

		describe(comparison, point, what, sizeof(what));
		gb__compare_progress_show(progress, what, round + 1, comparison->options->rounds);
		if (point->error[0])
			continue; /* once is enough */
		if (gb__compare_visit(comparison, point) < 0 || gb__compare_signals)
			return -EINTR;
	}
	return 0;
}

static void measure(struct comparison *comparison)
{
	const size_t rounds = comparison->options->rounds;
	struct compare_progress progress;
	int result = 0;

	gb__compare_progress_begin(&progress, rounds * comparison->points_count, comparison->options->quiet);
	for (size_t round = 0; round < rounds && result == 0; round++)
		for (size_t n = 0; n < comparison->grid && result == 0; n++)
			result = round_at(comparison, &progress, round, n);
	comparison->interrupted = result < 0;
	gb__compare_progress_clear(&progress);
}

static int write_json(const json_t *document, const char *path)
{
	FILE *file = fopen(path, "we");
	int result;

	if (!file)
		return gb__command_fail(EXIT_FAILED, "compare: cannot write %s: %s", path, strerror(errno));
	result = json_dumpf(document, file, FORM);
	fputc('\n', file);
	if (fclose(file) != 0 || result < 0)
		return gb__command_fail(EXIT_FAILED, "compare: cannot write %s: %s", path, strerror(errno));
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

/* Sum up what was measured, and say it. Returns the exit code. */
static int conclude(struct comparison *comparison, const json_t *before, int argc, char **argv)
{
	json_t *document;
	int exit_code;

	gb__compare_sum_up(comparison);
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

/* Whom a service forwards to is there for it, unless the user has one. */
static int start_upstream(
	struct compare_options *options, struct verify_upstream *ret, struct gb_error *error)
{
	const struct verify_protocol *const *row = gb__program.protocols;
	size_t length;
	int result;

	while (row && *row && !gb__verify_knows(*row, options->serving.service->name))
		row++;
	if (!row || !*row || !(*row)->upstream)
		return 0;
	length = strlen((*row)->upstream_key);
	for (size_t i = 0; i < options->serving.sets_count; i++)
		if (strncmp(options->sets[i], (*row)->upstream_key, length) == 0 &&
			options->sets[i][length] == '=')
			return 0;
	result = gb__verify_upstream_start((*row)->upstream, (*row)->upstream_key, ret, error);
	if (result == 0 && options->serving.sets_count < COMPARE_NAMES_MAX)
		options->sets[options->serving.sets_count++] = ret->set;
	return result;
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
		result = start_upstream(options, &upstream, error);
	if (result == 0)
		result = gb__compare_plan(options, &comparison, error);
	if (result == 0) {
		for (size_t i = 0; i < comparison.left_out_count && !options->quiet; i++)
			fprintf(stderr, "%s: compare: left out: %s\n", gb__program.name,
				comparison.left_out[i]);
		say_when(comparison.when, sizeof(comparison.when));
		install_signals();
		measure(&comparison);
		exit_code = conclude(&comparison, before, argc, argv);
	}
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
