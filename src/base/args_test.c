#include <gearbox/args.h>

#include "harness.h"

#include <stddef.h>

struct object {
	bool json, help;
	uint64_t size, wait_ms;
	char *name;
	unsigned colour;
};

static const struct gb_setting plain[] = {
	{ "json", GB_SETTING_SWITCH, offsetof(struct object, json), .summary = "print JSON" },
	{ "size", GB_SETTING_SIZE, offsetof(struct object, size), .fallback = "64", .argument = "SIZE",
		.summary = "bytes of one message" },
	{ "name", GB_SETTING_TEXT, offsetof(struct object, name), .summary = "who", .repeated = true },
	{ NULL },
};
static const struct gb_setting further[] = {
	{ "wait", GB_SETTING_DURATION, offsetof(struct object, wait_ms), .fallback = "1s", .argument = "TIME",
		.summary = "how long to wait for something that takes its time and needs a sentence that is "
			   "longer than one line of help" },
	{ "colour", GB_SETTING_CHOICE, offsetof(struct object, colour), .choices = "red|green",
		.fallback = "green", .summary = "what to paint" },
	{ "help", GB_SETTING_SWITCH, offsetof(struct object, help), .fallback = "no",
		.summary = "print this" },
	{ NULL },
};
static const struct gb_args_table tables[] = { { "Flags:", plain }, { "Further:", further }, { NULL, NULL } };

#define ARGS(...) \
	{ \
		.argc = (int)(sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *)), \
		.argv = (char **)(const char *[]){ __VA_ARGS__ }, .tables = tables \
	}

static void check_next(struct gb_args *args, const char *key, const char *value)
{
	const struct gb_setting *flag;
	struct gb_error error = { 0 };
	const char *text;
	int rc = gb_args_next(args, &flag, &text, &error);

	if (rc != 1)
		test_fail(__FILE__, __LINE__, "%d instead of %s: %s", rc, value, error.text);
	if (key)
		CHECK_STR(flag->key, key);
	else
		CHECK(flag == NULL);
	CHECK_STR(text, value);
}

static void check_end(struct gb_args *args)
{
	const struct gb_setting *flag;
	const char *text;

	CHECK_INT(gb_args_next(args, &flag, &text, NULL), 0);
	CHECK_INT(gb_args_next(args, &flag, &text, NULL), 0);
}

static void check_refused(struct gb_args *args, const char *part)
{
	const struct gb_setting *flag;
	struct gb_error error = { 0 };
	const char *text;

	CHECK_INT(gb_args_next(args, &flag, &text, &error), -GB_EUSAGE);
	if (!strstr(error.text, part))
		test_fail(__FILE__, __LINE__, "\"%s\" lacks \"%s\"", error.text, part);
}

TEST(values_come_after_equals_or_as_the_next_element)
{
	struct gb_args args =
		ARGS("--size", "1", "--wait=2s", "word", "--name=", "--name=a=b", "--name", "-");

	check_next(&args, "size", "1");
	check_next(&args, "wait", "2s");
	check_next(&args, NULL, "word");
	check_next(&args, "name", "");
	check_next(&args, "name", "a=b");
	check_next(&args, "name", "-");
	check_end(&args);
}

TEST(switches_stand_alone_or_take_yes_and_no)
{
	static const struct {
		const char *typed[2], *value;
	} rows[] = { { { "--json", "word" }, "yes" }, { { "--json", "no" }, "no" },
		{ { "--json=yes", "word" }, "yes" }, { { "--json", "on" }, "on" }, { { "--json", "0" }, "0" },
		{ { "--json=off", "word" }, "off" }, { { "--json", "false" }, "false" } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct gb_args args = ARGS(rows[i].typed[0], rows[i].typed[1]);

		check_next(&args, "json", rows[i].value);
		if (strcmp(rows[i].typed[1], "word") == 0)
			check_next(&args, NULL, "word");
		check_end(&args);
	}
}

