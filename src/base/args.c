#include "base/nearest.h"

#include <gearbox/args.h>

#include <stdbool.h>
#include <string.h>

#define WIDTH 100      /* columns that help may take */
#define KEY_MAX 64     /* bytes of a flag's name, terminator included; longer ones are unknown */
#define COLUMN_MAX 34u /* flags longer than this get a line of their own */

static const struct gb_setting *find(const struct gb_args_table *tables, const char *key)
{
	for (; tables->settings; tables++) {
		const struct gb_setting *row = gb_settings_find(tables->settings, key);

		if (row)
			return row;
	}
	return NULL;
}

static int refuse_flag(
	const struct gb_args_table *tables, const char *typed, const char *key, struct gb_error *error)
{
	struct gb__nearest nearest;

	gb__nearest_init(&nearest, key);
	for (const struct gb_args_table *table = tables; table->settings; table++)
		for (const struct gb_setting *row = table->settings; row->key; row++)
			gb__nearest_offer(&nearest, row->key);
	if (nearest.word)
		return gb_error_set(error, -GB_EUSAGE, "unknown flag %.*s: did you mean --%s?",
			(int)strcspn(typed, "="), typed, nearest.word);
	return gb_error_set(error, -GB_EUSAGE, "unknown flag %.*s: --help lists the flags",
		(int)strcspn(typed, "="), typed);
}

static const char *argument_of(const struct gb_setting *row)
{
	if (row->argument)
		return row->argument;
	switch (row->type) {
	case GB_SETTING_SWITCH:
		return NULL;
	case GB_SETTING_CHOICE:
		return row->choices;
	case GB_SETTING_COUNT:
		return "N";
	case GB_SETTING_SIZE:
		return "SIZE";
	case GB_SETTING_DURATION:
		return "TIME";
	case GB_SETTING_TEXT:
		break;
	}
	return "TEXT";
}

/* Whether the next element can be the value of `row`: a switch takes no word that may be meant for others. */
static bool next_is_value(const struct gb_args *args, const struct gb_setting *row)
{
	const char *next;

	if (args->at >= args->argc)
		return false;
	next = args->argv[args->at];
	if (row->type == GB_SETTING_SWITCH)
		return gb_parse_switch(next, &(bool){ false }) == 0;
	return strncmp(next, "--", 2) != 0;
}

static int take_value(
	struct gb_args *args, const struct gb_setting *row, const char **ret, struct gb_error *error)
{
	if (next_is_value(args, row)) {
		*ret = args->argv[args->at++];
		return 0;
	}
	if (row->type == GB_SETTING_SWITCH) {
		*ret = "yes";
		return 0;
	}
	return gb_error_set(
		error, -GB_EUSAGE, "--%s needs a value: write --%s %s", row->key, row->key, argument_of(row));
}

/* Whether a flag stands before the one just read. Values that stand apart never begin with two dashes. */
static bool stood_before(const struct gb_args *args, const char *key)
{
	size_t size = strlen(key);

	for (int i = 0; i < args->at - 1; i++) {
		const char *typed = args->argv[i];

		if (strncmp(typed, "--", 2) == 0 && strncmp(typed + 2, key, size) == 0 &&
			(typed[2 + size] == '\0' || typed[2 + size] == '='))
			return true;
	}
	return false;
}

int gb_args_next(struct gb_args *args, const struct gb_setting **ret_flag, const char **ret_value,
	struct gb_error *error)
{
	const struct gb_setting *row = NULL;
	const char *typed, *equals, *value = NULL;
	char key[KEY_MAX] = "";
	size_t dashes, size;
	int rc = 0;

