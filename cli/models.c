/* `gearbox models`: every preset or one, or every legal combination of the axes, for people or as JSON. */
#include "command.h"
#include "json.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define SPEC_MAX 256
#define COLUMN 9u    /* where sentences begin */
#define NAMES_MAX 64 /* of presets, with their other names */

struct models_flags {
	bool combinations, json, help;
};

static const struct gb_setting flags_table[] = {
	{ "combinations", GB_SETTING_SWITCH, offsetof(struct models_flags, combinations),
		.summary = "list all legal combinations of the axes instead, one a line, and their number" },
	{ "json", GB_SETTING_SWITCH, offsetof(struct models_flags, json), .summary = "print JSON" },
	{ "help", GB_SETTING_SWITCH, offsetof(struct models_flags, help), .summary = "print this help" },
	{ NULL },
};

static void print_help(void)
{
	const struct gb_args_table tables[] = { { "Flags:", flags_table }, { NULL, NULL } };

	printf("Usage: %s models [NAME] [--json]\n"
	       "       %s models --combinations [--json]\n\n"
	       "Lists the models by name, or the one named: their axes, a sentence, when to use them and when not.\n\n",
		gb__program.name, gb__program.name);
	gb_args_help(stdout, tables);
}

static void print_one(const struct gb_preset *preset)
{
	printf("%s", preset->name);
	if (preset->alias)
		printf(" (%s)", preset->alias);
	printf("\n  %s\n", preset->axes);
	gb_args_row(stdout, "", 2, preset->summary);
	gb_args_row(stdout, "  use", COLUMN, preset->use);
	gb_args_row(stdout, "  avoid", COLUMN, preset->avoid);
	if (preset->size)
		gb_args_row(stdout, "  size", COLUMN, preset->size);
}

static void print_text(void)
{
	const struct gb_preset *preset = NULL;

	while ((preset = gb_preset_next(preset))) {
		print_one(preset);
		putchar('\n');
	}
	puts("Each takes overrides: --model reactor,engine=poll. A list of axes works as well:\n"
	     "--model accept=shared,unit=process,workers=4,engine=select. N is the number of CPUs allotted.\n"
	     "With compute=processes handlers run in processes: one that crashes costs its message, not the server.");
}

static json_t *json_preset(const struct gb_preset *preset)
{
	return json_pack("{s:s, s:s?, s:s, s:o, s:s, s:s, s:s, s:s?}", "name", preset->name, "alias",
		preset->alias, "spec", preset->axes, "axes", gb__json_axes(preset->axes), "summary",
		preset->summary, "use", preset->use, "avoid", preset->avoid, "size", preset->size);
}

/* All, or the one. */
static int print_json(const struct gb_preset *one)
{
	const struct gb_preset *preset = one ? one : gb_preset_next(NULL);
	json_t *list = json_array();

	for (; preset; preset = one ? NULL : gb_preset_next(preset))
		json_array_append_new(list, json_preset(preset));
	return gb__json_print(json_pack("{s:o}", "models", list));
}

static void print_combinations(void)
{
	char spec[SPEC_MAX];
	size_t count = 0;

	for (; gb_model_combination(count, spec, sizeof(spec)) != -ENOENT; count++)
		puts(spec);
	printf("%zu combinations\n", count);
}

static int print_combinations_json(void)
{
	json_t *list = json_array();
	char spec[SPEC_MAX];
	size_t count = 0;

	for (; gb_model_combination(count, spec, sizeof(spec)) != -ENOENT; count++)
		json_array_append_new(
			list, json_pack("{s:s, s:o}", "spec", spec, "axes", gb__json_axes(spec)));
	return gb__json_print(json_pack("{s:o, s:I}", "combinations", list, "count", (json_int_t)count));
}

static const struct gb_preset *find(const char *name)
{
	const struct gb_preset *preset = NULL;

	while ((preset = gb_preset_next(preset)))
		if (strcmp(preset->name, name) == 0 || (preset->alias && strcmp(preset->alias, name) == 0))
			return preset;
	return NULL;
}

static int refuse_name(const char *name)
{
	const char *words[NAMES_MAX + 1] = { NULL }, *nearest;
	const struct gb_preset *preset = NULL;
	size_t count = 0;

	while ((preset = gb_preset_next(preset)) && count < NAMES_MAX - 1) {
		words[count++] = preset->name;
		if (preset->alias)
			words[count++] = preset->alias;
	}
	nearest = gb_args_nearest(name, words);
	if (nearest)
		return gb__command_fail(
			EXIT_WRONG_USAGE, "models: no \"%s\": did you mean \"%s\"?", name, nearest);
	return gb__command_fail(
		EXIT_WRONG_USAGE, "models: no \"%s\"; `%s models` lists them", name, gb__program.name);
}

int gb__command_models(int argc, char **argv)
{
	const struct gb_preset *one = NULL;
	struct models_flags flags;
	struct gb_error error;
	const char *name = NULL;
	int rc = gb_settings_init(flags_table, &flags, sizeof(flags));

	if (rc < 0)
		return gb__command_fail(EXIT_FAILED, "%s", gb_strerror(rc));
	rc = gb_args_parse(argc - 1, argv + 1, flags_table, &flags, &name, 1, &error);
	if (rc < 0)
		return gb__command_fail(EXIT_WRONG_USAGE, "models: %s", error.text);
	if (flags.help) {
		print_help();
		return EXIT_DONE;
	}
	if (name && flags.combinations)
		return gb__command_fail(
			EXIT_WRONG_USAGE, "models: --combinations are those of no name: leave one out");
	if (name && !(one = find(name)))
		return refuse_name(name);
	if (flags.json)
		return flags.combinations ? print_combinations_json() : print_json(one);
	if (flags.combinations)
		print_combinations();
	else if (one)
		print_one(one);
	else
		print_text();
	return EXIT_DONE;
}
