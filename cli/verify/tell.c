#include "verify/tell.h"

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

void verify_tell_progress(const struct verify_result *result, const struct verify_spec *spec)
{
	if (result->quiet || !isatty(STDERR_FILENO))
		return;
	fprintf(stderr, "\r\033[Kgearbox: verify: %s: %zu of %zu, %zu differences: %.120s", result->service,
		result->done, result->specs->count, result->differences, spec->text);
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

void verify_tell_news(
	struct verify_result *result, const struct verify_spec *spec, const struct verify_news *news)
{
	struct verify_told told = { spec, *news };

	result->differences += news->count;
	result->told = verify_grow(result->told, result->told_count + 1, sizeof(*result->told));
	result->told[result->told_count++] = told;
	if (result->json || news->kind == VERIFY_SKIPPED)
		return;
	clear_line(result);
	print_news(result, &told);
	fflush(stdout);
}

static void print_json(const struct verify_result *result, size_t skipped, struct json *json)
{
	json_open(json, NULL, '{');
	json_text(json, "service", result->service);
	json_number(json, "combinations", result->specs->combinations - skipped);
	json_number(json, "models", result->done);
	json_number(json, "differences", result->differences);
	json_open(json, "different", '[');
	for (size_t i = 0; i < result->told_count; i++) {
		const struct verify_told *told = &result->told[i];

		if (told->news.kind != VERIFY_DIFFERENCE)
			continue;
		json_open(json, NULL, '{');
		json_text(json, "model", told->spec->text);
		json_text(json, "conversation", told->news.conversation);
		json_number(json, "connection", told->news.number);
		json_text(json, "difference", told->news.text);
		json_close(json, '}');
	}
	json_close(json, ']');
	json_open(json, "skipped", '[');
	for (size_t i = 0; i < result->told_count; i++) {
		const struct verify_told *told = &result->told[i];

		if (told->news.kind != VERIFY_SKIPPED)
			continue;
		json_open(json, NULL, '{');
		json_text(json, "model", told->spec->text);
		json_text(json, "reason", told->news.text);
		json_close(json, '}');
	}
	json_close(json, ']');
	json_close(json, '}');
}

/* How many combinations the machine refused; an example of why goes to `ret_reason`. */
static size_t count_skipped(const struct verify_result *result, const char **ret_reason)
{
	size_t count = 0;
	bool *seen = verify_grow(NULL, result->specs->combinations, sizeof(*seen));

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

void verify_tell_end(struct verify_result *result, struct json *json)
{
	const char *reason = NULL;
	size_t skipped = count_skipped(result, &reason);

	clear_line(result);
	if (json) {
		print_json(result, skipped, json);
	} else {
		if (result->specs->count > result->specs->combinations)
			printf("%s: %zu models, by further keys\n", result->service, result->done);
		if (skipped > 0)
			printf("%s: %zu combinations skipped: %s\n", result->service, skipped, reason);
		printf("%s: %zu combinations, %zu differences\n", result->service,
			result->specs->combinations - skipped, result->differences);
		fflush(stdout);
	}
	free(result->told);
}

void verify_tell_list(const struct verify_protocol *protocol)
{
	printf("%s:\n", protocol->service);
	for (const struct verify_conversation *row = verify_conversations; row->name; row++) {
		char left[64];

		if (row->suits && !row->suits(protocol))
			continue;
		snprintf(left, sizeof(left), "  %s", row->name);
		gb_args_row(stdout, left, COLUMN, row->summary);
	}
}
