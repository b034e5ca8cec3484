/*
 * What the page relies on is held here: kinds of values, and that names lead to what they name. What it can do without
 * may be absent or null.
 */
#include "report/check.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define FORMAT "gearbox-compare-1"
#define PLACE_MAX 128
#define AXES_MAX 2u

enum { NONE = 1, TEXT = 2, NUMBER = 4, FLAG = 8, LIST = 16, OBJECT = 32 };

struct key {
	const char *name;
	unsigned kinds; /* NONE: may be absent or null */
};

static unsigned kind_of(const json_t *value)
{
	switch (value ? json_typeof(value) : JSON_NULL) {
	case JSON_STRING:
		return TEXT;
	case JSON_INTEGER:
	case JSON_REAL:
		return NUMBER;
	case JSON_TRUE:
	case JSON_FALSE:
		return FLAG;
	case JSON_ARRAY:
		return LIST;
	case JSON_OBJECT:
		return OBJECT;
	default:
		return NONE;
	}
}

static const char *kinds_text(unsigned kinds)
{
	switch (kinds & ~(unsigned)NONE) {
	case TEXT:
		return "a text";
	case NUMBER:
		return "a number";
	case FLAG:
		return "true or false";
	case LIST:
		return "a list";
	case OBJECT:
		return "an object";
	case TEXT | NUMBER:
		return "a text or a number";
	case TEXT | LIST:
		return "a text or a list of texts";
	default:
		return "something else";
	}
}

static int refuse(struct gb_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int refuse(struct gb_error *error, const char *format, ...)
{
	char text[sizeof(error->text)];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	return gb_error_set(error, -GB_EUSAGE, "%s", text);
}

static int check_kind(
	const json_t *value, unsigned kinds, const char *place, const char *name, struct gb_error *error)
{
	if (kind_of(value) & kinds)
		return 0;
	return refuse(error, "%s%s%s is %s: it should be %s", place, *place ? "." : "", name,
		value ? "of another kind" : "missing", kinds_text(kinds));
}

static int check_keys(const json_t *object, const struct key *keys, const char *place, struct gb_error *error)
{
	int rc = 0;

	for (; keys->name && rc == 0; keys++)
		rc = check_kind(json_object_get(object, keys->name), keys->kinds, place, keys->name, error);
	return rc;
}

/* Each value of an object, which may be absent. */
static int check_values(
	const json_t *object, unsigned kinds, const char *place, const char *name, struct gb_error *error)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value) if (!(kind_of(value) & kinds)) return refuse(
		error, "%s%s%s.%s should be %s", place, *place ? "." : "", name, key, kinds_text(kinds));
	return 0;
}

/* Each item of a list, which may be absent. */
static int check_items(
	const json_t *list, unsigned kinds, const char *place, const char *name, struct gb_error *error)
{
	size_t i;
	json_t *item;

	json_array_foreach(list, i, item) if (!(kind_of(item) & kinds)) return refuse(
		error, "%s%s%s[%zu] should be %s", place, *place ? "." : "", name, i, kinds_text(kinds));
	return 0;
}

static bool names_one(const json_t *list, const char *name)
{
	size_t i;
	json_t *item;

	json_array_foreach(list, i, item)
	{
		const char *other = json_string_value(json_object_get(item, "name"));

		if (other && strcmp(other, name) == 0)
			return true;
	}
	return false;
}

static int check_axis(const json_t *axis, const char *place, struct gb_error *error)
{
	static const struct key keys[] = { { "name", TEXT }, { "unit", TEXT | NONE }, { "values", LIST },
		{ NULL } };
	int rc = check_keys(axis, keys, place, error);

	return rc < 0 ? rc
		      : check_items(json_object_get(axis, "values"), NUMBER | TEXT, place, "values", error);
}

static int check_model(const json_t *model, const char *place, struct gb_error *error)
{
	static const struct key keys[] = { { "name", TEXT }, { "spec", TEXT | NONE }, { "kind", TEXT | NONE },
		{ "axes", OBJECT | NONE }, { "sentence", TEXT | NONE }, { "when", TEXT | NONE },
		{ "when_not", TEXT | NONE }, { "command", TEXT | LIST | NONE }, { NULL } };
	int rc = check_keys(model, keys, place, error);

	if (rc == 0)
		rc = check_values(json_object_get(model, "axes"), TEXT | NUMBER | NONE, place, "axes", error);
	if (rc == 0)
		rc = check_items(json_object_get(model, "command"), TEXT, place, "command", error);
	return rc;
}

/* Pairs of a quantile and nanoseconds. */
static int check_latency(const json_t *latency, const char *place, struct gb_error *error)
{
	size_t i;
	json_t *pair;

	json_array_foreach(latency, i, pair)
	{
		double quantile = json_number_value(json_array_get(pair, 0));

		if (json_array_size(pair) != 2 || !json_is_number(json_array_get(pair, 0)) ||
			!json_is_number(json_array_get(pair, 1)) || !(quantile >= 0 && quantile <= 1))
			return refuse(error,
				"%s.latency[%zu] should be a quantile from 0 to 1 and nanoseconds", place, i);
	}
	return 0;
}

static int check_rounds(const json_t *rounds, const char *place, struct gb_error *error)
{
	size_t i;
	json_t *round;
	int rc = check_items(rounds, OBJECT, place, "rounds", error);

	json_array_foreach(rounds, i, round) if (rc == 0) rc =
		check_values(round, NUMBER | NONE, place, "rounds", error);
	return rc;
}