	if (args->at < args->argc && !args->words_only && strcmp(args->argv[args->at], "--") == 0) {
		args->words_only = 1;
		args->at++;
	}
	if (args->at >= args->argc)
		return 0;
	typed = args->argv[args->at++];
	if (args->words_only || typed[0] != '-' || typed[1] == '\0') {
		*ret_flag = NULL;
		*ret_value = typed;
		return 1;
	}
	equals = strchr(typed, '=');
	dashes = typed[1] == '-' ? 2 : 1;
	size = (equals ? (size_t)(equals - typed) : strlen(typed)) - dashes;
	if (size < sizeof(key))
		memcpy(key, typed + dashes, size); /* the rest is zero */
	if (strcmp(typed, "-h") == 0)
		row = find(args->tables, "help");
	else if (dashes == 2)
		row = find(args->tables, key);
	if (!row)
		return refuse_flag(args->tables, typed, key, error);
	if (!row->repeated && strcmp(row->key, "help") != 0 && stood_before(args, row->key))
		return gb_error_set(error, -GB_EUSAGE, "--%s is given twice: write it once", row->key);
	if (equals)
		value = equals + 1;
	else
		rc = take_value(args, row, &value, error);
	if (rc < 0)
		return rc;
	*ret_flag = row;
	*ret_value = value;
	return 1;
}

int gb_args_parse(int argc, char **argv, const struct gb_setting *table, void *object, const char **ret_words,
	size_t words_max, struct gb_error *error)
{
	const struct gb_args_table tables[] = { { NULL, table }, { NULL, NULL } };
	struct gb_args args = { .argc = argc, .argv = argv, .tables = tables };
	const struct gb_setting *flag = NULL;
	const char *value = NULL;
	size_t words = 0;
	int rc;

	while ((rc = gb_args_next(&args, &flag, &value, error)) > 0) {
		if (flag) {
			rc = gb_settings_set(table, object, flag->key, value, error);
			if (rc < 0)
				return rc;
		} else if (words < words_max) {
			ret_words[words++] = value;
		} else if (words_max == 0) {
			return gb_error_set(
				error, -GB_EUSAGE, "unexpected \"%s\": only flags are taken", value);
		} else {
			return gb_error_set(error, -GB_EUSAGE,
				"unexpected \"%s\": at most %zu argument%s besides flags", value, words_max,
				words_max == 1 ? "" : "s");
		}
	}
	return rc < 0 ? rc : (int)words;
}

static size_t print_flag(const struct gb_setting *row, char *text, size_t size)
{
	const char *argument = argument_of(row);

	return (size_t)snprintf(
		text, size, "  --%s%s%s", row->key, argument ? " " : "", argument ? argument : "");
}

void gb_args_row(FILE *stream, const char *left, unsigned column, const char *text)
{
	size_t at = strlen(left);

	fputs(left, stream);
	if (at > 0 && at + 1 >= column && *text) {
		fputc('\n', stream);
		at = 0;
	}
	for (bool first = true; *text; first = false) {
		size_t word = strcspn(text, " ");

		if (!first && at + 1 + word > WIDTH) {
			fputc('\n', stream);
			at = 0;
			first = true;
		}
		if (first)
			fprintf(stream, "%*s", at < column ? (int)(column - at) : 0, "");
		else
			fputc(' ', stream);
		at = first ? column + word : at + 1 + word;
		fwrite(text, 1, word, stream);
		text += word;
		text += strspn(text, " ");
	}
	fputc('\n', stream);
}

void gb_args_help(FILE *stream, const struct gb_args_table *tables)
{
	char left[128], right[512];
	unsigned column = 0;

	for (const struct gb_args_table *table = tables; table->settings; table++)
		for (const struct gb_setting *row = table->settings; row->key; row++) {
			unsigned size = (unsigned)print_flag(row, left, sizeof(left));

			if (size > column && size <= COLUMN_MAX)
				column = size;
		}
	column += 2;
	for (const struct gb_args_table *table = tables; table->settings; table++) {
		if (table->title)
			fprintf(stream, "%s%s\n", table == tables ? "" : "\n", table->title);
		for (const struct gb_setting *row = table->settings; row->key; row++) {
			bool shown = row->fallback && *row->fallback &&
				(row->type != GB_SETTING_SWITCH || strcmp(row->fallback, "no") != 0);

			print_flag(row, left, sizeof(left));
			snprintf(right, sizeof(right), "%s%s%s%s", row->summary ? row->summary : "",
				shown ? " (default " : "", shown ? row->fallback : "", shown ? ")" : "");
			gb_args_row(stream, left, column, right);
		}
	}
}

const char *gb_args_nearest(const char *word, const char *const *words)
{
	struct gb__nearest nearest;

	gb__nearest_init(&nearest, word);
	for (; *words; words++)
		gb__nearest_offer(&nearest, *words);
	return nearest.word;
}
