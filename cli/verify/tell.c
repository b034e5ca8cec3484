#include "verify/tell.h"

#include "command.h"
#include "same.h"

#include <gearbox/args.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COLUMN 22u
#define TOLD_ALIKE 4u /* of what differs in the same way: the rest is counted */

static void clear_line(const struct verify_result *result)
{
	if (!result->quiet && isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}

void gb__verify_tell_progress(const struct verify_result *result, const struct verify_spec *spec)
{
	if (result->quiet || !isatty(STDERR_FILENO))
		return;
	fprintf(stderr, "\r\033[K%s: verify: %s: %zu of %zu, %zu differences: %.120s", gb__program.name,
		result->service, result->done, result->specs->count, result->differences, spec->text);
	fflush(stderr);
}

/* Under how many models the same was told before. */
static unsigned told_before(const struct verify_result *result, const struct verify_told *told)
{
	unsigned count = 0;

	for (size_t i = 0; i < result->told_count; i++)
		count += result->told[i].spec != told->spec && result->told[i].news.kind == told->news.kind &&
			strcmp(result->told[i].news.conversation, told->news.conversation) == 0 &&
			gb__same_but_numbers(result->told[i].news.text, told->news.text);
	return count;
}

static void print_news(const struct verify_result *result, const struct verify_told *told)
{
	const struct verify_news *news = &told->news;

	if (news->kind == VERIFY_REMARK) {
		printf("%s: under %s the server said: %s\n", result->service, told->spec->text, news->text);
		return;
	}
	printf("%s: DIFFERENT under %s: %s", result->service, told->spec->text, news->conversation);
	if (news->number)
		printf(", connection %u", news->number);
	printf(": %s\n", news->text);
}

void gb__verify_tell_news(
	struct verify_result *result, const struct verify_spec *spec, const struct verify_news *news)
{
	struct verify_told told = { spec, *news };
	const bool repeats = told_before(result, &told) >= TOLD_ALIKE;

	result->differences += news->count;
	result->told = gb__verify_grow(result->told, result->told_count + 1, sizeof(*result->told));
	result->told[result->told_count++] = told;
	if (result->json || news->kind == VERIFY_SKIPPED)
		return;
	if (repeats) {
		result->folded += news->count;
		return;
	}
	clear_line(result);
	print_news(result, &told);
	fflush(stdout);
}

/* What was told of one kind. */
static json_t *json_told(const struct verify_result *result, enum verify_news_kind kind)
{
	json_t *list = json_array();

	for (size_t i = 0; i < result->told_count; i++) {
		const struct verify_told *told = &result->told[i];
		json_t *text = told->news.kind == kind ? gb__json_text(told->news.text) : NULL;

		if (!text)
			continue;
		json_array_append_new(list,
			kind == VERIFY_SKIPPED
				? json_pack("{s:s, s:o}", "model", told->spec->text, "reason", text)
				: json_pack("{s:s, s:s, s:i, s:o}", "model", told->spec->text, "conversation",
					  told->news.conversation, "connection", (int)told->news.number,
					  "difference", text));
	}
	return list;
}

static json_t *json_result(const struct verify_result *result, size_t skipped)
{
	return json_pack("{s:s, s:s?, s:I, s:I, s:b, s:I, s:o, s:o}", "service", result->service, "as",
		result->as, "combinations", (json_int_t)(result->specs->combinations - skipped), "models",
		(json_int_t)result->done, "interrupted", (int)result->interrupted, "differences",
		(json_int_t)result->differences, "different", json_told(result, VERIFY_DIFFERENCE), "skipped",
		json_told(result, VERIFY_SKIPPED));
}

/* How many combinations the machine refused; an example of why goes to `ret_reason`. */
static size_t count_skipped(const struct verify_result *result, const char **ret_reason)
{
	size_t count = 0;
	bool *seen = gb__verify_grow(NULL, result->specs->combinations, sizeof(*seen));

	memset(seen, 0, result->specs->combinations * sizeof(*seen));
	for (size_t i = 0; i < result->told_count; i++) {
		const struct verify_told *told = &result->told[i];

		if (told->news.kind != VERIFY_SKIPPED)
			continue;
		count += !seen[told->spec->combination];
		seen[told->spec->combination] = true;
		*ret_reason = told->news.text;
	}
	free(seen);
	return count;
}

void gb__verify_tell_end(struct verify_result *result, json_t *list)
{
	const char *reason = NULL;
	size_t skipped = count_skipped(result, &reason);

	clear_line(result);
	if (list) {
		json_array_append_new(list, json_result(result, skipped));
	} else {
		if (result->folded > 0)
			printf("%s: and %zu more differences like those above, under other models (--json lists all)\n",
				result->service, result->folded);
		if (result->specs->count > result->specs->combinations && !result->interrupted)
			printf("%s: %zu models, by further keys\n", result->service, result->done);
		if (skipped > 0)
			printf("%s: %zu combinations skipped: %s\n", result->service, skipped, reason);
		if (result->interrupted)
			printf("%s: interrupted after %zu of %zu models, %zu differences\n", result->service,
				result->done, result->specs->count, result->differences);
		else
			printf("%s: %zu combinations, %zu differences%s%s\n", result->service,
				result->specs->combinations - skipped, result->differences,
				result->as ? " from " : "", result->as ? result->as : "");
		fflush(stdout);
	}
	free(result->told);
}

void gb__verify_tell_list(const struct gb_service *service, const struct verify_protocol *protocol)
{
	printf("%s:\n", service->name);
	for (const struct verify_conversation *row = gb__verify_conversations; row->name; row++) {
		char left[64];

		if (row->suits && !row->suits(protocol))
			continue;
		snprintf(left, sizeof(left), "  %s", row->name);
		gb_args_row(stdout, left, COLUMN, row->summary);
	}
}
