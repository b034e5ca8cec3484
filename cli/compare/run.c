#include "compare/run.h"

#include "command.h"
#include "compare/drive.h"
#include "compare/plan.h"
#include "compare/progress.h"
#include "compare/visit.h"
#include "verify/protocol.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void on_signal(int number)
{
	(void)number;
	if (gb__compare_signals < 2)
		gb__compare_signals++;
}

void gb__compare_signals_install(void)
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

int gb__compare_upstream_start(
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
	if (result == 0 && options->serving.sets_count < COMPARE_NAMES_MAX) {
		options->upstream = ret->set;
		options->sets[options->serving.sets_count++] = ret->set;
	}
	return result;
}

int gb__compare_run(const struct compare_options *options, struct comparison *ret, struct gb_error *error)
{
	int result = gb__compare_plan(options, ret, error);

	if (result < 0)
		return result;
	for (size_t i = 0; i < ret->left_out_count && !options->quiet; i++)
		fprintf(stderr, "%s: compare: left out: %s\n", gb__program.name, ret->left_out[i]);
	say_when(ret->when, sizeof(ret->when));
	gb__compare_signals_install();
	measure(ret);
	gb__compare_sum_up(ret);
	return 0;
}
