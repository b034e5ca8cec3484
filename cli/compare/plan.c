#include "compare/plan.h"

#include "command.h"
#include "descriptors.h"
#include "load/ports.h"
#include "verify/specs.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SOMEWHERE "127.0.0.1:9" /* where servers listen, but for the port */
#define APART 128               /* descriptors that a server's workers need beside its connections */

static const struct gb_preset *preset_of(const char *spec)
{
	const struct gb_preset *preset = NULL;

	while ((preset = gb_preset_next(preset)))
		if (strcmp(preset->name, spec) == 0 || strcmp(preset->axes, spec) == 0 ||
			(preset->alias && strcmp(preset->alias, spec) == 0))
			return preset;
	return NULL;
}

static int no_memory(struct gb_error *error)
{
	return gb_error_set(error, -ENOMEM, "no memory for so many models");
}

static struct compare_model *add_model(struct comparison *comparison)
{
	size_t size = (comparison->models_count + 1) * sizeof(struct compare_model);
	struct compare_model *grown = realloc(comparison->models, size);

	if (!grown)
		return NULL;
	comparison->models = grown;
	grown[comparison->models_count] = (struct compare_model){ 0 };
	return &grown[comparison->models_count++];
}

/* A model by its spec, and the name that it is told by. */
static int add_spec(struct comparison *comparison, const char *name, const char *spec, struct gb_error *error)
{
	struct compare_model *model;

	for (size_t i = 0; i < comparison->models_count; i++)
		if (comparison->models[i].spec && strcmp(comparison->models[i].spec, spec) == 0)
			return gb_error_set(error, -GB_EUSAGE, "models: %s is given twice", spec);
	model = add_model(comparison);
	if (!model)
		return no_memory(error);
	model->name = strdup(name);
	model->spec = strdup(spec);
	model->preset = preset_of(spec);
	return model->name && model->spec ? 0 : no_memory(error);
}

static int leave_out(struct comparison *comparison, const char *name, const char *why, struct gb_error *error)
{
	char *text = NULL;

	if (comparison->left_out_count == COMPARE_NAMES_MAX)
		return 0;
	if (asprintf(&text, "%s: %s", name, why) < 0)
		return no_memory(error);
	comparison->left_out[comparison->left_out_count++] = text;
	return 0;
}

/* The axis that varies the models, or NULL. */
static const struct compare_axis *workers_axis(const struct compare_options *options, size_t *ret_at)
{
	for (size_t i = 0; i < options->axes_count; i++)
		if (!options->axes[i].flag) {
			*ret_at = i;
			return &options->axes[i];
		}
	return NULL;
}

static int add_presets(struct comparison *comparison, struct gb_error *error)
{
	const struct compare_options *options = comparison->options;
	const struct gb_preset *preset = NULL;
	size_t at;
	bool sized = workers_axis(options, &at) != NULL;
	int result = 0;

	while (result == 0 && (preset = gb_preset_next(preset))) {
		struct gb_error refused;

		if (sized && !strstr(preset->axes, "workers=N"))
			continue; /* its number of workers is what it is */
		if (gb_model_check(preset->axes, options->serving.service, true, &refused) < 0)
			result = leave_out(comparison, preset->name, refused.text, error);
		else
			result = add_spec(comparison, preset->name, preset->name, error);
	}
	return result;
}

/* "shared/thread/N/epoll/inline": the values of a whole list of axes, in their order. */
static void name_axes(const char *axes, char *ret, size_t size)
{
	size_t used = 0;

	for (const char *at = strchr(axes, '='); at && used < size; at = strchr(at, '=')) {
		size_t length = strcspn(++at, ",");

		used += (size_t)snprintf(ret + used, size - used, "%s%.*s", used ? "/" : "", (int)length, at);
	}
}

static int add_combinations(struct comparison *comparison, struct gb_error *error)
{
	const struct compare_options *options = comparison->options;
	char spec[COMPARE_SPEC_MAX], name[COMPARE_SPEC_MAX];
	size_t at;
	bool sized = workers_axis(options, &at) != NULL;
	int result = 0;

	for (size_t i = 0; result == 0 && gb_model_combination(i, spec, sizeof(spec)) != -ENOENT; i++) {
		const struct gb_preset *preset = preset_of(spec);

		if (sized && !strstr(spec, "workers=N"))
			continue;
		name_axes(spec, name, sizeof(name));
		if (gb_model_check(spec, options->serving.service, true, NULL) >= 0)
			result = add_spec(comparison, preset ? preset->name : name,
				preset ? preset->name : spec, error);
	}
	return result;
}

