#include "compare/findings.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMED_MAX 4    /* models in a sentence, before "and N more" */
#define UNEVEN 1.25    /* the busiest worker over the average */
#define IDLE_BUSY 0.05 /* of a CPU, without a message */

static const struct compare_metric_row *const rows = gb__compare_metrics;

static const char *name_of(const struct comparison *comparison, const struct compare_point *point)
{
	return comparison->models[point->model].name;
}

static const char *value_of(const struct compare_point *point, enum compare_metric metric, char *text)
{
	return gb__figure(rows[metric].form, point->spreads[metric].median, text);
}

static bool known(const struct compare_point *point, enum compare_metric metric)
{
	return compare_measured(point) && isfinite(point->spreads[metric].median);
}

const struct compare_point *gb__compare_best(
	const struct comparison *comparison, enum compare_metric metric, size_t n)
{
	const struct compare_point *best = NULL;

	for (size_t i = 0; i < compare_told(comparison); i++) {
		const struct compare_point *point = compare_point(comparison, i, n);

		if (known(point, metric) &&
			(!best ||
				gb__compare_better(
					metric, point->spreads[metric].median, best->spreads[metric].median)))
			best = point;
	}
	return best;
}

static const struct compare_point *worst(
	const struct comparison *comparison, enum compare_metric metric, size_t n)
{
	const struct compare_point *found = NULL;

	for (size_t i = 0; i < compare_told(comparison); i++) {
		const struct compare_point *point = compare_point(comparison, i, n);

		if (known(point, metric) &&
			(!found ||
				gb__compare_better(metric, found->spreads[metric].median,
					point->spreads[metric].median)))
			found = point;
	}
	return found;
}

/* Appends sentences that are made up piece by piece. */
struct writer {
	json_t *list;
	FILE *stream;
	char *text;
	size_t size;
};

static bool begin(struct writer *writer)
{
	writer->stream = open_memstream(&writer->text, &writer->size);
	return writer->stream != NULL;
}

static void end(struct writer *writer)
{
	if (fclose(writer->stream) == 0 && writer->size > 0)
		json_array_append_new(writer->list, gb__json_text(writer->text));
	free(writer->text);
}

static void say(struct writer *writer, const char *text)
{
	json_array_append_new(writer->list, gb__json_text(text));
}

/* "a, b and c", or "a, b, c and 5 more". */
static void print_names(FILE *stream, const char *const *names, size_t count)
{
	size_t shown = count <= NAMED_MAX ? count : NAMED_MAX - 1;

	for (size_t i = 0; i < shown; i++)
		fprintf(stream, "%s%s", i == 0 ? "" : i + 1 == count ? " and " : ", ", names[i]);
	if (shown < count)
		fprintf(stream, " and %zu more", count - shown);
}

/* Names of those that a metric does not tell from the best. Returns how many. */
static size_t same_as(const struct comparison *comparison, const struct compare_point *best,
	enum compare_metric metric, size_t n, const char **ret)
{
	size_t count = 0;

	for (size_t i = 0; i < compare_told(comparison); i++) {
		const struct compare_point *point = compare_point(comparison, i, n);

		if (point != best && known(point, metric) &&
			!gb__compare_points_differ(comparison, best, point, metric))
			ret[count++] = name_of(comparison, point);
	}
	return count;
}

/* Who is best by a metric, who cannot be told from it, and who is worst. */
static void tell_best(struct writer *writer, const struct comparison *comparison, enum compare_metric metric,
	const char *best_words, const char *worst_words)
{
	const struct compare_point *best = gb__compare_best(comparison, metric, 0);
	const struct compare_point *last = worst(comparison, metric, 0);
	const char **names = calloc(comparison->models_count, sizeof(*names));
	char text[FIGURE_MAX];
	size_t same;

	if (best && last && best != last && names && begin(writer)) {
		double ratio = last->spreads[metric].median / best->spreads[metric].median;

		same = same_as(comparison, best, metric, 0, names);
		if (!gb__compare_points_differ(comparison, best, last, metric)) {
			fprintf(writer->stream,
				"%s: no difference between models is beyond the noise (%s to ",
				rows[metric].words, value_of(best, metric, text));
			fprintf(writer->stream, "%s).", value_of(last, metric, text));
		} else {
			fprintf(writer->stream, "%s %s: %s", name_of(comparison, best), best_words,
				value_of(best, metric, text));
			if (same > 0) {
				fprintf(writer->stream, "; ");
				print_names(writer->stream, names, same);
				fprintf(writer->stream, " cannot be told from it");
			}
			fprintf(writer->stream, ". %s %s: %s", name_of(comparison, last), worst_words,
				value_of(last, metric, text));
			if (ratio < 1 && ratio > 0)
				ratio = 1 / ratio;
			if (isfinite(ratio) && ratio >= 1.05 && ratio < 1000)
				fprintf(writer->stream, ", a factor of %.*f", ratio < 10 ? 1 : 0, ratio);
			fprintf(writer->stream, ".");
		}
		end(writer);
	}
	free(names);
}

