#include "compare/sweep.h"

#include <gearbox/args.h>

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name, *unit, *flag;
} known[] = {
	{ "connections", "", "connections" },
	{ "rate", "1/s", "rate" },
	{ "size", "bytes", "size" },
	{ "compute", "µs", "compute-us" },
	{ "block", "µs", "block-us" },
	{ "workers", "", NULL },
};
#define KNOWN (sizeof(known) / sizeof(*known))

static int refuse_name(const char *text, struct gb_error *error)
{
	const char *names[KNOWN + 1] = { NULL }, *nearest;
	char name[32];

	for (size_t i = 0; i < KNOWN; i++)
		names[i] = known[i].name;
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(text, "="), text);
	nearest = gb_args_nearest(name, names);
	if (nearest)
		return gb_error_set(error, -GB_EUSAGE, "sweep %s: did you mean \"%s=…\"?", text, nearest);
	return gb_error_set(error, -GB_EUSAGE,
		"sweep %s: write connections, rate, size, compute, block or workers, \"=\" and values with commas "
		"between them",
		text);
}

/* "50", "64KiB", "200us", "5ms", "20k": in bytes, microseconds, or as it is. */
static int parse_number(const char *text, double *ret)
{
	static const struct {
		const char *suffix;
		double factor;
	} suffixes[] = { { "", 1 }, { "us", 1 }, { "µs", 1 }, { "ms", 1e3 }, { "s", 1e6 }, { "k", 1e3 },
		{ "B", 1 }, { "KiB", 1024 }, { "MiB", 1048576 } };
	char *end;
	double number = strtod(text, &end);

	if (end == text || !isfinite(number) || number < 0)
		return -GB_EUSAGE;
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++)
		if (strcmp(end, suffixes[i].suffix) == 0) {
			*ret = number * suffixes[i].factor;
			return 0;
		}
	return -GB_EUSAGE;
}

static int add_step(struct compare_axis *axis, const char *text, size_t length, struct gb_error *error)
{
	struct compare_step *step = &axis->steps[axis->count];

	if (axis->count == COMPARE_STEPS_MAX)
		return gb_error_set(
			error, -GB_EUSAGE, "sweep %s: at most %d values", axis->name, COMPARE_STEPS_MAX);
	step->text = strndup(text, length);
	if (!step->text)
		return gb_error_set(error, -ENOMEM, "no memory for a sweep");
	axis->count++;
	if (parse_number(step->text, &step->number) < 0)
		return gb_error_set(error, -GB_EUSAGE, "sweep %s=%s: not a number", axis->name, step->text);
	for (size_t i = 0; i + 1 < axis->count; i++)
		if (axis->steps[i].number >= step->number)
			return gb_error_set(error, -GB_EUSAGE,
				"sweep %s: write its values in ascending order, each once: %s comes after %s",
				axis->name, axis->steps[i].text, step->text);
	return 0;
}

int gb__compare_sweep_parse(const char *text, struct compare_axis *ret, struct gb_error *error)
{
	size_t length = strcspn(text, "="), at = 0;
	int result = 0;

	*ret = (struct compare_axis){ 0 };
	while (at < KNOWN && (strlen(known[at].name) != length || strncmp(known[at].name, text, length) != 0))
		at++;
	if (at == KNOWN || !text[length] || !text[length + 1])
		return refuse_name(text, error);
	snprintf(ret->name, sizeof(ret->name), "%s", known[at].name);
	ret->unit = known[at].unit;
	ret->flag = known[at].flag;
	for (text += length + 1; result == 0; text += length + 1) {
		length = strcspn(text, ",");
		result = add_step(ret, text, length, error);
		if (!text[length])
			break;
	}
	return result;
}

void gb__compare_sweep_finish(struct compare_axis *axis)
{
	for (size_t i = 0; i < axis->count; i++)
		free(axis->steps[i].text);
	axis->count = 0;
}

/* Whether the word belongs to a model that has begun. */
static bool continues(const char *spec, const char *word, size_t length)
{
	bool sets = memchr(word, '=', length);

	return spec && sets && !(strncmp(word, "accept=", 7) == 0 && strstr(spec, "accept="));
}

int gb__compare_models_split(const char *text, char **list, size_t *count, size_t max, struct gb_error *error)
{
	char *spec = NULL; /* the last one of the list, while words may follow */

	for (;;) {
		size_t length = strcspn(text, ",;");
		char *whole = NULL;

		if (length == 0)
			return gb_error_set(error, -GB_EUSAGE,
				"models: a name is missing: write them with commas between them");
		if (continues(spec, text, length)) {
			if (asprintf(&whole, "%s,%.*s", spec, (int)length, text) < 0)
				return gb_error_set(error, -ENOMEM, "no memory for a model");
			free(spec);
			list[*count - 1] = whole;
		} else {
			if (*count == max)
				return gb_error_set(error, -GB_EUSAGE, "models: at most %zu", max);
			whole = strndup(text, length);
			if (!whole)
				return gb_error_set(error, -ENOMEM, "no memory for a model");
			list[(*count)++] = whole;
		}
		spec = text[length] == ';' ? NULL : whole;
		if (!text[length])
			return 0;
		text += length + 1;
	}
}
