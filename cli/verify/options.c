#include "verify/options.h"

#include "command.h"
#include "object.h"
#include "verify/conversation.h"

#include <gearbox/args.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAMES_MAX 64
#define JOBS_PER_CPU 3u /* most of what a model takes is waiting */

static const struct gb_setting flags[] = {
	{ "full", GB_SETTING_SWITCH, offsetof(struct verify_options, full),
		.summary =
			"every legal choice of wake, place, accept-batch, stack and compute-workers with every "
			"combination, instead of any two of their values once" },
	{ "conversation", GB_SETTING_TEXT, offsetof(struct verify_options, conversation), .argument = "NAME",
		.summary = "this conversation instead of all" },
	{ "tls", GB_SETTING_SWITCH, offsetof(struct verify_options, tls),
		.summary = "clients and server speak TLS, with a certificate made for the run" },
	{ "list", GB_SETTING_SWITCH, offsetof(struct verify_options, list),
		.summary = "list the conversations instead of holding them" },
	{ "jobs", GB_SETTING_COUNT, offsetof(struct verify_options, jobs), .max = 256, .argument = "N",
		.summary = "models at the same time (default: three for each CPU)" },
	{ "patience", GB_SETTING_DURATION, offsetof(struct verify_options, patience_ms), .fallback = "15s",
		.min = 1, .max = 3600000, .argument = "TIME",
		.summary = "take a connection for stuck when nothing moves for so long" },
	{ "fail-fast", GB_SETTING_SWITCH, offsetof(struct verify_options, fail_fast),
		.summary = "stop at the first difference" },
	{ "json", GB_SETTING_SWITCH, offsetof(struct verify_options, json),
		.summary = "print the result as JSON" },
	{ "quiet", GB_SETTING_SWITCH, offsetof(struct verify_options, quiet),
		.summary = "print no progress" },
	{ "help", GB_SETTING_SWITCH, offsetof(struct verify_options, help), .summary = "print this help" },
	{ NULL },
};
static const struct gb_setting repeated[] = {
	{ "as", GB_SETTING_TEXT, 0, .argument = "SERVICE",
		.summary =
			"another service of this program that speaks the same protocol: what comes back must be "
			"what comes from that one" },
	{ "only", GB_SETTING_TEXT, 0, .argument = "SPEC",
		.summary = "this model instead of all combinations; may be repeated", .repeated = true },
	{ "set", GB_SETTING_TEXT, 0, .argument = "KEY=VALUE", .repeated = true,
		.summary = "a setting of the service; may be repeated" },
	{ "message", GB_SETTING_TEXT, 0, .argument = "TEXT", .repeated = true,
		.summary =
			"what clients say, framed for the service's codec; \\r, \\n, \\t, \\0 and \\xHH are "
			"bytes; may be repeated" },
	{ "message-file", GB_SETTING_TEXT, 0, .argument = "FILE",
		.summary = "the same from a file, a message a line" },
	{ NULL },
};
static const struct gb_args_table tables[] = { { "Flags:", repeated }, { NULL, flags }, { NULL, NULL } };

void gb__verify_options_help(void)
{
	printf("Usage: %s verify %s[FLAG ...]\n\n"
	       "Holds the same conversations with a service under every legal combination of accept, unit, workers,\n"
	       "engine and compute. Per connection all must agree in the bytes that come back, the way it ends (FIN\n"
	       "or reset) and the close reason that the server gives. %s\n\n",
		gb__program.name, gb__program.one ? "" : "SERVICE|all ",
		gb__program.protocols
			? "What must come back is known from the\nprotocol; with messages of one's own, from what "
			  "the service answers under one model."
			: "What must come back is what the\nservice answers under one model: its answers must depend "
			  "on nothing but the messages of a connection.");
	gb_args_help(stdout, tables);
	puts("\nExit codes: 0 without a difference, 1 with one or interrupted, 2 wrong usage.");
}

static int refuse_name(const char *what, const char *name, const char *const *names, struct gb_error *error)
{
	const char *nearest = gb_args_nearest(name, names);
	char list[400] = "";
	size_t used = 0;

	if (nearest)
		return gb_error_set(
			error, -GB_EUSAGE, "unknown %s \"%s\": did you mean \"%s\"?", what, name, nearest);
	for (size_t i = 0; names[i] && used < sizeof(list); i++)
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", i ? ", " : "", names[i]);
	return gb_error_set(error, -GB_EUSAGE, "unknown %s \"%s\": known are %s", what, name, list);
}