static void print_step(FILE *stream, const struct compare_axis *axis, size_t from, size_t to)
{
	if (from == to)
		fprintf(stream, "at %s=%s", axis->name, axis->steps[from].text);
	else
		fprintf(stream, "from %s=%s to %s", axis->name, axis->steps[from].text, axis->steps[to].text);
}

/* The best at each step of the one axis; who is still among the best goes on being named. */
static void tell_winners(struct writer *writer, const struct comparison *comparison,
	enum compare_metric metric, const char *words)
{
	const struct compare_axis *axis = &comparison->options->axes[0];
	size_t from = 0, winner = SIZE_MAX;
	bool any = false;

	if (!begin(writer))
		return;
	for (size_t n = 0; n <= axis->count; n++) {
		const struct compare_point *best =
			n < axis->count ? gb__compare_best(comparison, metric, n) : NULL;
		const struct compare_point *held =
			best && winner != SIZE_MAX ? compare_point(comparison, winner, n) : NULL;

		if (held && known(held, metric) && !gb__compare_points_differ(comparison, best, held, metric))
			continue;
		if (winner != SIZE_MAX) {
			fprintf(writer->stream, any ? ", %s " : "%s: %s ",
				any ? comparison->models[winner].name : words,
				comparison->models[winner].name);
			print_step(writer->stream, axis, from, n - 1);
			any = true;
		}
		winner = best ? best->model : SIZE_MAX;
		from = n;
	}
	if (any)
		fputc('.', writer->stream);
	end(writer);
}

/* The knee of each model along offered rates. */
static void tell_knees(struct writer *writer, const struct comparison *comparison)
{
	const struct compare_axis *axis = &comparison->options->axes[0];
	bool any = false;

	if (!begin(writer))
		return;
	for (size_t i = 0; i < compare_told(comparison); i++) {
		double offered[COMPARE_STEPS_MAX], answered[COMPARE_STEPS_MAX], latency[COMPARE_STEPS_MAX];
		size_t knee;

		for (size_t n = 0; n < axis->count; n++) {
			const struct compare_point *point = compare_point(comparison, i, n);

			offered[n] = axis->steps[n].number;
			answered[n] = point->spreads[METRIC_MESSAGES_PER_SECOND].median;
			latency[n] = point->spreads[METRIC_P99].median;
		}
		if (!known(compare_point(comparison, i, 0), METRIC_P99))
			continue;
		knee = gb__compare_knee(offered, answered, latency, axis->count);
		fprintf(writer->stream, "%s%s ",
			any ? "; " : "The knee of latency against load: ", comparison->models[i].name);
		any = true;
		if (knee == axis->count)
			fprintf(writer->stream, "does not keep up with %s/s", axis->steps[0].text);
		else
			fprintf(writer->stream, knee + 1 == axis->count ? "none up to %s/s" : "after %s/s",
				axis->steps[knee].text);
	}
	if (any)
		fputc('.', writer->stream);
	end(writer);
}

static void tell_failures(struct writer *writer, const struct comparison *comparison)
{
	for (size_t i = 0; i < compare_told(comparison) * comparison->grid; i++) {
		const struct compare_point *point = &comparison->points[i];
		const struct compare_options *options = comparison->options;

		if (!point->error[0] || !begin(writer))
			continue;
		fprintf(writer->stream, "%s failed", name_of(comparison, point));
		for (size_t axis = 0; axis < options->axes_count; axis++)
			fprintf(writer->stream, "%s %s=%s", axis ? "," : " at", options->axes[axis].name,
				options->axes[axis].steps[point->step[axis]].text);
		fprintf(writer->stream, ": %s.", point->error);
		end(writer);
	}
}