/* The base name of its first word that is no assignment; the second of a name is "name 2". */
static int name_command(struct comparison *comparison, struct compare_model *model, struct gb_error *error)
{
	const char *at = model->command + strspn(model->command, " "), *slash;
	size_t length = strcspn(at, " "), others = 0;
	char name[64];

	while (memchr(at, '=', length) && at[length]) {
		at += length + strspn(at + length, " ");
		length = strcspn(at, " ");
	}
	slash = memrchr(at, '/', length);
	if (slash) {
		length -= (size_t)(slash + 1 - at);
		at = slash + 1;
	}
	for (const struct compare_model *other = comparison->models; other < model; other++)
		others += strncmp(other->name, at, length) == 0 &&
			(!other->name[length] || other->name[length] == ' ');
	snprintf(name, sizeof(name), "%.*s", (int)(length < 48 ? length : 48), at);
	if (others > 0)
		snprintf(name + strlen(name), 12, " %zu", others + 1);
	model->name = strdup(name);
	return model->name ? 0 : no_memory(error);
}

static int add_all(struct comparison *comparison, struct gb_error *error)
{
	const struct compare_options *options = comparison->options;
	int result = 0;

	for (size_t i = 0; i < options->models_count && result == 0; i++)
		result = add_spec(comparison, options->models[i], options->models[i], error);
	if (options->all)
		result = add_combinations(comparison, error);
	else if (options->models_count == 0 && result == 0)
		result = add_presets(comparison, error);
	for (size_t i = 0; i < options->against_count && result == 0; i++) {
		struct compare_model *model = add_model(comparison);

		if (!model)
			return no_memory(error);
		model->command = options->against[i];
		result = name_command(comparison, model, error);
	}
	return result;
}

static void spec_at(const struct comparison *comparison, const struct compare_model *model,
	const size_t step[COMPARE_AXES], char *ret, size_t size)
{
	size_t at;
	const struct compare_axis *axis = workers_axis(comparison->options, &at);

	snprintf(ret, size, "%s%s%s", model->spec, axis ? ",workers=" : "",
		axis ? axis->steps[step[at]].text : "");
}

/* Connections of the load that say nothing. */
static uint64_t idle_of(const struct compare_options *options)
{
	const char *idle = gb__compare_load_flag(options, "idle");

	return idle ? strtoull(idle, NULL, 10) : 0;
}

/* Who serves one connection at a time in each worker has none left when silent ones have them all. */
static int check_idle(const struct compare_options *options, const char *full, struct gb_error *error)
{
	const size_t capacity = gb__verify_spec_capacity(full);
	const uint64_t idle = idle_of(options);

	if (idle < capacity)
		return 0;
	return gb_error_set(error, -GB_EILLEGAL,
		"it is sure to serve %zu connection%s at a time, which %llu idle one%s would hold", capacity,
		capacity == 1 ? "" : "s", (unsigned long long)idle, idle == 1 ? "" : "s");
}

/* What a model is at each step of its workers. Returns 0, or the code of the first that cannot be. */
static int probe(struct comparison *comparison, struct compare_model *model, struct gb_error *error)
{
	size_t at = 0, step[COMPARE_AXES] = { 0 };
	const struct compare_axis *axis = workers_axis(comparison->options, &at);
	int result = 0;

	for (size_t i = 0; result == 0 && i < (axis ? axis->count : 1); i++) {
		char spec[COMPARE_SPEC_MAX], full[COMPARE_SPEC_MAX];

		step[at] = i;
		spec_at(comparison, model, step, spec, sizeof(spec));
		result = gb__compare_probe(&comparison->options->serving, spec, full, error);
		if (result == 0)
			result = check_idle(comparison->options, full, error);
		if (result == 0 && i == 0)
			memcpy(model->full, full, sizeof(full));
	}
	return result;
}

/* Take a model off the list. */
static void drop(struct comparison *comparison, size_t at)
{
	struct compare_model *model = &comparison->models[at];

	free(model->name);
	free(model->spec);
	comparison->models_count--;
	memmove(model, model + 1, (comparison->models_count - at) * sizeof(*model));
}

/* Models that were asked for by name must do; others are left out, and that is said. */
static int probe_all(struct comparison *comparison, struct gb_error *error)
{
	const bool named = comparison->options->models_count > 0;
	int result = 0;

	for (size_t i = 0; i < comparison->models_count && result == 0;) {
		struct compare_model *model = &comparison->models[i];
		struct gb_error why = { 0 };
		int code = model->spec ? probe(comparison, model, &why) : 0;

		if (code == 0) {
			i++;
			continue;
		}
		if (named || code == -GB_EUSAGE)
			return gb_error_set(error, code, "%s: %s", model->name, why.text);
		result = leave_out(comparison, model->name, why.text, error);
		drop(comparison, i);
	}
	if (result == 0 && comparison->models_count == 0)
		return gb_error_set(error, -GB_EILLEGAL, "no model is left to compare%s%s",
			comparison->left_out_count ? ": " : "",
			comparison->left_out_count ? comparison->left_out[0] : "");
	return result;
}