static int refuse_none(struct gb_error *error)
{
	char list[256] = "";
	size_t used = 0;

	for (size_t i = 0; gb__program.services[i] && used < sizeof(list); i++)
		used += (size_t)snprintf(
			list + used, sizeof(list) - used, "%s, ", gb__program.services[i]->name);
	return gb_error_set(error, -GB_EUSAGE, "no service to verify: write %sor all", list);
}

/* The service of that name, or why there is none. */
static int find_service(const char *name, bool all, const struct gb_service **ret, struct gb_error *error)
{
	const char *names[NAMES_MAX] = { NULL };
	size_t count = 0;

	if (gb__object_named(name))
		return gb__object_load(name, ret, error);
	*ret = gb__program_service(name);
	if (*ret)
		return 0;
	if (all)
		names[count++] = "all";
	for (size_t i = 0; gb__program.services[i] && count + 1 < NAMES_MAX; i++)
		names[count++] = gb__program.services[i]->name;
	return refuse_name("service", name, names, error);
}

static int set_as(struct verify_options *options, const char *name, struct gb_error *error)
{
	if (gb__program.one)
		return gb_error_set(error, -GB_EUSAGE,
			"--as %s: this program has one service; gb_main_services takes several", name);
	return find_service(name, false, &options->as, error);
}

static int set_service(struct verify_options *options, const char *name, struct gb_error *error)
{
	if (gb__program.one)
		return gb_error_set(error, -GB_EUSAGE, "unexpected \"%s\": only flags are taken", name);
	if (options->services)
		return gb_error_set(error, -GB_EUSAGE, "unexpected \"%s\": write one service, or all", name);
	if (strcmp(name, "all") == 0) {
		options->services = gb__program.services;
		return 0;
	}
	options->services = options->one;
	return find_service(name, true, &options->one[0], error);
}

static int check_conversation(const struct verify_options *options, struct gb_error *error)
{
	const char *names[NAMES_MAX] = { NULL };
	size_t count = 0;

	if (!options->conversation)
		return 0;
	for (const struct verify_conversation *row = gb__verify_conversations; row->name; row++) {
		if (strcmp(row->name, options->conversation) == 0)
			return 0;
		if (count + 1 < NAMES_MAX)
			names[count++] = row->name;
	}
	return refuse_name("conversation", options->conversation, names, error);
}

static int add(const char **list, size_t *count, const char *key, const char *value, struct gb_error *error)
{
	if (*count == VERIFY_ONLY_MAX)
		return gb_error_set(
			error, -GB_EUSAGE, "--%s: at most %d, or leave it out", key, VERIFY_ONLY_MAX);
	list[(*count)++] = value;
	return 0;
}

static int set_flag(struct verify_options *options, const struct gb_setting *flag, const char *value,
	struct gb_error *error)
{
	if (strcmp(flag->key, "as") == 0)
		return set_as(options, value, error);
	if (strcmp(flag->key, "only") == 0)
		return add(options->only, &options->only_count, flag->key, value, error);
	if (strcmp(flag->key, "set") == 0)
		return add(options->sets, &options->sets_count, flag->key, value, error);
	if (strcmp(flag->key, "message") == 0)
		return gb__messages_add(&options->messages, value, error);
	if (strcmp(flag->key, "message-file") == 0)
		return gb__messages_load(&options->messages, value, error);
	return gb_settings_set(flags, options, flag->key, value, error);
}

static int parse(int argc, char **argv, struct verify_options *options, struct gb_error *error)
{
	struct gb_args args = { .argc = argc, .argv = argv, .tables = tables };
	const struct gb_setting *flag;
	const char *value;
	int result;

	while ((result = gb_args_next(&args, &flag, &value, error)) > 0) {
		result = flag ? set_flag(options, flag, value, error) : set_service(options, value, error);
		if (result < 0)
			return result;
	}
	if (result < 0 || options->help)
		return result;
	if (gb__program.one)
		options->services = gb__program.services;
	if (!options->services)
		return refuse_none(error);
	if (options->as && options->services != options->one)
		return gb_error_set(error, -GB_EUSAGE, "--as: write one service instead of all");
	return check_conversation(options, error);
}

int gb__verify_options_parse(int argc, char **argv, struct verify_options *ret, struct gb_error *error)
{
	int result = gb_settings_init(flags, ret, sizeof(*ret));

	if (result < 0)
		return gb_error_set(error, result, "%s", gb_strerror(result));
	result = parse(argc, argv, ret, error);
	if (ret->jobs == 0)
		ret->jobs = JOBS_PER_CPU * (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
	if (result < 0)
		gb__verify_options_finish(ret);
	return result;
}

void gb__verify_options_finish(struct verify_options *options)
{
	gb_settings_finish(flags, options);
	gb__messages_finish(&options->messages);
}
