/** What verify prints: progress on standard error, results on standard output. */
#ifndef CLI_VERIFY_TELL_H
#define CLI_VERIFY_TELL_H

#include "json.h"
#include "verify/runner.h"
#include "verify/specs.h"
#include "verify/subject.h"

#include <stdbool.h>

struct verify_told {
	const struct verify_spec *spec;
	struct verify_news news;
};

/** What was found of one service. Set the first part, zero the rest. */
struct verify_result {
	const char *service;
	const char *as; /* whose answers are the right ones; NULL: its own */
	const struct verify_specs *specs;
	bool json;
	bool quiet;       /* no progress */
	bool interrupted; /* before all models were done */

	size_t done; /* models, refused ones included */
	size_t differences;
	size_t folded;            /* of these, not printed, since alike were */
	struct verify_told *told; /* what was told so far */
	size_t told_count;
};

/** Take a piece of news in; text output prints a difference at once. */
void gb__verify_tell_news(
	struct verify_result *result, const struct verify_spec *spec, const struct verify_news *news);
/** What is being done, on a terminal. */
void gb__verify_tell_progress(const struct verify_result *result, const struct verify_spec *spec);
/** The end of one service, appended to `list` unless that is NULL. Frees what was kept. */
void gb__verify_tell_end(struct verify_result *result, json_t *list);
/** The conversations that a service admits. */
void gb__verify_tell_list(const struct gb_service *service, const struct verify_protocol *protocol);

#endif
