/** The commands of `gearbox`: one row of the table in main.c, one function each. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <gearbox/gearbox.h>

/** Exit codes of every command; names, streams and codes are a contract (docs and scripts rely on them). */
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_WRONG_USAGE = 2 };

/** A command. `argv[0]` is its own name. Returns the exit code. */
struct command {
	const char *name;
	const char *usage;   /* what follows `gearbox NAME` in help */
	const char *summary; /* one sentence without full stop */
	int (*run)(int argc, char **argv);
};

int command_doctor(int argc, char **argv);
int command_load(int argc, char **argv);
int command_models(int argc, char **argv);
int command_serve(int argc, char **argv);
int command_verify(int argc, char **argv);

/** Print "gearbox: " and the text as one line on standard error; returns `exit_code`, so that a command can end with it. */
int command_fail(int exit_code, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
