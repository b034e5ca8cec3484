/** The command line of `gearbox verify`. */
#ifndef CLI_VERIFY_OPTIONS_H
#define CLI_VERIFY_OPTIONS_H

#include "messages.h"

#include <gearbox/error.h>
#include <gearbox/service.h>

#define VERIFY_ONLY_MAX 256 /* --only flags */

struct verify_options {
	const struct gb_service *const *services; /* to verify; ends with NULL */
	const struct gb_service *one[2];          /* what `services` points at, unless that is all */
	const struct gb_service *as;              /* whose answers are the right ones; NULL: its own */
	const char *only[VERIFY_ONLY_MAX];        /* specs, borrowed from argv */
	size_t only_count;
	const char *sets[VERIFY_ONLY_MAX]; /* settings, borrowed from argv */
	size_t sets_count;
	struct messages messages; /* of the user's own; none: the protocol's, or usual ones */
	char *conversation;       /* NULL: all */
	uint64_t jobs;            /* models at the same time */
	uint64_t patience_ms;
	bool full, tls, fail_fast, list, json, quiet, help;
};

/** Returns 0, -GB_EUSAGE or -ENOMEM. Call gb__verify_options_finish after 0. */
int gb__verify_options_parse(int argc, char **argv, struct verify_options *ret, struct gb_error *error);
void gb__verify_options_finish(struct verify_options *options);
void gb__verify_options_help(void);

#endif