static int check_point(
	const json_t *point, const char *place, const json_t *comparison, struct gb_error *error)
{
	static const struct key keys[] = { { "model", TEXT }, { "at", OBJECT | NONE }, { "ok", FLAG },
		{ "error", TEXT | NONE }, { "warnings", LIST | NONE }, { "median", OBJECT | NONE },
		{ "low", OBJECT | NONE }, { "high", OBJECT | NONE }, { "rounds", LIST | NONE },
		{ "latency", LIST | NONE }, { NULL } };
	static const char *const metrics[] = { "median", "low", "high" };
	const json_t *at = json_object_get(point, "at");
	const char *axis;
	json_t *value;
	int rc = check_keys(point, keys, place, error);

	if (rc < 0)
		return rc;
	if (!names_one(json_object_get(comparison, "models"),
		    json_string_value(json_object_get(point, "model"))))
		return refuse(error, "%s.model \"%s\" is none of the models", place,
			json_string_value(json_object_get(point, "model")));
	json_object_foreach((json_t *)at, axis,
		value) if (!names_one(json_object_get(comparison, "axes"), axis)) return refuse(error,
		"%s.at.%s is none of the axes", place, axis);
	rc = check_values(at, NUMBER | TEXT, place, "at", error);
	for (size_t i = 0; i < sizeof(metrics) / sizeof(*metrics) && rc == 0; i++)
		rc = check_values(
			json_object_get(point, metrics[i]), NUMBER | NONE, place, metrics[i], error);
	if (rc == 0)
		rc = check_items(json_object_get(point, "warnings"), TEXT, place, "warnings", error);
	if (rc == 0)
		rc = check_rounds(json_object_get(point, "rounds"), place, error);
	return rc < 0 ? rc : check_latency(json_object_get(point, "latency"), place, error);
}

static int check_axes(const json_t *comparison, struct gb_error *error)
{
	const json_t *axes = json_object_get(comparison, "axes");
	char place[PLACE_MAX];
	size_t i;
	json_t *axis;
	int rc = check_items(axes, OBJECT, "", "axes", error);

	if (rc == 0 && json_array_size(axes) > AXES_MAX)
		rc = refuse(error, "axes are %zu: at most %u can be shown", json_array_size(axes), AXES_MAX);
	json_array_foreach(axes, i, axis)
	{
		snprintf(place, sizeof(place), "axes[%zu]", i);
		if (rc == 0)
			rc = check_axis(axis, place, error);
	}
	return rc;
}

static int check_models(const json_t *comparison, struct gb_error *error)
{
	const json_t *models = json_object_get(comparison, "models");
	char place[PLACE_MAX];
	size_t i;
	json_t *model;
	int rc = check_items(models, OBJECT, "", "models", error);

	json_array_foreach(models, i, model)
	{
		snprintf(place, sizeof(place), "models[%zu]", i);
		if (rc == 0)
			rc = check_model(model, place, error);
	}
	return rc;
}

static int check_points(const json_t *comparison, struct gb_error *error)
{
	const json_t *points = json_object_get(comparison, "points");
	char place[PLACE_MAX];
	size_t i;
	json_t *point;
	int rc = check_items(points, OBJECT, "", "points", error);

	json_array_foreach(points, i, point)
	{
		snprintf(place, sizeof(place), "points[%zu]", i);
		if (rc == 0)
			rc = check_point(point, place, comparison, error);
	}
	return rc;
}

static int check_baseline(const json_t *comparison, struct gb_error *error)
{
	static const struct key keys[] = { { "model", TEXT }, { "at", OBJECT | NONE }, { "metric", TEXT },
		{ "before", NUMBER }, { "now", NUMBER }, { "ratio", NUMBER | NONE },
		{ "beyond_noise", FLAG | NONE }, { NULL } };
	const json_t *changes = json_object_get(json_object_get(comparison, "baseline"), "changes");
	char place[PLACE_MAX];
	size_t i;
	json_t *change;
	int rc = check_items(changes, OBJECT, "baseline", "changes", error);

	json_array_foreach(changes, i, change)
	{
		snprintf(place, sizeof(place), "baseline.changes[%zu]", i);
		if (rc == 0)
			rc = check_keys(change, keys, place, error);
		if (rc == 0)
			rc = check_values(json_object_get(change, "at"), NUMBER | TEXT, place, "at", error);
	}
	return rc;
}

int gb__report_check(const json_t *comparison, struct gb_error *error)
{
	static const struct key keys[] = { { "service", TEXT | NONE }, { "when", TEXT | NONE },
		{ "interrupted", FLAG | NONE }, { "command", LIST | NONE }, { "machine", OBJECT | NONE },
		{ "load", OBJECT | NONE }, { "axes", LIST | NONE }, { "models", LIST }, { "points", LIST },
		{ "noise", OBJECT | NONE }, { "findings", LIST | NONE }, { "baseline", OBJECT | NONE },
		{ NULL } };
	static int (*const parts[])(const json_t *, struct gb_error *) = { check_axes, check_models,
		check_points, check_baseline };
	const char *format = json_string_value(json_object_get(comparison, "format"));
	int rc;

	if (!format || strcmp(format, FORMAT) != 0)
		return refuse(error, "it is no comparison: its format should be \"" FORMAT "\"");
	rc = check_keys(comparison, keys, "", error);
	if (rc == 0)
		rc = check_items(json_object_get(comparison, "command"), TEXT, "", "command", error);
	if (rc == 0)
		rc = check_items(json_object_get(comparison, "findings"), TEXT, "", "findings", error);
	if (rc == 0)
		rc = check_values(json_object_get(comparison, "noise"), NUMBER | NONE, "", "noise", error);
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts) && rc == 0; i++)
		rc = parts[i](comparison, error);
	return rc;
}
