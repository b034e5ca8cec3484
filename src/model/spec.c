/*
 * Text to model and back. One table names the keys; each value is either one of a few words or a number
 * with a range and perhaps a word of its own.
 */
#include "model/spec.h"

#include "base/assert.h"
#include "base/macros.h"
#include "base/nearest.h"
#include "base/parse.h"

#include <stdio.h>
#include <string.h>

#define ITEM_MAX 64 /* bytes of one key=value, terminator included; no legal one comes near */

struct number {
	unsigned min, max;
	const struct gb__unit *units;
	const char *default_word; /* stands for 0, or NULL */
	const char *wanted;       /* continues "write …" */
};

struct key {
	const char *name;
	size_t offset;
	const char *const *words; /* by value; NULL where `number` counts */
	const struct number *number;
};

static const char *const accept_words[] = { "acceptor", "shared", "reuseport", NULL };
static const char *const unit_words[] = { "thread", "process", NULL };
static const char *const engine_words[] = { "auto", "blocking", "busy", "select", "poll", "epoll", "io_uring",
	NULL };
static const char *const compute_words[] = { "inline", "threads", "processes", NULL };
static const char *const wake_words[] = { "auto", "all", "exclusive", "lock", NULL };
static const char *const place_words[] = { "auto", "round-robin", "least-connections", "random", "hash",
	NULL };

static const struct number workers_number = { 1, 4096, gb__count_units, "N",
	"a number from 1 to 4096, N (the CPUs allotted) or per-connection" };
static const struct number accept_batch_number = { 1, 4096, gb__count_units, NULL,
	"a number from 1 to 4096" };
static const struct number stack_number = { 64u << 10, 1u << 30, gb__size_units, NULL,
	"a size from 64KiB to 1GiB" };
static const struct number compute_workers_number = { 1, 4096, gb__count_units, "auto",
	"a number from 1 to 4096, or auto" };

#define FIELD(name) offsetof(struct gb__model, name)
static const struct key keys[GB__KEY_COUNT] = {
	[GB__KEY_ACCEPT] = { "accept", FIELD(accept), accept_words, NULL },
	[GB__KEY_UNIT] = { "unit", FIELD(unit), unit_words, NULL },
	[GB__KEY_WORKERS] = { "workers", FIELD(workers), NULL, &workers_number },
	[GB__KEY_ENGINE] = { "engine", FIELD(engine), engine_words, NULL },
	[GB__KEY_COMPUTE] = { "compute", FIELD(compute), compute_words, NULL },
	[GB__KEY_WAKE] = { "wake", FIELD(wake), wake_words, NULL },
	[GB__KEY_PLACE] = { "place", FIELD(place), place_words, NULL },
	[GB__KEY_ACCEPT_BATCH] = { "accept-batch", FIELD(accept_batch), NULL, &accept_batch_number },
	[GB__KEY_STACK] = { "stack", FIELD(stack), NULL, &stack_number },
	[GB__KEY_COMPUTE_WORKERS] = { "compute-workers", FIELD(compute_workers), NULL,
		&compute_workers_number },
};

/* Fields are reached by offset as unsigned: enumerations without negative values are that. */
_Static_assert(
	sizeof(enum gb__model_engine) == sizeof(unsigned), "fields of a model are as wide as an unsigned");

unsigned gb__model_get(const struct gb__model *model, enum gb__model_key key)
{
	unsigned value;

	memcpy(&value, (const char *)model + keys[key].offset, sizeof(value));
	return value;
}

void gb__model_set(struct gb__model *model, enum gb__model_key key, unsigned value)
{
	memcpy((char *)model + keys[key].offset, &value, sizeof(value));
}

bool gb__model_equal(const struct gb__model *a, const struct gb__model *b)
{
	for (unsigned key = 0; key < GB__KEY_COUNT; key++)
		if (gb__model_get(a, key) != gb__model_get(b, key))
			return false;
	return true;
}

const char *gb__model_engine_name(enum gb__model_engine engine)
{
	gb__assert((size_t)engine + 1 < gb__countof(engine_words));
	return engine_words[engine];
}

static const struct key *find_key(const char *name)
{
	for (const struct key *key = keys; key < keys + GB__KEY_COUNT; key++)
		if (strcmp(key->name, name) == 0)
			return key;
	return NULL;
}

