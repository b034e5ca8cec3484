#include "compare/options.h"

#include "command.h"
#include "compare/sweep.h"
#include "load/options.h"
#include "object.h"
#include "verify/protocol.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TABLE_MAX 64 /* rows of one table of the load */
#define LOAD_TABLES_MAX 8
#define SOMEWHERE "127.0.0.1:9" /* for what only needs an address to be complete */
#define DURATION_DEFAULT "1s"   /* of the load in each round */

static const struct gb_setting flags[] = {
	{ "rounds", GB_SETTING_COUNT, offsetof(struct compare_options, rounds), .fallback = "5", .min = 1,
		.max = 100, .argument = "N", .summary = "times that each model is measured, in turns" },
	{ "idle-connections", GB_SETTING_COUNT, offsetof(struct compare_options, idle_connections),
		.fallback = "200", .max = 100000, .argument = "N",
		.summary = "connections that show what an idle one takes of memory; 0: not measured" },
	{ "all", GB_SETTING_SWITCH, offsetof(struct compare_options, all),
		.summary = "every legal combination of the axes instead of the presets" },
	{ "json", GB_SETTING_TEXT, offsetof(struct compare_options, json), .argument = "FILE",
		.summary = "write all of it there; - is standard output, in place of the table" },
	{ "report", GB_SETTING_TEXT, offsetof(struct compare_options, report), .argument = "FILE",
		.summary = "write an HTML page there that shows all of it and opens offline" },
	{ "baseline", GB_SETTING_TEXT, offsetof(struct compare_options, baseline), .argument = "FILE",
		.summary =
			"say what changed since a run that --json wrote, as far as it is beyond the noise" },
	{ "quiet", GB_SETTING_SWITCH, offsetof(struct compare_options, quiet),
		.summary = "print no progress" },
	{ "help", GB_SETTING_SWITCH, offsetof(struct compare_options, help), .summary = "print this help" },
	{ NULL },
};
/* These are taken one by one. */
static const struct gb_setting repeated[] = {
	{ "models", GB_SETTING_TEXT, 0, .argument = "SPEC,SPEC", .repeated = true,
		.summary =
			"these models, each with overrides or not (reactor,engine=poll,thread-pool are two)" },
	{ "against", GB_SETTING_TEXT, 0, .argument = "COMMAND", .repeated = true,
		.summary =
			"another server as well: a shell command with {port} for the port of 127.0.0.1 that it "
			"listens on" },
	{ "sweep", GB_SETTING_TEXT, 0, .argument = "AXIS=VALUE,VALUE", .repeated = true,
		.summary =
			"the same at several values of connections, rate, size, compute, block or workers; two "
			"axes at most" },
	{ "set", GB_SETTING_TEXT, 0, .argument = "KEY=VALUE", .repeated = true,
		.summary = "a setting of the service" },
	{ "option", GB_SETTING_TEXT, 0, .argument = "KEY=VALUE", .repeated = true,
		.summary = "an option of the server, as serve takes it" },
	{ NULL },
};

/* Of the load's flags those that are of its output, that a comparison does itself, or that would be taken for its own. */
static const char *const not_passed[] = { "json", "progress", "quiet", "help", "histogram", "series",
	"interval", "merge", "warm-up", "ramp", "model", NULL };

static bool passed(const char *key)
{
	for (const char *const *name = not_passed; *name; name++)
		if (strcmp(*name, key) == 0)
			return false;
	return !gb_settings_find(flags, key) && !gb_settings_find(repeated, key);
}

const struct gb_args_table *gb__compare_tables(void)
{
	static struct gb_setting rows[LOAD_TABLES_MAX][TABLE_MAX];
	static struct gb_args_table all[LOAD_TABLES_MAX + 3];
	size_t count = 0;

	if (all[0].settings)
		return all;
	all[count++] = (struct gb_args_table){ "What to compare:", repeated };
	all[count++] = (struct gb_args_table){ NULL, flags };
	for (const struct gb_args_table *table = gb__load_tables;
		table->settings && count < LOAD_TABLES_MAX + 2; table++) {
		struct gb_setting *row = rows[count - 2];

		for (const struct gb_setting *flag = table->settings; flag->key; flag++)
			if (passed(flag->key) && row < rows[count - 2] + TABLE_MAX - 1) {
				*row = *flag;
				if (strcmp(flag->key, "duration") == 0)
					row->summary =
						"how long to send in each round (default " DURATION_DEFAULT
						"; with a number of messages, as long as they last)";
				row++;
			}
		all[count] =
			(struct gb_args_table){ count == 2 ? "The load:" : table->title, rows[count - 2] };
		count++;
	}
	return all;
}