/* Models of which something holds at any point. */
static size_t models_that(const struct comparison *comparison,
	bool (*holds)(const struct compare_point *point), const char **ret)
{
	size_t count = 0;

	for (size_t i = 0; i < compare_told(comparison); i++)
		for (size_t n = 0; n < comparison->grid; n++)
			if (holds(compare_point(comparison, i, n))) {
				ret[count++] = comparison->models[i].name;
				break;
			}
	return count;
}

static bool is_uneven(const struct compare_point *point)
{
	return known(point, METRIC_IMBALANCE) && point->spreads[METRIC_IMBALANCE].low > UNEVEN;
}

static bool is_busy(const struct compare_point *point)
{
	return known(point, METRIC_IDLE_CPU) && point->spreads[METRIC_IDLE_CPU].low > IDLE_BUSY;
}

static bool takes_turns(const struct compare_point *point)
{
	for (size_t i = 0; i < point->warnings_count; i++)
		if (strstr(point->warnings[i], COMPARE_TURNS))
			return true;
	return false;
}

static void tell_models_that(struct writer *writer, const struct comparison *comparison,
	bool (*holds)(const struct compare_point *point), const char *before, const char *after)
{
	const char **names = calloc(comparison->models_count, sizeof(*names));
	size_t count = names ? models_that(comparison, holds, names) : 0;

	if (count > 0 && begin(writer)) {
		fputs(before, writer->stream);
		print_names(writer->stream, names, count);
		fputs(after, writer->stream);
		end(writer);
	}
	free(names);
}

static void tell_noise(struct writer *writer, const struct comparison *comparison)
{
	static const enum compare_metric shown[] = { METRIC_MESSAGES_PER_SECOND, METRIC_CPU, METRIC_P50,
		METRIC_P99, METRIC_MEMORY };
	bool any = false;

	if (comparison->options->rounds < 3) {
		say(writer,
			"Of so few rounds nothing is known for certain: 5 or more tell differences from noise.");
		return;
	}
	if (!begin(writer))
		return;
	for (size_t i = 0; i < sizeof(shown) / sizeof(*shown); i++) {
		double noise = comparison->noise[shown[i]];

		if (!isfinite(noise))
			continue;
		fprintf(writer->stream, "%s%s ",
			any ? ", " : "The noise, beyond which differences count: ", rows[shown[i]].words);
		if (noise < 2)
			fprintf(writer->stream, "%.*f %%", noise < 1.1 ? 1 : 0, 100 * (noise - 1));
		else
			fprintf(writer->stream, "a factor of %.1f", noise);
		any = true;
	}
	if (any)
		fprintf(writer->stream, " (%s measured twice, side by side).",
			comparison->models[comparison->controlled].name);
	end(writer);
}

json_t *gb__compare_findings(const struct comparison *comparison)
{
	const struct compare_options *options = comparison->options;
	struct writer writer = { .list = json_array() };

	if (comparison->interrupted)
		say(&writer, "Interrupted: this is what there was until then.");
	tell_failures(&writer, comparison);
	if (options->axes_count == 0) {
		tell_best(&writer, comparison, METRIC_MESSAGES_PER_SECOND, "answers most messages a second",
			"answers fewest");
		tell_best(&writer, comparison, METRIC_CPU, "takes least CPU time a message", "takes most");
		tell_best(&writer, comparison, METRIC_P99, "has the shortest p99", "has the longest");
		tell_best(&writer, comparison, METRIC_MEMORY, "takes least memory for an idle connection",
			"takes most");
	} else if (options->axes_count == 1) {
		if (strcmp(options->axes[0].name, "rate") == 0)
			tell_knees(&writer, comparison);
		else
			tell_winners(
				&writer, comparison, METRIC_MESSAGES_PER_SECOND, "Most messages a second");
		tell_winners(&writer, comparison, METRIC_CPU, "Least CPU time a message");
		tell_winners(&writer, comparison, METRIC_P99, "Shortest p99");
	}
	tell_models_that(&writer, comparison, is_uneven,
		"Uneven between workers: ", " (the busiest has more than a quarter above the average).");
	tell_models_that(&writer, comparison, is_busy, "Busy without any message: ", ".");
	tell_models_that(&writer, comparison, takes_turns, "Fewer connections at a time than there are: ",
		"; connections take turns there, and the longest latencies are the wait for one.");
	for (size_t i = 0; i < comparison->left_out_count; i++)
		if (begin(&writer)) {
			fprintf(writer.stream, "Left out: %s.", comparison->left_out[i]);
			end(&writer);
		}
	tell_noise(&writer, comparison);
	return writer.list;
}