static int refuse_key(const char *name, struct gb_error *error)
{
	struct gb__nearest nearest;

	gb__nearest_init(&nearest, name);
	for (const struct key *key = keys; key < keys + GB__KEY_COUNT; key++)
		gb__nearest_offer(&nearest, key->name);
	if (nearest.word)
		return gb_error_set(error, -GB_EUSAGE, "model: unknown key \"%s\": did you mean \"%s\"?",
			name, nearest.word);
	return gb_error_set(error, -GB_EUSAGE,
		"model: unknown key \"%s\": known are accept, unit, workers, engine, compute, wake, place, "
		"accept-batch, stack and compute-workers",
		name);
}

static int refuse_preset(const char *name, struct gb_error *error)
{
	struct gb__nearest nearest;

	gb__nearest_init(&nearest, name);
	for (const struct gb_preset *preset = gb__presets; preset->name; preset++) {
		gb__nearest_offer(&nearest, preset->name);
		if (preset->alias)
			gb__nearest_offer(&nearest, preset->alias);
	}
	if (nearest.word)
		return gb_error_set(
			error, -GB_EUSAGE, "unknown model \"%s\": did you mean \"%s\"?", name, nearest.word);
	return gb_error_set(error, -GB_EUSAGE,
		"unknown model \"%s\": write a preset such as reactor (\"gearbox models\" lists them) or "
		"key=value,...",
		name);
}

static int parse_word(const struct key *key, const char *value, unsigned *ret, struct gb_error *error)
{
	char list[128] = "";
	size_t used = 0;

	for (unsigned i = 0; key->words[i]; i++)
		if (strcmp(key->words[i], value) == 0) {
			*ret = i;
			return 0;
		}
	for (unsigned i = 0; key->words[i]; i++)
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s",
			i == 0                      ? ""
				: key->words[i + 1] ? ", "
						    : " or ",
			key->words[i]);
	return gb_error_set(error, -GB_EUSAGE, "model: %s=%s is unknown: write %s", key->name, value, list);
}

static int parse_number(const struct key *key, const char *value, unsigned *ret, struct gb_error *error)
{
	const struct number *number = key->number;
	uint64_t parsed;

	if (number == &workers_number && strcmp(value, "per-connection") == 0) {
		*ret = GB__WORKERS_PER_CONNECTION;
		return 0;
	}
	if (number->default_word && strcmp(value, number->default_word) == 0) {
		*ret = 0;
		return 0;
	}
	if (gb__parse_units(value, number->units, &parsed) < 0 || parsed < number->min ||
		parsed > number->max)
		return gb_error_set(error, -GB_EUSAGE, "model: %s=%s is not possible: write %s", key->name,
			value, number->wanted);
	*ret = (unsigned)parsed;
	return 0;
}

/* One key=value, which is cut apart in place. */
static int parse_item(char *item, struct gb__model *model, struct gb_error *error)
{
	char *value = strchr(item, '=');
	const struct key *key;
	unsigned number = 0, bit;
	int rc;

	if (!*item)
		return gb_error_set(error, -GB_EUSAGE,
			"model: empty item between commas: write key=value, e.g. workers=4");
	if (!value)
		return gb_error_set(error, -GB_EUSAGE,
			"model: \"%s\" is not key=value: only the first item may be a preset", item);
	*value++ = '\0';
	key = find_key(item);
	if (!key)
		return refuse_key(item, error);
	rc = key->words ? parse_word(key, value, &number, error) : parse_number(key, value, &number, error);
	if (rc < 0)
		return rc;
	bit = 1u << (key - keys);
	if (model->given & bit)
		return gb_error_set(error, -GB_EUSAGE, "model: %s is given twice: write it once", key->name);
	gb__model_set(model, (enum gb__model_key)(key - keys), number);
	model->given |= bit;
	return 0;
}

/* The next item of `*at` up to a comma into `item`; moves `*at` behind it, NULL at the end. */
static int next_item(const char **at, char *item, struct gb_error *error)
{
	size_t size = strcspn(*at, ",");

	if (size >= ITEM_MAX)
		return gb_error_set(
			error, -GB_EUSAGE, "model: \"%.*s...\" is not a preset or key=value", 40, *at);
	memcpy(item, *at, size);
	item[size] = '\0';
	*at = (*at)[size] ? *at + size + 1 : NULL;
	return 0;
}