void gb__compare_options_help(void)
{
	printf("Usage: %s compare %s[FLAG ...]\n\n"
	       "Puts the same load on the service under many models, in turns, and says what differs: throughput,\n"
	       "latency, CPU time, memory. A difference is one when it is beyond what a model shows against itself.\n"
	       "Without --models these are the presets that the service admits.\n\n",
		gb__program.name, gb__program.one ? "" : "SERVICE ");
	gb_args_help(stdout, gb__compare_tables());
	puts("\nExit codes: 0 when every message was answered rightly, 1 when not or interrupted, 2 wrong usage.");
}

static int refuse_service(const char *name, struct gb_error *error)
{
	const char *names[COMPARE_NAMES_MAX] = { NULL }, *nearest;
	char list[256] = "";
	size_t used = 0;

	for (size_t i = 0; gb__program.services[i] && i + 1 < COMPARE_NAMES_MAX; i++)
		names[i] = gb__program.services[i]->name;
	nearest = name ? gb_args_nearest(name, names) : NULL;
	if (nearest)
		return gb_error_set(
			error, -GB_EUSAGE, "unknown service \"%s\": did you mean \"%s\"?", name, nearest);
	for (size_t i = 0; names[i] && used < sizeof(list); i++)
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", i ? ", " : "", names[i]);
	if (name)
		return gb_error_set(error, -GB_EUSAGE, "unknown service \"%s\": known are %s", name, list);
	return gb_error_set(error, -GB_EUSAGE, "no service to compare: write one of %s", list);
}

static int set_word(struct compare_options *options, const char *name, struct gb_error *error)
{
	if (gb__program.one)
		return gb_error_set(error, -GB_EUSAGE, "unexpected \"%s\": only flags are taken", name);
	if (options->serving.service)
		return gb_error_set(error, -GB_EUSAGE, "unexpected \"%s\": write one service", name);
	if (gb__object_named(name))
		return gb__object_load(name, &options->serving.service, error);
	options->serving.service = gb__program_service(name);
	return options->serving.service ? 0 : refuse_service(name, error);
}

static int add(const char **list, size_t *count, const char *key, const char *value, struct gb_error *error)
{
	if (*count == COMPARE_NAMES_MAX)
		return gb_error_set(error, -GB_EUSAGE, "--%s: at most %d", key, COMPARE_NAMES_MAX);
	list[(*count)++] = value;
	return 0;
}

static int add_against(struct compare_options *options, const char *command, struct gb_error *error)
{
	if (!strstr(command, "{port}"))
		return gb_error_set(error, -GB_EUSAGE,
			"against %s: write {port} where it takes the port of 127.0.0.1 to listen on",
			command);
	return add(options->against, &options->against_count, "against", command, error);
}

static int add_sweep(struct compare_options *options, const char *text, struct gb_error *error)
{
	struct compare_axis *axis = &options->axes[options->axes_count];

	if (options->axes_count == COMPARE_AXES)
		return gb_error_set(error, -GB_EUSAGE, "sweep %s: two axes at most", text);
	options->axes_count++;
	return gb__compare_sweep_parse(text, axis, error);
}

static int set_flag(struct compare_options *options, const struct gb_setting *flag, const char *value,
	struct gb_error *error)
{
	if (strcmp(flag->key, "models") == 0)
		return gb__compare_models_split(
			value, options->models, &options->models_count, COMPARE_NAMES_MAX, error);
	if (strcmp(flag->key, "against") == 0)
		return add_against(options, value, error);
	if (strcmp(flag->key, "sweep") == 0)
		return add_sweep(options, value, error);
	if (strcmp(flag->key, "set") == 0)
		return add(options->sets, &options->serving.sets_count, flag->key, value, error);
	if (strcmp(flag->key, "option") == 0)
		return add(options->serve_options, &options->serving.options_count, flag->key, value, error);
	if (gb_settings_find(flags, flag->key))
		return gb_settings_set(flags, options, flag->key, value, error);
	if (options->load_count == COMPARE_FLAGS_MAX - 2)
		return gb_error_set(error, -GB_EUSAGE, "--%s: too many flags", flag->key);
	options->load[options->load_count++] = (struct compare_flag){ flag->key, value };
	return 0;
}

