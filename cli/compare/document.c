#include "compare/document.h"

#include "command.h"
#include "compare/machine.h"
#include "load/doubts.h"
#include "load/hdr.h"

#include <math.h>
#include <string.h>

/* A number that JSON can say. */
static json_t *number(double value)
{
	if (value == floor(value) && fabs(value) < 9e15)
		return json_integer((json_int_t)value);
	return json_real(value);
}

static json_t *command_of(int argc, char **argv)
{
	json_t *list = json_array();

	json_array_append_new(list, gb__json_text(gb__program.name));
	for (int i = 0; i < argc; i++)
		json_array_append_new(list, gb__json_text(argv[i]));
	return list;
}

static json_t *load_of(const struct compare_options *options)
{
	return json_pack("{s:s, s:o*, s:I, s:I, s:I, s:o, s:o, s:I, s:I}", "protocol", options->protocol,
		"tls", options->tls ? json_true() : NULL, "connections", (json_int_t)options->connections,
		"depth", (json_int_t)options->depth, "size", (json_int_t)options->size, "rate",
		isfinite(options->rate) ? number(options->rate) : json_null(), "arrivals",
		gb__json_text(options->arrivals), "duration_ms", (json_int_t)options->duration_ms, "rounds",
		(json_int_t)options->rounds);
}

static json_t *axes_of(const struct compare_options *options)
{
	json_t *list = json_array();

	for (size_t i = 0; i < options->axes_count; i++) {
		const struct compare_axis *axis = &options->axes[i];
		json_t *values = json_array();

		for (size_t j = 0; j < axis->count; j++)
			json_array_append_new(values, number(axis->steps[j].number));
		json_array_append_new(list,
			json_pack(
				"{s:s, s:s, s:o}", "name", axis->name, "unit", axis->unit, "values", values));
	}
	return list;
}

/* For a shell: KEY=VALUE in quotes. What is gone with the run is for the reader to name. */
static void print_pair(
	FILE *stream, const struct compare_options *options, const char *before, const char *pair)
{
	const bool gone = gb__compare_of_run(options, pair);

	fprintf(stream, " %s'", before);
	for (const char *at = pair; *at && !(gone && at > pair && at[-1] == '='); at++)
		if (*at == '\'')
			fputs("'\\''", stream);
		else
			fputc(*at, stream);
	fprintf(stream, "%s'", !gone ? "" : pair == options->upstream ? "HOST:PORT" : "FILE.pem");
}

/* How anybody serves it. */
static json_t *serve_command(const struct comparison *comparison, const struct compare_model *model)
{
	const struct compare_serving *serving = &comparison->options->serving;
	json_t *text;
	char *line = NULL;
	size_t size;
	FILE *stream;

	if (model->command)
		return gb__json_text(model->command);
	stream = open_memstream(&line, &size);
	if (!stream)
		return json_null();
	fprintf(stream, "%s serve ", gb__program.name);
	if (!gb__program.one)
		fprintf(stream, "%s ", serving->service->name);
	fprintf(stream, "--listen 127.0.0.1:7000 --model %s", model->spec);
	for (size_t i = 0; i < serving->sets_count; i++)
		print_pair(stream, comparison->options, "--set ", serving->sets[i]);
	for (size_t i = 0; i < serving->options_count; i++)
		print_pair(stream, comparison->options, "--", serving->options[i]);
	fclose(stream);
	text = gb__json_text(line);
	free(line);
	return text;
}

static json_t *models_of(const struct comparison *comparison)
{
	json_t *list = json_array();

	for (size_t i = 0; i < compare_told(comparison); i++) {
		const struct compare_model *model = &comparison->models[i];
		const struct gb_preset *preset = model->preset;

		json_array_append_new(list,
			json_pack("{s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o}", "name",
				gb__json_text(model->name), "spec", gb__json_text(model->spec), "kind",
				model->command ? "against" : "model", "axes",
				model->spec ? gb__json_axes(model->full) : json_object(), "sentence",
				gb__json_text(preset ? preset->summary : NULL), "when",
				gb__json_text(preset ? preset->use : NULL), "when_not",
				gb__json_text(preset ? preset->avoid : NULL), "command",
				serve_command(comparison, model)));
	}
	return list;
}