/* How well a model shows what the machine does: one that has no workers for which connections are chance. */
static unsigned steadiness(const struct compare_model *model)
{
	char engine[32], workers[32];

	gb__verify_spec_value(model->full, "engine", engine, sizeof(engine));
	gb__verify_spec_value(model->full, "workers", workers, sizeof(workers));
	if (!model->spec)
		return 0;
	return 1u + (strcmp(engine, "blocking") != 0) + (strcmp(workers, "1") == 0);
}

/* The one that is measured twice. */
static int add_control(struct comparison *comparison, struct gb_error *error)
{
	struct compare_model *control;

	comparison->controlled = 0;
	for (size_t i = 1; i < comparison->models_count; i++)
		if (steadiness(&comparison->models[i]) >
			steadiness(&comparison->models[comparison->controlled]))
			comparison->controlled = i;
	control = add_model(comparison);
	if (!control)
		return no_memory(error);
	*control = comparison->models[comparison->controlled];
	control->control = true;
	control->name = strdup(control->name);
	control->spec = control->spec ? strdup(control->spec) : NULL;
	return control->name && (control->spec || control->command) ? 0 : no_memory(error);
}

static int make_point(struct comparison *comparison, size_t model, size_t n, struct gb_error *error)
{
	const struct compare_options *options = comparison->options;
	struct compare_point *point = compare_point(comparison, model, n);
	char workers[32], full[COMPARE_SPEC_MAX] = "";
	int result = 0;

	point->model = model;
	point->capacity = SIZE_MAX;
	point->samples = calloc(options->rounds, sizeof(*point->samples));
	if (!point->samples)
		return no_memory(error);
	for (size_t axis = options->axes_count; axis-- > 0; n /= options->axes[axis].count)
		point->step[axis] = n % options->axes[axis].count;
	if (!comparison->models[model].spec)
		return 0;
	spec_at(comparison, &comparison->models[model], point->step, point->spec, sizeof(point->spec));
	snprintf(full, sizeof(full), "%s", comparison->models[model].full);
	if (strcmp(point->spec, comparison->models[model].spec) != 0)
		result = gb__compare_probe(&options->serving, point->spec, full, error);
	point->capacity = gb__verify_spec_capacity(full);
	gb__verify_spec_value(full, "workers", workers, sizeof(workers));
	point->per_connection = strcmp(workers, "per-connection") == 0;
	return result;
}

static int make_points(struct comparison *comparison, struct gb_error *error)
{
	const struct compare_options *options = comparison->options;
	int result = 0;

	comparison->grid = 1;
	for (size_t i = 0; i < options->axes_count; i++)
		comparison->grid *= options->axes[i].count;
	comparison->points = calloc(comparison->models_count * comparison->grid, sizeof(*comparison->points));
	if (!comparison->points)
		return no_memory(error);
	comparison->points_count = comparison->models_count * comparison->grid;
	for (size_t i = 0; i < comparison->points_count && result == 0; i++)
		result = make_point(comparison, i / comparison->grid, i % comparison->grid, error);
	return result;
}

int gb__compare_claim(const struct compare_options *options, struct gb_error *error)
{
	const char *which = "--connections";
	uint64_t most = options->connections;
	int result;

	for (size_t i = 0; i < options->axes_count; i++)
		if (strcmp(options->axes[i].name, "connections") == 0)
			most = (uint64_t)options->axes[i].steps[options->axes[i].count - 1].number;
	result = gb__load_ports_suffice(SOMEWHERE, most, error);
	if (result < 0)
		return result;
	if (options->idle_connections > most) {
		most = options->idle_connections;
		which = "--idle-connections";
	}
	if (idle_of(options))
		which = "--connections, --idle-connections and --idle";
	return gb__descriptors_claim(most + idle_of(options), APART, which, error);
}

int gb__compare_plan(const struct compare_options *options, struct comparison *ret, struct gb_error *error)
{
	int result;

	*ret = (struct comparison){ .options = options };
	result = gb__compare_claim(options, error);
	if (result == 0)
		result = add_all(ret, error);
	if (result == 0)
		result = probe_all(ret, error);
	if (result == 0)
		result = add_control(ret, error);
	return result == 0 ? make_points(ret, error) : result;
}
