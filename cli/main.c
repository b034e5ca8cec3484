/* Finds the command and runs it. To add one: a file with its function, and a row here. */
#include "command.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define HELP_COLUMN 12u
#define WORDS_MAX 64 /* of a command line that help is asked for */

static int command_help(int argc, char **argv);
static int command_version(int argc, char **argv);

static const struct command commands[] = {
	{ "serve", "SERVICE --listen ADDRESS [--model SPEC] [FLAG ...]",
		"[serve] --listen ADDRESS [--model SPEC] [FLAG ...]", "serve a service", gb__command_serve },
	{ "load", "ADDRESS [FLAG ...]", NULL, "generate load and check every reply", gb__command_load },
	{ "compare", "SERVICE [FLAG ...]", "[FLAG ...]",
		"put the same load on a service under many models, and say what differs",
		gb__command_compare },
	{ "advise", "SERVICE [FLAG ...] | --pid PID", "[FLAG ...] | --pid PID",
		"measure handler and load, name the model that suits them, say why, and try it out",
		gb__command_advise },
	{ "models", "[NAME | --combinations] [--json]", NULL,
		"list the models: what they are, when to use them and when not", gb__command_models },
	{ "doctor", "[--connections N] [--costs] [--json]", NULL,
		"what this machine allows, what to change, and what operations cost on it",
		gb__command_doctor },
	{ "trace", "--pid PID [FLAG ...]", NULL,
		"look at a server that runs: what its workers do, and where the time of its messages goes",
		gb__command_trace },
	{ "verify", "SERVICE|all [FLAG ...]", "[FLAG ...]",
		"hold the same conversations under every combination of the axes: all must agree",
		gb__command_verify },
	{ "report", "SAVED.json OUT.html", NULL, "write the report of a comparison that was saved",
		gb__command_report },
	{ "help", "[COMMAND ...]", NULL, "print help, on a command or on all of them", command_help },
	{ "version", "", NULL, "print the version", command_version },
};
#define COMMAND_COUNT (sizeof(commands) / sizeof(*commands))

struct gb__program gb__program = { .name = "gearbox" };

int gb__command_fail(int exit_code, const char *format, ...)
{
	char text[sizeof(((struct gb_error *)0)->text)];
	struct gb_error error;
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	gb_error_set(&error, 0, "%s", text); /* escapes: one failure stays one line */
	fprintf(stderr, "%s: %s\n", gb__program.name, error.text);
	return exit_code;
}

const struct gb_service *gb__program_service(const char *name)
{
	for (const struct gb_service *const *service = gb__program.services; *service; service++)
		if (strcmp((*service)->name, name) == 0)
			return *service;
	return NULL;
}

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static int refuse(const char *name)
{
	const char *names[COMMAND_COUNT + 1] = { NULL };
	const char *nearest;

	for (size_t i = 0; i < COMMAND_COUNT; i++)
		names[i] = commands[i].name;
	nearest = gb_args_nearest(name, names);
	if (nearest)
		return gb__command_fail(
			EXIT_WRONG_USAGE, "unknown command \"%s\": did you mean \"%s\"?", name, nearest);
	if (strpbrk(name, ":/")) /* looks like an address */
		return gb__command_fail(EXIT_WRONG_USAGE,
			"unknown command \"%s\": addresses are given as --listen ADDRESS", name);
	return gb__command_fail(EXIT_WRONG_USAGE, "unknown command \"%s\": \"%s help\" lists the commands",
		name, gb__program.name);
}

static void print_usage(const struct command *command)
{
	const char *usage = gb__program.one && command->usage_one ? command->usage_one : command->usage;

	printf("  %s %s%s%s\n", gb__program.name, command->name, *usage ? " " : "", usage);
}

static void print_commands(void)
{
	const struct gb_service *service = gb__program.one ? gb__program.services[0] : NULL;

	if (service)
		printf("%s: %s\n\nCommands:\n", gb__program.name,
			service->summary ? service->summary : service->name);
	else
		printf("%s: one handler, every server model\n\nCommands:\n", gb__program.name);
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		char left[32];

		snprintf(left, sizeof(left), "  %s", commands[i].name);
		gb_args_row(stdout, left, HELP_COLUMN, commands[i].summary);
	}
	puts("\nUsage:");
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		const struct command *command = &commands[i];

		if (gb__program.one && command->usage_one && command->run == gb__command_serve)
			printf("  %s %s\n", gb__program.name, command->usage_one);
		else
			print_usage(command);
	}
	printf("\n\"%s help COMMAND\" lists a command's flags. Exit codes: 0 success, 1 failure at run time,\n"
	       "2 wrong usage; load has one more.\n",
		gb__program.name);
}