const char *gb__compare_load_flag(const struct compare_options *options, const char *key)
{
	for (size_t i = 0; i < options->load_count; i++)
		if (strcmp(options->load[i].key, key) == 0)
			return options->load[i].value;
	return NULL;
}

bool gb__compare_of_run(const struct compare_options *options, const char *pair)
{
	return pair == options->upstream || pair == options->certificate_options[0] ||
		pair == options->certificate_options[1];
}

static bool load_has(const char *key)
{
	for (const struct gb_args_table *table = gb__load_tables; table->settings; table++)
		if (gb_settings_find(table->settings, key))
			return true;
	return false;
}

static bool is_swept(const struct compare_options *options, const char *key)
{
	for (size_t i = 0; i < options->axes_count; i++)
		if (options->axes[i].flag && strcmp(options->axes[i].flag, key) == 0)
			return true;
	return false;
}

static bool is_among(const struct compare_flag *list, size_t count, const char *key)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(list[i].key, key) == 0)
			return true;
	return false;
}

struct line {
	char **words;
	size_t count, max;
	bool full;
};

static void append(struct line *line, const char *key, const char *value)
{
	char *word = NULL;
	int size = key ? asprintf(&word, "--%s=%s", key, value) : asprintf(&word, "%s", value);

	if (size < 0 || line->count + 1 >= line->max) {
		line->full = true;
		if (size >= 0)
			free(word);
		return;
	}
	line->words[line->count++] = word;
	line->words[line->count] = NULL;
}

/* The load's flag counts microseconds; a sweep may be written in milliseconds. */
static void append_step(struct line *line, const struct compare_axis *axis, size_t step)
{
	char number[32];

	snprintf(number, sizeof(number), "%.0f", axis->steps[step].number);
	append(line, axis->flag, strcmp(axis->unit, "µs") == 0 ? number : axis->steps[step].text);
}

int gb__compare_load_line(const struct compare_options *options, const size_t step[COMPARE_AXES],
	const char *address, const struct compare_flag *extra, size_t extra_count, char **ret, size_t max)
{
	struct line line = { .words = ret, .max = max };

	append(&line, NULL, "load");
	append(&line, NULL, address);
	append(&line, "json", "yes");
	append(&line, "quiet", "yes");
	for (size_t i = 0; i < options->load_count; i++)
		if (!is_swept(options, options->load[i].key) &&
			!is_among(extra, extra_count, options->load[i].key))
			append(&line, options->load[i].key, options->load[i].value);
	for (size_t i = 0; i < options->axes_count; i++)
		if (options->axes[i].flag && !is_among(extra, extra_count, options->axes[i].flag))
			append_step(&line, &options->axes[i], step[i]);
	for (size_t i = 0; i < extra_count; i++)
		if (extra[i].value)
			append(&line, extra[i].key, extra[i].value);
	if (!line.full)
		return (int)line.count;
	while (line.count > 0)
		free(ret[--line.count]);
	return -ENOMEM;
}

/* A flag of the load as it is at a step. */
static const char *flag_at(
	const struct compare_options *options, const size_t step[COMPARE_AXES], const char *key)
{
	for (size_t i = 0; i < options->axes_count; i++)
		if (strcmp(options->axes[i].name, key) == 0)
			return options->axes[i].steps[step[i]].text;
	return gb__compare_load_flag(options, key);
}