/* What some keys imply, as the header says, of axes that nothing has said. */
static void fill_axes(struct gb__model *model)
{
	bool per_connection = model->workers == GB__WORKERS_PER_CONNECTION;

	if (!(model->given & 1u << GB__KEY_ACCEPT) && (per_connection || model->place != GB__PLACE_AUTO))
		model->accept = GB__ACCEPT_ACCEPTOR;
	if (!(model->given & 1u << GB__KEY_ENGINE) && per_connection)
		model->engine = GB__ENGINE_BLOCKING;
	if (!(model->given & 1u << GB__KEY_COMPUTE) && model->given & 1u << GB__KEY_COMPUTE_WORKERS)
		model->compute = GB__COMPUTE_THREADS;
}

/* The model of a preset, of which nothing counts as typed. */
static struct gb__model preset_model(const struct gb_preset *preset)
{
	struct gb__model model = { 0 };
	const char *at = preset->axes;
	char item[ITEM_MAX];
	int rc = 0;

	while (rc == 0 && at) {
		rc = next_item(&at, item, NULL);
		if (rc == 0)
			rc = parse_item(item, &model, NULL);
	}
	gb__assert(rc == 0);
	model.given = 0;
	return model;
}

int gb__model_parse(const char *spec, struct gb__model *ret, struct gb_error *error)
{
	const struct gb_preset *preset = gb__preset_find(GB__MODEL_DEFAULT);
	struct gb__model model = preset_model(preset);
	const char *at = spec;
	char item[ITEM_MAX];
	int rc;

	if (!*spec)
		return gb_error_set(error, -GB_EUSAGE,
			"the model is empty: write a preset such as reactor (\"gearbox models\" lists them)");
	rc = next_item(&at, item, error);
	if (rc < 0)
		return rc;
	if (*item && !strchr(item, '=')) {
		preset = gb__preset_find(item);
		if (!preset)
			return refuse_preset(item, error);
		model = preset_model(preset);
	} else {
		preset = NULL;
		rc = parse_item(item, &model, error);
	}
	while (rc == 0 && at) {
		rc = next_item(&at, item, error);
		if (rc == 0)
			rc = parse_item(item, &model, error);
	}
	if (rc < 0)
		return rc;
	if (!preset)
		fill_axes(&model);
	if (model.workers == GB__WORKERS_PER_CONNECTION && model.engine == GB__ENGINE_AUTO)
		model.engine = GB__ENGINE_BLOCKING;
	*ret = model;
	return 0;
}

static void format_value(const struct key *key, unsigned value, char *text, size_t size)
{
	if (key->words)
		snprintf(text, size, "%s", key->words[value]);
	else if (key->number == &workers_number && value == GB__WORKERS_PER_CONNECTION)
		snprintf(text, size, "per-connection");
	else if (value == 0)
		snprintf(text, size, "%s", key->number->default_word);
	else
		gb__format_units(value, key->number->units, text, size);
}

int gb__model_format(const struct gb__model *model, char *text, size_t size)
{
	char spec[GB__MODEL_SPEC_MAX];
	int used = 0;

	for (unsigned key = 0; key < GB__KEY_COUNT; key++) {
		unsigned number = gb__model_get(model, key);
		char value[ITEM_MAX];

		if (key > GB__KEY_COMPUTE && number == 0)
			continue;
		format_value(&keys[key], number, value, sizeof(value));
		used += snprintf(spec + used, sizeof(spec) - (size_t)used, "%s%s=%s", key ? "," : "",
			keys[key].name, value);
		gb__assert((size_t)used < sizeof(spec));
	}
	return snprintf(text, size, "%s", spec);
}

int gb__model_name(const struct gb__model *model, char *text, size_t size)
{
	for (const struct gb_preset *preset = gb__presets; preset->name; preset++) {
		struct gb__model row;
		int rc = gb__model_parse(preset->axes, &row, NULL);

		gb__assert(rc == 0);
		if (gb__model_equal(model, &row))
			return snprintf(text, size, "%s", preset->name);
	}
	return gb__model_format(model, text, size);
}
