/** The commands of a program: one row of the table in main.c, one function each. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <gearbox/gearbox.h>

struct verify_protocol;

/** Exit codes of every command; names, streams and codes are a contract (docs and scripts rely on them). */
enum {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_WRONG_USAGE = 2,
	EXIT_DOUBTFUL = 3, /* done, but its figures are not to be trusted */
};

#define PROGRAM_NAME_MAX 64

/** The program that runs a command: `gearbox`, or anybody's around a service. */
struct gb__program {
	char name[PROGRAM_NAME_MAX];              /* begins messages and usage lines */
	const struct gb_service *const *services; /* what can be served; ends with NULL */
	bool one;                                 /* around one service: no command takes its name */
	const struct verify_protocol *const
		*protocols; /* what clients of these services say; NULL: unknown */
};

/** There is one program in a process; its main sets it. */
extern struct gb__program gb__program;

/** Run a command line. `program` names the services; the name is taken from `argv[0]`. Returns the exit code. */
int gb__program_run(const struct gb__program *program, int argc, char **argv);

/** The service of that name among the program's, or NULL. */
const struct gb_service *gb__program_service(const char *name);

/** A command. `argv[0]` is its own name. Returns the exit code. */
struct command {
	const char *name;
	const char *usage;     /* what follows the program's and its name in help */
	const char *usage_one; /* the same in a program around one service; NULL: as `usage` */
	const char *summary;   /* one sentence without full stop */
	int (*run)(int argc, char **argv);
};

int gb__command_advise(int argc, char **argv);
int gb__command_compare(int argc, char **argv);
int gb__command_doctor(int argc, char **argv);
int gb__command_load(int argc, char **argv);
int gb__command_models(int argc, char **argv);
int gb__command_report(int argc, char **argv);
int gb__command_serve(int argc, char **argv);
int gb__command_trace(int argc, char **argv);
int gb__command_verify(int argc, char **argv);

/** Print the program's name, ": " and the text as one line on standard error; returns `exit_code`, so that a command can end with it. */
int gb__command_fail(int exit_code, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