/* Have the load read what it would get at a step, and keep what it makes of it. */
static int read_load(struct compare_options *options, const size_t step[COMPARE_AXES], struct gb_error *error)
{
	char *words[COMPARE_FLAGS_MAX + 16];
	struct load_options load = { 0 };
	const char *rate = flag_at(options, step, "rate");
	int count = gb__compare_load_line(
		options, step, SOMEWHERE, NULL, 0, words, sizeof(words) / sizeof(*words));
	int result;

	if (count < 0)
		return gb_error_set(error, count, "no memory for the load's flags");
	result = gb__load_options_parse(count - 1, words + 1, &load, error);
	if (result == 0) {
		options->protocol = load.protocol->name;
		options->tls = load.tls.use;
		options->connections = load.connections;
		options->depth = load.depth;
		options->size = load.size;
		options->duration_ms = load.duration_ms;
		options->messages = load.message_count;
		options->rate = rate ? strtod(rate, NULL) : NAN;
		options->arrivals = gb__compare_load_flag(options, "arrivals");
		if (rate && !options->arrivals)
			options->arrivals = "constant";
	}
	gb__load_options_finish(&load);
	while (count > 0)
		free(words[--count]);
	return result;
}

/* What a service's clients speak: what its row says, else what its codec tells; NULL: nobody knows. */
static const char *protocol_of(const struct gb_service *service)
{
	for (const struct verify_protocol *const *row = gb__program.protocols; row && *row; row++)
		if (gb__verify_knows(*row, service->name))
			return (*row)->load;
	if (service->codec == &gb_codec_line)
		return "line";
	return service->codec && !service->samples ? NULL : "echo";
}

static bool load_speaks(const char *protocol)
{
	for (const struct protocol *const *row = gb__load_protocols; *row; row++)
		if (strcmp((*row)->name, protocol) == 0)
			return true;
	return false;
}

/* What a service says that clients send. The bytes of a built-in one are its protocol's. */
static void add_samples(struct compare_options *options)
{
	const char *const *sample = options->serving.service->samples;

	if (gb__program.protocols || gb__compare_load_flag(options, "message") ||
		gb__compare_load_flag(options, "message-file"))
		return;
	for (; sample && *sample && options->load_count < COMPARE_FLAGS_MAX - 2; sample++)
		options->load[options->load_count++] = (struct compare_flag){ "message", *sample };
}

static bool says(const struct compare_options *options, const char *key)
{
	bool yes = false;
	const char *value = gb__compare_load_flag(options, key);

	return value && gb_parse_switch(value, &yes) == 0 && yes;
}

static bool has_certificate(const struct compare_options *options)
{
	for (size_t i = 0; i < options->serving.options_count; i++)
		if (strncmp(options->serve_options[i], "tls-cert=", strlen("tls-cert=")) == 0)
			return true;
	return false;
}

/* With --tls servers have a certificate of the run, unless the user gives them one, and the load trusts it. */
static int secure(struct compare_options *options, struct gb_error *error)
{
	int result;

	if (!says(options, "tls") || has_certificate(options))
		return 0;
	result = gb__certificate_make(&options->certificate, error);
	if (result < 0)
		return result;
	if (asprintf(&options->certificate_options[0], "tls-cert=%s", options->certificate.certificate) < 0 ||
		asprintf(&options->certificate_options[1], "tls-key=%s", options->certificate.key) < 0)
		return gb_error_set(error, -ENOMEM, "no memory for options of TLS");
	for (unsigned i = 0; i < 2 && result == 0; i++)
		result = add(options->serve_options, &options->serving.options_count, "option",
			options->certificate_options[i], error);
	if (result == 0 && !gb__compare_load_flag(options, "tls-ca") && !says(options, "tls-insecure") &&
		options->load_count < COMPARE_FLAGS_MAX - 2)
		options->load[options->load_count++] =
			(struct compare_flag){ "tls-ca", options->certificate.certificate };
	return result;
}

static int choose_load(struct compare_options *options, struct gb_error *error)
{
	const struct gb_service *service = options->serving.service;
	const char *protocol = protocol_of(service);

	if (!gb__compare_load_flag(options, "protocol")) {
		if (!protocol || !load_speaks(protocol))
			return gb_error_set(error, -GB_EUSAGE,
				"no load is known to fit %s: say how it is spoken to with --protocol, and what is sent "
				"with --message",
				service->name);
		options->load[options->load_count++] = (struct compare_flag){ "protocol", protocol };
		add_samples(options);
	}
	if (!gb__compare_load_flag(options, "duration") && !gb__compare_load_flag(options, "messages"))
		options->load[options->load_count++] = (struct compare_flag){ "duration", DURATION_DEFAULT };
	return secure(options, error);
}

