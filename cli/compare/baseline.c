#include "compare/baseline.h"

#include "compare/document.h"
#include "compare/metrics.h"
#include "compare/statistics.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOLD_MAX 40 /* sentences */

int gb__compare_baseline_read(const char *path, json_t **ret, struct gb_error *error)
{
	json_error_t wrong;
	json_t *document;
	FILE *file = fopen(path, "re");
	const char *format;

	if (!file)
		return gb_error_set(error, -errno, "cannot read %s: %s", path, strerror(errno));
	document = json_loadf(file, 0, &wrong);
	fclose(file);
	if (!document)
		return gb_error_set(
			error, -GB_EUSAGE, "%s is no JSON: line %d: %s", path, wrong.line, wrong.text);
	format = json_string_value(json_object_get(document, "format"));
	if (!format || strcmp(format, COMPARE_FORMAT) != 0 ||
		!json_is_array(json_object_get(document, "points"))) {
		json_decref(document);
		return gb_error_set(error, -GB_EUSAGE,
			"%s is no comparison: write a file that `compare --json FILE` wrote", path);
	}
	*ret = document;
	return 0;
}

static struct compare_spread spread_of(const json_t *point, const char *key)
{
	return (struct compare_spread){ gb__json_number(json_object_get(point, "median"), key),
		gb__json_number(json_object_get(point, "low"), key),
		gb__json_number(json_object_get(point, "high"), key) };
}

/* Numbers may be written as whole ones or not. */
static bool same_place(const json_t *a, const json_t *b)
{
	const char *key;
	json_t *value;

	if (json_object_size(a) != json_object_size(b))
		return false;
	json_object_foreach((json_t *)a, key, value)
	{
		if (json_number_value(value) != gb__json_number(b, key))
			return false;
	}
	return true;
}

static const json_t *find(const json_t *points, const json_t *wanted)
{
	const char *model = json_string_value(json_object_get(wanted, "model"));
	size_t at;
	json_t *point;

	json_array_foreach((json_t *)points, at, point)
	{
		const char *other = json_string_value(json_object_get(point, "model"));

		if (model && other && strcmp(model, other) == 0 &&
			same_place(json_object_get(point, "at"), json_object_get(wanted, "at")))
			return point;
	}
	return NULL;
}

/* The greater of both runs'. */
static double noise_of(const json_t *before, const json_t *now, const char *key)
{
	double a = gb__json_number(json_object_get(before, "noise"), key);
	double b = gb__json_number(json_object_get(now, "noise"), key);

	return isfinite(a) && isfinite(b) ? fmax(a, b) : isfinite(a) ? a : b;
}

static void say_change(json_t *findings, const json_t *point, const struct compare_metric_row *row,
	double before, double now)
{
	char from[FIGURE_MAX], to[FIGURE_MAX], text[512];
	const char *key;
	json_t *value;
	size_t used;

	if (json_array_size(findings) >= TOLD_MAX)
		return;
	used = (size_t)snprintf(
		text, sizeof(text), "%.100s", json_string_value(json_object_get(point, "model")));
	json_object_foreach(json_object_get(point, "at"), key, value)
	{
		if (used < sizeof(text))
			used += (size_t)snprintf(text + used, sizeof(text) - used, ", %s=%.10g", key,
				json_number_value(value));
	}
	if (used < sizeof(text))
		snprintf(text + used, sizeof(text) - used, ": %s is %s now, %s before (%s).", row->words,
			gb__figure(row->form, now, to), gb__figure(row->form, before, from),
			(now > before) == row->more_is_better ? "better" : "worse");
	json_array_append_new(findings, gb__json_text(text));
}

struct changes {
	json_t *list, *findings;
};

static void compare_points(const json_t *before, const json_t *now, const json_t *old, const json_t *point,
	struct changes *changes)
{
	for (int i = 0; i < METRICS_COUNT; i++) {
		const struct compare_metric_row *row = &gb__compare_metrics[i];
		struct compare_spread was = spread_of(old, row->key), is = spread_of(point, row->key);
		bool beyond;

		if (!isfinite(was.median) || !isfinite(is.median))
			continue;
		beyond = gb__compare_differ(&was, &is, noise_of(before, now, row->key), row->least);
		json_array_append_new(changes->list,
			json_pack("{s:O, s:O, s:s, s:f, s:f, s:o, s:b}", "model",
				json_object_get(point, "model"), "at", json_object_get(point, "at"), "metric",
				row->key, "before", was.median, "now", is.median, "ratio",
				was.median > 0 ? json_real(is.median / was.median) : json_null(),
				"beyond_noise", beyond));
		if (beyond)
			say_change(changes->findings, point, row, was.median, is.median);
	}
}

static bool differ(const json_t *before, const json_t *now, const char *key)
{
	const json_t *one = json_object_get(before, key), *other = json_object_get(now, key);

	return one != other && !json_equal(one, other);
}

/* Words on what makes the two hard to compare. */
static void compare_circumstances(const json_t *before, const json_t *now, json_t *findings)
{
	static const char *const keys[] = { "cpu", "cpus_allotted", "kernel", "openssl" };
	const json_t *was = json_object_get(before, "machine"), *is = json_object_get(now, "machine");
	bool machine = false;

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		machine = machine || differ(was, is, keys[i]);
	if (machine)
		json_array_append_new(findings,
			json_string(
				"The baseline was measured on another machine, kernel or OpenSSL: changes may be of that."));
	if (differ(before, now, "service"))
		json_array_append_new(
			findings, json_string("The baseline was measured with another service."));
	if (differ(before, now, "load"))
		json_array_append_new(findings, json_string("The baseline was measured under another load."));
}

json_t *gb__compare_baseline(const json_t *before, const json_t *now)
{
	const json_t *points = json_object_get(now, "points");
	struct changes changes = { json_array(), json_array() };
	size_t at, same = 0, told;
	json_t *point;

	compare_circumstances(before, now, changes.findings);
	told = json_array_size(changes.findings);
	json_array_foreach((json_t *)points, at, point)
	{
		const json_t *old = find(json_object_get(before, "points"), point);

		if (!old)
			continue;
		same++;
		compare_points(before, now, old, point, &changes);
	}
	if (same == 0)
		json_array_append_new(changes.findings,
			json_string("The baseline has none of these models at these places."));
	else if (json_array_size(changes.findings) == told)
		json_array_append_new(changes.findings,
			json_string("Nothing changed since the baseline beyond the noise."));
	return json_pack("{s:O?, s:o, s:o}", "when", json_object_get(before, "when"), "changes", changes.list,
		"findings", changes.findings);
}
