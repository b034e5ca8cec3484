#include "verify/tell.h"

#include "command.h"
#include "doctor/json.h"

#include <gearbox/args.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COLUMN 22u

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

	result->differences += news->count;
	result->told = gb__verify_grow(result->told, result->told_count + 1, sizeof(*result->told));
	result->told[result->told_count++] = told;
	if (result->json || news->kind == VERIFY_SKIPPED)
		return;
	clear_line(result);
	print_news(result, &told);
	fflush(stdout);
}

static void print_json(const struct verify_result *result, size_t skipped, struct json *json)
{
	gb__json_open(json, NULL, '{');
	gb__json_text(json, "service", result->service);
	gb__json_number(json, "combinations", result->specs->combinations - skipped);
	gb__json_number(json, "models", result->done);
	gb__json_bool(json, "interrupted", result->interrupted);
	gb__json_number(json, "differences", result->differences);
	gb__json_open(json, "different", '[');
	for (size_t i = 0; i < result->told_count; i++) {
		const struct verify_told *told = &result->told[i];

		if (told->news.kind != VERIFY_DIFFERENCE)
			continue;
		gb__json_open(json, NULL, '{');
		gb__json_text(json, "model", told->spec->text);
		gb__json_text(json, "conversation", told->news.conversation);
		gb__json_number(json, "connection", told->news.number);
		gb__json_text(json, "difference", told->news.text);
		gb__json_close(json, '}');
	}
	gb__json_close(json, ']');
	gb__json_open(json, "skipped", '[');
	for (size_t i = 0; i < result->told_count; i++) {
		const struct verify_told *told = &result->told[i];

		if (told->news.kind != VERIFY_SKIPPED)
			continue;
		gb__json_open(json, NULL, '{');
		gb__json_text(json, "model", told->spec->text);
		gb__json_text(json, "reason", told->news.text);
		gb__json_close(json, '}');
	}
	gb__json_close(json, ']');
	gb__json_close(json, '}');
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

void gb__verify_tell_end(struct verify_result *result, struct json *json)
{
	const char *reason = NULL;
	size_t skipped = count_skipped(result, &reason);

	clear_line(result);
	if (json) {
		print_json(result, skipped, json);
	} else {
		if (result->specs->count > result->specs->combinations && !result->interrupted)
			printf("%s: %zu models, by further keys\n", result->service, result->done);
		if (skipped > 0)
			printf("%s: %zu combinations skipped: %s\n", result->service, skipped, reason);
		if (result->interrupted)
			printf("%s: interrupted after %zu of %zu models, %zu differences\n", result->service,
				result->done, result->specs->count, result->differences);
		else
			printf("%s: %zu combinations, %zu differences\n", result->service,
				result->specs->combinations - skipped, result->differences);
		fflush(stdout);
	}
	free(result->told);
}

void gb__verify_tell_list(const struct verify_protocol *protocol)
{
	printf("%s:\n", protocol->service);
	for (const struct verify_conversation *row = gb__verify_conversations; row->name; row++) {
		char left[64];

		if (row->suits && !row->suits(protocol))
			continue;
		snprintf(left, sizeof(left), "  %s", row->name);
		gb_args_row(stdout, left, COLUMN, row->summary);
	}
}
