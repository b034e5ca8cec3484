/* `gearbox`: finds the command and runs it. To add one: a file with its function, and a row here. */
#include "command.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define HELP_COLUMN 12u

static int command_help(int argc, char **argv);

static const struct command commands[] = {
	{ "serve", "SERVICE --listen ADDRESS [--model SPEC] [FLAG ...]", "serve a built-in service",
		command_serve },
	{ "load", "ADDRESS [FLAG ...]", "generate load and check every reply", command_load },
	{ "models", "[NAME | --combinations] [--json]",
		"list the models: what they are, when to use them and when not", command_models },
	{ "doctor", "[--connections N] [--costs] [--json]",
		"what this machine allows, what to change, and what operations cost on it", command_doctor },
	{ "verify", "SERVICE|all [FLAG ...]",
		"hold the same conversations under every combination of the axes: all must agree",
		command_verify },
	{ "help", "[COMMAND]", "print help, on a command or on all of them", command_help },
};
#define COMMAND_COUNT (sizeof(commands) / sizeof(*commands))

int command_fail(int exit_code, const char *format, ...)
{
	char text[sizeof(((struct gb_error *)0)->text)];
	struct gb_error error;
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	gb_error_set(&error, 0, "%s", text); /* escapes: one failure stays one line */
	fprintf(stderr, "gearbox: %s\n", error.text);
	return exit_code;
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
		return command_fail(
			EXIT_WRONG_USAGE, "unknown command \"%s\": did you mean \"%s\"?", name, nearest);
	return command_fail(
		EXIT_WRONG_USAGE, "unknown command \"%s\": \"gearbox help\" lists the commands", name);
}

static void print_commands(void)
{
	puts("gearbox: one handler, every server model\n\nCommands:");
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		char left[32];

		snprintf(left, sizeof(left), "  %s", commands[i].name);
		gb_args_row(stdout, left, HELP_COLUMN, commands[i].summary);
	}
	puts("\nUsage:");
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		printf("  gearbox %s %s\n", commands[i].name, commands[i].usage);
	puts("\n\"gearbox COMMAND --help\" lists a command's flags. Exit codes: 0 success, 1 failure at run time,\n"
	     "2 wrong usage.");
}

static int command_help(int argc, char **argv)
{
	const struct command *command;
	char help[] = "--help";
	char *arguments[] = { argv[0], help, NULL };

	if (argc > 2)
		return command_fail(EXIT_WRONG_USAGE, "unexpected \"%s\": help takes one command", argv[2]);
	if (argc < 2 || argv[1][0] == '-') {
		print_commands();
		return EXIT_DONE;
	}
	command = find(argv[1]);
	if (!command)
		return refuse(argv[1]);
	arguments[0] = argv[1];
	return command->run(2, arguments);
}

static int dispatch(int argc, char **argv)
{
	const struct command *command;
	const char *name;

	if (argc < 2)
		return command_fail(EXIT_WRONG_USAGE, "no command: \"gearbox help\" lists them");
	name = argv[1];
	if (strcmp(name, "--version") == 0) {
		puts("gearbox " GB_VERSION);
		return EXIT_DONE;
	}
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		name = "help";
	command = find(name);
	return command ? command->run(argc - 1, argv + 1) : refuse(name);
}

int main(int argc, char **argv)
{
	int exit_code = dispatch(argc, argv);

	if (fflush(stdout) != 0 || ferror(stdout))
		return command_fail(EXIT_FAILED, "cannot write to standard output");
	return exit_code;
}
