/** The command line of `gearbox advise`: its own flags, and those of a comparison and its load. */
#ifndef ADVISE_OPTIONS_H
#define ADVISE_OPTIONS_H

#include "compare/options.h"

#define ADVISE_PASSED_MAX 256

struct advise_options {
	unsigned goal; /* enum advise_goal */
	bool isolate, quick, quiet, help;
	uint64_t idle, pid, candidates;
	char *json, *write; /* files */
	struct compare_options compare;
	char *passed[ADVISE_PASSED_MAX]; /* what `compare` borrows */
	int passed_count;
};

/** Borrows argv. Returns 0, -GB_EUSAGE with the reason, -ENOMEM. Call gb__advise_options_finish after it. */
int gb__advise_options_parse(int argc, char **argv, struct advise_options *ret, struct gb_error *error);
void gb__advise_options_finish(struct advise_options *options);
void gb__advise_options_help(void);

#endif
