/** The command line of `gearbox compare`. The load's own flags are read by the load (load/options.h) and passed on. */
#ifndef COMPARE_OPTIONS_H
#define COMPARE_OPTIONS_H

#include "certificate.h"
#include "compare/server.h"

#include <gearbox/args.h>
#include <gearbox/error.h>
#include <gearbox/setting.h>

#include <stdbool.h>

enum { COMPARE_NAMES_MAX = 256, COMPARE_AXES = 2, COMPARE_STEPS_MAX = 64, COMPARE_FLAGS_MAX = 64 };

/** One value of a sweep. */
struct compare_step {
	char *text; /* as it was written, and is passed on */
	double number;
};

/** What a sweep varies: a flag of the load, or `workers` of the models. */
struct compare_axis {
	char name[32];
	const char *unit; /* of the numbers */
	const char *flag; /* of the load; NULL: it is not the load that varies */
	struct compare_step steps[COMPARE_STEPS_MAX];
	size_t count;
};

/** A flag of the load as it was given. */
struct compare_flag {
	const char *key, *value;
};

struct compare_options {
	struct compare_serving serving;
	const char *sets[COMPARE_NAMES_MAX], *serve_options[COMPARE_NAMES_MAX];
	char *models[COMPARE_NAMES_MAX]; /* specs */
	size_t models_count;
	const char *against[COMPARE_NAMES_MAX];
	size_t against_count;
	struct compare_axis axes[COMPARE_AXES];
	size_t axes_count;
	struct compare_flag load[COMPARE_FLAGS_MAX];
	size_t load_count;
	struct certificate certificate; /* of the run, with --tls; else none */
	char *certificate_options[2];   /* of the server, that name it */
	const char *
		upstream; /* the setting that names whom the run's servers forward to; NULL: nobody of the run's */
	uint64_t rounds, idle_connections;
	char *json, *report, *baseline; /* files */
	bool all, quiet, help;

	/* what the load says of it */
	const char *protocol;
	bool tls; /* the load speaks it */
	uint64_t connections, depth, size, duration_ms, messages;
	double rate;          /* NAN: closed loop */
	const char *arrivals; /* NULL: closed loop */
};

/** Borrows argv. Returns 0, -GB_EUSAGE with the reason, -ENOMEM. Call gb__compare_options_finish after it. */
int gb__compare_options_parse(int argc, char **argv, struct compare_options *ret, struct gb_error *error);
void gb__compare_options_finish(struct compare_options *options);
void gb__compare_options_help(void);

/** Our flags and those of the load that are passed on, for commands that take them as well. */
const struct gb_args_table *gb__compare_tables(void);

/** See that a file can be written, or made; NULL and "-" can. Returns 0, or a code with the reason. */
int gb__compare_check_writable(const char *key, const char *path, struct gb_error *error);

/** Whether a setting of the service, or an option of the server, names what is gone when the run is over. */
bool gb__compare_of_run(const struct compare_options *options, const char *pair);

/** The value of a load's flag as given, or NULL. */
const char *gb__compare_load_flag(const struct compare_options *options, const char *key);

/**
 * The load's command line: at `step` of each axis, to an address. `extra` flags come last and replace others.
 *
 * Writes at most `max` strings, that are to be freed, and NULL; returns how many, or -ENOMEM.
 */
int gb__compare_load_line(const struct compare_options *options, const size_t step[COMPARE_AXES],
	const char *address, const struct compare_flag *extra, size_t extra_count, char **ret, size_t max);

#endif
