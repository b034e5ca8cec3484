#include "advise/options.h"

#include "advise/situation.h"
#include "command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TABLES_MAX 12
#define ROWS_MAX 64

static const struct gb_setting flags[] = {
	{ "goal", GB_SETTING_CHOICE, offsetof(struct advise_options, goal), .fallback = "throughput",
		.choices = ADVISE_GOAL_CHOICES,
		.summary =
			"what is to be best: messages/s, CPU time a message, the 99th percentile of response "
			"times, memory a connection" },
	{ "idle", GB_SETTING_COUNT, offsetof(struct advise_options, idle), .fallback = "0", .max = 10000000,
		.argument = "N", .summary = "connections that are silent beside those of the load" },
	{ "isolate", GB_SETTING_SWITCH, offsetof(struct advise_options, isolate),
		.summary = "a crash of one handler must not end the others" },
	{ "candidates", GB_SETTING_COUNT, offsetof(struct advise_options, candidates), .min = 2, .max = 32,
		.argument = "N",
		.summary = "models that are tried out, the most likely ones (default 6; 3 with --quick)" },
	{ "quick", GB_SETTING_SWITCH, offsetof(struct advise_options, quick),
		.summary = "a few seconds: fewer candidates, and three rounds of 300 ms" },
	{ "pid", GB_SETTING_COUNT, offsetof(struct advise_options, pid), .min = 1, .max = INT32_MAX,
		.argument = "PID",
		.summary =
			"in place of a service: of a server that runs, by its counters and the rules alone, without "
			"stopping it" },
	{ "write", GB_SETTING_TEXT, offsetof(struct advise_options, write), .argument = "FILE",
		.summary = "write a configuration for `serve --config FILE`" },
	{ "json", GB_SETTING_TEXT, offsetof(struct advise_options, json), .argument = "FILE",
		.summary =
			"write the advice and its measurements there; - is standard output, in place of the text" },
	{ "quiet", GB_SETTING_SWITCH, offsetof(struct advise_options, quiet),
		.summary = "print no progress" },
	{ "help", GB_SETTING_SWITCH, offsetof(struct advise_options, help), .summary = "print this help" },
	{ NULL },
};

/* Of a comparison's flags those that make no sense here. */
static const char *const not_taken[] = { "sweep", "against", "report", "baseline", "all", "idle-connections",
	NULL };

static bool taken(const char *key)
{
	for (const char *const *name = not_taken; *name; name++)
		if (strcmp(*name, key) == 0)
			return false;
	return !gb_settings_find(flags, key);
}

static const struct gb_args_table *tables(void)
{
	static struct gb_setting rows[TABLES_MAX][ROWS_MAX];
	static struct gb_args_table all[TABLES_MAX + 2];
	size_t count = 0;

	all[count++] = (struct gb_args_table){ "What to advise on:", flags };
	for (const struct gb_args_table *table = gb__compare_tables(); table->settings && count < TABLES_MAX;
		table++, count++) {
		struct gb_setting *row = rows[count - 1];

		for (const struct gb_setting *flag = table->settings;
			flag->key && row < rows[count - 1] + ROWS_MAX - 1; flag++)
			if (taken(flag->key))
				*row++ = *flag;
		*row = (struct gb_setting){ 0 };
		all[count] = (struct gb_args_table){ count == 1 ? "How to try it out:" : table->title,
			rows[count - 1] };
	}
	all[count] = (struct gb_args_table){ 0 };
	return all;
}

void gb__advise_options_help(void)
{
	printf("Usage: %s advise %s[FLAG ...]\n"
	       "       %s advise --pid PID [--goal GOAL] [--isolate] [--json FILE] [--write FILE]\n\n"
	       "Measures what a message takes of the service's handler, names by the rules of the literature which\n"
	       "model suits that, the machine and the load, tries the most likely ones out in turns, and says which it\n"
	       "is to be and why. With --models these are the candidates.\n\n",
		gb__program.name, gb__program.one ? "" : "SERVICE ", gb__program.name);
	gb_args_help(stdout, tables());
	puts("\nExit codes: 0 when every message was answered rightly, 1 when not or interrupted, 2 wrong usage.");
}

/* For gb__compare_options_parse; `key` NULL is a word. */
static int pass(struct advise_options *options, const char *key, const char *value, struct gb_error *error)
{
	char *text = NULL;

	if (options->passed_count == ADVISE_PASSED_MAX)
		return gb_error_set(error, -GB_EUSAGE, "too many flags");
	if ((key ? asprintf(&text, "--%s=%s", key, value) : asprintf(&text, "%s", value)) < 0)
		return gb_error_set(error, -ENOMEM, "no memory for the flags");
	options->passed[options->passed_count++] = text;
	return 0;
}

static bool is_passed(const struct advise_options *options, const char *key)
{
	size_t length = strlen(key);

	for (int i = 0; i < options->passed_count; i++)
		if (strncmp(options->passed[i], "--", 2) == 0 &&
			strncmp(options->passed[i] + 2, key, length) == 0 &&
			options->passed[i][2 + length] == '=')
			return true;
	return false;
}

/* What the user did not say: how long, and which idle connections show what memory they take. */
static int pass_defaults(struct advise_options *options, struct gb_error *error)
{
	int result = pass(options, "idle-connections", options->goal == ADVISE_MEMORY ? "200" : "0", error);

	if (options->candidates == 0)
		options->candidates = options->quick ? 3 : 6;
	if (result == 0 && options->quick && !is_passed(options, "rounds"))
		result = pass(options, "rounds", "3", error);
	if (result == 0 && options->quick && !is_passed(options, "duration") &&
		!is_passed(options, "messages"))
		result = pass(options, "duration", "300ms", error);
	if (result == 0 && options->quiet)
		result = pass(options, "quiet", "yes", error);
	return result;
}

static int walk(int argc, char **argv, struct advise_options *options, struct gb_error *error)
{
	struct gb_args args = { .argc = argc, .argv = argv, .tables = tables() };
	const struct gb_setting *flag;
	const char *value;
	int result;

	while ((result = gb_args_next(&args, &flag, &value, error)) > 0) {
		if (flag && gb_settings_find(flags, flag->key))
			result = gb_settings_set(flags, options, flag->key, value, error);
		else
			result = pass(options, flag ? flag->key : NULL, value, error);
		if (result < 0)
			return result;
	}
	return result;
}

int gb__advise_options_parse(int argc, char **argv, struct advise_options *ret, struct gb_error *error)
{
	int result = gb_settings_init(flags, ret, sizeof(*ret));

	if (result < 0)
		return gb_error_set(error, result, "%s", gb_strerror(result));
	result = walk(argc, argv, ret, error);
	if (result < 0 || ret->help)
		return result;
	result = gb__compare_check_writable("write", ret->write, error);
	if (result == 0)
		result = gb__compare_check_writable("json", ret->json, error);
	if (result == 0 && ret->pid)
		return ret->passed_count == 0
			? 0
			: gb_error_set(error, -GB_EUSAGE,
				  "--pid looks at the load that there is: leave %s out", ret->passed[0]);
	if (result == 0)
		result = pass_defaults(ret, error);
	return result == 0 ? gb__compare_options_parse(ret->passed_count, ret->passed, &ret->compare, error)
			   : result;
}

void gb__advise_options_finish(struct advise_options *options)
{
	gb__compare_options_finish(&options->compare);
	gb_settings_finish(flags, options);
	while (options->passed_count > 0)
		free(options->passed[--options->passed_count]);
}