static int check_axes(struct compare_options *options, struct gb_error *error)
{
	size_t step[COMPARE_AXES] = { 0 };
	int result = 0;

	for (size_t i = 0; i < options->axes_count; i++) {
		struct compare_axis *axis = &options->axes[i];

		if (i > 0 && strcmp(axis->name, options->axes[0].name) == 0)
			return gb_error_set(error, -GB_EUSAGE, "sweep %s is given twice", axis->name);
		if (axis->flag && !load_has(axis->flag))
			return gb_error_set(error, -GB_EUSAGE,
				"sweep %s: this load has no such flag: `%s help load` lists them", axis->name,
				gb__program.name);
	}
	for (size_t i = 0; i < options->axes_count && result == 0; i++) {
		size_t last = options->axes[i].flag ? options->axes[i].count : 0;

		for (step[i] = 0; step[i] < last && result == 0; step[i]++)
			result = read_load(options, step, error);
		step[i] = 0;
	}
	if (result == 0)
		result = read_load(options, step, error);
	for (size_t i = 0; i < options->axes_count && result == 0; i++)
		if (strcmp(options->axes[i].unit, "µs") == 0 && strcmp(options->protocol, "work") != 0)
			return gb_error_set(error, -GB_EUSAGE,
				"sweep %s: only the service work is told how much to do, by --protocol work",
				options->axes[i].name);
	return result;
}

/* A run that takes minutes is not to end with a file that cannot be written. */
int gb__compare_check_writable(const char *key, const char *path, struct gb_error *error)
{
	const char *slash;
	char folder[4096] = ".";

	if (!path || (strcmp(path, "-") == 0 && strcmp(key, "json") == 0))
		return 0;
	if (strcmp(path, "-") == 0)
		return gb_error_set(error, -GB_EUSAGE, "--%s: write the name of a file", key);
	slash = strrchr(path, '/');
	if (slash)
		snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path + 1), path);
	if (access(path, F_OK) == 0 ? access(path, W_OK) == 0 : access(folder, W_OK) == 0)
		return 0;
	return gb_error_set(error, -errno, "--%s: cannot write %s: %s", key, path, strerror(errno));
}

static int parse(int argc, char **argv, struct compare_options *options, struct gb_error *error)
{
	struct gb_args args = { .argc = argc, .argv = argv, .tables = gb__compare_tables() };
	const struct gb_setting *flag;
	const char *value;
	int result;

	while ((result = gb_args_next(&args, &flag, &value, error)) > 0) {
		result = flag ? set_flag(options, flag, value, error) : set_word(options, value, error);
		if (result < 0)
			return result;
	}
	if (result < 0 || options->help)
		return result;
	if (gb__program.one)
		options->serving.service = gb__program.services[0];
	if (!options->serving.service)
		return refuse_service(NULL, error);
	if (options->all && options->models_count > 0)
		return gb_error_set(error, -GB_EUSAGE, "--all is every model: leave --models out");
	result = gb__compare_check_writable("json", options->json, error);
	if (result == 0)
		result = gb__compare_check_writable("report", options->report, error);
	if (result == 0)
		result = choose_load(options, error);
	return result == 0 ? check_axes(options, error) : result;
}

int gb__compare_options_parse(int argc, char **argv, struct compare_options *ret, struct gb_error *error)
{
	int result = gb_settings_init(flags, ret, sizeof(*ret));

	if (result < 0)
		return gb_error_set(error, result, "%s", gb_strerror(result));
	result = parse(argc, argv, ret, error);
	ret->serving.sets = ret->sets;
	ret->serving.options = ret->serve_options;
	return result;
}

void gb__compare_options_finish(struct compare_options *options)
{
	gb__certificate_remove(&options->certificate);
	free(options->certificate_options[0]);
	free(options->certificate_options[1]);
	gb_settings_finish(flags, options);
	while (options->models_count > 0)
		free(options->models[--options->models_count]);
	for (size_t i = 0; i < COMPARE_AXES; i++)
		gb__compare_sweep_finish(&options->axes[i]);
}