static json_t *values_of(const double *values)
{
	json_t *object = json_object();

	for (int metric = 0; metric < METRICS_COUNT; metric++)
		if (isfinite(values[metric]))
			json_object_set_new(object, gb__compare_metrics[metric].key, number(values[metric]));
	return object;
}

static json_t *spreads_of(const struct compare_point *point, size_t offset)
{
	double values[METRICS_COUNT];

	for (int metric = 0; metric < METRICS_COUNT; metric++)
		memcpy(&values[metric], (const char *)&point->spreads[metric] + offset, sizeof(double));
	return values_of(values);
}

/* The distribution of all rounds together, as far as there are messages to tell it. */
static json_t *latency_of(const struct compare_point *point)
{
	/* In ten thousandths: dense where the axis of such curves is. */
	static const unsigned quantiles[] = { 1, 500, 1000, 2000, 3000, 4000, 5000, 6000, 7000, 7500, 8000,
		8500, 9000, 9250, 9500, 9625, 9750, 9850, 9900, 9925, 9950, 9970, 9980, 9990, 9993, 9995,
		9997, 9998, 9999, 10000 };
	struct histogram *all = malloc(sizeof(*all));
	json_t *list = json_array();
	struct gb_error error;

	if (!all)
		return list;
	gb__histogram_init(all);
	for (size_t i = 0; i < point->samples_count; i++)
		if (point->samples[i].histogram)
			gb__hdr_decode(point->samples[i].histogram, all, &error);
	for (size_t i = 0; i < sizeof(quantiles) / sizeof(*quantiles) && all->count > 0; i++)
		if (quantiles[i] == 10000 || all->count >= gb__quantile_samples_min(quantiles[i]))
			json_array_append_new(list,
				json_pack("[f, I]", (double)quantiles[i] / 10000,
					(json_int_t)gb__histogram_quantile(all, quantiles[i])));
	free(all);
	return list;
}

static json_t *point_of(const struct comparison *comparison, const struct compare_point *point)
{
	const struct compare_options *options = comparison->options;
	json_t *at = json_object(), *warnings = json_array(), *rounds = json_array();

	for (size_t i = 0; i < options->axes_count; i++)
		json_object_set_new(
			at, options->axes[i].name, number(options->axes[i].steps[point->step[i]].number));
	for (size_t i = 0; i < point->warnings_count; i++)
		json_array_append_new(warnings, gb__json_text(point->warnings[i]));
	for (size_t i = 0; i < point->samples_count; i++)
		json_array_append_new(rounds, values_of(point->samples[i].values));
	return json_pack("{s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:O*}", "model",
		gb__json_text(comparison->models[point->model].name), "at", at, "ok", compare_measured(point),
		"error", gb__json_text(point->error), "warnings", warnings, "median",
		spreads_of(point, offsetof(struct compare_spread, median)), "low",
		spreads_of(point, offsetof(struct compare_spread, low)), "high",
		spreads_of(point, offsetof(struct compare_spread, high)), "rounds", rounds, "latency",
		latency_of(point), "tls", point->tls);
}

static json_t *points_of(const struct comparison *comparison)
{
	json_t *list = json_array();

	for (size_t i = 0; i < compare_told(comparison) * comparison->grid; i++)
		json_array_append_new(list, point_of(comparison, &comparison->points[i]));
	return list;
}

json_t *gb__compare_document(const struct comparison *comparison, int argc, char **argv)
{
	const struct compare_options *options = comparison->options;

	return json_pack("{s:s, s:o, s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:n, s:n}", "format",
		COMPARE_FORMAT, "service", gb__json_text(options->serving.service->name), "when",
		comparison->when, "interrupted", comparison->interrupted, "command", command_of(argc, argv),
		"machine", gb__compare_machine(options->tls), "load", load_of(options), "axes",
		axes_of(options), "models", models_of(comparison), "points", points_of(comparison), "noise",
		values_of(comparison->noise), "findings", "baseline");
}