/* `help COMMAND WORD …` is `COMMAND WORD … --help`. */
static int command_help(int argc, char **argv)
{
	const struct command *command;
	char help[] = "--help";
	char *arguments[WORDS_MAX];
	int count = argc - 1;

	if (argc < 2 || argv[1][0] == '-') {
		print_commands();
		return EXIT_DONE;
	}
	command = find(argv[1]);
	if (!command)
		return refuse(argv[1]);
	if (command->run == command_help || command->run == command_version) {
		print_commands();
		return EXIT_DONE;
	}
	if (count + 2 > WORDS_MAX)
		return gb__command_fail(EXIT_WRONG_USAGE, "help: at most %d words", WORDS_MAX - 2);
	memcpy(arguments, argv + 1, (size_t)count * sizeof(*arguments));
	arguments[count] = help;
	arguments[count + 1] = NULL;
	return command->run(count + 1, arguments);
}

static int command_version(int argc, char **argv)
{
	if (argc > 1 && argv[1][0] != '-')
		return gb__command_fail(EXIT_WRONG_USAGE, "version: unexpected \"%s\"", argv[1]);
	if (strcmp(gb__program.name, "gearbox") == 0)
		printf("gearbox %s\n", gb_version());
	else
		printf("%s (gearbox %s)\n", gb__program.name, gb_version());
	return EXIT_DONE;
}

static int dispatch(int argc, char **argv)
{
	const struct command *command;
	const char *name = argc > 1 ? argv[1] : NULL;

	if (name && strcmp(name, "--version") == 0)
		return command_version(1, argv);
	/* Flags alone serve the one service there is. */
	if (gb__program.one && (!name || name[0] == '-'))
		return gb__command_serve(argc, argv);
	if (name && (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0))
		return command_help(1, argv);
	if (!name)
		return gb__command_fail(
			EXIT_WRONG_USAGE, "no command: \"%s help\" lists them", gb__program.name);
	command = find(name);
	return command ? command->run(argc - 1, argv + 1) : refuse(name);
}

static void take_name(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL, *base = slash ? slash + 1 : path;

	if (base && *base)
		snprintf(gb__program.name, sizeof(gb__program.name), "%.*s", (int)strcspn(base, " "), base);
}

/* Whether a service has what a command line needs of it: a name. The rest is looked at when it is served. */
static bool is_usable(const struct gb_service *service)
{
	return service && service->struct_size == sizeof(*service) && service->abi == GB_ABI &&
		service->name && *service->name;
}

/* Of what is wrong with a service only commands tell that have to do with one: serving it says best. */
static int run_without(int argc, char **argv, const struct gb_service *unusable)
{
	const char *name = argc > 1 ? argv[1] : "";

	gb__program.services = NULL;
	gb__program.one = false;
	if (strcmp(name, "version") == 0 || strcmp(name, "--version") == 0)
		return command_version(argc > 2 ? 2 : 1, argv + (argc > 2));
	if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
		print_commands();
		return EXIT_DONE;
	}
	return gb_serve_main(argc, argv, unusable);
}

static int run_program(int argc, char **argv)
{
	const struct gb_service *const *service = gb__program.services;

	if (!service || !*service)
		return run_without(argc, argv, NULL);
	for (; *service; service++)
		if (!is_usable(*service))
			return run_without(argc, argv, *service);
	return dispatch(argc, argv);
}

int gb__program_run(const struct gb__program *program, int argc, char **argv)
{
	int exit_code;

	gb__program = *program;
	snprintf(gb__program.name, sizeof(gb__program.name), "gearbox");
	take_name(argc > 0 ? argv[0] : NULL);
	exit_code = run_program(argc, argv);
	if (fflush(stdout) != 0 || ferror(stdout))
		return gb__command_fail(EXIT_FAILED, "cannot write to standard output");
	return exit_code;
}

int gb_main(int argc, char **argv, const struct gb_service *service)
{
	const struct gb_service *const services[] = { service, NULL };

	return gb__program_run(&(struct gb__program){ .services = services, .one = true }, argc, argv);
}

int gb_main_services(int argc, char **argv, const struct gb_service *const *services)
{
	return gb__program_run(&(struct gb__program){ .services = services }, argc, argv);
}