TEST(a_flag_stands_once_unless_it_may_be_repeated)
{
	struct gb_args apart = ARGS("--size", "1", "--size", "2"), same = ARGS("--json", "--json=no"),
		       word = ARGS("--size", "1", "--", "--size"), near = ARGS("--siz=1");

	check_next(&apart, "size", "1");
	check_refused(&apart, "--size is given twice: write it once");
	check_next(&same, "json", "yes");
	check_refused(&same, "--json is given twice");
	check_next(&word, "size", "1");
	check_next(&word, NULL, "--size");
	check_end(&word);
	check_refused(&near, "unknown flag --siz");
}

TEST(two_dashes_end_the_flags)
{
	struct gb_args args = ARGS("-", "--", "--size", "--", "-h");

	check_next(&args, NULL, "-");
	check_next(&args, NULL, "--size");
	check_next(&args, NULL, "--");
	check_next(&args, NULL, "-h");
	check_end(&args);
}

TEST(h_is_help)
{
	struct gb_args args = ARGS("-h", "--help");

	check_next(&args, "help", "yes");
	check_next(&args, "help", "yes");
	check_end(&args);
}

TEST(unknown_flags_name_the_nearest)
{
	struct gb_args near = ARGS("--szie=3"), far = ARGS("--q"), one_dash = ARGS("-size"),
		       none = ARGS("--=3");
	struct gb_args huge =
		ARGS("--xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");

	check_refused(&near, "unknown flag --szie: did you mean --size?");
	check_refused(&far, "unknown flag --q: --help lists the flags");
	check_refused(&one_dash, "unknown flag -size: did you mean --size?");
	check_refused(&none, "unknown flag --: --help");
	check_refused(&huge, "unknown flag --xxx");
}

TEST(missing_values_say_what_is_missing)
{
	struct gb_args last = ARGS("--size"), flag = ARGS("--name", "--size"), choice = ARGS("--colour");

	check_refused(&last, "--size needs a value: write --size SIZE");
	check_refused(&flag, "--name needs a value: write --name TEXT");
	check_refused(&choice, "--colour needs a value: write --colour red|green");
}

TEST(parse_fills_a_struct)
{
	const char *argv[] = { "one", "--size=2KiB", "two", "--json", "--name", "me" };
	const char *words[2];
	struct gb_error error = { 0 };
	struct object object;

	CHECK_INT(gb_settings_init(plain, &object, sizeof(object)), 0);
	CHECK_INT(gb_args_parse(6, (char **)argv, plain, &object, words, 2, &error), 2);
	CHECK_STR(words[0], "one");
	CHECK_STR(words[1], "two");
	CHECK_INT(object.size, 2048);
	CHECK(object.json);
	CHECK_STR(object.name, "me");
	CHECK_INT(gb_args_parse(6, (char **)argv, plain, &object, words, 1, &error), -GB_EUSAGE);
	CHECK_STR(error.text, "unexpected \"two\": at most 1 argument besides flags");
	argv[1] = "--size=many";
	CHECK_INT(gb_args_parse(6, (char **)argv, plain, &object, words, 2, &error), -GB_EUSAGE);
	CHECK(strstr(error.text, "size"));
	gb_settings_finish(plain, &object);
}

TEST(help_is_aligned_folded_and_shows_defaults)
{
	char *text = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&text, &size);

	gb_args_help(stream, tables);
	fclose(stream);
	CHECK_STR(text,
		"Flags:\n"
		"  --json              print JSON\n"
		"  --size SIZE         bytes of one message (default 64)\n"
		"  --name TEXT         who\n"
		"\n"
		"Further:\n"
		"  --wait TIME         how long to wait for something that takes its time and needs a sentence that\n"
		"                      is longer than one line of help (default 1s)\n"
		"  --colour red|green  what to paint (default green)\n"
		"  --help              print this\n");
	free(text);
}

TEST(nearest_picks_from_words)
{
	static const char *const words[] = { "serve", "models", NULL };

	CHECK_STR(gb_args_nearest("sevre", words), "serve");
	CHECK(gb_args_nearest("frobnicate", words) == NULL);
}
