/* `gearbox report`: the page of a comparison that was saved. */
#include "report/report.h"
#include "command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WORDS 2u

struct report_flags {
	bool help;
};

static const struct gb_setting flags_table[] = {
	{ "help", GB_SETTING_SWITCH, offsetof(struct report_flags, help), .summary = "print this help" },
	{ NULL },
};

static void print_help(void)
{
	const struct gb_args_table tables[] = { { "Flags:", flags_table }, { NULL, NULL } };

	printf("Usage: %s report SAVED.json OUT.html\n\n"
	       "Writes the report of a comparison that was saved with --json: one HTML file that opens offline.\n\n",
		gb__program.name);
	gb_args_help(stdout, tables);
}

static int read_comparison(const char *path, json_t **ret_comparison, struct gb_error *error)
{
	json_error_t why;
	FILE *stream = fopen(path, "re");

	if (!stream)
		return gb_error_set(error, -errno, "%s: %s", path, strerror(errno));
	*ret_comparison = json_loadf(stream, JSON_REJECT_DUPLICATES, &why);
	fclose(stream);
	if (!*ret_comparison)
		return gb_error_set(error, -GB_EBADFRAME, "%s:%d: %s", path, why.line, why.text);
	return 0;
}

static int report(const char *from, const char *to, struct gb_error *error)
{
	json_t *comparison = NULL;
	int rc = read_comparison(from, &comparison, error);

	if (rc < 0)
		return rc;
	rc = gb__report_write(comparison, to, error);
	if (rc == -GB_EUSAGE) {
		struct gb_error inner = *error;

		gb_error_set(error, rc, "%s: %s", from, inner.text);
	}
	json_decref(comparison);
	return rc;
}

int gb__command_report(int argc, char **argv)
{
	const char *words[WORDS] = { NULL };
	struct report_flags flags;
	struct gb_error error = { 0 };
	int rc = gb_settings_init(flags_table, &flags, sizeof(flags));

	if (rc < 0)
		return gb__command_fail(EXIT_FAILED, "%s", gb_strerror(rc));
	rc = gb_args_parse(argc - 1, argv + 1, flags_table, &flags, words, WORDS, &error);
	if (rc < 0)
		return gb__command_fail(EXIT_WRONG_USAGE, "report: %s", error.text);
	if (flags.help) {
		print_help();
		return EXIT_DONE;
	}
	if (!words[0] || !words[1])
		return gb__command_fail(EXIT_WRONG_USAGE,
			"report: %s missing: `%s report SAVED.json OUT.html`",
			words[0] ? "the file to write is" : "what to read and what to write are",
			gb__program.name);
	rc = report(words[0], words[1], &error);
	return rc < 0 ? gb__command_fail(EXIT_FAILED, "report: %s", error.text) : EXIT_DONE;
}
